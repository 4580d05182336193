/*
 * Private to stage.c, stage_title.c and work.c: a stage and the step that it is at.
 */
#pragma once

#include "build/engine.h"

/* --- stage.c --- */
void stage_add_layer(BuildStage *stage, const Layer *layer);

/* --- stage_title.c; titles are new strings --- */
/* "[builder 1/5] FROM docker.io/library/debian:bookworm-slim" */
char *stage_base_title(const BuildStage *stage);
/* "[builder 2/5] RUN make", with variables expanded as far as that is possible. */
char *stage_step_title(BuildStage *stage, const Step *step);
/* The line of the display for the step that the stage is at; it comes behind the stage's last one. */
BuildVertex *stage_step_vertex(BuildStage *stage, const Instruction *instruction, const char *title);

/* --- work.c --- */
/* Expands the step that the stage is at; *ret is stage->work, which holds it also when that fails. */
int work_begin(BuildStage *stage, const Step *step, Work **ret, Error *err);
/* Goes on with it as stage_advance() does. Returns an Advance, or -1. ADVANCE_DONE: the stage has the layer. */
int work_advance(BuildStage *stage, Work *work, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err);
