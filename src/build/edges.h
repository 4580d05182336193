/*
 * The edges of the build graph: what an instruction reads beside the stage that it stands in.
 */
#pragma once

#include "build/engine.h"

typedef enum EdgeKind { EDGE_COPY, EDGE_MOUNT } EdgeKind;

typedef struct Edge {
        EdgeKind kind;
        BuildStage *stage; /* that is read, a stage of the Dockerfile or an image; NULL: a directory … */
        const char *from;  /* … of this name; NULL: the build context */
} Edge;

typedef struct Edges {
        Edge *items;
        size_t n_items, capacity;
} Edges;

void edges_done(Edges *edges);

/* Appends what `instruction` of a stage reads, each once for each kind. Errors: as build_source(). Names belong to the instruction. */
int edges_collect(BuildStage *stage, const Instruction *instruction, Edges *ret, Error *err);

/* Tells the progress what a step waited for; before the first event of its vertex, when everything that it reads is complete. */
void edges_note_inputs(BuildStage *stage, Work *work);
