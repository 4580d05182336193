#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

int fd_fill_standard(void)
{
        for (int fd = 0; fd <= 2; fd++)
                /* The lowest that is free is taken, so it is this one. Without O_CLOEXEC: children need theirs as well */
                if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
                        return -errno;
        return 0;
}

int fd_write_all(int fd, const void *data, size_t size)
{
        const char *p = data;

        while (size > 0) {
                ssize_t n = sys_write(fd, p, size);

                if (n < 0)
                        return -errno;
                p += n;
                size -= (size_t)n;
        }
        return 0;
}

int fd_pwrite_all(int fd, const void *data, size_t size, uint64_t offset)
{
        const char *p = data;

        while (size > 0) {
                ssize_t n = sys_pwrite(fd, p, size, (off_t)offset);

                if (n < 0)
                        return -errno;
                p += n;
                offset += (uint64_t)n;
                size -= (size_t)n;
        }
        return 0;
}

ssize_t fd_read_full(int fd, void *data, size_t size)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, (char *)data + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

ssize_t fd_pread_full(int fd, void *data, size_t size, uint64_t offset)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

static int copy_by_hand(int in, uint64_t offset, int out, uint64_t size)
{
        size_t chunk = MIN(size, (uint64_t)256 * KIB);
        _cleanup_free_ char *data = xmalloc(chunk);

        while (size > 0) {
                ssize_t n = fd_pread_full(in, data, (size_t)MIN(size, (uint64_t)chunk), offset);
                int r;

                if (n < 0)
                        return (int)n;
                if (n == 0)
                        return -EIO;
                r = fd_write_all(out, data, (size_t)n);
                if (r < 0)
                        return r;
                offset += (uint64_t)n;
                size -= (uint64_t)n;
        }
        return 0;
}

int fd_copy(int in, uint64_t offset, int out, uint64_t size)
{
        off_t at = (off_t)offset;

        while (size > 0) {
                ssize_t n = sys_copy_file_range(in, &at, out, NULL, (size_t)MIN(size, (uint64_t)GIB));

                if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
                        return copy_by_hand(in, (uint64_t)at, out, size);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return copy_by_hand(in, (uint64_t)at, out, size); /* some file systems answer 0 for files made on the fly */
                size -= (uint64_t)n;
        }
        return 0;
}

int fd_read_to_buf(int fd, Buf *buf)
{
        for (;;) {
                size_t room = MIN((size_t)64 * KIB, buf->max - buf->size);
                char *to, probe;
                ssize_t n;

                if (room == 0) {
                        n = fd_read_full(fd, &probe, 1);
                        return n < 0 ? (int)n : n > 0 ? -EFBIG : 0;
                }
                to = buf_reserve(buf, room);
                if (!to)
                        return -ENOMEM;
                n = fd_read_full(fd, to, room);
                if (n < 0)
                        return (int)n;
                buf_commit(buf, (size_t)n);
                if ((size_t)n < room)
                        return 0;
        }
}

int file_read(int dir_fd, const char *path, Buf *buf)
{
        _cleanup_close_ int fd = sys_openat(dir_fd, path, O_RDONLY | O_NOCTTY, 0);

        if (fd < 0)
                return -errno;
        return fd_read_to_buf(fd, buf);
}

int file_write_atomic(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, bool durable)
{
        static unsigned counter;
        _cleanup_free_ char *temporary = xasprintf("%s.tmp-%d-%u", path, getpid(), __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
        _cleanup_close_ int fd = sys_openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, data, size);
        if (r == 0 && durable && sys_fsync(fd) < 0)
                r = -errno;
        if (r == 0 && sys_renameat(dir_fd, temporary, dir_fd, path) < 0)
                r = -errno;
        if (r < 0) {
                unlinkat(dir_fd, temporary, 0);
                return r;
        }
        if (durable) {
                char *slash = strrchr(temporary, '/');

                if (slash)
                        *slash = '\0';
                return dir_sync(dir_fd, slash ? temporary : ".");
        }
        return 0;
}

int dir_make(int dir_fd, const char *path, mode_t mode)
{
        _cleanup_free_ char *copy = xstrdup(path);

        for (char *p = copy + (*copy == '/'); *p; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                if (sys_mkdirat(dir_fd, copy, mode) < 0 && errno != EEXIST)
                        return -errno;
                *p = '/';
        }
        if (sys_mkdirat(dir_fd, copy, mode) < 0 && errno != EEXIST)
                return -errno;
        return 0;
}

bool dir_is_empty(int dir_fd, const char *path)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!dir)
                return false;
        TAKE_FD(fd);
        do
                entry = readdir(dir);
        while (entry && (streq(entry->d_name, ".") || streq(entry->d_name, "..")));
        closedir(dir);
        return !entry;
}

