/*
 * ADD of local archives: recognised by content, never by name, and unpacked into a Dest without making files.
 */
#pragma once

#include "build/copy.h"

/*
 * Whether the file is a tar, plain or compressed with gzip, bzip2, xz or zstd (the first header must be a right one).
 * Returns 0 when it is not; 1 when it is: *ret_spool is then an unnamed file in `tmp` with the inflated tar, or -1 when `fd` itself is a plain tar.
 */
int archive_open(int fd, const char *tmp, int *ret_spool, Error *err);

typedef struct ArchivePlace {
        Dest *dest;
        DestNode *dir; /* the root of the archive; its own "." entry changes nothing about it */
        const CopyOwner *owner;
        int64_t epoch, now_ns;
} ArchivePlace;

/* Puts every member of the plain tar in `fd` below place->dir. Later members win; symbolic links are followed inside the image only. */
int archive_place(int fd, const ArchivePlace *place, Error *err);
