/* The two sides of a fork: the command that starts a container, and the process that is going to be its monitor. monitor.h has the order. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/monitor.h"

void monitor_channel_done(MonitorChannel *channel)
{
        closep(&channel->report_fd);
        closep(&channel->client_fd);
        *channel = MONITOR_CHANNEL_INIT;
}

/* --- in the caller --- */

pid_t monitor_fork(MonitorStart *start, bool attach, MonitorChannel *ret, Error *err)
{
        int report[2] = { -1, -1 }, client[2] = { -1, -1 };
        pid_t pid = -1;

        if (pipe2(report, O_CLOEXEC) < 0) {
                error_errno(err, errno, "cannot make a pipe");
        } else if (attach && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) < 0) {
                error_errno(err, errno, "cannot make a pair of sockets");
        } else {
                pid = sys_fault(SYS_CALL_spawn) < 0 ? -1 : fork();
                if (pid < 0)
                        error_errno(err, errno, "cannot start a monitor");
        }
        if (pid == 0) {
                start->report_fd = report[1];
                start->client_fd = client[1];
                return 0;
        }
        closep(&report[1]);
        closep(&client[1]);
        *ret = (MonitorChannel){ .report_fd = report[0], .client_fd = client[0] };
        return pid;
}

int monitor_read_report(const MonitorChannel *channel, Error *err)
{
        _cleanup_buf_ Buf message = BUF_INIT(1 << 20);
        MonitorReport report;
        int r;

        if (fd_read_full(channel->report_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
                return error_set(err, ERROR_INTERNAL, "the monitor of the container ended without a word");
        if (!report.failed)
                return 0;
        r = fd_read_to_buf(channel->report_fd, &message);
        error_set(err, (ErrorCode)report.failed, "%s", r < 0 ? "the container could not be started" : buf_str(&message));
        err->status = report.status;
        return -1;
}

int monitor_reap(pid_t pid)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        int status;

        (void)child_wait(pid, &status, &ignored);
        return -1;
}

/* --- in the child --- */

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

void monitor_send_report(int fd, const Error *failure)
{
        MonitorReport message = { .failed = failure ? (int32_t)failure->code : 0, .status = failure ? failure->status : 0 };

        fd_write_all(fd, &message, sizeof(message));
        if (failure)
                fd_write_all(fd, error_message(failure), strlen(error_message(failure)));
        close(fd);
}
