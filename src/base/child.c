#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/child_guard.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

static _noreturn_ void child_main(const ChildSpec *spec, int report_fd, const int fds[3], pid_t parent)
{
        struct sigaction default_action = { .sa_handler = SIG_DFL };
        sigset_t none;
        int number;

        for (int i = 1; i < NSIG; i++)
                sigaction(i, &default_action, NULL);
        if (spec->new_session)
                setsid();
        if (spec->die_with_parent)
                child_guard(parent);
        if (spec->own_mounts && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0))
                goto fail;
        if (spec->umask >= 0)
                umask((mode_t)spec->umask);
        for (int i = 0; i < 3; i++)
                if (dup2(fds[i], i) < 0)
                        goto fail;
        for (size_t i = 0; i < spec->n_keep_fds; i++)
                if (fcntl(spec->keep_fds[i], F_SETFD, 0) < 0)
                        goto fail;
        if (spec->cwd && chdir(spec->cwd) < 0)
                goto fail;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (spec->env)
                execvpe(spec->argv[0], spec->argv, spec->env);
        else
                execvp(spec->argv[0], spec->argv);
fail:
        number = errno;
        if (write(report_fd, &number, sizeof(number)) < 0)
                _exit(126);
        _exit(127);
}

/* A copy of fd above the standard three, so that dup2() in the child cannot overwrite a source. */
static int lift(int fd)
{
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int child_start(const ChildSpec *spec, pid_t *ret_pid, Error *err)
{
        _cleanup_close_ int null_fd = -1, report_read = -1, report_write = -1, in = -1, out = -1, error = -1;
        int pair[2], number = 0;
        sigset_t all, old;
        pid_t pid, parent = getpid();
        ssize_t n;

        if (sys_fault(SYS_CALL_spawn) < 0)
                return error_errno(err, errno, "cannot start '%s'", spec->argv[0]);
        null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null_fd < 0)
                return error_errno(err, errno, "cannot open '/dev/null'");
        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        report_read = pair[0];
        report_write = lift(pair[1]);
        close(pair[1]);
        in = lift(spec->stdin_fd >= 0 ? spec->stdin_fd : null_fd);
        out = lift(spec->stdout_fd >= 0 ? spec->stdout_fd : null_fd);
        error = lift(spec->stderr_fd >= 0 ? spec->stderr_fd : null_fd);
        if (report_write < 0 || in < 0 || out < 0 || error < 0)
                return error_errno(err, errno, "cannot duplicate a descriptor");
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pid = fork();
        if (pid == 0)
                child_main(spec, report_write, (int[]){ in, out, error }, parent);
        number = errno;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (pid < 0)
                return error_errno(err, number, "cannot start '%s'", spec->argv[0]);
        close(TAKE_FD(report_write));
        n = fd_read_full(report_read, &number, sizeof(number));
        if (n == (ssize_t)sizeof(number)) {
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
                return error_errno(err, number, "cannot run '%s'", spec->argv[0]);
        }
        *ret_pid = pid;
        return 0;
}

int child_start_piped(const ChildSpec *spec, pid_t *ret_pid, int *ret_out, int *ret_err, Error *err)
{
        _cleanup_close_ int out_read = -1, out_write = -1, err_read = -1, err_write = -1;
        ChildSpec piped = *spec;
        int pair[2];

        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        out_read = pair[0];
        out_write = pair[1];
        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        err_read = pair[0];
        err_write = pair[1];
        piped.stdout_fd = out_write;
        piped.stderr_fd = err_write;
        if (child_start(&piped, ret_pid, err) < 0)
                return -1;
        *ret_out = TAKE_FD(out_read);
        *ret_err = TAKE_FD(err_read);
        return 0;
}

void child_kill(pid_t pid)
{
        kill(pid, CHILD_GUARD_KILL);
}

int child_wait(pid_t pid, int *ret_status, Error *err)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return error_errno(err, errno, "cannot wait for process %d", pid);
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return 0;
}

#define STDERR_KEPT ((size_t)16384) /* at least what one read brings */

/* Reads both pipes until they close; keeps the last bytes of standard error. -errno on failure, -EFBIG when `output` is full. */
static int drain(int out_fd, int err_fd, Buf *output, Buf *errors)
{
        struct pollfd polls[2] = { { .fd = out_fd, .events = POLLIN }, { .fd = err_fd, .events = POLLIN } };
        char data[16384];
        int result = 0;

        while (polls[0].fd >= 0 || polls[1].fd >= 0) {
                if (poll(polls, 2, -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return -errno;
                }
                for (int i = 0; i < 2; i++) {
                        ssize_t n;

                        if (polls[i].fd < 0 || !polls[i].revents)
                                continue;
                        n = read(polls[i].fd, data, sizeof(data));
                        if (n <= 0) {
                                polls[i].fd = -1;
                                continue;
                        }
                        if (i == 0 && output && result == 0) {
                                result = buf_add(output, data, (size_t)n);
                        } else if (i == 1) {
                                if (errors->size + (size_t)n > errors->max)
                                        buf_consume(errors, MIN(errors->size, errors->size + (size_t)n - errors->max));
                                buf_put(errors, data + ((size_t)n > errors->max ? (size_t)n - errors->max : 0), MIN((size_t)n, errors->max));
                        }
                }
        }
        return result;
}

int child_run(char *const *argv, Buf *output, Error *err)
{
        _cleanup_buf_ Buf errors = BUF_INIT(STDERR_KEPT);
        _cleanup_close_ int out_read = -1, err_read = -1;
        ChildSpec spec = CHILD_SPEC_INIT;
        int status, r;
        pid_t pid;

        spec.argv = argv;
        if (child_start_piped(&spec, &pid, &out_read, &err_read, err) < 0)
                return -1;
        r = drain(out_read, err_read, output, &errors);
        if (r < 0)
                kill(pid, SIGKILL);
        if (child_wait(pid, &status, err) < 0)
                return -1;
        if (r == -EFBIG)
                return error_set(err, ERROR_LIMIT, "'%s' printed more than %zu bytes", argv[0], output->max);
        if (r < 0)
                return error_errno(err, r, "cannot read the output of '%s'", argv[0]);
        if (status != 0) {
                _cleanup_free_ char *trimmed = str_trim(buf_str(&errors));
                const char *last = strrchr(trimmed, '\n');
                _cleanup_free_ char *text = str_printable(last ? last + 1 : trimmed, strlen(last ? last + 1 : trimmed));

                error_set(err, ERROR_EXIT, "'%s' ended with status %d%s%s", argv[0], status, *text ? ": " : "", text);
                err->status = status;
                return -1;
        }
        return 0;
}
