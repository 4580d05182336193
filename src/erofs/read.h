/*
 * Reads an index that may be hostile: nothing is believed before it is checked against the size of the bytes. Inside of the room only.
 */
#pragma once

#include "erofs/tree.h"

typedef struct Reader {
        const uint8_t *data;
        uint64_t size;
        uint64_t meta; /* where the inodes start */
        uint32_t n_slots;
        uint32_t root;
        uint32_t n_devices;
        TreeKind kind;
        bool must_merge;
        uint64_t budget; /* bytes of directories and links still to be believed (each directory is looked at twice): blocks that two of them share cannot
                            multiply the work */
} Reader;

/* One inode, pointing into the bytes. */
typedef struct ReadInode {
        Inode inode; /* nid, mode, owner, times, size, xattrs without the opaque mark, flags; files: where and device; links: target */
        uint64_t dir_size;
        const uint8_t *blocks, *tail; /* directories: their whole blocks, and what is inline */
} ReadInode;

/* Goes through the names of a directory. */
typedef struct DirReader {
        const uint8_t *blocks, *tail;
        uint64_t left; /* bytes */
        const uint8_t *block;
        size_t block_size, n, i; /* entries of the block */
        const char *last;        /* for the order */
        size_t last_size;
} DirReader;

typedef struct ReadName {
        const char *text;
        size_t size;
        uint64_t nid;
} ReadName;

/* What the superblock says: bytes without padding. Believed only when reader_open() has seen the index. */
static inline uint64_t reader_size(const uint8_t *index)
{
        return (uint64_t)get32(index + EROFS_SUPER + SB_BLOCKS) << EROFS_BLOCK_BITS;
}

/* All: -1 with CORRUPT. */
int reader_open(Reader *reader, const void *index, size_t file_size, Error *err);
int reader_inode(Reader *reader, uint64_t nid, ReadInode *ret, Error *err);
void reader_dir(const ReadInode *dir, DirReader *ret);
/* 1: a name (never "." or ".."); 0: the end. */
int reader_next(DirReader *dir, ReadName *ret, Error *err);
