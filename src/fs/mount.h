/*
 * Mounts with the new mount API: made detached, as a descriptor, and attached where they are wanted.
 *
 * A mount descriptor is a directory descriptor of the root of the mount (O_PATH): it can be used with the *at calls, with inroot_*() and through
 * /proc/self/fd at once. A detached mount goes away when its last descriptor is closed; an attached one with its mount namespace or mount_detach().
 *
 * Errors carry the kernel's own words from the context's log where it has any. DENIED: no privilege; UNSUPPORTED: this kernel cannot do it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Gives the process a mount namespace of its own in which nothing propagates to or from the outside. All threads that are to see it must be started later
 * (it belongs to the calling thread). A second call is a no-op.
 */
int mount_namespace_enter(Error *err);

/*
 * An EROFS index, file-backed, with the files of its devices in order (absolute or relative paths; /proc/self/fd/N works). The index must have passed
 * erofs_index_check(). Returns the mount descriptor, or -1.
 */
int mount_erofs(const char *index, const char *const *devices, size_t n_devices, Error *err);

typedef struct OverlaySpec {
        const char *const *lower; /* paths of the lower directories, TOP FIRST; /proc/self/fd/N works; any byte may be in a path */
        size_t n_lower;           /* >= 1 */
        const char *upper, *work; /* both or neither: without them the overlay is read-only */
        bool is_volatile;         /* no syncs of the upper: for build steps */
        bool userxattr;           /* user.overlay.* instead of trusted.overlay.*; what an overlay in a user namespace needs */
} OverlaySpec;

/*
 * An overlay; metacopy, redirect_dir, index and xino are always off, so that an upper holds only whole files and whiteouts. Falls back to mount(2)'s option
 * string where the kernel does not know lowerdir+. Returns the mount descriptor, or -1.
 */
int mount_overlay(const OverlaySpec *spec, Error *err);

/*
 * Whether what fsconfig(2) says to this context (fsopen(2)) is looked at then. A file system that was not written for contexts (overlayfs before Linux 6.5)
 * keeps every parameter, known or not, until it is mounted; the question has spoilt such a context.
 */
bool mount_context_checks(int context);

/* The way of kernels before 6.8 (one page of options). Here for its tests; mount_overlay() takes it by itself. */
int mount_overlay_classic(const OverlaySpec *spec, Error *err);

/* A new tmpfs. `options` as mount(8) takes them ("size=64m,mode=1777"), or NULL. Returns the mount descriptor, or -1. */
int mount_tmpfs(const char *options, Error *err);

/* A clone of what `path` below `dir_fd` is ("" with dir_fd for a descriptor itself); `recursive` with everything mounted below it. Detached: returns the mount
 * descriptor, or -1. */
int mount_clone(int dir_fd, const char *path, bool recursive, Error *err);

/* Mount attributes for mount_set(); they add up. */
enum {
        MOUNT_READ_ONLY = 1,
        MOUNT_NO_SUID = 2,
        MOUNT_NO_DEV = 4,
        MOUNT_NO_EXEC = 8,
        MOUNT_PRIVATE = 16, /* propagation */
        MOUNT_SLAVE = 32,
};

/* Sets attributes of the mount at `path` below `dir_fd` ("" for the descriptor itself), with `recursive` of all below it too. None is ever cleared. */
int mount_set(int dir_fd, const char *path, unsigned attributes, bool recursive, Error *err);

/* Attaches a detached mount at `path` below `dir_fd` ("" for the descriptor itself: how a target found with inroot_open(O_PATH) is used). */
int mount_attach(int mount_fd, int dir_fd, const char *path, Error *err);

/* Bind mount in one call: clone, attributes, attach. */
int mount_bind(const char *source, const char *target, bool recursive, unsigned attributes, Error *err);

/* Unmounts lazily (with everything below). Not mounted is fine. */
int mount_detach(const char *path, Error *err);
