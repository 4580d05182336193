/*
 * A pool of worker threads that runs jobs in the order of submission.
 *
 * Job functions must not wait for other jobs of the same pool.
 * With n_threads <= 1 the pool starts no thread and runs each job inside pool_submit().
 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

typedef struct Pool Pool;
typedef void (*PoolJob)(void *data);

/* n_threads 0: as many as there are processors for this process. */
Pool *pool_new(size_t n_threads);
void pool_free(Pool *pool); /* waits for every job; NULL is fine */
DEFINE_CLEANUP(Pool *, pool_free)

/* Queues a job. Blocks while more than 1024 jobs wait, so that memory stays bounded. */
void pool_submit(Pool *pool, PoolJob job, void *data);
size_t pool_threads(const Pool *pool);

/* The same function in n_threads threads at a time, which share `data`; in the caller's alone when that is 0 or 1. Waits for all. */
void pool_run(size_t n_threads, PoolJob job, void *data);

/* Processors that this process may use (its affinity; a quota of its cgroup is not asked), at least 1. */
size_t cpu_count(void);
