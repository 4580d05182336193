#include "base/sys.h"

#include <errno.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

#ifdef MICA_FAULT
static const char *const call_names[] = {
#define X(name) [SYS_CALL_##name] = #name,
        SYS_CALLS(X)
#undef X
};

static unsigned long counts[_SYS_CALL_MAX], total;
static int armed_call = -1; /* _SYS_CALL_MAX means any */
static unsigned long armed_at;
static bool armed_for_good; /* and every later call too */
static int armed_errno;     /* 0: kill */

static void write_counts(void)
{
        const char *path = getenv("MICA_FAULT_COUNT");
        FILE *file = path ? fopen(path, "we") : NULL;

        if (!file)
                return;
        fprintf(file, "any %lu\n", total);
        for (int i = 0; i < _SYS_CALL_MAX; i++)
                fprintf(file, "%s %lu\n", call_names[i], counts[i]);
        fclose(file);
}

static int errno_by_name(const char *name)
{
        for (int i = 1; i < 134; i++) {
                const char *known = strerrorname_np(i);

                if (known && streq(known, name))
                        return i;
        }
        return EIO;
}

__attribute__((constructor)) static void arm(void)
{
        const char *spec = getenv("MICA_FAULT");
        char name[16], plus[2] = "", what[16];

        if (getenv("MICA_FAULT_COUNT"))
                atexit(write_counts);
        if (!spec || (sscanf(spec, "%15[a-z]:%lu:%15[a-zA-Z0-9]", name, &armed_at, what) != 3 &&
                      sscanf(spec, "%15[a-z]:%lu%1[+]:%15[a-zA-Z0-9]", name, &armed_at, plus, what) != 4))
                return;
        armed_for_good = *plus;
        armed_errno = streq(what, "kill") ? 0 : errno_by_name(what);
        if (streq(name, "any"))
                armed_call = _SYS_CALL_MAX;
        for (int i = 0; i < _SYS_CALL_MAX; i++)
                if (streq(name, call_names[i]))
                        armed_call = i;
}

int sys_fault(SysCall call)
{
        unsigned long all = __atomic_add_fetch(&total, 1, __ATOMIC_RELAXED);
        unsigned long own = __atomic_add_fetch(&counts[call], 1, __ATOMIC_RELAXED), n;

        if (armed_call < 0 || (armed_call != _SYS_CALL_MAX && armed_call != (int)call))
                return 0;
        n = armed_call == _SYS_CALL_MAX ? all : own;
        if (armed_for_good ? n < armed_at : n != armed_at)
                return 0;
        if (armed_errno == 0)
                raise(SIGKILL);
        errno = armed_errno;
        return -1;
}
#endif

#define FAULT(name) \
        do { \
                if (sys_fault(SYS_CALL_##name) < 0) \
                        return -1; \
        } while (0)

#define RETRY(call) \
        ({ \
                typeof(call) r_; \
                do \
                        r_ = (call); \
                while (r_ < 0 && errno == EINTR); \
                r_; \
        })

int sys_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
        if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
                FAULT(open);
        return RETRY(openat(dir_fd, path, flags | O_CLOEXEC, mode));
}

ssize_t sys_write(int fd, const void *data, size_t size)
{
        FAULT(write);
        return RETRY(write(fd, data, size));
}

ssize_t sys_pwrite(int fd, const void *data, size_t size, off_t offset)
{
        FAULT(write);
        return RETRY(pwrite(fd, data, size, offset));
}

ssize_t sys_writev(int fd, const struct iovec *parts, size_t n_parts)
{
        FAULT(write);
        return RETRY(writev(fd, parts, (int)n_parts));
}

ssize_t sys_copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t size)
{
        FAULT(write);
        return RETRY(copy_file_range(in, in_offset, out, out_offset, size, 0));
}

int sys_clone_range(int in, int out, uint64_t size)
{
        struct file_clone_range range = { .src_fd = in, .src_length = size };

        FAULT(write);
        return RETRY(ioctl(out, FICLONERANGE, &range));
}

int sys_fsync(int fd)
{
        FAULT(fsync);
        return RETRY(fsync(fd));
}

int sys_fdatasync(int fd)
{
        FAULT(fsync);
        return RETRY(fdatasync(fd));
}

int sys_syncfs(int fd)
{
        FAULT(syncfs);
        return RETRY(syncfs(fd));
}

int sys_renameat(int old_dir, const char *old_path, int new_dir, const char *new_path)
{
        FAULT(rename);
        return renameat(old_dir, old_path, new_dir, new_path);
}

int sys_renameat2(int old_dir, const char *old_path, int new_dir, const char *new_path, unsigned flags)
{
        FAULT(rename);
        return renameat2(old_dir, old_path, new_dir, new_path, flags);
}

int sys_linkat(int old_dir, const char *old_path, int new_dir, const char *new_path, int flags)
{
        FAULT(link);
        return linkat(old_dir, old_path, new_dir, new_path, flags);
}

int sys_symlinkat(const char *target, int dir_fd, const char *path)
{
        FAULT(symlink);
        return symlinkat(target, dir_fd, path);
}

int sys_unlinkat(int dir_fd, const char *path, int flags)
{
        FAULT(unlink);
        return unlinkat(dir_fd, path, flags);
}

int sys_mkdirat(int dir_fd, const char *path, mode_t mode)
{
        FAULT(mkdir);
        return mkdirat(dir_fd, path, mode);
}

int sys_mknodat(int dir_fd, const char *path, mode_t mode, dev_t dev)
{
        FAULT(mknod);
        return mknodat(dir_fd, path, mode, dev);
}

int sys_ftruncate(int fd, off_t size)
{
        FAULT(truncate);
        return RETRY(ftruncate(fd, size));
}

int sys_fchmodat(int dir_fd, const char *path, mode_t mode)
{
        FAULT(chmod);
        return fchmodat(dir_fd, path, mode, 0);
}

int sys_fchmod(int fd, mode_t mode)
{
        FAULT(chmod);
        return fchmod(fd, mode);
}

int sys_fchownat(int dir_fd, const char *path, uid_t uid, gid_t gid, int flags)
{
        FAULT(chown);
        return fchownat(dir_fd, path, uid, gid, flags);
}

int sys_utimensat(int dir_fd, const char *path, const struct timespec times[2], int flags)
{
        FAULT(utimens);
        return utimensat(dir_fd, path, times, flags);
}
