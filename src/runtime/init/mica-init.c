/*
 * The first process of a container with --init: starts the program, passes signals on to it, and reaps whatever is orphaned. Static, so that it runs in any
 * root.
 *
 *   mica-init -- PROGRAM [ARGUMENT…]
 *
 * Ends with the program's exit status, or 128+n when signal n ended it; 127 or 126 when it cannot be executed.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **argv, const sigset_t *old)
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        setpgid(0, 0);
        if (isatty(0)) { /* the terminal's keys act on the program, not on us */
                signal(SIGTTOU, SIG_IGN);
                tcsetpgrp(0, getpid());
                signal(SIGTTOU, SIG_DFL);
        }
        sigprocmask(SIG_SETMASK, old, NULL);
        execvp(argv[0], argv);
        dprintf(2, "exec: \"%s\": %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
}

/* Reaps all that has ended; -1 while the program runs, else the status to end with. */
static int reap(pid_t program)
{
        int result = -1, status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == program)
                        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return result;
}

int main(int argc, char **argv)
{
        sigset_t all, old;
        pid_t program;

        if (argc < 3 || strcmp(argv[1], "--") != 0) {
                dprintf(2, "usage: mica-init -- PROGRAM [ARGUMENT...]\n");
                return 125;
        }
        sigfillset(&all);
        sigdelset(&all, SIGSEGV);
        sigdelset(&all, SIGBUS);
        sigdelset(&all, SIGFPE);
        sigdelset(&all, SIGILL);
        sigprocmask(SIG_SETMASK, &all, &old);
        program = start(argv + 2, &old);
        if (program < 0) {
                dprintf(2, "mica-init: cannot fork: %s\n", strerror(errno));
                return 126;
        }
        for (;;) {
                int number = sigwaitinfo(&all, NULL), status;

                if (number < 0)
                        continue;
                if (number == SIGCHLD) {
                        status = reap(program);
                        if (status >= 0)
                                return status;
                } else if (number != SIGTTIN && number != SIGTTOU) {
                        kill(program, number);
                }
        }
}
