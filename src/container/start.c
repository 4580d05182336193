#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/attach.h"
#include "container/private.h"

/* The caller's database connection must not be touched: its descriptors are just closed. */
void monitor_leave_caller(const MonitorStart *start)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN };

        setsid();
        fd_close_others(3, (int[]){ start->lock_fd, start->report_fd, start->client_fd }, 3);
        sigaction(SIGPIPE, &ignore, NULL);
        sigaction(SIGHUP, &ignore, NULL);
}

void monitor_go_silent(void)
{
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int i = 0; i < 3 && !log_enabled(LOG_LEVEL_DEBUG); i++)
                dup2(null_fd, i);
        if (chdir("/") < 0)
                _exit(1);
}

int monitor_channel_open(bool attach, MonitorChannel *ret, Error *err)
{
        if (pipe2(ret->report, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        if (attach && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret->client) < 0)
                return error_errno(err, errno, "cannot make a pair of sockets");
        return 0;
}

void monitor_channel_done(MonitorChannel *channel)
{
        for (int i = 0; i < 2; i++) {
                closep(&channel->report[i]);
                closep(&channel->client[i]);
        }
        *channel = MONITOR_CHANNEL_INIT;
}

void monitor_send_report(int fd, const Error *failure)
{
        MonitorReport message = { .failed = failure ? (int32_t)failure->code : 0, .status = failure ? failure->status : 0 };

        fd_write_all(fd, &message, sizeof(message));
        if (failure)
                fd_write_all(fd, error_message(failure), strlen(error_message(failure)));
        close(fd);
}

int monitor_read_report(MonitorChannel *channel, Error *err)
{
        _cleanup_buf_ Buf message = BUF_INIT(1 << 20);
        int fd = channel->report[0], r;
        MonitorReport report;

        if (fd_read_full(fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
                return error_set(err, ERROR_INTERNAL, "the monitor of the container ended without a word");
        if (!report.failed)
                return 0;
        r = fd_read_to_buf(fd, &message);
        error_set(err, (ErrorCode)report.failed, "%s", r < 0 ? "the container could not be started" : buf_str(&message));
        err->status = report.status;
        return -1;
}

/* In the child. */
static _noreturn_ void become_monitor(const MonitorStart *start)
{
        monitor_leave_caller(start);
        monitor_go_silent();
        monitor_main(start);
}

int container_start(Store *store, const char *name, const StartOptions *options, Attachment **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_(monitor_channel_done) MonitorChannel channel = MONITOR_CHANNEL_INIT;
        _cleanup_close_ int lock = -1;
        _cleanup_error_ Error second = ERROR_INIT; /* the first one is told */
        bool attach = ret && options && options->attach;
        MonitorStart start;
        int status, r;
        pid_t pid;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq(container->state.status, "paused"))
                return error_set(err, ERROR_CONFLICT, "cannot start a paused container, try unpause instead");
        if (container_is_active(container)) {
                if (attach)
                        return container_attach(store, name, options->attach_stdin, ret, err) < 0 ? -1 : 1;
                return 1;
        }
        if (container_check_platform(container, err) < 0)
                return -1;
        lock = container_lock_patiently(container, err);
        if (lock < 0 || monitor_channel_open(attach, &channel, err) < 0)
                return -1;
        start = (MonitorStart){ .container = container,
                                .store_root = store_root(store),
                                .store_driver = store_driver(store),
                                .lock_fd = lock,
                                .report_fd = channel.report[1],
                                .client_fd = channel.client[1],
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
                closep(&channel.report[1]);
                closep(&channel.client[1]);
                r = monitor_read_report(&channel, err);
        }
        /* Not before: the monitor needs the database at once, and both would wait for each other's recovery of it. */
        if (store_after_fork(store, r < 0 ? &second : err) < 0 && r == 0)
                return -1;
        if (r < 0) {
                if (pid > 0)
                        (void)child_wait(pid, &status, &second);
                return -1;
        }
        if (attach)
                *ret = attachment_new(TAKE_FD(channel.client[0]), options->attach_stdin, container->data.config.tty);
        return 0;
}
