/*
 * How each instruction changes the image config and its history: BuildKit's dispatch functions, without any file system.
 *
 * A Stem is the state of a stage between two instructions. Its history text is exact ("RUN |1 A=b /bin/sh -c make # buildkit"): image ids depend on it.
 *
 * To add an instruction: a function in evolve.c and its row in the table there.
 */
#pragma once

#include "base/clock.h"
#include "dockerfile/scope.h"
#include "oci/config.h"

typedef struct Stem {
        ImageConfig image; /* history entries without a date get one when the image is finished */
        StageScope scope;  /* the environment of RUN, with ARGs */
        size_t n_base_history;
        bool cmd_set;  /* by this stage: ENTRYPOINT keeps it then */
        int64_t epoch; /* seconds, or -1 */
} Stem;

/* Begins with FROM: an image's config (or what image_config_init() made for scratch). `base` is copied. PATH is always set afterwards; OnBuild is emptied. */
void stem_init_image(Stem *stem, const ImageConfig *base, const GlobalScope *global, int64_t epoch);
/* Begins with a finished stage. */
void stem_init_stage(Stem *stem, const Stem *base);
void stem_done(Stem *stem);

/*
 * Applies an expanded instruction: config, environment and history. The entries of RUN, COPY, ADD and WORKDIR (but "/") are not marked as empty: the caller
 * adds their layers. `run_args`: what RUN executes (with SHELL in front); else NULL.
 */
int stem_apply(Stem *stem, const Instruction *instruction, const StrList *run_args, Diagnosis *diag, Error *err);

/* Whether the instruction makes a layer in this state: RUN, COPY, ADD, and WORKDIR that does not lead to "/". */
bool stem_makes_layer(const Stem *stem, const Instruction *instruction);

/*
 * What a RUN executes: the exec form as it is, the shell form with SHELL in front; a script of its own ("#!" heredoc) by its path below /dev/pipes.
 * Appends to `args`.
 */
void stem_run_args(const Stem *stem, const Instruction *run, const RunScript *script, StrList *args);
#define RUN_PIPES_DIR "/dev/pipes"

/* The working directory: absolute, clean; "/" by default. New string. */
char *stem_work_dir(const Stem *stem);
/* A path against the working directory, clean; a trailing slash (or "/.") is kept as one. New string. */
char *stem_path(const Stem *stem, const char *path);

/* The date of the newest history entry. */
void stem_date_last(Stem *stem, Timestamp created);
