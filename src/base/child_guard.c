#include "base/child_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"

/* Kills the children there are now. False when /proc does not say who they are. */
static bool kill_children(void)
{
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        char data[4096];
        pid_t pid = 0;
        ssize_t n;

        if (fd < 0)
                return false;
        while ((n = read(fd, data, sizeof(data))) > 0)
                for (ssize_t i = 0; i < n; i++) {
                        if (data[i] >= '0' && data[i] <= '9') {
                                pid = pid * 10 + (data[i] - '0');
                                continue;
                        }
                        if (pid > 0)
                                kill(pid, SIGKILL);
                        pid = 0;
                }
        close(fd);
        return n == 0;
}

/* Whoever is killed leaves its own children to us, the subreaper: until nobody is left. */
static _noreturn_ void kill_all(void)
{
        do {
                if (!kill_children())
                        kill(0, SIGKILL); /* us, too */
        } while (waitpid(-1, NULL, 0) > 0 || errno == EINTR);
        _exit(137);
}

static _noreturn_ void guard(pid_t parent, pid_t program)
{
        sigset_t awaited;
        int number = 0;

        prctl(PR_SET_NAME, "mica-guard");
        syscall(SYS_close_range, 0, ~0u, 0); /* the other ends of its pipes are to see its end */
        if (chdir("/") < 0)
                kill_all();
        sigemptyset(&awaited);
        sigaddset(&awaited, SIGCHLD);
        sigaddset(&awaited, SIGHUP);
        sigaddset(&awaited, CHILD_GUARD_KILL);
        for (;;) {
                int status;
                pid_t pid;

                if (number == CHILD_GUARD_KILL || getppid() != parent)
                        kill_all();
                while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                        if (pid == program)
                                _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
                number = sigwaitinfo(&awaited, NULL); /* SIGHUP also comes when the thread ends that started us, and the process goes on */
        }
}

void child_guard(pid_t parent)
{
        pid_t self = getpid(), program;
        sigset_t all;

        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGHUP) < 0)
                _exit(126);
        program = fork();
        if (program < 0)
                _exit(126);
        if (program > 0)
                guard(parent, program);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
                _exit(137);
}
