#include "build/progress.h"

#include <pthread.h>

#include "base/mem.h"

typedef struct Vertex {
        BuildVertex public; /* first, so that a BuildVertex * is a Vertex * */
        char *name, *stage, *error;
        unsigned *inputs;
} Vertex;

struct Progress {
        const BuildOptions *options;
        pthread_mutex_t lock;
        Vertex **vertices;
        size_t n_vertices, capacity;
        unsigned last_id;
};

Progress *progress_new(const BuildOptions *options)
{
        Progress *progress = NEW(Progress);

        progress->options = options;
        pthread_mutex_init(&progress->lock, NULL);
        return progress;
}

void progress_free(Progress *progress)
{
        if (!progress)
                return;
        for (size_t i = 0; i < progress->n_vertices; i++) {
                Vertex *vertex = progress->vertices[i];

                free(vertex->name);
                free(vertex->stage);
                free(vertex->error);
                free(vertex->inputs);
                free(vertex);
        }
        free(progress->vertices);
        pthread_mutex_destroy(&progress->lock);
        free(progress);
}

BuildVertex *progress_vertex(Progress *progress, const VertexInfo *info)
{
        Vertex *vertex = NEW(Vertex);

        vertex->name = xstrdup(info->name);
        vertex->stage = xstrdup_or_null(info->stage);
        if (info->n_inputs)
                vertex->inputs = xmemdup(info->inputs, info->n_inputs * sizeof(*info->inputs));
        vertex->public = (BuildVertex){
                .name = vertex->name,
                .stage = vertex->stage,
                .step = info->step,
                .n_steps = info->n_steps,
                .line = info->line,
                .end_line = info->end_line,
                .digest = digest_is_set(&info->digest) ? info->digest : digest_of(info->name, strlen(info->name)),
                .inputs = vertex->inputs,
                .n_inputs = info->n_inputs,
        };
        pthread_mutex_lock(&progress->lock);
        GROW(progress->vertices, progress->capacity, progress->n_vertices + 1);
        progress->vertices[progress->n_vertices++] = vertex;
        pthread_mutex_unlock(&progress->lock);
        return &vertex->public;
}

/* Called with the lock held. Numbers are given at the first event, so that the display counts in the order in which things begin. */
static void deliver(Progress *progress, BuildVertex *vertex, BuildEvent *event)
{
        event->time = event->time ? event->time : clock_now();
        event->vertex = vertex;
        if (progress->options->event)
                progress->options->event(progress->options->user, event);
}

static void number(Progress *progress, BuildVertex *vertex)
{
        if (!vertex->id)
                vertex->id = ++progress->last_id;
}

static void begin(Progress *progress, BuildVertex *vertex)
{
        BuildEvent event = { .kind = BUILD_EVENT_STARTED };

        if (vertex->started)
                return;
        number(progress, vertex);
        event.time = vertex->started = clock_now();
        deliver(progress, vertex, &event);
}

static void end(Progress *progress, BuildVertex *vertex, bool cached, const char *error)
{
        BuildEvent event = { .kind = BUILD_EVENT_DONE };

        if (vertex->completed)
                return;
        if (!cached)
                begin(progress, vertex);
        number(progress, vertex);
        event.time = vertex->completed = clock_now();
        if (!vertex->started)
                vertex->started = vertex->completed;
        vertex->cached = cached;
        if (error)
                vertex->error = ((Vertex *)vertex)->error = xstrdup(error);
        deliver(progress, vertex, &event);
}

void progress_hold(Progress *progress)
{
        pthread_mutex_lock(&progress->lock);
}

void progress_release(Progress *progress)
{
        pthread_mutex_unlock(&progress->lock);
}

void progress_set_inputs(Progress *progress, BuildVertex *vertex, const unsigned *inputs, size_t n_inputs)
{
        Vertex *full = (Vertex *)vertex;

        pthread_mutex_lock(&progress->lock);
        if (!vertex->started) {
                free(full->inputs);
                full->inputs = n_inputs ? xmemdup(inputs, n_inputs * sizeof(*inputs)) : NULL;
                vertex->inputs = full->inputs;
                vertex->n_inputs = n_inputs;
        }
        pthread_mutex_unlock(&progress->lock);
}

void progress_start(Progress *progress, BuildVertex *vertex)
{
        pthread_mutex_lock(&progress->lock);
        begin(progress, vertex);
        pthread_mutex_unlock(&progress->lock);
}

void progress_done(Progress *progress, BuildVertex *vertex)
{
        pthread_mutex_lock(&progress->lock);
        end(progress, vertex, false, NULL);
        pthread_mutex_unlock(&progress->lock);
}

void progress_cached(Progress *progress, BuildVertex *vertex)
{
        pthread_mutex_lock(&progress->lock);
        end(progress, vertex, true, NULL);
        pthread_mutex_unlock(&progress->lock);
}

void progress_fail(Progress *progress, BuildVertex *vertex, const char *message)
{
        pthread_mutex_lock(&progress->lock);
        end(progress, vertex, false, message);
        pthread_mutex_unlock(&progress->lock);
}

void progress_log(Progress *progress, BuildVertex *vertex, int stream, const void *data, size_t size)
{
        BuildEvent event = { .kind = BUILD_EVENT_LOG, .stream = stream, .data = data, .size = size };

        if (!size)
                return;
        pthread_mutex_lock(&progress->lock);
        begin(progress, vertex);
        deliver(progress, vertex, &event);
        pthread_mutex_unlock(&progress->lock);
}

void progress_status(Progress *progress, BuildVertex *vertex, const char *name, uint64_t current, uint64_t total, bool done)
{
        BuildEvent event = { .kind = BUILD_EVENT_STATUS, .name = name, .current = current, .total = total, .done = done };

        pthread_mutex_lock(&progress->lock);
        begin(progress, vertex);
        deliver(progress, vertex, &event);
        pthread_mutex_unlock(&progress->lock);
}

void progress_warning(Progress *progress, const BuildWarning *warning)
{
        BuildEvent event = { .kind = BUILD_EVENT_WARNING, .warning = warning };

        pthread_mutex_lock(&progress->lock);
        deliver(progress, NULL, &event);
        pthread_mutex_unlock(&progress->lock);
}
