/*
 * Child processes: start a program with chosen descriptors, wait for it, and say how it ended.
 * Descriptors that are not given are closed on exec (everything here is O_CLOEXEC). Signal dispositions and the mask are reset in the child.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

typedef struct ChildSpec {
        char *const *argv;   /* argv[0] is looked up in PATH when it has no slash */
        char *const *env;    /* NULL: ours */
        const char *cwd;     /* NULL: ours */
        int stdin_fd;        /* -1: /dev/null */
        int stdout_fd;       /* -1: /dev/null */
        int stderr_fd;       /* -1: /dev/null */
        const int *keep_fds; /* descriptors to keep open under the same number, or NULL */
        size_t n_keep_fds;
        bool new_session;     /* setsid() */
        bool die_with_parent; /* it and all it started are killed when this process ends, however it ends (child_guard.h); implies a process in between */
        bool own_mounts;      /* a mount namespace of its own: what it mounts goes with it; needs CAP_SYS_ADMIN */
        int umask;            /* -1: ours */
} ChildSpec;

#define CHILD_SPEC_INIT ((ChildSpec){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .umask = -1 })

/* Starts it. Errors: NOT_FOUND (no such program), DENIED, IO; also when exec itself fails. *ret_pid must be reaped by the caller. */
int child_start(const ChildSpec *spec, pid_t *ret_pid, Error *err);

/*
 * The same with its standard output and error on pipes, whose ends for reading are *ret_out and *ret_err: the caller closes them. What `spec` says of those two
 * is not heeded.
 */
int child_start_piped(const ChildSpec *spec, pid_t *ret_pid, int *ret_out, int *ret_err, Error *err);

/*
 * Kills a child that was started with die_with_parent, and all it started, also what has left its session. Does not wait: it is over when the child is reaped.
 */
void child_kill(pid_t pid);

/* Waits. *ret_status: exit status 0..255, or 128+n for signal n. */
int child_wait(pid_t pid, int *ret_status, Error *err);

/*
 * Runs a program to its end. A non-zero end is ERROR_EXIT whose message has the last line of its standard error.
 * `output` (may be NULL) takes standard output up to the buffer's maximum; beyond that is ERROR_LIMIT.
 */
int child_run(char *const *argv, Buf *output, Error *err);
