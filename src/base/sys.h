/*
 * The sys seam: every system call that changes state on disk goes through here, so that tests can make the n-th one fail or be the last
 * that the process makes.
 *
 * MICA_FAULT=<name|any>:<n>:<ERRNO|kill> in the environment arms it: the n-th (from 1) call of that name fails with that errno, or the process
 * kills itself with SIGKILL right before it (`kill`). With "<n>+" all later ones fail too, as on a full or broken disk. MICA_FAULT_COUNT=<file> writes how many
 * calls were made, as "<name> <count>" lines, at exit. Only in builds with -Dfault=true; otherwise these are the calls themselves.
 *
 * Beside system calls there are `erofs` and `overlay`: the moment when the kernel is asked to make that file system, so that a kernel that refuses can be
 * played.
 *
 * All return what the system call returns (-1 and errno), and retry on EINTR where that is safe.
 */
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#define SYS_CALLS(X) \
        X(open) \
        X(write) \
        X(fsync) \
        X(syncfs) \
        X(rename) \
        X(link) \
        X(symlink) \
        X(unlink) \
        X(mkdir) \
        X(mknod) \
        X(truncate) \
        X(chmod) \
        X(chown) \
        X(utimens) \
        X(setxattr) \
        X(mount) \
        X(erofs) \
        X(overlay) \
        X(rmcgroup) \
        X(spawn)

typedef enum SysCall {
#define X(name) SYS_CALL_##name,
        SYS_CALLS(X)
#undef X
                _SYS_CALL_MAX,
} SysCall;

#ifdef MICA_FAULT
/* Counts the call; returns 0 to go on, or -1 with errno set when this one must fail. Also called by seams that own other calls (SQLite's VFS). */
int sys_fault(SysCall call);
#else
static inline int sys_fault(SysCall call)
{
        (void)call;
        return 0;
}
#endif

int sys_openat(int dir_fd, const char *path, int flags, mode_t mode); /* always O_CLOEXEC; faults only when it may create */
ssize_t sys_write(int fd, const void *data, size_t size);
ssize_t sys_pwrite(int fd, const void *data, size_t size, off_t offset);
ssize_t sys_writev(int fd, const struct iovec *parts, size_t n_parts);                          /* counts as write */
ssize_t sys_copy_file_range(int in, off_t *in_offset, int out, off_t *out_offset, size_t size); /* counts as write */
int sys_clone_range(int in, int out, uint64_t size);                                            /* the first `size` bytes; counts as write */
int sys_fsync(int fd);
int sys_fdatasync(int fd); /* counts as fsync */
int sys_syncfs(int fd);
int sys_renameat(int old_dir, const char *old_path, int new_dir, const char *new_path);
int sys_renameat2(int old_dir, const char *old_path, int new_dir, const char *new_path, unsigned flags);
int sys_linkat(int old_dir, const char *old_path, int new_dir, const char *new_path, int flags);
int sys_symlinkat(const char *target, int dir_fd, const char *path);
int sys_unlinkat(int dir_fd, const char *path, int flags);
int sys_mkdirat(int dir_fd, const char *path, mode_t mode);
int sys_mknodat(int dir_fd, const char *path, mode_t mode, dev_t dev);
int sys_ftruncate(int fd, off_t size);
int sys_fchmodat(int dir_fd, const char *path, mode_t mode);
int sys_fchmod(int fd, mode_t mode);
int sys_fchownat(int dir_fd, const char *path, uid_t uid, gid_t gid, int flags);
int sys_utimensat(int dir_fd, const char *path, const struct timespec times[2], int flags);
