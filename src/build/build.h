/*
 * Building an image from a Dockerfile, with BuildKit's semantics: what goes in (BuildOptions), what is told meanwhile (BuildEvent) and what comes out
 * (BuildResult).
 *
 * build_run() parses, plans the graph of stages, answers what it can from the build cache, runs the rest (independent stages at the same time), and records the
 * image and its names in one transaction. Nothing is visible in the store before that; a build that fails or is cancelled leaves nothing but finished cache
 * records.
 *
 * Threads: build_run() may start threads; events are delivered one at a time, from any of them. Steps that have to run make the calling process enter a private
 * mount namespace (fs/mount.h), so the caller must be single-threaded or already in one.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"
#include "build/cache_options.h"
#include "build/explain.h"
#include "build/inputs.h"
#include "build/output.h"
#include "crypto/digest.h"
#include "runtime/runtime.h"
#include "store/store.h"
#include "json/string_map.h"

/* --- what is told while it goes on --- */

/*
 * One line of the progress display: a step of a stage, or something that the builder does by itself ("[internal] load build context", "exporting to image").
 * Plain data that lives as long as the build; fields change only between events of the same vertex.
 */
typedef struct BuildVertex {
        unsigned id;             /* 1, 2, … in the order of first mention: plain progress's "#3" */
        const char *name;        /* "[builder 2/5] RUN make", "[internal] load .dockerignore", "exporting to image" */
        const char *stage;       /* name or number of the stage, or NULL */
        unsigned step, n_steps;  /* 2 of 5, or 0 */
        unsigned line, end_line; /* in the Dockerfile, from 1; 0: none */
        Digest digest;           /* identifies the step across builds (rawjson's vertex digest) */
        const unsigned *inputs;  /* ids of the vertices it needs */
        size_t n_inputs;
        Timestamp started, completed; /* 0: not yet */
        bool cached;
        const char *error; /* message when it failed, else NULL */
} BuildVertex;

typedef enum BuildEventKind {
        BUILD_EVENT_STARTED, /* vertex: begins to run */
        BUILD_EVENT_DONE,    /* vertex: is complete; vertex->cached says that nothing had to run (no STARTED came before then), vertex->error that it failed */
        BUILD_EVENT_LOG,     /* vertex, stream, data, size: output of a RUN, complete and unmodified, split at any place */
        BUILD_EVENT_STATUS,  /* vertex, name, current, total, done: progress within a vertex in bytes ("transferring context", "https://…") */
        BUILD_EVENT_WARNING, /* warning */
} BuildEventKind;

typedef struct BuildWarning {
        const char *rule;        /* "StageNameCasing"; NULL for warnings that are not build checks */
        const char *message;     /* one sentence; "StageNameCasing: Stage name 'Build' should be lowercase" without the rule's name */
        const char *description; /* of the rule, or NULL */
        const char *url;         /* where the rule is explained, or NULL */
        const char *file;        /* name of the Dockerfile, or NULL */
        unsigned line, end_line; /* from 1; 0: none */
} BuildWarning;

typedef struct BuildEvent {
        BuildEventKind kind;
        const BuildVertex *vertex;
        Timestamp time;
        int stream; /* 1 standard output, 2 standard error */
        const void *data;
        size_t size;
        const char *name;
        uint64_t current, total; /* total 0: not known */
        bool done;
        const BuildWarning *warning;
} BuildEvent;

/* --- what goes in --- */

typedef struct BuildSecret {
        char *id;
        char *file; /* path of a file (or directory entry) that holds it, or NULL */
        char *env;  /* name of an environment variable of this process, or NULL. Both NULL: variable `id` if set, else file `id` */
} BuildSecret;

typedef struct BuildSsh {
        char *id;     /* "default" */
        char *socket; /* path of an agent's socket; NULL: SSH_AUTH_SOCK */
        StrList keys; /* files of private keys, when there is no agent */
} BuildSsh;

/* --build-context name[::platform]=value */
typedef struct BuildNamedContext {
        char *name;     /* as it is written, with the platform */
        char *base;     /* without it */
        char *platform; /* "linux/arm64": what is built for another one does not see it; NULL: for all */
        char *value;    /* a directory, "docker-image://reference", "oci-layout://path", "target:stage", "https://…", git URL */
} BuildNamedContext;

/*
 * A shell where a step is to run or has failed. Whoever gets it calls run(), which blocks until the shell has ended; what the shell did leaves no trace.
 * Meanwhile no event is delivered.
 */
typedef struct BuildShell {
        const char *title;   /* of the step: "[2/5] RUN make" */
        const char *failure; /* what went wrong, when the step has failed; NULL: it is about to run */
        const char *program; /* "/bin/bash"; or a busybox of this machine that is lent to an image without a shell */
        bool lent;
        int (*run)(void *data, const RunIo *io, const char *term, Error *err); /* `term`: with a terminal, of this type (TERM); NULL: without. */
        void *data;
} BuildShell;

typedef enum BuildNetwork { BUILD_NETWORK_DEFAULT, BUILD_NETWORK_NONE, BUILD_NETWORK_HOST } BuildNetwork;

