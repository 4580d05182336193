/*
 * Running one process in a container through an OCI runtime (crun, or runc), from a description in terms of this program.
 *
 * runtime/ knows nothing of images and stores: it gets a mounted root, and makes the OCI bundle (config.json, OCI runtime-spec 1.0.2 config.md, config-linux.md),
 * starts the runtime in a mount namespace where hybrid cgroups are presentable, and reports how the process ended. build/ runs RUN steps with it;
 * container/ runs containers with it, from inside their monitor process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

typedef enum RunNetwork { RUN_NETWORK_NONE, RUN_NETWORK_HOST, RUN_NETWORK_PATH } RunNetwork;

typedef struct RunMount {
        char *type;        /* "bind", "tmpfs", "proc", … */
        char *source;      /* absolute path for "bind" */
        char *target;      /* absolute path inside */
        StrList options;   /* "ro", "rbind", "size=64m", … */
} RunMount;

typedef struct RunLimit {
        char *name; /* "nofile"; without RLIMIT_, lower case */
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
        const char *root;      /* absolute path of the mounted root */
        bool read_only;
        StrList args;          /* what to run; args[0] is looked up in PATH of `env` inside the root by the runtime */
        StrList env;
        char *cwd;             /* absolute; "" or NULL is "/" */
        uint32_t uid, gid, umask;
        uint32_t *groups;      /* supplementary */
        size_t n_groups;
        char *hostname;
        bool terminal;
        bool no_new_privileges;
        bool privileged;       /* all capabilities, no seccomp, nothing masked, all devices */
        StrList cap_add, cap_drop; /* names with or without "CAP_", any case, "ALL" */
        char *seccomp;         /* path of a profile in docker's or containers-common's JSON form, "unconfined", or NULL: the default profile */
        bool init;             /* a small init as pid 1 that forwards signals and reaps */
        RunNetwork network;
        char *network_path;    /* RUN_NETWORK_PATH: a network namespace */
        bool host_pid, host_ipc, host_uts;
        RunMount *mounts;      /* beside the default ones (proc, dev, devpts, shm, mqueue, sysfs, cgroup) */
        size_t n_mounts;
        uint64_t shm_size;     /* bytes; 0: 64 MiB */
        RunLimit *limits;
        size_t n_limits;
        RunDevice *devices;
        size_t n_devices;
        RunResources resources;
        StrList sysctls;       /* "net.ipv4.ip_forward=1" */
        char *cgroup_parent;   /* NULL: "/mica" */
        StrList annotations;   /* "key=value" */
} RunSpec;

void run_spec_done(RunSpec *spec);
