/*
 * The vertices of a build and the events about them, delivered one at a time whatever thread they come from.
 */
#pragma once

#include "build/build.h"

typedef struct Progress Progress;

/* `options` (event, user) must live as long. */
Progress *progress_new(const BuildOptions *options);
/* With all vertices. */
void progress_free(Progress *progress);
DEFINE_CLEANUP(Progress *, progress_free)

/* What a vertex is born with; strings and inputs are copied. */
typedef struct VertexInfo {
        const char *name;
        const char *stage; /* or NULL */
        unsigned step, n_steps;
        unsigned line, end_line;
        Digest digest; /* unset: derived from the name */
        const unsigned *inputs;
        size_t n_inputs;
} VertexInfo;

/* A new vertex, not announced before its first event. Lives as long as the progress. */
BuildVertex *progress_vertex(Progress *progress, const VertexInfo *info);

/* Replaces what the vertex needs; ids of announced vertices, copied. Before its first event. */
void progress_set_inputs(Progress *progress, BuildVertex *vertex, const unsigned *inputs, size_t n_inputs);

/* Between the two calls no event is delivered; other threads wait. Not from within an event. */
void progress_hold(Progress *progress);
void progress_release(Progress *progress);

/*
 * Events. Each sets the vertex's fields and delivers before it returns; strings and bytes need to live only that long. Threads: any.
 *
 * A vertex gets its number with its first event, and begins with its first one that is not progress_cached(). After its end no further end counts.
 */
void progress_start(Progress *progress, BuildVertex *vertex);
void progress_done(Progress *progress, BuildVertex *vertex);
void progress_cached(Progress *progress, BuildVertex *vertex);
void progress_fail(Progress *progress, BuildVertex *vertex, const char *message);
/* Output of a RUN: stream 1 or 2; any bytes. */
void progress_log(Progress *progress, BuildVertex *vertex, int stream, const void *data, size_t size);
/* Bytes so far of something within the vertex; total 0: not known. */
void progress_status(Progress *progress, BuildVertex *vertex, const char *name, uint64_t current, uint64_t total, bool done);
void progress_warning(Progress *progress, const BuildWarning *warning);
