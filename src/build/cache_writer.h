/*
 * The writing side of a directory of exported caches (build/cache_dir.h): its lock, blobs that appear complete, the index, and removing what nothing leads to.
 */
#pragma once

#include "build/cache_dir.h"
#include "build/engine.h"

typedef struct CacheWriter {
        Build *build;
        const char *dest;
        const char *tag;
        CacheDir dir;
        int lock_fd;
        pthread_mutex_t lock; /* of `trusted` and `n_written`: several threads may write blobs */
        Map *trusted;         /* paths of blobs that the old index leads to, and of those written since */
        bool knows_all;       /* nothing else is reachable: the rest may be removed */
        CacheDocument old;    /* of the same tag; empty when there is none */
        size_t n_written;     /* blobs */
} CacheWriter;

/*
 * Makes the directory when it is not there, waits for other exporters (CANCELLED when the build is stopped meanwhile) and reads what is there.
 * Errors: INVALID (neither empty nor an OCI layout), DENIED, IO.
 */
int cache_writer_open(Build *build, const char *dest, const char *tag, CacheWriter *ret, Error *err);
void cache_writer_done(CacheWriter *writer);

/* A blob in the making: a file under ingest/ until it is complete. */
typedef struct Ingest {
        char name[64];
        int fd; /* -1: none */
} Ingest;

int ingest_begin(CacheWriter *writer, Ingest *in, Error *err);
int ingest_end(CacheWriter *writer, Ingest *in, const Digest *digest, Error *err); /* gives it its name */
void ingest_drop(CacheWriter *writer, Ingest *in);                                 /* removes it, when it has not got its name */

/* A blob that was synced before the index that leads to it was written (or that we wrote), and still is as long as it was. */
bool cache_writer_has(CacheWriter *writer, const Digest *digest, int64_t size);
/* Writes a small blob, when it is not there. */
int cache_writer_put(CacheWriter *writer, const void *data, size_t size, Digest *ret, Error *err);

/* Puts the manifest in the place of the one with the same tag, durably, and removes what nothing leads to any more. */
int cache_writer_commit(CacheWriter *writer, const Descriptor *manifest, Error *err);
