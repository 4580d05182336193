/*
 * Inside of the build engine: the state of one build, its stages and the step at hand. Private to build/.
 *
 * States of a stage: WAITING (not begun, or stopped at something another stage makes) -> DONE or FAILED. stage_advance() moves a stage as far as it goes.
 * First the main thread advances every stage with `probe` set: what the cache answers is done without threads, mounts or a namespace. Only when something has
 * to run, schedule.c starts threads and advances the rest.
 *
 * Threads: a stage is advanced by one thread at a time. What other stages read of it (config, layers) does not change once it is DONE. The scheduler's lock
 * orders the two. Build.lock guards what all stages share.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "build/build.h"
#include "build/copy.h"
#include "build/evolve.h"
#include "build/explain_record.h"
#include "build/progress.h"
#include "build/sources.h"
#include "build/tree.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/scope.h"
#include "dockerfile/stage.h"
#include "fs/ids.h"
#include "oci/config.h"
#include "runtime/runtime.h"
#include "store/cache.h"
#include "store/image.h"
#include "store/rootfs.h"
#include "store/store.h"

typedef struct Build Build;
typedef struct BuildTarget BuildTarget;
typedef struct BuildStage BuildStage;
typedef struct Scheduler Scheduler;
typedef struct SshAgent SshAgent;
typedef struct Intake Intake;

/* One instruction of a stage: its own, or a trigger of its base image. */
typedef struct Step {
        const Instruction *instruction;
        bool is_trigger;
        bool debug; /* a shell is to be opened before it (debug_shell.c), and was not yet */
} Step;

typedef struct Layer {
        Digest diff_id;
        Timestamp created;
} Layer;

/* A step that makes a layer, while it is being worked on. */
typedef struct Work {
        const Instruction *written;
        Instruction *instruction; /* expanded */
        BuildVertex *vertex;
        Digest key, fast_key; /* fast_key: by the chains of the sources instead of their content; unset when there is none */
        bool keyed;
        char *title;
        StrList run_args;
        RunScript script;
        CopyPlan plan;
        Chmod chmod;
        bool planned, started;
        Digest *parents; /* keys of the steps that it stands on beside the one before it */
        size_t n_parents, parents_capacity;
        StrList cache_ids; /* of its cache mounts */

        ExplainStep explain;   /* what its key is made of */
        bool imported;         /* from a cache that was given with --cache-from */
        CopyPlan *mount_plans; /* what bind mounts of a RUN read from contexts */
        size_t n_mount_plans, mount_plans_capacity;

        /* When it is complete; it is kept with its stage until the build ends, without the expanded instruction. */
        Digest below_key; /* of the step before it, or unset */
        Layer layer;
        bool cached;
} Work;

typedef enum StageStatus { STAGE_WAITING, STAGE_DONE, STAGE_FAILED } StageStatus;

struct BuildStage {
        Build *build;
        BuildTarget *target; /* the platform that it is built for */
        size_t index;        /* in Stages; SIZE_MAX for an image that is only copied from */
        const Stage *parsed; /* NULL likewise */
        char *label;         /* "builder", "stage-1", or "" in a Dockerfile with one stage */
        char *base_name;     /* FROM, expanded */
        char *platform;      /* --platform, expanded, or NULL */
        BuildStage *base;    /* the stage it starts from, or NULL */
        bool scans;          /* a scanner's: sbom.h */
        bool needed, no_cache, begun;
        bool replaced;          /* by the named context that `base_name` is: it has no steps */
        bool resolved, missing; /* its base image was looked up; is not there (build->plan_only) */
        ImageConfig image;      /* of the base image */
        Digest image_id;        /* unset for scratch */
        Dockerfile **triggers;
        Instruction **trigger_instructions;
        size_t n_triggers;
        Step *steps;
        size_t n_steps;
        unsigned n_counted, counter; /* "[2/5]" */

        StageStatus status;
        size_t next;  /* step */
        Work *work;   /* of steps[next] */
        Work **works; /* those that are complete: each made the layer at its place from the top */
        size_t n_works, works_capacity;
        Stem stem;
        Layer *layers;
        size_t n_layers, layers_capacity;
        Digest chain;        /* unset while there are no layers */
        BuildVertex *vertex; /* the last one */
        Digest last_key;     /* of the step that made the last layer; unset on a base image */
        Diagnosis diagnosis; /* which lines a failure is about */

