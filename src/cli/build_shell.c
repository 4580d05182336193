#include "cli/build_shell.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/attach.h"

#define RESIZE_MS 100 /* how often the size of the window is compared */

/* Copies between the user's terminal and the shell's, in a thread beside the build. */
typedef struct Relay {
        pthread_t thread;
        bool has_thread;
        atomic_bool ended;
        int master, out_fd;
} Relay;

static void follow_size(int master, struct winsize *last)
{
        struct winsize size;

        if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || memcmp(&size, last, sizeof(size)) == 0)
                return;
        *last = size;
        ioctl(master, TIOCSWINSZ, &size);
}

/* False at the end of the source. */
static bool copy(int from, int to)
{
        char data[16384];
        ssize_t n = read(from, data, sizeof(data));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
        return n > 0 && fd_write_all(to, data, (size_t)n) == 0;
}

static void *relay_main(void *data)
{
        Relay *relay = data;
        struct winsize size = { 0 };
        bool typing = true;

        for (;;) {
                struct pollfd polls[2] = { { .fd = relay->master, .events = POLLIN }, { .fd = typing ? STDIN_FILENO : -1, .events = POLLIN } };

                follow_size(relay->master, &size);
                if (poll(polls, 2, RESIZE_MS) < 0 && errno != EINTR)
                        break;
                if (polls[0].revents && !copy(relay->master, relay->out_fd))
                        break;
                if (!polls[0].revents && atomic_load(&relay->ended))
                        break;
                if (polls[1].revents)
                        typing = copy(STDIN_FILENO, relay->master);
        }
        return NULL;
}

static void take_terminal(void *user, int fd)
{
        Relay *relay = user;
        sigset_t all, old;

        relay->master = fd;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &old);
        relay->has_thread = pthread_create(&relay->thread, NULL, relay_main, relay) == 0;
        pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static int run_on_terminal(const BuildShell *shell, Error *err)
{
        Relay relay = { .master = -1, .out_fd = isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO };
        RunIo io = RUN_IO_INIT;
        TerminalMode *mode = terminal_mode_enter(STDIN_FILENO);
        const char *term = getenv("TERM");
        int r;

        io.terminal = take_terminal;
        io.terminal_user = &relay;
        r = shell->run(shell->data, &io, term ? term : "", err);
        atomic_store(&relay.ended, true);
        if (relay.has_thread)
                pthread_join(relay.thread, NULL);
        closep(&relay.master);
        terminal_mode_leave(mode);
        return r;
}

static int run_on_pipes(const BuildShell *shell, Error *err)
{
        RunIo io = RUN_IO_INIT;

        io.stdin_fd = STDIN_FILENO;
        io.stdout_fd = STDOUT_FILENO;
        io.stderr_fd = STDERR_FILENO;
        return shell->run(shell->data, &io, NULL, err);
}

int build_shell_open(BuildProgress *progress, const BuildShell *shell, Error *err)
{
        _cleanup_free_ char *title = str_printable(shell->title, strlen(shell->title));
        bool terminal = isatty(STDIN_FILENO) && (isatty(STDOUT_FILENO) || isatty(STDERR_FILENO));
        size_t line = shell->failure ? strcspn(shell->failure, "\n") : 0;
        int r;

        build_progress_suspend(progress, true);
        if (shell->failure)
                fprintf(stderr, "\n--- shell after the failure of %s\n    %.*s\n", title, (int)line, shell->failure);
        else
                fprintf(stderr, "\n--- shell before %s\n", title);
        fprintf(stderr, "    %s%s; %s; nothing done here stays\n", shell->program, shell->lent ? " (lent by this machine: the image has none)" : "",
                shell->failure ? "'exit' ends the build" : "'exit' goes on with the build");
        fflush(stderr);
        r = terminal ? run_on_terminal(shell, err) : run_on_pipes(shell, err);
        fprintf(stderr, "--- end of the shell\n");
        build_progress_suspend(progress, false);
        /* A shell that could not be found in the image, as much as one that ended with some status, is no reason to end the build. */
        if (r < 0 && err->code == ERROR_EXIT) {
                fprintf(stderr, "    %s\n", error_message(err));
                error_done(err);
                return 0;
        }
        return r;
}
