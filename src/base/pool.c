#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "base/mem.h"

#define QUEUE_MAX 1024

typedef struct Job {
        PoolJob run;
        void *data;
} Job;

struct Pool {
        pthread_mutex_t lock;
        pthread_cond_t work;  /* something to do, or closing */
        pthread_cond_t space; /* room in the queue */
        Job queue[QUEUE_MAX]; /* a ring */
        size_t first, n_queued;
        pthread_t *threads;
        size_t n_threads;
        int closing;
};

size_t cpu_count(void)
{
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return 1;
        return MAX((size_t)CPU_COUNT(&set), (size_t)1);
}

static void *worker(void *data)
{
        Pool *pool = data;

        pthread_mutex_lock(&pool->lock);
        for (;;) {
                Job job;

                while (pool->n_queued == 0 && !pool->closing)
                        pthread_cond_wait(&pool->work, &pool->lock);
                if (pool->n_queued == 0)
                        break;
                job = pool->queue[pool->first];
                pool->first = (pool->first + 1) % QUEUE_MAX;
                pool->n_queued--;
                pthread_cond_signal(&pool->space);
                pthread_mutex_unlock(&pool->lock);
                job.run(job.data);
                pthread_mutex_lock(&pool->lock);
        }
        pthread_mutex_unlock(&pool->lock);
        return NULL;
}

Pool *pool_new(size_t n_threads)
{
        Pool *pool = NEW(Pool);
        sigset_t all, old;

        if (n_threads == 0)
                n_threads = cpu_count();
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->work, NULL);
        pthread_cond_init(&pool->space, NULL);
        if (n_threads <= 1)
                return pool;
        pool->threads = NEW_ARRAY(pthread_t, n_threads);
        /* Signals are the main thread's business. */
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        while (pool->n_threads < n_threads && pthread_create(&pool->threads[pool->n_threads], NULL, worker, pool) == 0)
                pool->n_threads++;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return pool; /* with no thread to be had, jobs run in pool_submit() */
}

void pool_submit(Pool *pool, PoolJob job, void *data)
{
        if (pool->n_threads == 0) {
                job(data);
                return;
        }
        pthread_mutex_lock(&pool->lock);
        while (pool->n_queued == QUEUE_MAX)
                pthread_cond_wait(&pool->space, &pool->lock);
        pool->queue[(pool->first + pool->n_queued++) % QUEUE_MAX] = (Job){ job, data };
        pthread_cond_signal(&pool->work);
        pthread_mutex_unlock(&pool->lock);
}

size_t pool_threads(const Pool *pool)
{
        return MAX(pool->n_threads, (size_t)1);
}

void pool_free(Pool *pool)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->lock);
        pool->closing = 1;
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < pool->n_threads; i++)
                pthread_join(pool->threads[i], NULL);
        pthread_mutex_destroy(&pool->lock);
        pthread_cond_destroy(&pool->work);
        pthread_cond_destroy(&pool->space);
        free(pool->threads);
        free(pool);
}

void pool_run(size_t n_threads, PoolJob job, void *data)
{
        Pool *pool = pool_new(MAX(n_threads, (size_t)1));

        for (size_t i = 0; i < pool_threads(pool); i++)
                pool_submit(pool, job, data);
        pool_free(pool);
}
