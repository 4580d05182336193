/*
 * The tree in memory, inside of the room only.
 *
 * Inodes and names are numbered and kept in arrays; a directory is a linked list of names. About 64 + 24 + 11 bytes an entry, and the name itself.
 *
 * Invariants:
 *  1. Inode 0 is the root, a directory. Every directory but the root has exactly one name.
 *  2. Names are never removed from the table of a tree that entries are added to: a later entry gives the name another inode. What was below a directory
 *     replaced so is no longer reached from the root, and is not written.
 *  3. Lists of a tree that indexes are laid over are always sorted by bytes; those of a tree that entries are added to when they are written.
 */
#pragma once

#include <sys/stat.h>

#include "erofs/erofs.h"
#include "erofs/format.h"

#define NONE UINT32_MAX

/* Names in one tree. The tar reader has its own, smaller limit; this one keeps the numbers of inodes and names in 32 bits with room. */
#define TREE_NAMES_MAX (UINT32_C(1) << 28)

enum {
        NODE_IMPLICIT = 1, /* a directory that no entry named: lower layers keep their attributes */
        NODE_OPAQUE = 2,   /* a directory that hides those of lower layers */
};

typedef struct Inode {
        union {
                uint64_t size; /* bytes of content or of a link's target */
                struct {
                        uint32_t parent;   /* directories: inode of the parent */
                        uint32_t dir_size; /* directories: bytes on disk, set by the layout */
                };
        };
        int64_t mtime;
        uint32_t mtime_nsec;
        uint32_t uid, gid;
        uint32_t nlink; /* set by the layout */
        uint32_t where; /* files: first block in the tar; devices: encoded number; directories and links: first block of whole blocks, set by the layout */
        uint32_t nid;   /* set by the layout */
        uint16_t mode;
        uint16_t device;       /* files with content: number of the tar, from 1 */
        uint16_t xattr_words;  /* bytes of xattrs / 4 */
        uint8_t flags;         /* NODE_* */
        uint8_t format;        /* FORMAT_*, set by the layout */
        const uint8_t *xattrs; /* encoded entries without header and without the opaque one; NULL: none */
        union {
                const char *target; /* links; not terminated */
                struct {
                        uint32_t first, last; /* directories: names, NONE when empty */
                };
        };
} Inode;

typedef struct Name {
        const char *text; /* not terminated */
        uint32_t parent;  /* inode of the directory */
        uint32_t inode;
        uint32_t next; /* in the directory, or NONE */
        uint8_t size;
} Name;

typedef enum TreeKind { TREE_EMPTY, TREE_LAYER, TREE_MERGED } TreeKind;

typedef struct ArenaChunk ArenaChunk;

struct ErofsTree {
        TreeKind kind;
        size_t n_devices;
        Inode *inodes;
        uint32_t n_inodes, inodes_capacity;
        Name *names;
        uint32_t n_names, names_capacity;
        uint32_t *slots; /* name number + 1 by hash of directory and text; TREE_LAYER only */
        uint32_t n_slots;
        uint32_t whiteout; /* the one inode of all whiteouts, or NONE */
        ArenaChunk *arena;
        char *parent_path; /* of the last entry added, and what it led to */
        size_t parent_size;
        uint32_t parent_inode; /* NONE: forget it */
        uint64_t n_dropped_xattrs;
        uint64_t n_followed; /* bytes of paths walked because of links */
};

static inline bool inode_is_dir(const Inode *inode)
{
        return S_ISDIR(inode->mode);
}

static inline bool inode_is_whiteout(const Inode *inode)
{
        return S_ISCHR(inode->mode) && inode->where == 0;
}

/* memcmp order, a prefix first: how EROFS sorts names. */
static inline int name_compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
        int r = memcmp(a, b, a_size < b_size ? a_size : b_size);

        return r ? r : (a_size > b_size) - (a_size < b_size);
}

/* Memory that lives as long as the tree. */
void *tree_alloc(ErofsTree *tree, size_t size, size_t align);
uint32_t tree_new_inode(ErofsTree *tree, uint16_t mode); /* zeroed; a directory is empty */
/* LIMIT. `text` must live as long as the tree; the name is in no list yet. Returns its number, or NONE. */
uint32_t tree_new_name(ErofsTree *tree, uint32_t parent, const char *text, size_t size, uint32_t inode, Error *err);
void tree_append_name(ErofsTree *tree, uint32_t dir, uint32_t name);
/* Sorts the list of a directory by bytes; linear when it is sorted already. */
void tree_sort_names(ErofsTree *tree, uint32_t dir);

/* Encodes attributes as they are on disk, sorted, into memory of the tree. Unknown name spaces are dropped and counted. INVALID, LIMIT. */
int tree_set_xattrs(ErofsTree *tree, uint32_t inode, const TarXattr *xattrs, size_t n_xattrs, const char *path, Error *err);

/* The encoded entry trusted.overlay.opaque=y. */
#define XATTR_OPAQUE_SIZE 20
extern const uint8_t xattr_opaque[XATTR_OPAQUE_SIZE];

/* The checksum of a superblock, over the block of 512 bytes that it starts, as if its own field were zero. */
uint32_t erofs_super_checksum(const uint8_t *block);

/* Loads an index as it is (whiteouts and opaque marks kept), for checking it. The tree must be new. */
int tree_load(ErofsTree *tree, const void *index, size_t size, Error *err);
