#include "fs/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "base/sys.h"

#define PREFIX ".mica-"
#define SUFFIX ".tmp"
#define MARK_DIGITS 8

/* Tells this process from one that had its number before, as happens at once where processes are numbered from 1. */
static char mark[MARK_DIGITS + 1];

static void draw_mark(void)
{
        unsigned number;

        if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number)) {
                struct timespec now;

                clock_gettime(CLOCK_REALTIME, &now); /* early after the start of a machine: another time will do */
                number = (unsigned)now.tv_sec ^ (unsigned)now.tv_nsec << 2;
        }
        snprintf(mark, sizeof(mark), "%08x", number);
}

static const char *own_mark(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        pthread_once(&once, draw_mark);
        return mark;
}

const char *place_temporary(char *buffer)
{
        static unsigned counter;

        snprintf(buffer, PLACE_NAME_SIZE, PREFIX "%ld-%s-%u" SUFFIX, (long)getpid(), own_mark(), __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
        return buffer;
}

/* Whether it is a temporary name, and of nobody who is still there. */
static bool is_left_behind(const char *name)
{
        const char *digits = "0123456789", *at = str_starts(name, PREFIX) ? name + strlen(PREFIX) : "";
        size_t n = strspn(at, digits);
        long pid = n > 0 && n < 10 ? strtol(at, NULL, 10) : 0;

        if (pid <= 0 || at[n] != '-' || strspn(at + n + 1, "0123456789abcdef") != MARK_DIGITS || at[n + 1 + MARK_DIGITS] != '-')
                return false;
        name = at + n + 1;
        at = name + MARK_DIGITS + 1;
        if (strspn(at, digits) == 0 || !streq(at + strspn(at, digits), SUFFIX))
                return false;
        if (pid == (long)getpid())
                return !str_starts(name, own_mark());
        return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

void place_sweep(int dir_fd)
{
        int copied = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copied >= 0 ? fdopendir(copied) : NULL;
        struct dirent *entry;

        if (!dir) {
                if (copied >= 0)
                        close(copied);
                return;
        }
        while ((entry = readdir(dir)))
                if (is_left_behind(entry->d_name))
                        (void)sys_unlinkat(dir_fd, entry->d_name, 0);
        closedir(dir);
}

int place_open(int dir_fd, const char *temporary, bool *ret_named, const char *path, Error *err)
{
        int fd = sys_openat(dir_fd, ".", O_TMPFILE | O_WRONLY, 0600);

        *ret_named = fd < 0;
        if (fd < 0)
                fd = sys_openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        return fd < 0 ? error_errno(err, errno, "cannot write '%s'", path) : fd;
}

int place_file(int fd, int dir_fd, const char *temporary, bool named, const char *name, PlaceOver over, const char *path, Error *err)
{
        char proc[FD_PROC_PATH_SIZE];

        if (!named && sys_linkat(AT_FDCWD, fd_proc_path(fd, proc), dir_fd, name, AT_SYMLINK_FOLLOW) == 0)
                return 0;
        if (!named && sys_linkat(AT_FDCWD, proc, dir_fd, temporary, AT_SYMLINK_FOLLOW) < 0)
                return error_errno(err, errno, "cannot write '%s'", path);
        return place_rename(dir_fd, temporary, name, over, path, err);
}

int place_rename(int dir_fd, const char *temporary, const char *name, PlaceOver over, const char *path, Error *err)
{
        int r;

        if (sys_renameat(dir_fd, temporary, dir_fd, name) == 0)
                goto done;
        if (over == PLACE_OVER_TREES && (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR)) {
                r = tree_remove(dir_fd, name);
                if (r < 0) {
                        (void)sys_unlinkat(dir_fd, temporary, 0);
                        return error_errno(err, r, "cannot replace the directory '%s'", path);
                }
                if (sys_renameat(dir_fd, temporary, dir_fd, name) == 0)
                        goto done;
        }
        error_errno(err, errno, "cannot write '%s'", path);
        (void)sys_unlinkat(dir_fd, temporary, 0);
        return -1;
done:
        /* Renaming one name of a file over another name of it does nothing. */
        (void)sys_unlinkat(dir_fd, temporary, 0);
        return 0;
}
