/*
 * Private to tar/: the state of a reader, shared by the machine (reader.c) and what makes an entry of a header (member.c).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "tar/field.h"
#include "tar/pax.h"
#include "tar/tar.h"

typedef enum State { STATE_HEADER, STATE_META, STATE_DATA, STATE_END, STATE_FAILED } State;

struct TarReader {
        TarReaderOps ops;
        void *user;
        State state;
        uint64_t offset; /* bytes taken in */
        uint64_t n_entries;

        TarHeader block; /* STATE_HEADER: the first `have` bytes are there */
        size_t have;
        bool zero_block; /* the last block was zero */

        unsigned n_chain; /* preparing headers since the last member */
        char meta;        /* STATE_META: the type flag */
        Buf *meta_body;
        uint64_t body_left, padding_left; /* STATE_META and STATE_DATA */
        bool pass_data;

        Pax local, global;
        Buf global_records; /* all global headers, one after the other, as they came */
        unsigned n_globals;
        Buf long_name, long_link;

        uint64_t header_offset;
        Buf path, link, name;
        char user_name[33], group_name[33];
        TarXattr *xattrs;
        size_t xattrs_capacity;
};

/* The size field of a header; CORRUPT when it is no number or negative. */
int member_read_size(const TarHeader *h, uint64_t *ret, Error *err);

/* The name as the archive has it: of a longer one that came before, or of the header. Belongs to the reader. */
const char *member_raw_name(TarReader *r, const TarHeader *h);

/*
 * Begins the member of `h`, whose raw name is `name`: sets the reader up for its content and calls ops->entry, or neither when the member is left out.
 */
int member_begin(TarReader *r, const TarHeader *h, const char *name, Error *err);
