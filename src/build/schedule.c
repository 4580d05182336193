/*
 * Running what the cache does not know: a queue of stages that can go on, and threads that advance them. A stage that waits for another stage or for a step
 * that another is just doing is parked, so the number of threads is the number of jobs, whatever the graph.
 *
 * The first failure stops everything: running containers are killed, the error that came first is the one that is reported.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "build/cache_import.h"
#include "build/schedule.h"
#include "fs/mount.h"

typedef struct Item {
        BuildStage *stage;
        bool queued, running;
        BuildStage *waits_for; /* parked: for this stage … */
        bool waits_for_key;    /* … or for any key to be released */
} Item;

struct Scheduler {
        Build *build;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        Item *items;
        size_t n_items;
        size_t n_running;
        bool stopped;
        Error error;
};

/* Stops the build: flag and descriptor. */
static void stop(Build *build)
{
        uint64_t one = 1;

        atomic_store(&build->stop, 1);
        if (build->stop_fd >= 0)
                (void)!write(build->stop_fd, &one, sizeof(one));
}

/* A key was released: stages that waited for one may look again. */
static void wake(Scheduler *scheduler)
{
        pthread_mutex_lock(&scheduler->lock);
        for (size_t i = 0; i < scheduler->n_items; i++)
                if (scheduler->items[i].waits_for_key) {
                        scheduler->items[i].waits_for_key = false;
                        scheduler->items[i].queued = true;
                }
        pthread_cond_broadcast(&scheduler->changed);
        pthread_mutex_unlock(&scheduler->lock);
}

/* --- keys that a stage is working on --- */

bool build_claim(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];
        bool is_free;

        pthread_mutex_lock(&build->lock);
        is_free = !map_has(build->claims, digest_format(key, text));
        if (is_free)
                map_set(build->claims, text, build);
        pthread_mutex_unlock(&build->lock);
        return is_free;
}

void build_release(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];

        pthread_mutex_lock(&build->lock);
        map_remove(build->claims, digest_format(key, text));
        pthread_mutex_unlock(&build->lock);
        if (build->scheduler)
                wake(build->scheduler);
}

static bool is_claimed(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];
        bool claimed;

        pthread_mutex_lock(&build->lock);
        claimed = map_has(build->claims, digest_format(key, text));
        pthread_mutex_unlock(&build->lock);
        return claimed;
}

/* --- stages --- */

static Item *take(Scheduler *scheduler)
{
        for (size_t i = 0; i < scheduler->n_items; i++)
                if (scheduler->items[i].queued)
                        return &scheduler->items[i];
        return NULL;
}

static void finished(Scheduler *scheduler, Item *item)
{
        item->stage->status = STAGE_DONE;
        for (size_t i = 0; i < scheduler->n_items; i++)
                if (scheduler->items[i].waits_for == item->stage) {
                        scheduler->items[i].waits_for = NULL;
                        scheduler->items[i].queued = true;
                }
}

static void failed(Scheduler *scheduler, Item *item, Error *err)
{
        item->stage->status = STAGE_FAILED;
        if (!scheduler->stopped)
                error_move(&scheduler->error, err);
        scheduler->stopped = true;
        stop(scheduler->build);
}

/* Called with the lock held; lets it go while the stage is advanced. */
static void advance(Scheduler *scheduler, Item *item)
{
        _cleanup_error_ Error err = ERROR_INIT;
        BuildStage *blocker = NULL;
        Digest key = { 0 };
        int result;

        item->queued = false;
        item->running = true;
        scheduler->n_running++;
        pthread_mutex_unlock(&scheduler->lock);
        result = stage_advance(item->stage, false, &blocker, &key, &err);
        pthread_mutex_lock(&scheduler->lock);
        item->running = false;
        scheduler->n_running--;
        if (result < 0)
                failed(scheduler, item, &err);
        else if (result == ADVANCE_DONE)
                finished(scheduler, item);
        else if (blocker && blocker->status == STAGE_DONE)
                item->queued = true;
        else if (blocker)
                item->waits_for = blocker;
        else if (!is_claimed(scheduler->build, &key))
                item->queued = true;
        else
                item->waits_for_key = true;
        pthread_cond_broadcast(&scheduler->changed);
}

static void worker(void *data)
{
        Scheduler *scheduler = data;

        pthread_mutex_lock(&scheduler->lock);
        while (!scheduler->stopped) {
                Item *item = take(scheduler);

                if (item)
                        advance(scheduler, item);
                else if (scheduler->n_running)
                        pthread_cond_wait(&scheduler->changed, &scheduler->lock);
                else
                        break;
        }
        pthread_cond_broadcast(&scheduler->changed);
        pthread_mutex_unlock(&scheduler->lock);
}

/* --- cancellation from outside: a flag that a signal handler sets, turned into a descriptor that becomes readable --- */

typedef struct Watch {
        Build *build;
        pthread_t thread;
        atomic_bool done;
        bool started;
} Watch;

