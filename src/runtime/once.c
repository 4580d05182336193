#include "runtime/once.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

static void once_done(Once *once)
{
        free(once->id);
        free(once->log_path);
        free(once->pid_path);
        free(once->console_path);
        closep(&once->console_fd);
        free(once->dir);
        free(once->bundle);
        free(once->config_path);
        free(once->state_path);
        buf_done(&once->config);
        strlist_done(&once->argv);
        closep(&once->dir_fd);
        closep(&once->report[0]);
        closep(&once->report[1]);
}

typedef struct Pump {
        const Sink *sink;
        int out_fd; /* read end of the output, or -1 */
        bool started;
} Pump;

/* Moves what is there to the sink. 1 at the end of the output. */
static int pump_output(Pump *pump, Error *err)
{
        char data[65536];
        ssize_t n = read(pump->out_fd, data, sizeof(data));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0)
                return 1;
        return sink_write(pump->sink, data, (size_t)n, err);
}

static int read_report(Once *once, Report *report)
{
        ssize_t n = fd_read_full(once->report[0], report, sizeof(*report));

        return n == (ssize_t)sizeof(*report) ? 0 : -1;
}

/* Follows the warden to its end. *ret_last is what it said last. */
static int follow(Once *once, Pump *pump, const RunIo *io, Report *ret_last, Error *err)
{
        bool reporting = true, console = once->console_fd >= 0;

        *ret_last = (Report){ .kind = REPORT_FAILED, .value = EIO };
        while (reporting || (pump->started && pump->out_fd >= 0)) {
                struct pollfd polls[4] = { { .fd = reporting ? once->report[0] : -1, .events = POLLIN },
                                           { .fd = pump->started ? pump->out_fd : -1, .events = POLLIN }, /* before, what comes are the runtime's words */
                                           { .fd = io->cancel_fd, .events = POLLIN },
                                           { .fd = console ? once->console_fd : -1, .events = POLLIN } };

                if (poll(polls, ARRAY_LEN(polls), -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return error_errno(err, errno, "cannot wait for '%s'", once->runtime->program);
                }
                if (polls[2].revents)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (polls[3].revents) {
                        int terminal = console_receive(once->console_fd, err);

                        if (terminal < 0)
                                return -1;
                        console = false;
                        io->terminal(io->terminal_user, terminal);
                }
                if (polls[1].revents) {
                        int r = pump_output(pump, err);

                        if (r < 0)
                                return -1;
                        if (r > 0) {
                                closep(&pump->out_fd);
                                pump->out_fd = -1;
                        }
                }
                if (polls[0].revents) {
                        if (read_report(once, ret_last) < 0 || ret_last->kind != REPORT_STARTED)
                                reporting = false;
                        else
                                pump->started = true;
                }
        }
        return 0;
}

static int judge(const Once *once, const RunSpec *spec, const Report *last, RunResult *ret, Error *err)
{
        switch ((ReportKind)last->kind) {
        case REPORT_ENDED:
                ret->status = WIFEXITED(last->value) ? WEXITSTATUS(last->value) : 128 + WTERMSIG(last->value);
                return 0;
        case REPORT_REFUSED:
                if (last->value == NO_RUNTIME_STATUS)
                        return error_set(err, ERROR_NOT_FOUND, "cannot run '%s'", once->runtime->program);
                return runtime_fail_from_log(once->runtime->driver, once->log_path, spec, err);
        case REPORT_FAILED:
        case REPORT_NO_PROC:
        case REPORT_STARTED:
                break;
        }
        return error_errno(err, last->value, "cannot run a container with '%s'", once->runtime->program);
}

static int build_argv(Once *once, bool terminal, Error *err)
{
        strlist_add(&once->argv, once->runtime->program);
        strlist_add(&once->argv, "--root");
        strlist_add(&once->argv, once->state_path);
        strlist_add(&once->argv, "--log");
        strlist_add(&once->argv, once->log_path);
        if (once->runtime->cgroups.mode == CGROUP_NONE && once->runtime->driver->without_cgroups)
                strlist_add(&once->argv, once->runtime->driver->without_cgroups);
        strlist_add(&once->argv, "run");
        strlist_add(&once->argv, "--detach");
        strlist_add(&once->argv, "--pid-file");
        strlist_add(&once->argv, once->pid_path);
        if (terminal) {
                once->console_fd = console_listen(once->dir, &once->console_path, err);
                if (once->console_fd < 0)
                        return -1;
                strlist_add(&once->argv, "--console-socket");
                strlist_add(&once->argv, once->console_path);
        }
        strlist_add(&once->argv, "--bundle");
        strlist_add(&once->argv, once->bundle);
        strlist_add(&once->argv, once->id);
        return 0;
}

/* One attempt, with or without a pid namespace. */
static int run_attempt(Once *once, const RunSpec *spec, const RunIo *io, int null_fd, Report *ret_last, Error *err)
{
        _cleanup_close_ int life = -1, write_end = -1;
        Pump pump = { .sink = io->output, .out_fd = -1 };
        int r;

        once->in = io->stdin_fd >= 0 && !spec->terminal ? io->stdin_fd : null_fd;
        once->out = io->stdout_fd >= 0 && !spec->terminal ? io->stdout_fd : null_fd;
        once->errors = io->stderr_fd >= 0 && !spec->terminal ? io->stderr_fd : null_fd;
        if (io->output && !spec->terminal) {
                int fds[2];

                if (pipe2(fds, O_CLOEXEC) < 0)
                        return error_errno(err, errno, "cannot make a pipe");
                pump.out_fd = fds[0];
                once->out = once->errors = write_end = fds[1];
        }
        life = once_start_warden(once, err);
        closep(&write_end);
        write_end = -1;
        if (life < 0) {
                closep(&pump.out_fd);
                return -1;
        }
        r = follow(once, &pump, io, ret_last, err);
        closep(&pump.out_fd);
        kill(once->warden, SIGKILL); /* it ends by itself unless we give up; its namespace's processes go with it */
        while (waitpid(once->warden, NULL, 0) < 0 && errno == EINTR)
                ;
        if (r < 0 && !once->pid_namespace) {
                _cleanup_free_ char *cgroup = cgroup_path(&once->runtime->cgroups, spec->cgroup_parent, once->id);

                cgroup_signal(&once->runtime->cgroups, cgroup, SIGKILL);
        }
        return r;
}

/* The whole of it between making the bundle and removing it. */
static int run_bundle(Once *once, const RunSpec *spec, const RunIo *io, RunResult *result, Error *err)
{
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        Report last;

        if (null_fd < 0)
                return error_errno(err, errno, "cannot open '/dev/null'");
        if (once_make_bundle(once, spec, err) < 0)
                return -1;
        if (build_argv(once, spec->terminal, err) < 0)
                return -1;
        if (run_attempt(once, spec, io, null_fd, &last, err) < 0)
                return -1;
        if (last.kind == REPORT_NO_PROC) {
                log_debug("no pid namespace for build steps: /proc cannot be mounted here: %s", strerror(last.value));
                once->pid_namespace = false;
                if (run_attempt(once, spec, io, null_fd, &last, err) < 0)
                        return -1;
        }
        if (judge(once, spec, &last, result, err) < 0)
                return -1;
        if (result->status == 128 + SIGKILL || spec->resources.memory) {
                _cleanup_free_ char *cgroup = cgroup_path(&once->runtime->cgroups, spec->cgroup_parent, once->id);

                result->oom_killed = cgroup_oom_killed(&once->runtime->cgroups, cgroup);
        }
        return 0;
}

int run_once(Runtime *runtime, const RunSpec *spec, const RunIo *io, RunResult *ret, Error *err)
{
        _cleanup_(once_done) Once once = {
                .runtime = runtime, .dir_fd = -1, .console_fd = -1, .report = { -1, -1 }, .config = BUF_INIT(BUF_MAX_DEFAULT), .pid_namespace = !spec->host_pid
        };
        RunResult result = { 0 };
        int r;

        if (spec->terminal && !io->terminal)
                return error_set(err, ERROR_INVALID, "nobody takes the terminal of this step");
        r = run_bundle(&once, spec, io, &result, err);
        once_remove_bundle(&once, spec);
        if (r == 0)
                *ret = result;
        return r;
}
