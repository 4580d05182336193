/*
 * The warden (once.h): what runs between the fork from a process that may have threads and the end of the container, system calls only; and its start.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/once.h"

static _noreturn_ void tell_and_exit(int fd, ReportKind kind, int value)
{
        Report report = { .kind = (int32_t)kind, .value = value };
        ssize_t n = write(fd, &report, sizeof(report));

        _exit(n == (ssize_t)sizeof(report) ? 0 : 1);
}

static pid_t read_pid(const char *path)
{
        char text[32];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        pid_t pid = 0;

        if (fd >= 0)
                close(fd);
        for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
                pid = pid * 10 + (text[i] - '0');
        return pid;
}

static _noreturn_ void exec_runtime(const Once *once, char *const *argv)
{
        struct sigaction default_action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                sigaction(i, &default_action, NULL);
        if (dup2(once->in, 0) < 0 || dup2(once->out, 1) < 0 || dup2(once->errors, 2) < 0)
                _exit(255);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        runtime_program_exec(once->runtime, argv);
        _exit(NO_RUNTIME_STATUS);
}

static int ready_namespace(const Once *once)
{
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return -errno;
        if (mount("tmpfs", once->bundle, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
                return -errno;
        if (once->runtime->driver->needs_unified_hidden)
                return cgroup_hide_unified();
        return 0;
}

static int write_config(const Once *once)
{
        int fd = open(once->config_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, once->config.data, once->config.size);
        close(fd);
        return r;
}

/*
 * Steps run side by side, and a fork takes along whatever the other threads have open, such as the write end of another step's output, which then would not end
 * before this one does.
 */
static void close_others(const Once *once, int life_fd)
{
        const int wanted[] = { 0, 1, 2, once->in, once->out, once->errors, once->report[1], once->dir_fd, life_fd };

        fd_close_others(0, wanted, ARRAY_LEN(wanted));
}

static _noreturn_ void warden_main(const Once *once, char *const *argv, int life_fd)
{
        struct pollfd life = { .fd = life_fd, .events = POLLIN };
        Report started = { .kind = REPORT_STARTED };
        int report = once->report[1], status, r;
        pid_t runtime, process, pid;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (poll(&life, 1, 0) != 0) /* the caller died before we asked for the signal */
                _exit(1);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        close_others(once, life_fd);
        r = ready_namespace(once);
        if (r >= 0)
                r = write_config(once);
        if (r < 0)
                tell_and_exit(report, REPORT_FAILED, -r);
        if (once->pid_namespace && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                tell_and_exit(report, REPORT_NO_PROC, errno);
        runtime = vfork();
        if (runtime == 0)
                exec_runtime(once, argv);
        if (runtime < 0)
                tell_and_exit(report, REPORT_FAILED, errno);
        while ((pid = waitpid(runtime, &status, 0)) < 0 && errno == EINTR)
                ;
        if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                tell_and_exit(report, REPORT_REFUSED, WIFEXITED(status) ? WEXITSTATUS(status) : 255);
        process = read_pid(once->pid_path);
        if (process <= 0)
                tell_and_exit(report, REPORT_FAILED, ESRCH);
        if (write(report, &started, sizeof(started)) != (ssize_t)sizeof(started))
                _exit(1);
        /* The output ends when nobody holds it any more */
        close(once->in);
        close(once->out);
        close(once->errors);
        for (;;) {
                pid = wait(&status);
                if (pid == process)
                        tell_and_exit(report, REPORT_ENDED, status);
                if (pid < 0 && errno != EINTR)
                        tell_and_exit(report, REPORT_FAILED, errno);
        }
}

/* --- its start, in the caller --- */

/* For whoever sweeps after us. */
static void write_warden(const Once *once)
{
        _cleanup_close_ int fd = openat(once->dir_fd, "warden", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        _cleanup_free_ char *text = xasprintf("%d", once->warden);

        if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
                log_debug("cannot write '%s/warden': %s", once->dir, strerror(errno));
}

int once_start_warden(Once *once, Error *err)
{
        char *const *argv = strlist_argv(&once->argv);
        int life[2], pipe_fds[2];
        sigset_t all, old;
        long pid;

        closep(&once->report[0]);
        closep(&once->report[1]);
        once->report[0] = once->report[1] = -1;
        if (sys_fault(SYS_CALL_spawn) < 0)
                return error_errno(err, errno, "cannot start '%s'", once->runtime->program);
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        once->report[0] = pipe_fds[0];
        once->report[1] = pipe_fds[1];
        if (pipe2(life, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pid = syscall(SYS_clone, CLONE_NEWNS | (once->pid_namespace ? CLONE_NEWPID : 0) | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
                close(life[1]);
                close(once->report[0]);
                warden_main(once, argv, life[0]);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        close(life[0]);
        if (pid < 0) {
                close(life[1]);
                return error_errno(err, errno, "cannot make namespaces to run '%s' in", once->runtime->program);
        }
        /* life[1] has done its work once the warden has asked for its signal; the first report proves that */
        close(TAKE_FD(once->report[1]));
        once->warden = (pid_t)pid;
        write_warden(once);
        return life[1];
}
