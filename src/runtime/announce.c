/*
 * Moving a process into a cgroup by cgroup.procs stops all forks of the machine for a moment, and before the kernel may do that it waits for a grace period of
 * RCU: 7 to 12 ms on the reference machine, nearly half of what starting a small container takes. For some milliseconds after one such move the next ones need
 * not wait (kernel/rcu/sync.c). So a command that will start a container makes a move that changes nothing, this process into the cgroup where it already
 * is, while it still reads its database and mounts the root; the runtime's move then finds the way prepared.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "runtime/cgroup.h"
#include "runtime/runtime.h"

/* The preparation lasts about as long as the wait; moves in a row cover the time that a loaded machine needs to get to the runtime. */
#define MOVES 10
#define PAUSE_NS 4000000

/* cgroup.procs of this process's cgroup, in the first hierarchy where it can be written, or -1. Lines of /proc/self/cgroup: "4:memory:/path" (cgroups(7)). */
static int open_own_procs(void)
{
        _cleanup_buf_ Buf text = BUF_INIT(64 * KIB);
        char *line, *rest;

        if (file_read(AT_FDCWD, "/proc/self/cgroup", &text) < 0 || !text.data)
                return -1;
        for (line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
                _cleanup_free_ char *file = NULL;
                int fd;

                if (!path)
                        continue;
                *path++ = '\0';
                controllers++;
                if (str_starts(controllers, "name="))
                        controllers += 5;
                file = xasprintf(CGROUP_ROOT "/%s%s/cgroup.procs", controllers, path);
                fd = open(file, O_WRONLY | O_CLOEXEC);
                if (fd >= 0)
                        return fd;
        }
        return -1;
}

static void *move(void *user)
{
        const struct timespec pause = { .tv_nsec = PAUSE_NS };
        int fd = open_own_procs();

        for (int i = 0; fd >= 0 && i < MOVES; i++) {
                if (pwrite(fd, "0", 1, 0) < 0)
                        break;
                nanosleep(&pause, NULL);
        }
        if (fd >= 0)
                close(fd);
        return NULL;
}

void runtime_announce_start(void)
{
        sigset_t all, old;
        pthread_attr_t attributes;
        pthread_t thread;

        if (geteuid() != 0 || pthread_attr_init(&attributes) != 0)
                return;
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);               /* signals are for those who handle them */
        (void)pthread_create(&thread, &attributes, move, NULL); /* without it the start takes longer, nothing else */
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        pthread_attr_destroy(&attributes);
}
