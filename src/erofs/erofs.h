/*
 * Writer of EROFS indexes: file system images that hold names and attributes only; the content of files stays in the layers' tars, which are
 * the extra devices of the image (block size 512, one chunk a file). No I/O of its own: entries in, bytes out.
 *
 * An ErofsTree is built from the entries of one tar, or from the finished indexes of several layers, bottom first; then it is written.
 *
 * Single-layer index: whiteouts are kept as overlayfs's own (character device 0:0; trusted.overlay.opaque=y on directories), so that the index can be a
 * lower directory of an overlay. Merged index: whiteouts are applied and gone. In an overlay a whiteout for a name that is not below is listed by readdir
 * (and cannot be opened) when its directory is in that layer only; a merged index has none of that.
 *
 * Spec: Linux fs/erofs/erofs_fs.h (on-disk format), Documentation/filesystems/erofs.rst. docs/formats/index.md says which part of it we use.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/sink.h"
#include "tar/tar.h"

typedef struct ErofsTree ErofsTree;

/* A tree that holds its root only. Threads: one. */
ErofsTree *erofs_tree_new(void);
void erofs_tree_free(ErofsTree *tree);
DEFINE_CLEANUP(ErofsTree *, erofs_tree_free)

/*
 * Adds one member of the tar that is device 1 of a single-layer index, with the rules of applying a layer: a later entry replaces an earlier one of the same
 * path (directory over directory only changes attributes), missing parents are made (0755, 0:0, mtime of the epoch), a hard link needs its target in this tar.
 * Errors: INVALID (parent is not a directory, hard link to nothing or to a directory), LIMIT.
 */
int erofs_tree_add(ErofsTree *tree, const TarEntry *entry, Error *err);

/*
 * Lays a finished single-layer index over the tree as its next device (the first call is device 1), applying its whiteouts and opaque directories.
 * The first one may also be a merged index, whose n devices become 1..n: a chain is then merged from what it was merged to before.
 * `index` must stay mapped until the tree is freed. CORRUPT when the bytes are not an index that this writer made.
 */
int erofs_tree_add_index(ErofsTree *tree, const void *index, size_t size, Error *err);

/*
 * The file of an index ends with zeros up to a multiple of this: Linux 7.3 reads an index by pages of its file and fails with EIO where one ends early (tars
 * are read by blocks). Padding belongs to the file, not to the index: who writes the file adds it, and the functions below take bytes with and without it.
 */
#define EROFS_FILE_ALIGN 4096

/* Of the file of an index of so many bytes. */
static inline uint64_t erofs_file_size(uint64_t size)
{
        return (size + EROFS_FILE_ALIGN - 1) / EROFS_FILE_ALIGN * EROFS_FILE_ALIGN;
}

/* Sizes of the layers' tars in bytes, in the order of the devices; what the device table needs. */
int erofs_tree_write(ErofsTree *tree, const uint64_t *tar_sizes, size_t n_devices, const Sink *to, Error *err);

typedef struct ErofsStats {
        uint64_t n_entries;    /* names, without the root */
        uint64_t n_files;      /* regular files, hard links counted once */
        uint64_t content_size; /* bytes of content of those files */
        uint64_t n_whiteouts;
        uint64_t n_implicit;       /* directories that no entry of the tar named, without the root */
        uint64_t n_dropped_xattrs; /* attributes of name spaces that Linux does not know; they stay in the tar only */
} ErofsStats;
void erofs_tree_stats(const ErofsTree *tree, ErofsStats *ret);

/*
 * Checks that the bytes are exactly what this writer makes, for tars of these sizes: everything is read as hostile, written again and compared. Nothing may be
 * mounted that was not written by us or does not pass this. CORRUPT, LIMIT. Cost: about that of a merge.
 */
int erofs_index_check(const void *index, size_t size, const uint64_t *tar_sizes, size_t n_devices, Error *err);

typedef struct ErofsIndexInfo {
        size_t n_devices; /* tars that it needs */
        bool is_merged;   /* no whiteouts in it */
        bool must_merge;  /* overlayfs would show this layer wrong above others (directories that no entry named, an opaque root): merge it */
        uint8_t uuid[16]; /* derived from the content */
} ErofsIndexInfo;

/* What the superblock says, checked by its checksum only. CORRUPT. */
int erofs_index_info(const void *index, size_t size, ErofsIndexInfo *ret, Error *err);