/*
 * Empties the directory `fd` (which is consumed). Depth costs one descriptor and one stack frame a level; a tree deeper than the limit is
 * flattened by renaming the deep directory to the top first, so hostile depth cannot exhaust either.
 */
#define REMOVE_DEPTH_MAX 200

typedef struct Removal {
        int top_fd;
        dev_t device;
        TreeTake take;
        void *user;
} Removal;

static int remove_content(const Removal *removal, int fd, unsigned depth)
{
        static unsigned counter;
        DIR *dir = fdopendir(fd);
        struct dirent *entry;
        int first = 0;

        if (!dir) {
                first = -errno;
                close(fd);
                return first;
        }
        while ((entry = readdir(dir))) {
                struct stat st;
                int child, r;

                if (entry->d_name[0] == '.' && (!entry->d_name[1] || (entry->d_name[1] == '.' && !entry->d_name[2])))
                        continue;
                if (entry->d_type != DT_DIR && sys_unlinkat(dirfd(dir), entry->d_name, 0) == 0)
                        continue;
                if (entry->d_type != DT_DIR && errno != EISDIR && errno != EPERM) {
                        first = first ? first : -errno;
                        continue;
                }
                if (depth >= REMOVE_DEPTH_MAX) {
                        char name[64];

                        snprintf(name, sizeof(name), ".mica-deep-%d-%u", getpid(), __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
                        if (sys_renameat(dirfd(dir), entry->d_name, removal->top_fd, name) < 0)
                                first = first ? first : -errno;
                        else
                                first = first ? first : -EAGAIN;
                        continue;
                }
                child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (child < 0) {
                        first = first ? first : -errno;
                        continue;
                }
                if (fstat(child, &st) < 0 || st.st_dev != removal->device) {
                        close(child);
                        first = first ? first : -EXDEV;
                        continue;
                }
                if (removal->take && removal->take(removal->user, dirfd(dir), entry->d_name)) {
                        close(child);
                        continue;
                }
                r = remove_content(removal, child, depth + 1);
                if (r < 0)
                        first = first ? first : r;
                if (sys_unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0)
                        first = first ? first : -errno;
        }
        closedir(dir);
        return first;
}

int tree_remove(int dir_fd, const char *path)
{
        return tree_remove_shared(dir_fd, path, NULL, NULL);
}

int tree_remove_shared(int dir_fd, const char *path, TreeTake take, void *user)
{
        for (;;) {
                _cleanup_close_ int top = -1;
                struct stat st;
                int fd, r;

                if (sys_unlinkat(dir_fd, path, 0) == 0 || errno == ENOENT)
                        return 0;
                if (errno != EISDIR && errno != EPERM)
                        return -errno;
                top = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (top < 0)
                        return errno == ENOENT ? 0 : -errno;
                if (fstat(top, &st) < 0)
                        return -errno;
                fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
                r = remove_content(&(Removal){ .top_fd = top, .device = st.st_dev, .take = take, .user = user }, fd, 0);
                if (r == -EAGAIN)
                        continue; /* deep parts were moved up: once more */
                if (sys_unlinkat(dir_fd, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
                        return r < 0 ? r : -errno;
                return 0;
        }
}

int dir_sync(int dir_fd, const char *path)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return sys_fsync(fd) < 0 ? -errno : 0;
}

int fd_memory(const char *name, const void *data, size_t size)
{
        _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
        int r;

        if (fd < 0)
                return -errno;
        r = fd_pwrite_all(fd, data, size, 0);
        if (r < 0)
                return r;
        return TAKE_FD(fd);
}

void fd_close_others(unsigned from, const int *keep, size_t n_keep)
{
        for (;;) {
                unsigned next = ~0u; /* the lowest one that stays */

                for (size_t i = 0; i < n_keep; i++)
                        if (keep[i] >= 0 && (unsigned)keep[i] >= from)
                                next = MIN(next, (unsigned)keep[i]);
                if (next > from)
                        close_range(from, next == ~0u ? ~0u : next - 1, 0);
                if (next == ~0u)
                        return;
                from = next + 1;
        }
}

char *fd_proc_path(int fd, char *buffer)
{
        snprintf(buffer, FD_PROC_PATH_SIZE, "/proc/self/fd/%d", fd);
        return buffer;
}

char *fd_path(int fd)
{
        char link[FD_PROC_PATH_SIZE], target[4097];
        ssize_t n = readlink(fd_proc_path(fd, link), target, sizeof(target) - 1);

        return n < 0 ? NULL : xstrndup(target, (size_t)n);
}