        pthread_mutex_t tree_lock;
        Rootfs *rootfs; /* of the finished stage, when something reads from it */
        SourceTree *tree;
};

/* One platform that the build is for, with variables and stages of its own. Stages of different targets never read each other; equal steps meet by their key.
 */
struct BuildTarget {
        Build *build;
        Platform platform;
        char *text; /* "linux/arm64" */
        GlobalScope *global;
        size_t first;      /* of its stages of the Dockerfile in Build.stages */
        BuildStage *stage; /* what is wanted */
        BuildStage *scan;  /* sbom.h: the scanner's, or NULL */
        struct Sbom *sboms;
        size_t n_sboms;
        Digest squashed; /* --squash: the one layer over the base image; unset when there is nothing to squash */
};

struct Build {
        Store *store;
        const BuildOptions *options;
        Lease *lease;
        Progress *progress;
        Diagnosis diagnosis;

        char *dockerfile_name;
        Buf dockerfile_text;
        Dockerfile *dockerfile;
        Stages *parsed;
        Platform host;
        char *host_text;
        BuildTarget *targets; /* one for each --platform, at least one */
        size_t n_targets;
        int64_t epoch;
        bool plan_only;   /* nothing will run: a base image that is not there is no error */
        bool reads_files; /* the options were found to be right */
        StrList names;    /* normalised tags */
        Sources *sources; /* what it took from outside */
        Intake *intake;   /* what it may take; intake.h */
        Timestamp started;

        BuildStage **stages; /* those of the Dockerfile for each target, then images that are only copied from */
        size_t n_stages, stages_capacity;

        pthread_mutex_t lock;
        StrList ignore_patterns;
        IgnoreMatcher *ignore;
        SourceTree *context;
        Digest context_layer;      /* of a context that is no directory here; context.h */
        BuildStage *context_stage; /* which steps read as they read a stage */
        Rootfs *context_root;
        char *context_asked; /* its SourceRecord.asked; NULL for a directory and standard input */
        FileDigests *digests;
        BuildVertex *context_vertex;
        Map *named;                   /* name -> NamedTree of a named context that is a directory */
        Map *results;                 /* key -> Layer made in this build */
        Map *claims;                  /* keys that a stage is working on */
        struct CacheImports *imports; /* --cache-from; opened when first asked */
        Runtime *runtime;
        char *secret_dir; /* on a tmpfs of our own */
        SshAgent *agents; /* started for key files; ssh.h */
        Map *git_refs;    /* what was asked of repositories; git.h */
        Map *checkouts;   /* key -> Checkout: git trees that steps read; git_add.h */
        unsigned n_dirs;  /* for unique names in the lease's directory */
        unsigned n_steps, n_cached;

        Scheduler *scheduler; /* while threads run */
        atomic_int stop;      /* the build was cancelled or failed: everything ends */
        int stop_fd;          /* eventfd: readable then; -1 while nothing runs */
};

/* --- build.c --- */
Build *build_new(Store *store, const BuildOptions *options);
void build_free(Build *build);
DEFINE_CLEANUP(Build *, build_free)

/* Puts the lines that an error is about behind its message, as buildx shows them. Returns -1. */
int build_explain(const Build *build, const Diagnosis *diagnosis, Error *err);

/* CANCELLED when the build is to stop. */
int build_check(Build *build, Error *err);

/* --- load.c: what the build is made of --- */
int build_load(Build *build, Error *err);
/* The same without progress, and without looking into the Dockerfile: its text, names, platforms, the ignore file. */
int build_load_text(Build *build, Error *err);
int build_parse_text(Build *build, Error *err);               /* then: the Dockerfile's stages */
ScopeOptions target_scope_options(const BuildTarget *target); /* valid as long as the build */
/* The build context, opened when it is first needed. */
int build_context(Build *build, SourceTree **ret, Error *err);

/* --- plan.c: stages and what they need --- */
int build_plan(Build *build, Error *err);
/* The i-th of build->stages in the order of need: each has only earlier ones before it. */
BuildStage *build_stage_in_order(const Build *build, size_t i);
/* Where COPY --from or a mount's from= reads: a stage (made for an image when it is none of the Dockerfile) or the tree of a named context. */
int build_source(BuildStage *reader, const Instruction *instruction, const char *from, BuildStage **ret_stage, SourceTree **ret_tree, Error *err);

