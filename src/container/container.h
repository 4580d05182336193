/*
 * Containers from creation to removal, in docker's terms.
 *
 * A started container is kept by a monitor process of its own (docs/adr/0004), which is forked by container_start(): it holds the mounts, is the parent
 * of the container's first process, writes the log, serves attached clients, and records the end. It needs no daemon and outlives the command that started it.
 *
 * States: created -> running (-> paused ->) -> exited, and dead when the removal failed half way. A container whose monitor was killed is found by its free
 * lock, at the next look of any mica process: its processes are killed and it becomes exited with 137.
 *
 * "container" parameters take a full id, a unique prefix of one, or a name. NOT_FOUND: "No such container: x".
 * Threads: none of these may be called while other threads run (they fork).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "base/str.h"
#include "container/config.h"
#include "store/store.h"
#include "json/json.h"

/*
 * Makes a container from an image (which must be in the store) and what `spec` changes of its config; makes its volumes and files; runs nothing.
 * *ret_id is a new string of 64 digits. Lines for the user ("the kernel does not support …") go to `warnings` (may be NULL).
 * Errors: NOT_FOUND (image, user in the image's passwd is looked up at start), EXISTS (name), INVALID (options, nothing to run).
 */
int container_create(Store *store, const ContainerSpec *spec, char **ret_id, StrList *warnings, Error *err);

/* --- start and attach --- */

typedef struct Attachment Attachment;         /* a connection to a container's monitor */
void attachment_free(Attachment *attachment); /* detaches; NULL is fine */
DEFINE_CLEANUP(Attachment *, attachment_free)

typedef struct StartOptions {
        bool attach;                  /* be connected before the process starts, so that no output is missed; *ret is then set */
        bool attach_stdin;            /* this client's input goes to the process */
        unsigned short rows, columns; /* of the terminal; 0: not known */
} StartOptions;

/*
 * Starts a created or exited container. Returns when its process runs. Starting a running one is fine (returns 1). `options` and `ret` may be NULL.
 * Errors: EXIT with err->status 126 or 127 when the program cannot be executed or does not exist (and 125's business for the rest).
 */
int container_start(Store *store, const char *container, const StartOptions *options, Attachment **ret, Error *err);

/*
 * Both for `run`, quicker: the monitor opens the store, makes the container and starts it, so that this process needs no store. *ret_id is set as soon as the
 * container was made, also when it could not be started; when `spec` has `auto_remove` it is then removed again. `ret` is set with options->attach.
 */
int container_run(const StoreOptions *store, const ContainerSpec *spec, const StartOptions *options, char **ret_id, StrList *warnings, Attachment **ret,
                  Error *err);

/* Connects to a running container. CONFLICT when it does not run. */
int container_attach(Store *store, const char *container, bool with_stdin, Attachment **ret, Error *err);

typedef struct AttachIo {
        int stdin_fd;  /* -1: none */
        int stdout_fd; /* -1: discard */
        int stderr_fd;
        bool raw_terminal;       /* stdin_fd is a terminal: put it into raw mode meanwhile, follow its size */
        bool proxy_signals;      /* pass the signals that this process gets on to the container's process */
        const char *detach_keys; /* "ctrl-p,ctrl-q"; NULL: that; "": none. Only with raw_terminal */
} AttachIo;

#define ATTACH_IO_INIT ((AttachIo){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 })

/* Whether detach keys are well-formed. INVALID in docker's words. */
int detach_keys_check(const char *text, Error *err);

typedef enum AttachEnd { ATTACH_EXITED, ATTACH_DETACHED } AttachEnd;

/*
 * Copies between the descriptors and the container until its process has ended and its output is complete, or the user detaches. *ret_status is the exit code.
 * With `auto_remove` containers, returns after they are removed.
 */
int attachment_run(Attachment *attachment, const AttachIo *io, AttachEnd *ret_end, int *ret_status, Error *err);

/* --- while it runs --- */

/* timeout_s: seconds between stop signal and SIGKILL; -1: the container's own, or 10; -2: for ever. `signal` NULL: the container's own. Fine when it does not
 * run. */
