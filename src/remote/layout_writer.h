/*
 * Writing an OCI image layout, as a tar or into a directory: blobs in the order they are given, each once however often it is put, then the files that name
 * them. As a tar it is deterministic. Into a directory every file appears when it is complete, and index.json last, so that a reader never sees a name of
 * something that is not there.
 *
 * Threads: one at a time. Memory: one buffer, whatever the size of the blobs.
 * Spec: image-spec 1.1 image-layout.md.
 */
#pragma once

#include "base/sink.h"
#include "crypto/digest.h"

typedef struct LayoutWriter LayoutWriter;

/* A tar that flows into `to`, which must live as long as the writer. */
LayoutWriter *layout_writer_new_tar(const Sink *to);
/* Into the directory `dir_fd` (which stays the caller's). */
LayoutWriter *layout_writer_new_directory(int dir_fd);
void layout_writer_free(LayoutWriter *writer);
DEFINE_CLEANUP(LayoutWriter *, layout_writer_free)

/* Called for every piece of a blob; an error stops the writing. May be NULL. */
typedef int (*LayoutProgress)(void *user, uint64_t size, Error *err);
void layout_writer_set_progress(LayoutWriter *writer, LayoutProgress progress, void *user);

/* The directories; first of all. */
int layout_writer_begin(LayoutWriter *writer, Error *err);
int layout_writer_put_blob(LayoutWriter *writer, const Digest *digest, const void *data, size_t size, Error *err);
/* Copies a file of `size` bytes, which must be what it is called: CORRUPT otherwise. */
int layout_writer_put_blob_fd(LayoutWriter *writer, const Digest *digest, int fd, uint64_t size, Error *err);
/* A file of the layout itself: index.json, oci-layout, manifest.json. */
int layout_writer_put_file(LayoutWriter *writer, const char *name, const void *data, size_t size, Error *err);
/* The end of the tar. */
int layout_writer_end(LayoutWriter *writer, Error *err);