/* --- base.c --- */
/*
 * Finds a base image for a platform and holds its layers. The one place that turns the name of an image into something in the store.
 * Errors: NOT_FOUND that says what to do.
 */
int base_resolve(Build *build, const char *name, const char *platform, ImageConfig *ret, Digest *ret_id, Error *err);

/* --- stage.c --- */
typedef enum Advance { ADVANCE_DONE, ADVANCE_BLOCKED, ADVANCE_NEEDS_WORK } Advance;
/* Goes on until the end, or something it must wait for: *ret_blocker (a stage), or NULL for a key that another stage is working on (*ret_key). */
int stage_advance(BuildStage *stage, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err);
BuildStage *stage_new(BuildTarget *target);
void stage_free(BuildStage *stage);
/* Back to before its first step: all that was found out about its steps is forgotten. Nothing may have read from the stage. */
void stage_rewind(BuildStage *stage);
/* The files of a finished stage. */
int stage_tree(BuildStage *stage, SourceTree **ret, Error *err);
/* Layers that come from its base image. */
size_t stage_n_base_layers(const BuildStage *stage);
/* The platform that its RUNs are for: what FROM says, else that of the build. Borrowed. */
const char *stage_platform(const BuildStage *stage);
/* The path that its root is mounted at (stage_tree() first). */
const char *stage_root(const BuildStage *stage);
Digest *stage_diff_ids(const BuildStage *stage); /* heap array of n_layers */

/* --- work.c --- */
void work_free(Work *work);
/* Says that a step reads what another stage made: for listings of the cache. */
void work_add_parent(Work *work, const BuildStage *source);
/* Begins a key: format, kind, platform, epoch, and the chain below unless `alone`. */
Hash *key_begin(const BuildStage *stage, const char *kind, bool alone);

/* --- step_copy.c, step_run.c, step_workdir.c: 0, or -1 --- */
int copy_step_sources(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err); /* 1 when blocked */
int copy_step_key(BuildStage *stage, Work *work, bool probe, Error *err);                   /* sets keys; with `probe` only what needs no mount */
int copy_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err);
int run_step_prepare(BuildStage *stage, Work *work, Error *err);
int run_step_sources(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err);
int run_step_key(BuildStage *stage, Work *work, bool probe, Error *err);
int run_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err);
int workdir_step_key(BuildStage *stage, Work *work, bool probe, Error *err);
int workdir_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err);
/* Whether --allow names what the RUN asks for. DENIED says what to write. */
int run_check_allowed(const Build *build, const RunInstruction *run, Error *err);

/* --- stage_files.c --- */
/* A read-only view of the stage's present layers. */
int stage_mount(BuildStage *stage, const char *upper, const char *work, const char *target, Rootfs **ret, Error *err);
/* User and groups that a process has in a root. NOT_FOUND: an unknown name. */
int root_ids(int root_fd, const char *spec, Ids *ret, Error *err);
/* Who owns what COPY --chown and WORKDIR make (ids_resolve_owner()). `root_fd` -1 (no layers, or none that count): names are
 * INVALID, as nothing is known about them. */
int root_owner(int root_fd, const char *spec, uint32_t *ret_uid, uint32_t *ret_gid, Error *err);
/* A new directory below the lease's: its absolute path, new string. */
char *build_make_dir(Build *build, const char *kind, Error *err);
/* The layer of what is to be changed in `dest`; the one that holds nothing when that is nothing. */
int build_write_layer(BuildStage *stage, Work *work, Dest *dest, Digest *ret_diff_id, Error *err);

/* --- explain_fields.c --- */
/* Notes by name what the step's key is made of; once, when it has been computed. */
void explain_note_step(BuildStage *stage, Work *work);
/* Adds the files, when the build is over. */
void explain_note_files(Work *work);

/* --- platform.c --- */
/* UNSUPPORTED when a RUN of these stages is for a platform whose programs do not run here. */
int build_check_platforms(Build *build, BuildStage *const *pending, size_t n_pending, Error *err);

/* --- schedule.c --- */
int build_execute(Build *build, Error *err);
/* The same for stages that were added when the others were done. */
int build_execute_stages(Build *build, BuildStage *const *stages, size_t n_stages, Error *err);

/* --- squash.c --- */
/* Makes one layer of those that were built, for each target. */
int build_squash(Build *build, Error *err);

/* --- finish.c, export.c --- */
int build_export(Build *build, BuildResult *ret, Error *err);
int build_finish(Build *build, BuildResult *ret, Error *err);
