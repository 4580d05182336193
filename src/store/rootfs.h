/*
 * A chain of layers as a directory tree: mounted, with or without a writable layer on top, and the difference that a writable layer holds.
 *
 * Driver `erofs`: one merged index is mounted for the part of the chain that has one, single-layer indexes above it; an overlay only when there is more than
 * one lower directory or an upper. Driver `dir`: an overlay of the unpacked trees.
 * Mounts are made in the calling process's mount namespace, which must be private to it (fs/mount.h): they die with it.
 */
#pragma once

#include "fs/walk.h"
#include "oci/config.h" /* chain_id() */
#include "store/store.h"

typedef struct Rootfs Rootfs;

typedef struct RootfsOptions {
        const char *upper;  /* directory that takes the writes, or NULL: the tree is read-only */
        const char *work;   /* overlay's work directory beside `upper` on the same file system; needed with `upper` */
        bool durable;       /* false: overlay "volatile" (build steps, containers that go when they end): what the upper holds is lost in a power cut, and the
                               caller must not mount it again after one */
        bool merge;         /* make (and keep) the merged index of the whole chain first; for containers and finished images */
        bool mount_points;  /* with `upper`: what every container mounts on (/proc, /etc/hosts, ...) is there, below all layers, if they have it or not */
        const char *target; /* existing directory to mount on, or NULL: detached, reachable through rootfs_fd() and rootfs_path() only */
} RootfsOptions;

/* diff_ids: bottom first. Zero layers is an empty tree. */
int rootfs_mount(Lease *lease, const Digest *diff_ids, size_t n_diff_ids, const RootfsOptions *options, Rootfs **ret, Error *err);
void rootfs_free(Rootfs *rootfs); /* unmounts; NULL is fine */
DEFINE_CLEANUP(Rootfs *, rootfs_free)

int rootfs_fd(const Rootfs *rootfs); /* directory descriptor of the root; belongs to the rootfs */
/* The layers below the upper, read-only, without `mount_points`, as a directory descriptor that belongs to the rootfs: what rootfs_diff_write() compares with.
 * -1 on error. */
int rootfs_lower_fd(Rootfs *rootfs, Error *err);
const char *rootfs_path(const Rootfs *rootfs); /* a path that names the root while the rootfs lives */

/* Makes the merged index of a chain when it is not there yet (build: when the image is finished). A no-op for driver `dir`. */
int chain_merge(Lease *lease, const Digest *diff_ids, size_t n_diff_ids, Error *err);

/* --- what a writable layer changed --- */

typedef enum ChangeKind { CHANGE_MODIFIED, CHANGE_ADDED, CHANGE_DELETED } ChangeKind; /* docker diff's C, A, D; Engine API kinds 0, 1, 2 */

typedef struct DiffOptions {
        const char *const *exclude; /* in-root paths ("etc/resolv.conf") that are left out, with everything below them: mount points and their stubs */
        size_t n_exclude;
        int64_t epoch; /* times later than this many seconds are set to it in the layer; -1: none */
} DiffOptions;

/*
 * Writes the difference between `upper` (an overlayfs upper directory) and `lower` (the tree below it, NULL when there is none) as a layer tar, by one walk
 * of the upper, following research on overlay whiteouts: explicit whiteouts only for names that exist below; an opaque directory becomes explicit whiteouts;
 * files moved away and back are dropped when nothing about them changed; hard links are kept; sockets are skipped; parents of changes are included once.
 */
int rootfs_diff_write(int upper_fd, int lower_fd, const DiffOptions *options, LayerWriter *to, Error *err);

/* The same as a list, in the order of paths ("/etc/passwd"). */
int rootfs_diff_list(int upper_fd, int lower_fd, const DiffOptions *options, int (*change)(void *user, ChangeKind kind, const char *path, Error *err),
                     void *user, Error *err);

/* Writes a tree as one flat tar (docker export). `sink` takes the tar. */
int rootfs_export(int root_fd, const Sink *sink, Error *err);
