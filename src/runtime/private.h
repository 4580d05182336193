/*
 * Private to runtime/: the runtime object, the table of drivers, and starting a runtime program.
 */
#pragma once

#include "runtime/caps.h"
#include "runtime/cgroup.h"
#include "runtime/runtime.h"
#include "json/writer.h"

/*
 * One row per OCI runtime. A new one is a row here; the arguments are those of the runtimes' common command line:
 *   PROGRAM --root DIR --log FILE [global…] run --detach --pid-file FILE --bundle DIR [--console-socket PATH] ID
 */
typedef struct RuntimeDriver {
        const char *name;
        bool needs_unified_hidden;   /* refuses hybrid cgroups */
        bool takes_program;          /* the seccomp filter ready made, in the annotation run.oci.seccomp_bpf_data */
        bool takes_mount;            /* started from a read-only mount of its file, it does not start itself a second time (program.c) */
        const char *without_cgroups; /* global option that makes it leave cgroups alone, or NULL: it finds out by itself */
} RuntimeDriver;

/* The table, in order of preference; NULL behind its end. */
const RuntimeDriver *runtime_driver_at(size_t i);

/* The locked "owner" file of a container that this process has launched: while it lives, no sweep takes the container for a dead one's. */
typedef struct RuntimeHold {
        char *id;
        int fd;
} RuntimeHold;

struct Runtime {
        const RuntimeDriver *driver;
        char *program;   /* absolute path */
        char *state_dir; /* ours; docs/formats/runtime.md */
        char *run_dir;   /* <state_dir>/<driver>: the runtime's own state */
        Cgroups cgroups;
        CapSet capabilities; /* of this process */
        bool user_namespace; /* they count in a user namespace only */
        RuntimeHold *holds;
        size_t n_holds, capacity_holds;
};

void runtime_let_go(Runtime *runtime, const char *id); /* of its hold, if there is one */

/* Executes the program in this process; returns when that fails. Makes system calls only, so it is fine after vfork() and beside other threads. */
void runtime_program_exec(const Runtime *runtime, char *const *argv);

/*
 * The members "devices" of linux, and of its resources: those of the spec, or with `privileged` all of the host. Errors: NOT_FOUND, INVALID (no device).
 */
int runtime_write_devices(JsonWriter *writer, const RunSpec *spec, Error *err);
int runtime_write_device_rules(JsonWriter *writer, const RunSpec *spec, Error *err);

/* process.json of one more process: the file that `exec --process` takes. Appends to `buf`. */
int runtime_process_config(Runtime *runtime, const RunSpec *spec, Buf *buf, Error *err);

/*
 * Whether the program can be there at all, with its interpreter and its working directory, before a runtime is asked to run it: crun lets the user read its own
 * words on standard error as well. Errors as runtime_fail().
 */
int runtime_check_program(const RunSpec *spec, Error *err);

/* Whether the spec's user may execute what is at `path` in the root; true when it cannot be told. Threads: the caller has no others (it forks). */
bool runtime_may_execute(const RunSpec *spec, int root_fd, const char *path);

/*
 * The interpreter or the loader that a program at `path` in the root needs and that is not in it, as the program names it; NULL when nothing is missing, or it
 * cannot be told. `cwd` is the directory that relative names begin in. New string.
 */
char *runtime_missing_interpreter(int root_fd, const char *cwd, const char *path);

/* What a runtime said when it failed, as an error in docker's words: EXIT with 126 or 127, INVALID, or IO. `text` is its log; of `spec` the program, the
 * working directory and the root count. Returns -1. */
int runtime_fail(const RuntimeDriver *driver, const char *text, const RunSpec *spec, Error *err);

/* The same from a log file. */
int runtime_fail_from_log(const RuntimeDriver *driver, const char *log_path, const RunSpec *spec, Error *err);

/* Path of our init program, or NULL: MICA_INIT, beside mica, in its libexec directory, or another small init that is installed. New string. */
char *runtime_find_init(void);
#define RUNTIME_INIT_TARGET "/dev/init"

/*
 * A terminal: a socket that the runtime sends the master side to. The path is bound in `directory`, which must be short enough for sun_path.
 */
int console_listen(const char *directory, char **ret_path, Error *err); /* the listening descriptor, or -1 */
int console_receive(int listen_fd, Error *err);                         /* the master side, or -1 */