typedef struct BuildOptions {
        const char *context;         /* directory, URL of a git repository or of a tar or Dockerfile, "-": `context_fd`; NULL: none (a Dockerfile alone) */
        int context_fd;              /* for "-": a tar in any compression, or a Dockerfile */
        const char *dockerfile;      /* path of the Dockerfile, or its http(s) URL; NULL: "Dockerfile" (or "dockerfile") in the context. Relative to the
                                        working directory, or to the root of a context that is no directory here */
        const char *dockerfile_text; /* its content when it does not come from a file (`-f -`); `dockerfile` is then only its name in messages, or NULL */
        size_t dockerfile_size;      /* bytes of dockerfile_text */

        const char *target;      /* stage by name or number; NULL: the last one */
        StrList platforms;       /* "linux/arm64", …: an image for each; empty: this machine's */
        StrList tags;            /* names as the user typed them; checked before anything runs */
        StrList build_args;      /* "NAME=value" */
        StrList labels;          /* "key=value" */
        StrList add_hosts;       /* "name:address", "name=address"; hosts.h */
        StrList allow;           /* entitlements: "network.host", "security.insecure" */
        StrList no_cache_filter; /* stages whose steps never come from the cache */
        bool no_cache;
        BuildNetwork network; /* of RUN without --network */
        bool host_ca;         /* the host's CA bundle is visible in RUN (and in its environment) and leaves no trace */
        uint64_t shm_size;    /* bytes; 0: 64 MiB */
        const RunLimit *limits;
        size_t n_limits;
        const char *cgroup_parent;
        const BuildSecret *secrets;
        size_t n_secrets;
        const BuildSsh *ssh;
        size_t n_ssh;
        const BuildNamedContext *contexts;
        size_t n_contexts;

        const BuildCacheTo *cache_to;
        size_t n_cache_to;
        const BuildCacheFrom *cache_from;
        size_t n_cache_from;

        const char *pin;    /* file that gets the lock of everything taken from outside; "": mica.lock beside the Dockerfile; NULL: none */
        const char *locked; /* file that the build must agree with; likewise */

        BuildInputs *inputs; /* filled at the end, also when it fails (but not when the options are wrong), with what the build used of this machine's files; or
                                NULL */

        /* Called at the end with every step that was reached: why it was or was not cached. Valid during the call. May be NULL. */
        void (*explain)(void *user, const ExplainedStep *steps, size_t n_steps);
        void *explain_user;

        int64_t epoch; /* SOURCE_DATE_EPOCH in seconds, -1: none. The build argument of that name has precedence */
        unsigned jobs; /* steps at the same time; 0: as many as there are processors */

        const BuildOutput *outputs; /* none: an image in the store */
        size_t n_outputs;
        BuildAnnotations annotations; /* of every output that is an image */
        BuildProvenance provenance;
        BuildSbom sbom;
        StringMap vcs;           /* "revision", "source", "localdir:context", "localdir:dockerfile": what is known of the context's repository */
        bool squash;             /* one layer of those that were built */
        int metadata_provenance; /* BuildResult.provenance: 0 none, 1 mode=min, 2 mode=max */

        /*
         * Where to open a shell: "on-error", or a step: "[builder 2/5]" (or without brackets, or without the stage when the Dockerfile has one), a stage
         * (before its first step), or a line of the Dockerfile (the step there, or the next one below). NULL: nowhere. `shell` is called from the thread of the
         * step; a failure of it ends the build.
         */
        const char *debug_shell;
        int (*shell)(void *user, const BuildShell *shell, Error *err);

        /* Called one at a time, with a lock held: it must not call back into the build. May be NULL. */
        void (*event)(void *user, const BuildEvent *event);
        void *user;
        /* Set to non-zero by a signal handler or another thread to stop the build: what runs is killed, the error is CANCELLED. May be NULL. */
        const volatile sig_atomic_t *cancel;
} BuildOptions;

#define BUILD_OPTIONS_INIT ((BuildOptions){ .epoch = -1 })

/* Frees the lists that are in `options` (the StrLists); pointers to arrays belong to the caller. */
void build_options_done(BuildOptions *options);

/* --- what comes out --- */

typedef struct BuildResult {
        Digest id;     /* of the config: the image's id; of the index when there is one; unset when no output is an image */
        Digest digest; /* of what names point to: the manifest or the index */
        bool is_index;
        char *descriptor;     /* of the same, as JSON */
        StringMap provenance; /* "buildx.build.provenance", with "/linux/arm64" when there are several platforms: JSON */
        Digest manifest;      /* of the manifest (of the first platform) */
        uint64_t manifest_size, config_size;
        const char *manifest_media_type; /* static */
        char *platform;                  /* "linux/amd64" */
        StrList names;                   /* tagged: "docker.io/library/app:latest" */
        size_t n_layers;
        unsigned n_steps, n_cached; /* steps of the Dockerfile that made or could have made a layer; how many of them came from the cache */
} BuildResult;

void build_result_done(BuildResult *result);

/*
 * Builds. Errors: INVALID (Dockerfile, options; the message shows the source line), NOT_FOUND (a base image, a file, a stage, a secret), EXIT (a RUN ended with
 * `err->status`; the message has the command, the source lines and the last lines of its output), CANCELLED, DENIED (entitlements), and those of the store.
 */
int build_run(Store *store, const BuildOptions *options, BuildResult *ret, Error *err);
