/*
 * Paths inside a root directory that somebody else filled: an image, a container, a build context.
 *
 * Every function takes the descriptor of the root and a path in it. Leading slashes, "." and empty components mean nothing; ".." stops at the root; an
 * absolute symbolic link starts again at the root. Nothing outside of the root is ever reached, whatever symbolic links are there.
 * With openat2(RESOLVE_IN_ROOT) the kernel does the walk; without it we do, opening one component at a time without following links.
 *
 * Errors of all: NOT_FOUND, DENIED, INVALID (not a directory, too many symbolic links), LIMIT (name too long), IO. Messages name the in-root path.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/error.h"

/* open(2) in the root; always O_CLOEXEC. With O_NOFOLLOW only the last component is not followed. Returns the descriptor, or -1. */
int inroot_open(int root_fd, const char *path, int flags, mode_t mode, Error *err);

/* The same for callers that branch on errno: the descriptor, or -errno. */
int inroot_try_open(int root_fd, const char *path, int flags, mode_t mode);

/* The same without openat2: what inroot_try_open() falls back to. Here for its tests. */
int inroot_walk_open(int root_fd, const char *path, int flags, mode_t mode);

/* stat(2), or lstat(2) when `follow` is false. */
int inroot_stat(int root_fd, const char *path, bool follow, struct stat *ret, Error *err);

/*
 * The directory that holds the last component, as an O_PATH descriptor (-1 on error), and that component in *ret_name (new string; never "." or ".."; "" for
 * the root itself, whose descriptor is then the root again). Symbolic links of the directory part are followed, the last component is not looked at.
 */
int inroot_open_parent(int root_fd, const char *path, char **ret_name, Error *err);

/*
 * The canonical path: no symbolic links, no ".", "..", no leading or trailing slash; "" is the root. What does not exist yet is kept as written behind the part
 * that does. With `follow_last` false a symbolic link in the last place stays. New string in *ret.
 */
int inroot_resolve(int root_fd, const char *path, bool follow_last, char **ret, Error *err);

/* What inroot_make_dirs() tells about each directory that it made. */
typedef struct MakeDirsOptions {
        mode_t mode;                                                       /* of the directories made, not touched by the umask */
        int64_t uid, gid;                                                  /* owner; -1: as the process */
        const struct timespec *mtime;                                      /* of the directories made, or NULL */
        int (*made)(void *user, int dir_fd, const char *path, Error *err); /* called for each one made, top first, with its canonical path; may be NULL */
        void *user;
} MakeDirsOptions;

/*
 * mkdir -p in the root: symbolic links to directories on the way are followed, what exists is left as it is. Returns a descriptor of the last directory
 * (O_RDONLY | O_DIRECTORY), or -1. INVALID when something on the way is not a directory.
 */
int inroot_make_dirs(int root_fd, const char *path, const MakeDirsOptions *options, Error *err);

/* Appends a whole regular file ("etc/passwd"), up to the maximum of the buffer (LIMIT). Anything but a regular file is INVALID (no reading of fifos or
 * devices). */
int inroot_read(int root_fd, const char *path, Buf *buf, Error *err);
