/*
 * Running one process in a container through an OCI runtime (crun, or runc), from a description in terms of this program.
 *
 * runtime/ knows nothing of images and stores: it gets a mounted root, makes the OCI bundle (config.json, OCI runtime-spec 1.0.2 config.md, config-linux.md),
 * starts the runtime in a mount namespace where hybrid cgroups are presentable, and reports how the process ended. Two ways:
 *
 *   run_once()         one process from start to end, for build steps. Everything dies with the calling thread, kill -9 included: the runtime is the first
 *                      process of an outer pid namespace and is killed with its parent, and the kernel kills the namespace with it.
 *   runtime_launch()   a container that outlives the call and can be signalled, entered and waited for by its parent; container/ calls it from its monitor
 * process.
 *
 * Nothing is left behind when the process has ended: no cgroup, no state directory, no mount.
 * Threads: a Runtime may be used by several threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/sink.h"
#include "base/str.h"

typedef enum RunNetwork { RUN_NETWORK_NONE, RUN_NETWORK_HOST, RUN_NETWORK_PATH } RunNetwork;

typedef struct RunMount {
        char *type;      /* "bind", "tmpfs", "proc", … */
        char *source;    /* absolute path for "bind" */
        char *target;    /* absolute path inside */
        StrList options; /* "ro", "rbind", "size=64m", … */
} RunMount;

typedef struct RunLimit {
        char *name;          /* "nofile"; without RLIMIT_, lower case */
        uint64_t soft, hard; /* UINT64_MAX: unlimited. Values above the inherited hard limit are clamped when the caller may not raise it (logged at debug) */
} RunLimit;

typedef struct RunDevice {
        char *host_path, *path, *permissions; /* "rwm" */
} RunDevice;

/* Resources; 0 or NULL means "no limit". */
typedef struct RunResources {
        int64_t memory, memory_reservation, memory_swap; /* bytes; memory_swap counts memory too, -1 unlimited */
        int64_t cpu_quota_us, cpu_period_us;
        uint64_t cpu_shares;
        char *cpuset_cpus, *cpuset_mems;
        int64_t pids_limit;
} RunResources;

typedef struct RunSpec {
        const char *root; /* absolute path of the mounted root */
        bool read_only;
        StrList args; /* what to run; args[0] is looked up in PATH of `env` inside the root by the runtime */
        StrList env;
        char *cwd; /* absolute; "" or NULL is "/" */
        uint32_t uid, gid, umask;
        uint32_t *groups; /* supplementary */
        size_t n_groups;
        char *hostname;
        bool terminal;
        unsigned short terminal_rows, terminal_columns; /* its size from the first moment; 0: the kernel's (0 x 0) */
        bool no_new_privileges;
        bool privileged;           /* all capabilities, no seccomp, nothing masked, all devices */
        bool unmasked;             /* nothing of /proc and /sys is hidden or read-only */
        StrList cap_add, cap_drop; /* names with or without "CAP_", any case, "ALL" */
        char *seccomp;             /* path of a profile in docker's or containers-common's JSON form, "unconfined", or NULL: the default profile */
        bool init;                 /* a small init as pid 1 that forwards signals and reaps */
        RunNetwork network;
        char *network_path; /* RUN_NETWORK_PATH: a network namespace */
        bool host_pid, host_ipc, host_uts;
        RunMount *mounts; /* beside the default ones (proc, dev, devpts, shm, mqueue, sysfs, cgroup) */
        size_t n_mounts;
        uint64_t shm_size; /* bytes; 0: 64 MiB */
        RunLimit *limits;
        size_t n_limits;
        RunDevice *devices;
        size_t n_devices;
        RunResources resources;
        int64_t oom_score_adj;
        StrList sysctls;        /* "net.ipv4.ip_forward=1" */
        char *cgroup_parent;    /* the cgroup is "<cgroup_parent>/mica-<id>"; NULL: directly below the top, on v2 below "/mica" */
        StrList annotations;    /* "key=value" */
        bool no_default_mounts; /* only `mounts`, beside /proc and /dev */
} RunSpec;

/* Frees what the spec owns: everything but `root`. */
void run_spec_done(RunSpec *spec);
#define _cleanup_run_spec_ _cleanup_(run_spec_done)

/* Appends a zeroed mount and returns it; type, source and target are copied (source may be NULL). Add options with strlist_add(&mount->options, …). */
RunMount *run_spec_add_mount(RunSpec *spec, const char *type, const char *source, const char *target);
/* A bind mount in one call: options "rbind", "rprivate" and, when asked, "ro". */
void run_spec_add_bind(RunSpec *spec, const char *source, const char *target, bool read_only);
void run_spec_add_limit(RunSpec *spec, const char *name, uint64_t soft, uint64_t hard);
void run_spec_add_device(RunSpec *spec, const char *host_path, const char *path, const char *permissions);

/* --- the runtime --- */

typedef struct Runtime Runtime;

typedef struct RuntimeOptions {
        const char *name;      /* "crun", "runc" or an absolute path of either; NULL: MICA_RUNTIME, else the first of crun and runc in PATH */
        const char *state_dir; /* NULL: see state_dir.h */
} RuntimeOptions;

