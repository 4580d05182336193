/*
 * tar as container layers use it: a push reader (bytes in, entries out) and a writer of deterministic pax headers.
 *
 * Reads V7, ustar, star, pax (path, linkpath, size, uid, gid, mtime, SCHILY.xattr.*, LIBARCHIVE.xattr.*; global headers too) and GNU (long names, base-256
 * numbers). Sparse files of any kind and unknown member types are refused: what is not understood must not become a wrong layer.
 * Differs from Go's reader (docker, containerd) in that global headers count, as POSIX says; those that set path, linkpath or size are refused. Writes what
 * BuildKit and containerd write (see TarWriter below).
 *
 * Specs: POSIX.1-2017 pax "ustar Interchange Format" and "pax Interchange Format"; OCI image-spec 1.1 layer.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/sink.h"

#define TAR_BLOCK_SIZE 512

typedef enum TarType { TAR_FILE, TAR_DIR, TAR_SYMLINK, TAR_HARDLINK, TAR_CHAR, TAR_BLOCK, TAR_FIFO } TarType;

typedef enum TarWhiteout {
        TAR_WHITEOUT_NONE,
        TAR_WHITEOUT_REMOVE, /* ".wh.<name>": `path` is the path that disappears from the layers below */
        TAR_WHITEOUT_OPAQUE, /* ".wh..wh..opq": `path` is the directory whose content in the layers below disappears */
} TarWhiteout;

typedef struct TarXattr {
        char *name; /* full name with its namespace, "security.capability" */
        char *value;
        size_t size; /* bytes of value, which may hold NULs */
} TarXattr;

/*
 * One member. Belongs to the reader and is valid during the callback only.
 *
 * `path` is clean: relative, no leading "./" or "/", no "." or ".." or empty components, no trailing "/"; "" is the root. A path that would leave the
 * root through ".." is an error, not clamped. The target of a hard link is cleaned the same way; the target of a symbolic link is verbatim.
 *
 * A whiteout has no content (size 0), whatever the archive says. Names that would make a whiteout of "", "." or "..", and names with a component that
 * starts with ".wh." where none may be, are INVALID; the private directories of aufs at the root (".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.orph") are
 * left out, as docker does.
 */
typedef struct TarEntry {
        TarType type;
        TarWhiteout whiteout;
        char *path;
        char *link;    /* target for TAR_SYMLINK and TAR_HARDLINK, else NULL */
        uint32_t mode; /* permission bits, 07777 */
        uint32_t uid, gid;
        uint64_t size; /* bytes of content; 0 for everything but TAR_FILE */
        int64_t mtime_sec;
        uint32_t mtime_nsec;
        bool exact_time; /* when writing: mtime_nsec counts */
        uint32_t dev_major, dev_minor;
        TarXattr *xattrs; /* overlayfs's own attributes (trusted.overlay.*, user.overlay.*) never get here: they are dropped */
        size_t n_xattrs;
        uint64_t data_offset;         /* of the content, from the start of the tar; a multiple of 512 */
        char *user_name, *group_name; /* as written, or NULL */
} TarEntry;

typedef struct TarReaderOps {
        /* A member begins. Returning -1 stops the reader with that error. */
        int (*entry)(void *user, const TarEntry *entry, Error *err);
        /* Bytes of its content, in order, `entry->size` in all. May be NULL when only headers are wanted. */
        int (*data)(void *user, const void *data, size_t size, Error *err);
} TarReaderOps;

typedef struct TarReader TarReader;

/* `ops` and `user` must live as long. Threads: one. */
TarReader *tar_reader_new(const TarReaderOps *ops, void *user);
void tar_reader_free(TarReader *reader);
DEFINE_CLEANUP(TarReader *, tar_reader_free)

/*
 * Feeds the next bytes; any split is fine. Errors: CORRUPT (bad checksum, bad numbers, truncated), INVALID (path escape, sparse, unknown type),
 * LIMIT (header or attribute sizes, number of entries: see tar/limits.h). Messages name the entry and the offset.
 * Memory: bounded by the header limits, not by the content.
 */
int tar_reader_feed(TarReader *reader, const void *data, size_t size, Error *err);

/*
 * For input that can seek: how many of the next bytes the reader would only step over (content that nobody wants, padding). A caller that seeks
 * past them says so with tar_reader_skip(), `size` being at most that number.
 */
uint64_t tar_reader_skippable(const TarReader *reader);
void tar_reader_skip(TarReader *reader, uint64_t size);

/* True once the two zero blocks of the end were read. What still follows is ignored, as by Go's reader. */
bool tar_reader_at_end(const TarReader *reader);

/* The input has ended. CORRUPT when inside a member. An input without end-of-archive blocks, or empty, is accepted, as Go's reader and docker do. */
int tar_reader_finish(TarReader *reader, Error *err);

/* True when the bytes (at least 512) start with a header whose checksum is right; how ADD decides what is an archive. */
bool tar_looks_like_header(const void *block);

/*
 * Cleans a path as TarEntry.path is. 0, or -1 with INVALID. New string in *ret.
 */
int tar_path_clean(const char *path, char **ret, Error *err);

/* --- writing --- */

/*
 * Appends the header block(s) of one member: ustar when everything fits, else a pax extended header before it. Deterministic: mtime in whole seconds
 * (mtime_nsec is dropped, but for exact_time), no atime/ctime, no user or group name, names without "./", directories end in "/", pax records sorted by key.
 * Whiteouts are written as ".wh." files of mode 0, owner 0, mtime 0. The caller then writes the content and tar_padding() zero bytes.
 */
int tar_write_header(const TarEntry *entry, Buf *out, Error *err);

/* The type of the member that a file with this st_mode becomes. Sockets, which no archive has, are for the caller to leave out. */
TarType tar_type_of_mode(uint32_t mode);

/* Zero bytes after `size` bytes of content: 0..511. */
static inline size_t tar_padding(uint64_t size)
{
        return (size_t)(-size & (TAR_BLOCK_SIZE - 1));
}

/* Bytes at the end of an archive: two zero blocks. */
#define TAR_TRAILER_SIZE (2 * TAR_BLOCK_SIZE)
