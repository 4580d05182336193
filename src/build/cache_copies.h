/*
 * Layers on their way into a directory of exported caches as they are, several at once: the kernel copies, or shares the blocks where the file system can.
 *
 * Threads: one owner; the copying is done by threads of its own.
 */
#pragma once

#include "base/pool.h"
#include "build/cache_writer.h"

typedef struct CacheCopies {
        CacheWriter *writer;
        BuildVertex *vertex; /* where it is told */
        Pool *pool;          /* NULL before the first one and after the end */
        pthread_mutex_t lock;
        Error error; /* the first one */
} CacheCopies;

void cache_copies_init(CacheCopies *copies, CacheWriter *writer, BuildVertex *vertex);
void cache_copies_done(CacheCopies *copies); /* waits */

/* Begins to copy the tar of a layer of the store (`size` bytes) to the blob that has its name. Owns `tar`. After the first failure nothing is begun. */
void cache_copies_add(CacheCopies *copies, const Digest *diff_id, int tar, uint64_t size);
/* Until all are in place. */
int cache_copies_wait(CacheCopies *copies, Error *err);