/* Finds the runtime and looks at the cgroups; starts nothing (some 50 us). `options` may be NULL. Errors: NOT_FOUND (neither runtime is installed). */
int runtime_open(const RuntimeOptions *options, Runtime **ret, Error *err);
void runtime_close(Runtime *runtime); /* NULL is fine */
DEFINE_CLEANUP(Runtime *, runtime_close)

/*
 * Says that a container will be started by this process or its child in the next milliseconds, so that waits of the kernel begin now (announce.c). In a thread
 * of its own that ends by itself; best effort, changes nothing that anybody could see.
 */
void runtime_announce_start(void);
const char *runtime_name(const Runtime *runtime); /* "crun" or "runc" */
/* False where this process may make no cgroups: an ordinary user's limits on memory, processors and processes are then left out, root's are an error. */
bool runtime_limits_hold(const Runtime *runtime);

/* The text of config.json for a spec, appended to `buf`: what goes into the bundle. */
int runtime_config(Runtime *runtime, const RunSpec *spec, const char *id, Buf *buf, Error *err);

/* --- one process from start to end --- */

typedef struct RunIo {
        int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null. Not taken over */
        const Sink *output; /* takes standard output and error in the order of arrival, instead of the descriptors; a failing sink kills the process */
        void (*terminal)(void *user, int fd); /* with spec->terminal: takes over the master side, before the process runs; `output` and the descriptors rest */
        void *terminal_user;
        int cancel_fd; /* when it becomes readable (or its other end is closed), everything is killed and the call fails with CANCELLED; -1: none */
} RunIo;

#define RUN_IO_INIT ((RunIo){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .cancel_fd = -1 })

typedef struct RunResult {
        int status;      /* exit status 0..255, or 128+n for signal n */
        bool oom_killed; /* the kernel killed something in it for lack of memory */
} RunResult;

/*
 * Runs spec->args to the end. `spec->root` must be mounted already in this process's mount namespace; the mounts of the spec are made in the container only.
 * Mount points that the root lacks are made in it by the runtime (the caller keeps them out of layers). Returns 0 whenever the process was started, with its
 * end in *ret. Errors: EXIT with err->status 127 (no such program in the root) or 126 (it cannot be executed, or cwd cannot be entered), in docker's words;
 * CANCELLED; the sink's error; anything else: the runtime could not make the container (its own last message is in the text). Threads: blocks; the process dies
 * when the calling thread ends.
 */
int run_once(Runtime *runtime, const RunSpec *spec, const RunIo *io, RunResult *ret, Error *err);

/* --- containers that live on --- */

typedef struct RunLaunch {
        const char *id;                     /* unique among everything under the state directory */
        const char *owner;                  /* a path: when it is gone, nobody knows the container any more, and runtime_sweep() removes it. NULL: none */
        bool own_namespace;                 /* the caller's mount namespace is its own, and may be changed where hybrid cgroups need it */
        int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null. Not used with spec->terminal */
        int *ret_terminal;                  /* spec->terminal: takes the master side of the container's terminal */
} RunLaunch;

#define RUN_LAUNCH_INIT ((RunLaunch){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 })

/*
 * Creates and starts a container and returns when its process runs. The caller must be a child subreaper (PR_SET_CHILD_SUBREAPER): the container's first
 * process *ret_pid becomes its child, and the caller reaps it and then calls runtime_remove(). Errors as of run_once().
 */
int runtime_launch(Runtime *runtime, const RunSpec *spec, const RunLaunch *launch, pid_t *ret_pid, Error *err);

/* One more process in a running container. Returns when it runs; *ret_pid is a child of the (subreaper) caller. `spec`: args, env, cwd, uid, gid, groups,
 * terminal, privileged, no_new_privileges, cap_add, cap_drop count. */
int runtime_exec(Runtime *runtime, const RunSpec *spec, const RunLaunch *launch, pid_t *ret_pid, Error *err);

/* Was anything in the container killed for lack of memory? Ask before runtime_remove(). */
bool runtime_oom_killed(Runtime *runtime, const char *id, const char *cgroup_parent);

/* Kills what is left of it (every process of its cgroup), removes the cgroup and the runtime's state. Fine when there is nothing. */
int runtime_remove(Runtime *runtime, const char *id, const char *cgroup_parent, Error *err);

/* Whether anything is left that runtime_remove() would remove: of a launch that was begun and not cleaned up. */
bool runtime_knows(const Runtime *runtime, const char *id);

/* Removes containers whose owner is gone, with everything of theirs: what is left when a store is deleted under running or killed containers. */
void runtime_sweep(Runtime *runtime);

/* Stops and continues all processes of a container through its freezer. UNSUPPORTED when there is none. */
int runtime_freeze(Runtime *runtime, const char *id, const char *cgroup_parent, bool frozen, Error *err);

/* The pids (as the caller sees them) of every process in the container. *ret is a heap array. */
int runtime_pids(Runtime *runtime, const char *id, const char *cgroup_parent, pid_t **ret, size_t *ret_n, Error *err);
