/*
 * The graph of a build, without running anything: stages, steps, what each reads, what the target needs, and what the cache knows.
 */
#pragma once

#include "build/build.h"

typedef enum GraphState {
        GRAPH_UNNEEDED, /* the target does not need it */
        GRAPH_CACHED,   /* nothing has to run */
        GRAPH_RUN,      /* will run; a step behind one that runs may still turn out to be cached by content */
        GRAPH_UNKNOWN,  /* its base image is not in the store */
} GraphState;

const char *graph_state_name(GraphState state); /* "unneeded", "cached", "run", "unknown" */

typedef struct GraphNode {
        char *id; /* "0.2": second step of stage 0, "0.0" its FROM; "linux/arm64:0.2" when there are several platforms; "image:…", "context", "context:…" */
        const char *kind; /* "from", "run", "copy", "add", "workdir", "image", "context" */
        char *name;       /* the instruction on one line, or the name of the image or context */
        size_t stage;     /* index in `stages`; SIZE_MAX for images and contexts */
        unsigned step;    /* as the progress counts, from 1; 0: none */
        unsigned n_steps;
        unsigned line, end_line; /* 0: none */
        GraphState state;
} GraphNode;

typedef struct GraphStage {
        char *name; /* "builder", "stage-1" */
        char *from; /* FROM, expanded */
        char *platform;
        size_t base; /* index of the stage that it starts from, or SIZE_MAX */
        size_t first_node, n_nodes;
        bool needed, is_target;
} GraphStage;

typedef struct GraphEdge {
        size_t from, to;  /* nodes: `to` needs `from` */
        const char *kind; /* "next", "from", "copy", "mount" */
} GraphEdge;

typedef struct BuildGraph {
        GraphStage *stages;
        size_t n_stages;
        GraphNode *nodes;
        size_t n_nodes, nodes_capacity;
        GraphEdge *edges;
        size_t n_edges, edges_capacity;
} BuildGraph;

void build_graph_done(BuildGraph *graph);

/* Plans and asks the cache. Events of `options` are not delivered. Errors: as build_run(), but not for what is missing from the store or the context. */
int build_graph(Store *store, const BuildOptions *options, BuildGraph *ret, Error *err);
