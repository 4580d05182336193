/*
 * Reading, writing and copying whole things through file descriptors, and files that appear atomically.
 *
 * Functions take a directory descriptor and a relative path (AT_FDCWD works). All descriptors are O_CLOEXEC.
 * base/ returns negative errno; the callers above turn it into an Error with the name of the thing.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/macros.h"

/*
 * Opens /dev/null for each of the descriptors 0, 1 and 2 that is closed, so that no file that is opened later is taken for a standard stream: what is printed
 * would land in it, be it the database. First thing in main. 0 or -errno.
 */
int fd_fill_standard(void);

int fd_write_all(int fd, const void *data, size_t size);                   /* 0 or -errno */
int fd_pwrite_all(int fd, const void *data, size_t size, uint64_t offset); /* 0 or -errno */
ssize_t fd_read_full(int fd, void *data, size_t size);                     /* bytes read, less than `size` only at the end; or -errno */
ssize_t fd_pread_full(int fd, void *data, size_t size, uint64_t offset);

/* Copies `size` bytes from `in` at *offset to the current position of `out`, in the kernel where possible. 0; -EIO when `in` is shorter; -errno. */
int fd_copy(int in, uint64_t offset, int out, uint64_t size);

/* Appends everything that is left in `fd` to `buf`. 0, -EFBIG beyond the buffer's maximum, -errno. */
int fd_read_to_buf(int fd, Buf *buf);

/* Appends a whole file. 0, -EFBIG, -errno. */
int file_read(int dir_fd, const char *path, Buf *buf);

/*
 * Writes a file so that after a crash either the old content or all of the new one is there: temporary name beside it, fsync, rename, and
 * with `durable` an fsync of the directory. 0 or -errno.
 */
int file_write_atomic(int dir_fd, const char *path, const void *data, size_t size, mode_t mode, bool durable);

/* mkdir -p below `dir_fd`; existing directories are fine. 0 or -errno. */
int dir_make(int dir_fd, const char *path, mode_t mode);

/* Whether a directory holds nothing. False when it cannot be read. */
bool dir_is_empty(int dir_fd, const char *path);

/*
 * Removes a tree, never following symlinks and never crossing into another file system. Missing is fine. 0, or the first -errno (it goes on past failures).
 */
int tree_remove(int dir_fd, const char *path);

/* The same with help: a directory for which `take` returns true has been moved out of the tree by it, and is somebody else's to remove. */
typedef bool (*TreeTake)(void *user, int dir_fd, const char *name);
int tree_remove_shared(int dir_fd, const char *path, TreeTake take, void *user);

/* fsync of a directory by descriptor and path ("." for itself). 0 or -errno. */
int dir_sync(int dir_fd, const char *path);

/* An anonymous file in memory, rewound, holding `size` bytes. The descriptor, or -errno. */
int fd_memory(const char *name, const void *data, size_t size);

/* The path that a descriptor has now, through /proc/self/fd. New string, or NULL with errno. */
char *fd_path(int fd);

/*
 * Closes every descriptor from `from` on but those in `keep`, in any order; negative ones there count for nothing. Best effort, and system calls only: it is
 * fine in a child that was forked beside other threads.
 */
void fd_close_others(unsigned from, const int *keep, size_t n_keep);

/* "/proc/self/fd/N" in a buffer of at least FD_PROC_PATH_SIZE bytes; returns the buffer. */
#define FD_PROC_PATH_SIZE 32
char *fd_proc_path(int fd, char *buffer);
