/*
 * Private to runtime/: one process from start to end, run_once().
 *
 *   caller ── warden ── crun run --detach          (ends when the process runs)
 *                  └─── the container's first process, whose parent the warden becomes
 *
 * The warden is process 1 of a pid namespace of its own and is killed with the calling thread (PR_SET_PDEATHSIG), and the kernel kills a pid namespace with its
 * first process: so nothing that a step started outlives the caller, however that ends. It has a mount namespace of its own with the /proc of its pid
 * namespace, which the runtime needs. The warden is forked from a process that may have threads, and makes only system calls.
 *
 * The bundle and the runtime's own state hold the environment, secrets among it: they lie on a tmpfs that only the warden's mount namespace has, and are gone
 * with it. What a killed caller leaves, directories of cgroups and of the run, is swept by the next one: each such directory is locked by its owner. The same
 * sweep takes what could not be removed in time.
 *
 * once.c is the caller's side, once_bundle.c the directory of the run, once_warden.c the warden.
 */
#pragma once

#include "runtime/private.h"

/* What the warden tells the caller, in this order. */
typedef enum ReportKind {
        REPORT_STARTED, /* the process runs */
        REPORT_REFUSED, /* the runtime ended with `value`; its log says why */
        REPORT_FAILED,  /* a system call of the warden failed with errno `value` */
        REPORT_NO_PROC, /* /proc cannot be mounted here: the caller tries again without a pid namespace */
        REPORT_ENDED,   /* the process ended with wait status `value` */
} ReportKind;

#define NO_RUNTIME_STATUS 254 /* the `value` of REPORT_REFUSED when the runtime's program could not be executed */

typedef struct Report {
        int32_t kind, value;
} Report;

typedef struct Once {
        Runtime *runtime;
        char *id, *dir, *log_path, *pid_path, *console_path;
        char *bundle, *config_path, *state_path; /* the tmpfs, and what is on it */
        Buf config;
        int dir_fd;     /* locked */
        int console_fd; /* where the runtime hands over the terminal, or -1 */
        bool pid_namespace;
        StrList argv;
        int in, out, errors; /* what the process gets */
        int report[2];
        pid_t warden;
} Once;

/* Makes the directory of the run, locked, and in memory the configuration of the container; sweeps first, once in this process. */
int once_make_bundle(Once *once, const RunSpec *spec, Error *err);

/* Removes the run's cgroup and directory; what cannot go is left to the next sweep. */
void once_remove_bundle(Once *once, const RunSpec *spec);

/*
 * Forks the warden, which starts the runtime with `argv`; it reports through `report`. Returns the write end of a pipe that is to stay open as long as the
 * warden is to live, or -1.
 */
int once_start_warden(Once *once, Error *err);
