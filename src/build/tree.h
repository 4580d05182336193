/*
 * A directory tree that COPY, ADD and bind mounts read from: the build context, a named context, or the root of another stage. Read lazily, one directory at a
 * time, and only once; digests of file contents are remembered across builds for contexts.
 *
 * Paths are confined: symbolic links are followed inside the tree only, and files are opened through the descriptor of its root.
 *
 * Threads: every function may be called from any thread. A node's fields do not change once its parent's children were read, but `digest`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "crypto/digest.h"
#include "dockerfile/ignore.h"
#include "store/cache.h"

typedef struct SourceTree SourceTree;

typedef struct TreeNode TreeNode;
struct TreeNode {
        TreeNode *parent; /* NULL for the root */
        uint32_t mode;    /* with the type bits */
        uint32_t uid, gid;
        uint64_t size, device, inode;
        int64_t mtime_ns, ctime_ns;
        uint32_t dev_major, dev_minor, n_links;
        char *link;          /* target of a symbolic link */
        TreeNode **children; /* sorted by name, once loaded */
        size_t n_children;
        bool loaded, digested;
        Digest digest; /* of the content and security.capability of a regular file, once digested */
        char name[];
};

typedef struct TreeOptions {
        const char *name;            /* for messages: "build context" */
        int root_fd;                 /* duplicated */
        const IgnoreMatcher *ignore; /* or NULL; must live as long as the tree */
        bool anonymous;              /* owners read as 0:0 */
        bool live;                   /* files may change while they are read: what is copied must be what was hashed */
        FileDigests *digests;        /* or NULL; must live as long as the tree */
} TreeOptions;

/* Reads nothing but the root itself. Errors: INVALID (not a directory), IO. */
int source_tree_open(const TreeOptions *options, SourceTree **ret, Error *err);
void source_tree_free(SourceTree *tree);
DEFINE_CLEANUP(SourceTree *, source_tree_free)

/* What belongs to the tree, as it was opened. */
TreeNode *source_tree_root(SourceTree *tree);
int source_tree_root_fd(const SourceTree *tree);
const char *source_tree_name(const SourceTree *tree);
bool source_tree_is_live(const SourceTree *tree);

/*
 * Notes a path (wildcards included) that an instruction reads; `parents`: with the metadata of the directories above. source_tree_uses() gives all of them once
 * no step runs any more; *ret_parents: whether any was noted so.
 */
void source_tree_note_use(SourceTree *tree, const char *path, bool parents);
const StrList *source_tree_uses(const SourceTree *tree, bool *ret_parents);

/* Reads a directory's children, when that has not been done yet. */
int source_tree_load(SourceTree *tree, TreeNode *node, Error *err);
/* The same for all directories below, by several threads when there are many. Nothing when `node` is no directory. */
int source_tree_load_all(SourceTree *tree, TreeNode *node, Error *err);

/* Finds a path, following symbolic links on the way and, with `follow_last`, at its end. Returns 1, or 0 with *ret NULL when there is nothing. */
int source_tree_find(SourceTree *tree, const char *path, bool follow_last, TreeNode **ret, Error *err);

/* "a/b", "" for the root. New string. */
char *source_tree_node_path(const TreeNode *node);

/*
 * A regular file for reading. In a live tree, CONFLICT when it is not the file any more that was seen when its directory was read. Returns the descriptor, or
 * -1.
 */
int source_tree_open_file(SourceTree *tree, const TreeNode *node, Error *err);
/* Call with the same descriptor after reading. */
int source_tree_check_unchanged(SourceTree *tree, const TreeNode *node, int fd, Error *err);

/* security.capability of an open file: bytes in `buffer` (at most 64), 0 when it has none. */
size_t source_tree_capability(int fd, void *buffer);

/* Called from any thread with the number of bytes hashed since the last call. May be NULL. Returning false stops. */
typedef bool (*TreeProgress)(void *user, uint64_t size);

/* Computes the digests of all regular files among `nodes` that have none yet, with several threads when it pays. */
int source_tree_digest(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err);
