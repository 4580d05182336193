/*
 * Writing a stream to a file and hashing it on the way, each on a thread of its own once the stream is large enough to be worth it.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "crypto/digest.h"

/*
 * A file being written together with the digest of what was written. Buffers of 1 MiB are filled by the caller, and hashed by one thread and written by
 * another at the same time; at most HASH_FILE_BUFFERS exist, so memory is bounded and a slow disk or hash holds the caller back. Not for use by several
 * threads at once.
 */
typedef struct HashFile HashFile;

#define HASH_FILE_BUFFERS 10

/* fd: an empty file; stays the caller's. `name` follows "cannot write" in messages. */
HashFile *hash_file_new(DigestAlgorithm algorithm, int fd, const char *name);
void hash_file_free(HashFile *file); /* NULL is fine */
DEFINE_CLEANUP(HashFile *, hash_file_free)

/* Before the first byte: what is large goes past the page cache (base/direct.h). */
void hash_file_go_direct(HashFile *file);

/* Appends. What fails on the other thread is told by a later call. */
int hash_file_write(HashFile *file, const void *data, size_t size, Error *err);

/*
 * Room for content that is read straight into the file's buffer: returns it and its size (1..1 MiB). Fill from the start, then tell how much with
 * hash_file_filled().
 */
int hash_file_reserve(HashFile *file, void **ret_data, size_t *ret_size, Error *err);
int hash_file_filled(HashFile *file, size_t size, Error *err);

/* Writes and hashes what is left; the digest of everything, and its size in bytes. */
int hash_file_finish(HashFile *file, Digest *ret, uint64_t *ret_size, Error *err);
