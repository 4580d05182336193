#include "base/remover.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

#define THREADS_MAX 8
#define ALONE_NS (2 * NSEC_PER_MSEC) /* what takes longer gets help */

struct Remover {
        int dir_fd;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        StrList names; /* waiting; the newest is taken first, so that what is shared out does not pile up */
        size_t n_idle, n_threads;
        pthread_t threads[THREADS_MAX];
        bool ending;
        unsigned n_shared; /* for names */
};

/* A name that a thread is at. */
typedef struct Task {
        Remover *remover;
        int64_t since;
} Task;

static void *work(void *user);

/* Signals are for those who handle them. The caller has the mutex. */
static void start_thread(Remover *remover)
{
        sigset_t all, old;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        if (remover->n_threads < THREADS_MAX && pthread_create(&remover->threads[remover->n_threads], NULL, work, remover) == 0)
                remover->n_threads++;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* When somebody has nothing to do, a directory becomes an entry of the top, and theirs. */
static bool share(void *user, int dir_fd, const char *name)
{
        const Task *task = user;
        Remover *remover = task->remover;
        bool wanted;
        char top_name[64];

        pthread_mutex_lock(&remover->mutex);
        if (remover->n_idle == 0 && clock_monotonic_ns() - task->since > ALONE_NS)
                start_thread(remover);
        wanted = remover->n_idle > remover->names.n_items;
        snprintf(top_name, sizeof(top_name), ".mica-removed-%d-%u", getpid(), remover->n_shared++);
        pthread_mutex_unlock(&remover->mutex);
        if (!wanted || sys_renameat(dir_fd, name, remover->dir_fd, top_name) < 0)
                return false;
        remover_add(remover, top_name);
        return true;
}

/* Waits for a name. NULL: there will be none, since nobody is left who could share something. The caller has the mutex. */
static char *next_name(Remover *remover)
{
        remover->n_idle++;
        while (remover->names.n_items == 0) {
                if (remover->ending && remover->n_idle == remover->n_threads) {
                        pthread_cond_broadcast(&remover->changed);
                        return NULL; /* still counted as idle, for the others to see */
                }
                pthread_cond_wait(&remover->changed, &remover->mutex);
        }
        remover->n_idle--;
        return remover->names.items[--remover->names.n_items];
}

static void *work(void *user)
{
        Remover *remover = user;
        char *name;

        pthread_mutex_lock(&remover->mutex);
        while ((name = next_name(remover))) {
                Task task = { .remover = remover, .since = clock_monotonic_ns() };

                pthread_mutex_unlock(&remover->mutex);
                (void)tree_remove_shared(remover->dir_fd, name, share, &task);
                free(name);
                pthread_mutex_lock(&remover->mutex);
        }
        pthread_mutex_unlock(&remover->mutex);
        return NULL;
}

Remover *remover_new(int dir_fd)
{
        Remover *remover = NEW(Remover);

        remover->dir_fd = dir_fd;
        pthread_mutex_init(&remover->mutex, NULL);
        pthread_cond_init(&remover->changed, NULL);
        return remover;
}

void remover_add(Remover *remover, const char *name)
{
        bool alone;

        pthread_mutex_lock(&remover->mutex);
        if (remover->n_threads == 0)
                start_thread(remover);
        alone = remover->n_threads == 0;
        if (!alone) {
                strlist_add(&remover->names, name);
                pthread_cond_signal(&remover->changed);
        }
        pthread_mutex_unlock(&remover->mutex);
        if (alone)
                (void)tree_remove(remover->dir_fd, name);
}

void remover_free(Remover *remover)
{
        if (!remover)
                return;
        pthread_mutex_lock(&remover->mutex);
        remover->ending = true;
        pthread_cond_broadcast(&remover->changed);
        pthread_mutex_unlock(&remover->mutex);
        for (size_t i = 0; i < remover->n_threads; i++)
                pthread_join(remover->threads[i], NULL);
        strlist_done(&remover->names);
        pthread_cond_destroy(&remover->changed);
        pthread_mutex_destroy(&remover->mutex);
        free(remover);
}
