/*
 * The vertices of a build and the events about them, delivered one at a time whatever thread they come from.
 */
#pragma once

#include "build/build.h"

typedef struct Progress Progress;

Progress *progress_new(const BuildOptions *options);
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

void progress_start(Progress *progress, BuildVertex *vertex);
void progress_done(Progress *progress, BuildVertex *vertex);
void progress_cached(Progress *progress, BuildVertex *vertex);
void progress_fail(Progress *progress, BuildVertex *vertex, const char *message);
void progress_log(Progress *progress, BuildVertex *vertex, int stream, const void *data, size_t size);
void progress_status(Progress *progress, BuildVertex *vertex, const char *name, uint64_t current, uint64_t total, bool done);
void progress_warning(Progress *progress, const BuildWarning *warning);