int container_stop(Store *store, const char *container, const char *signal, int timeout_s, Error *err);
int container_kill(Store *store, const char *container, const char *signal, Error *err); /* NULL: SIGKILL. CONFLICT when it does not run */
int container_restart(Store *store, const char *container, const char *signal, int timeout_s, Error *err);
int container_pause(Store *store, const char *container, bool paused, Error *err);
/* Waits until it does not run. *ret_status: the exit code, of the last run when it does not run already. */
int container_wait(Store *store, const char *container, int *ret_status, Error *err);

typedef struct ExecOptions {
        StrList args;
        StrList env;                /* changes to the container's: "NAME=value"; "NAME" alone takes one away */
        const char *user, *workdir; /* NULL: the container's */
        bool tty, privileged, detach;
        bool with_stdin;
        const char *detach_keys;
        AttachIo io; /* raw_terminal as above; proxy_signals has no meaning */
} ExecOptions;

/*
 * Runs one more process in a running container, to its end unless `detach`. *ret_status is its exit code. Returns 1 when the user detached from it. Errors:
 * EXIT with err->status 126 or 127 when it could not be executed (without a terminal the runtime has said so on io.stderr_fd, too); err->status is 126 as well
 * when its user is not known; CONFLICT when the container does not run or is paused.
 */
int container_exec(Store *store, const char *container, const ExecOptions *options, int *ret_status, Error *err);

/* docker top: the processes of the container through ps(1) with `ps_args` (NULL: "-ef"). Prints into `out`: the header line and the lines of its processes. */
int container_top(Store *store, const char *container, const char *ps_args, Buf *out, Error *err);

/* --- afterwards --- */

typedef struct RemoveOptions {
        bool force;   /* kill it first */
        bool volumes; /* its anonymous volumes too */
} RemoveOptions;
int container_remove(Store *store, const char *container, const RemoveOptions *options, Error *err);
int container_rename(Store *store, const char *container, const char *name, Error *err);
/* Stopped containers (those that `filters` "until=…", "label=…", "label!=…" select). `removed` is told each id; may be NULL. *ret_size: bytes given back. */
int container_prune(Store *store, const StrList *filters, void (*removed)(void *user, const char *id), void *user, uint64_t *ret_size, Error *err);

/* --- logs --- */

typedef struct LogOptions {
        bool follow, timestamps, details;
        Timestamp since, until; /* 0: no bound */
        int64_t tail;           /* lines; -1: all */
        bool no_stdout, no_stderr;
} LogOptions;
#define LOG_OPTIONS_INIT ((LogOptions){ .tail = -1 })

/* Each piece of log to its sink. Returns 1 when it ended because `until` was reached, else 0. */
int container_logs(Store *store, const char *container, const LogOptions *options, const Sink *out, const Sink *errors, Error *err);

/* --- looking --- */

/* `docker inspect`'s object; with `size` also SizeRw and SizeRootFs. A new reference. */
int container_inspect(Store *store, const char *container, bool size, JsonValue **ret, Error *err);

typedef struct ContainerInfo {
        char id[65];
        char *name;  /* without "/" */
        char *image; /* as the user named it, or the short id when that name has gone to another image */
        Digest image_id;
        char *command; /* with arguments, as ps shows it, without quotes */
        Timestamp created, started, finished;
        const char *state; /* "created", "running", "paused", "exited", "dead" */
        char *status;      /* "Up 2 minutes", "Exited (0) 3 hours ago" */
        int exit_code;
        int64_t pid;
        char *ports;    /* "" until networks exist */
        char *networks; /* "host" */
        StringMap labels;
        StrList mounts;                /* names of volumes, sources of binds */
        uint64_t size_rw, size_rootfs; /* only when asked for */
} ContainerInfo;

typedef struct ListOptions {
        bool all, size;
        int64_t last;           /* the n newest, whatever their state; <= 0: no such limit */
        const StrList *filters; /* "status=exited": docker ps's; may be NULL */
} ListOptions;

/* Newest first. INVALID: unknown filter. */
int container_list(Store *store, const ListOptions *options, int (*each)(void *user, const ContainerInfo *info, Error *err), void *user, Error *err);

/* Full id and name (both new strings; either may be NULL). */
int container_resolve(Store *store, const char *container, char **ret_id, char **ret_name, Error *err);
