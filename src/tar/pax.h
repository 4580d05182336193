/*
 * Private to tar/: pax extended headers.
 *
 * A header is a run of records "LENGTH KEY=VALUE\n"; LENGTH counts the whole record in decimal, itself included. Of a key that comes twice the last
 * counts. An empty value takes the record back (the field of the ustar header is valid again), except for attributes, which may be empty.
 *
 * Values point into `body`, which is changed in place; they are valid until the next pax_reset() or pax_parse().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "tar/tar.h"

typedef struct PaxXattr {
        TarXattr xattr;
        bool libarchive; /* the LIBARCHIVE.xattr form: gives way to SCHILY.xattr of the same name */
} PaxXattr;

typedef struct Pax {
        Buf body;
        char *path, *link, *user_name, *group_name; /* NULL: not given */
        bool has_size, has_uid, has_gid, has_mtime;
        uint64_t size, uid, gid; /* not checked against what Linux has: the member's name is not known yet */
        int64_t mtime_sec;
        uint32_t mtime_nsec;
        PaxXattr *xattrs; /* sorted by name, each name once */
        size_t n_xattrs;
        size_t xattrs_capacity;
} Pax;

void pax_init(Pax *pax);
void pax_reset(Pax *pax);
void pax_done(Pax *pax);

/*
 * Reads the records in pax->body. In a global header the keys that can only be meant for one member (path, linkpath, size) are INVALID.
 * Errors: CORRUPT (malformed), INVALID (sparse), LIMIT.
 */
int pax_parse(Pax *pax, bool global, Error *err);
