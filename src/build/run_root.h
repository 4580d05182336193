/*
 * The container of a RUN while it is being made: the stage's layers with a fresh upper directory, and what is mounted into it. Used by step_run.c for the
 * command and by debug_shell.c for a shell in its place.
 */
#pragma once

#include "build/engine.h"
#include "build/run_mounts.h"
#include "runtime/runtime.h"

typedef struct RunRoot {
        BuildStage *stage;
        Work *work;     /* NULL, or a step that is no RUN: a container without mounts of its own */
        bool throwaway; /* nothing that is written stays: cache mounts too */
        char *upper, *overlay_work, *root;
        Rootfs *rootfs;
        int upper_fd;
        Stubs *stubs;
        RunHeld *held;
        RunSpec spec;
        Buf tail;
} RunRoot;

/* Mounts the stage's layers under a new upper directory; fills in what is below `throwaway`. Whatever it returns, run_root_done() is to be called. */
int run_root_mount(RunRoot *running, Error *err);
/* Fills the spec, without its command when there is no RUN. */
int run_root_spec(RunRoot *running, Error *err);
int run_root_runtime(Build *build, Error *err); /* opens the runtime once */
void run_root_done(RunRoot *running);
