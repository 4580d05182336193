#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/attach.h"
#include "container/private.h"

/* Closes every descriptor but the three standard ones and those given. */
static void close_others(const int *keep, size_t n_keep)
{
        unsigned from = 3;

        for (;;) {
                unsigned next = ~0u;

                for (size_t i = 0; i < n_keep; i++)
                        if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
                                next = (unsigned)keep[i];
                if (next > from)
                        syscall(SYS_close_range, from, next == ~0u ? ~0u : next - 1, 0);
                if (next == ~0u)
                        return;
                from = next + 1;
        }
}

/* In the child: a process of its own, that nothing of the caller's clings to. The caller's database connection must not be touched: its descriptors are just
 * closed. */
static _noreturn_ void become_monitor(const MonitorStart *start)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        int null_fd;

        setsid();
        close_others((int[]){ start->lock_fd, start->report_fd, start->client_fd }, 3);
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int i = 0; i < 3 && !log_enabled(LOG_LEVEL_DEBUG); i++)
                dup2(null_fd, i);
        sigaction(SIGPIPE, &ignore, NULL);
        sigaction(SIGHUP, &ignore, NULL);
        if (chdir("/") < 0)
                _exit(1);
        monitor_main(start);
}

static int read_report(int fd, Error *err)
{
        _cleanup_buf_ Buf message = BUF_INIT(1 << 20);
        MonitorReport report;
        int r;

        if (fd_read_full(fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
                return error_set(err, ERROR_INTERNAL, "the monitor of the container ended without a word");
        if (!report.failed)
                return 0;
        r = fd_read_to_buf(fd, &message);
        error_set(err, (ErrorCode)report.failed, "%s", r < 0 ? "the container could not be started" : buf_str(&message));
        err->status = report.status;
        return -1;
}

/* The lock; a monitor that has recorded the end is given the time to leave. */
static int lock_to_start(const Container *container, Error *err)
{
        for (int i = 0;; i++) {
                int fd = container_lock(container, err);

                if (fd != CONTAINER_LOCKED)
                        return fd;
                if (i == 500)
                        return error_set(err, ERROR_CONFLICT, "container '%s' is being started or stopped by another process", container->name);
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        }
}

int container_start(Store *store, const char *name, const StartOptions *options, Attachment **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_close_ int lock = -1, report_read = -1, report_write = -1, client = -1, client_other = -1;
        _cleanup_error_ Error second = ERROR_INIT; /* the first one is told */
        MonitorStart start = { .client_fd = -1 };
        int pair[2], r;
        pid_t pid;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq(container->state.status, "paused"))
                return error_set(err, ERROR_CONFLICT, "cannot start a paused container, try unpause instead");
        if (container_is_active(container)) {
                if (ret && options && options->attach)
                        return container_attach(store, name, options->attach_stdin, ret, err) < 0 ? -1 : 1;
                return 1;
        }
        if (container_check_platform(container, err) < 0)
                return -1;
        lock = lock_to_start(container, err);
        if (lock < 0)
                return -1;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        report_read = pair[0];
        report_write = pair[1];
        if (ret && options && options->attach) {
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                        return error_errno(err, errno, "cannot make a pair of sockets");
                client = pair[0];
                client_other = pair[1];
        }
        start = (MonitorStart){ .container = container,
                                .store_root = store_root(store),
                                .store_driver = store_driver(store),
                                .lock_fd = lock,
                                .report_fd = report_write,
                                .client_fd = client_other,
                                .options = options ? *options : (StartOptions){ 0 } };
        if (sys_fault(SYS_CALL_spawn) < 0)
                return error_errno(err, errno, "cannot start a monitor");
        store_before_fork(store);
        pid = fork();
        if (pid == 0)
                become_monitor(&start);
        if (pid < 0) {
                r = error_errno(err, errno, "cannot start a monitor");
        } else {
                close(TAKE_FD(report_write));
                if (client_other >= 0)
                        close(TAKE_FD(client_other));
                r = read_report(report_read, err);
        }
        /* Not before: the monitor needs the database at once, and both would wait for each other's recovery of it. */
        if (store_after_fork(store, r < 0 ? &second : err) < 0 && r == 0)
                return -1;
        if (r < 0) {
                while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                return -1;
        }
        if (client >= 0)
                *ret = attachment_new(TAKE_FD(client), options->attach_stdin, container->data.config.tty);
        return 0;
}
