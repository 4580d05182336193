/*
 * The destination of a COPY, ADD or WORKDIR: the root file system of a stage as it is below, with what the step changes on top, in memory; and writing
 * those changes as a layer tar, without ever making the files anywhere.
 *
 * Invariants:
 *  1. A node stands for what a path is after the changes so far. What exists below is looked up when it is first asked for.
 *  2. A layer holds each changed path once, its parent directories once, in the order of a walk (names of a directory sorted by bytes). Unchanged parents
 *     carry the metadata they have below.
 *  3. Memory is proportional to the number of paths, never to the size of the files.
 *
 * Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "build/tree.h"
#include "store/store.h"
#include "tar/tar.h"

typedef struct Dest Dest;

/* Where the content of a file comes from. */
typedef struct DestContent {
        SourceTree *tree; /* a regular file of a tree … */
        const TreeNode *node;
        const void *data; /* … or bytes in memory, which must live until dest_write() … */
        int fd;           /* … or a range of a file (when fd >= 0), which must stay open */
        uint64_t offset;
} DestContent;

#define DEST_CONTENT_INIT ((DestContent){ .fd = -1 })

typedef struct DestNode DestNode;

/* What is put at a path. Strings are copied. */
typedef struct DestEntry {
        TarType type;
        uint32_t mode; /* 07777 */
        uint32_t uid, gid;
        int64_t mtime_ns;
        uint64_t size;
        uint32_t dev_major, dev_minor;
        const char *link; /* of a symbolic link */
        const TarXattr *xattrs;
        size_t n_xattrs;
        DestContent content;
        uint64_t inode_key; /* files with the same key (not 0) are hard links of one file; keys come from dest_new_key() */
} DestEntry;

/* How missing directories are made. */
typedef struct DestDirs {
        uint32_t mode, uid, gid;
        int64_t mtime_ns;
} DestDirs;

/* `lower_fd` is the root below, or -1 for an empty one; it must stay open. */
Dest *dest_new(int lower_fd);
void dest_free(Dest *dest);
DEFINE_CLEANUP(Dest *, dest_free)

/* Finds a path; symbolic links are followed inside the root, at the end too. Returns 1, or 0 when there is nothing (*ret NULL). */
int dest_find(Dest *dest, const char *path, DestNode **ret, Error *err);
/* The same; missing directories are made. INVALID when something on the way is not a directory. */
int dest_make_dirs(Dest *dest, const char *path, const DestDirs *dirs, DestNode **ret, Error *err);
/*
 * Where a path leads when something is to be made there: the directory (made when missing) and the last name, with symbolic links followed, also one in the
 * last place (to its target). *ret_name is a new string; "" when the path is the root.
 */
int dest_locate(Dest *dest, const char *path, const DestDirs *dirs, DestNode **ret_dir, char **ret_name, Error *err);

/* A child of a directory, or NULL. Its link is not followed. -1 on error, 1, 0. */
int dest_child(Dest *dest, DestNode *dir, const char *name, DestNode **ret, Error *err);

bool dest_is_dir(const DestNode *node);
bool dest_is_new(const DestNode *node);      /* made or changed by this step */
const char *dest_link(const DestNode *node); /* target of a symbolic link, else NULL */
char *dest_path(const DestNode *node);       /* "/a/b"; new string */

/*
 * Puts an entry into a directory. An existing directory takes the metadata of a directory entry; a file or link is replaced by a file or link.
 * `force`: a file replaces a directory with everything below it, and the other way round; otherwise that is INVALID.
 */
int dest_put(Dest *dest, DestNode *dir, const char *name, const DestEntry *entry, bool force, DestNode **ret, Error *err);

/* Gives a directory another time: it becomes a change when it is one, to the second. */
void dest_set_time(Dest *dest, DestNode *dir, int64_t mtime_ns);

/* A DestEntry.inode_key that no file has yet. */
uint64_t dest_new_key(Dest *dest);
/* What dest_put() would need to make another hard link of a file that this step has put. Strings belong to the node. */
void dest_entry_of(Dest *dest, DestNode *node, DestEntry *ret);

/* Number of paths and bytes of files that changed. */
size_t dest_n_changes(const Dest *dest);
uint64_t dest_size(const Dest *dest);

/* Called with the number of bytes written since the last call. Returning false stops. */
typedef bool (*DestProgress)(void *user, uint64_t size);

/* Writes the changes as a whole tar. `progress` may be NULL. Errors: CANCELLED when it stops the writing, CONFLICT when a file has changed since its digest was
 * taken. */
int dest_write(Dest *dest, LayerWriter *to, DestProgress progress, void *user, Error *err);

/* Writes it as a layer under the lease; when nothing is changed, that is the layer that holds nothing. */
int dest_make_layer(Dest *dest, Lease *lease, DestProgress progress, void *user, Digest *ret_diff_id, Error *err);
