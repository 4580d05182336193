/*
 * Private to run_mounts.c and run_bind.c: the mounts of one RUN while they are made, and what they read.
 */
#pragma once

#include "build/run_mounts.h"
#include "build/ssh.h"

struct RunHeld {
        int *fds; /* locks of cache directories */
        size_t n_fds, fds_capacity;
        Rootfs **roots;
        size_t n_roots, roots_capacity;
        StrList overlays; /* mounted by us: writable views of bind mounts */
        SshForward **forwards;
        size_t n_forwards, forwards_capacity;
};

/* The mounts of a RUN on their way into its container. */
typedef struct Prepare {
        BuildStage *stage;
        Work *work;
        bool throwaway;
        RunSpec *spec;
        Stubs *stubs;
        RunHeld *held;
} Prepare;

/* What a mount reads: a stage, a tree, or neither. */
typedef struct MountSource {
        BuildStage *stage;
        SourceTree *tree;
} MountSource;

/* Where the mount goes in the container: absolute, without a slash at the end. New string. */
char *mount_target(const BuildStage *stage, const DfMount *mount);

/* --- run_bind.c --- */
int mount_source(BuildStage *stage, const Work *work, const DfMount *mount, MountSource *ret, Error *err);
/*
 * A context is mounted as a layer made of what is read from it: what .dockerignore hides is not there, owners are 0:0, and nothing changes meanwhile. Its plan
 * (copy_plan_done()), and the key of that layer.
 */
int mount_snapshot_plan(BuildStage *stage, SourceTree *tree, const DfMount *mount, CopyPlan *ret, Error *err);
int mount_snapshot_key(BuildStage *stage, CopyPlan *plan, Digest *ret, Error *err);
/* The path of what a mount names in another stage, which is mounted for that. NOT_FOUND. */
int mount_stage_path(BuildStage *source, const DfMount *mount, char **ret_path, Error *err);
/* Replaces the path of a directory by one whose writes go to a directory of the step's own and are thrown away. */
int mount_make_writable(Build *build, RunHeld *held, char **path, Error *err);
int mount_prepare_bind(Prepare *p, const DfMount *mount, Error *err);