static void *watch(void *data)
{
        Watch *w = data;
        const struct timespec pause = { .tv_nsec = 20 * NSEC_PER_MSEC };

        while (!atomic_load(&w->done)) {
                if (*w->build->options->cancel) {
                        stop(w->build);
                        break;
                }
                nanosleep(&pause, NULL);
        }
        return NULL;
}

static int watch_start(Watch *w, Build *build, Error *err)
{
        int r;

        w->build = build;
        if (!build->options->cancel)
                return 0;
        r = pthread_create(&w->thread, NULL, watch, w);
        if (r != 0)
                return error_errno(err, r, "cannot start a thread");
        w->started = true;
        return 0;
}

static void watch_end(Watch *w)
{
        atomic_store(&w->done, true);
        if (w->started)
                pthread_join(w->thread, NULL);
}

/* --- */

static int run_threads(Scheduler *scheduler, size_t n_threads, Error *err)
{
        Watch w = { 0 };

        if (watch_start(&w, scheduler->build, err) < 0)
                return -1;
        pool_run(n_threads, worker, scheduler);
        watch_end(&w);
        if (error_is_set(&scheduler->error))
                return error_move(err, &scheduler->error);
        for (size_t i = 0; i < scheduler->n_items; i++)
                if (scheduler->items[i].stage->status != STAGE_DONE)
                        return error_set(err, ERROR_INTERNAL, "the build stopped before stage '%s' was complete", scheduler->items[i].stage->label);
        return 0;
}

static int run_pending(Build *build, BuildStage **pending, size_t n_pending, Error *err)
{
        Scheduler scheduler = { .build = build, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        size_t jobs = build->options->jobs ? build->options->jobs : cpu_count();
        int result;

        if (mount_namespace_enter(err) < 0)
                return -1;
        if (build->stop_fd < 0)
                build->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (build->stop_fd < 0)
                return error_errno(err, errno, "cannot make an event descriptor");
        scheduler.items = NEW_ARRAY(Item, n_pending);
        scheduler.n_items = n_pending;
        for (size_t i = 0; i < n_pending; i++)
                scheduler.items[i] = (Item){ .stage = pending[i], .queued = true };
        build->scheduler = &scheduler;
        result = run_threads(&scheduler, MIN(jobs, n_pending), err);
        build->scheduler = NULL;
        free(scheduler.items);
        return result;
}

/* Back to before the probe. Only records of imported layers are pending then. */
static void rewind_all(Build *build)
{
        for (size_t i = 0; i < build->n_stages; i++)
                stage_rewind(build->stages[i]);
        map_free(build->results);
        build->results = map_new(free);
        build->n_steps = build->n_cached = 0;
        cache_forget_pending(build->lease);
}

/* The probe: stages in the order of need, on this thread, as far as the cache goes. */
static int probe_once(Build *build, BuildStage **pending, size_t *n_pending, Error *err)
{
        *n_pending = 0;
        for (size_t i = 0; i < build->n_stages; i++) {
                BuildStage *stage = build_stage_in_order(build, i), *blocker;
                Digest key;
                int result;

                if (!stage->needed)
                        continue;
                result = stage_advance(stage, true, &blocker, &key, err);
                if (result < 0)
                        return -1;
                if (result == ADVANCE_DONE)
                        stage->status = STAGE_DONE;
                else
                        pending[(*n_pending)++] = stage;
        }
        return 0;
}

/* Layers of --cache-from come in beside it. Where one turns out to be damaged, what was answered with it is asked again. */
static int probe(Build *build, BuildStage **pending, size_t *n_pending, Error *err)
{
        for (;;) {
                _cleanup_error_ Error import = ERROR_INIT;
                int probed, settled;

                cache_imports_defer(build);
                probed = probe_once(build, pending, n_pending, err);
                settled = cache_imports_settle(build, probed < 0 ? &import : err);
                if (settled == 0)
                        return probed;
                rewind_all(build);
                if (probed < 0 || settled < 0)
                        return -1;
        }
}

int build_execute(Build *build, Error *err)
{
        _cleanup_free_ BuildStage **pending = NEW_ARRAY(BuildStage *, build->n_stages);
        size_t n_pending = 0;

        if (probe(build, pending, &n_pending, err) < 0)
                return -1;
        if (!n_pending)
                return 0;
        return build_check_platforms(build, pending, n_pending, err) < 0 ? -1 : run_pending(build, pending, n_pending, err);
}

int build_execute_stages(Build *build, BuildStage *const *stages, size_t n_stages, Error *err)
{
        _cleanup_free_ BuildStage **pending = NEW_ARRAY(BuildStage *, n_stages);
        size_t n_pending = 0;

        for (size_t i = 0; i < n_stages; i++) {
                BuildStage *blocker;
                Digest key;
                int result = stage_advance(stages[i], true, &blocker, &key, err);

                if (result < 0)
                        return -1;
                if (result == ADVANCE_DONE)
                        stages[i]->status = STAGE_DONE;
                else
                        pending[n_pending++] = stages[i];
        }
        return n_pending ? run_pending(build, pending, n_pending, err) : 0;
}
