/*
 * The push reader: a machine of four states that is fed bytes in any split.
 *
 *   HEADER  gathering a 512-byte block (without copying when the input holds all of it)
 *   META    gathering the body of 'x', 'g', 'L' or 'K'
 *   DATA    passing content on, then stepping over its padding
 *   END     after two zero blocks; the rest is ignored
 *
 * Invariants:
 *  1. What a member says of itself is gathered before ops->entry is called once; then exactly entry->size bytes go to ops->data.
 *  2. Memory is bounded by tar/limits.h, never by the content.
 *
 * Spec: POSIX.1-2017 pax, "ustar Interchange Format". Where real archives differ, Go's archive/tar decides, since layers are what docker reads.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tar/limits.h"
#include "tar/path.h"
#include "tar/reader.h"

TarReader *tar_reader_new(const TarReaderOps *ops, void *user)
{
        TarReader *r = NEW(TarReader);

        r->ops = *ops;
        r->user = user;
        pax_init(&r->local);
        pax_init(&r->global);
        r->global_records = BUF_INIT(TAR_PAX_SIZE_MAX);
        r->long_name = BUF_INIT(TAR_PATH_MAX + 1);
        r->long_link = BUF_INIT(TAR_PATH_MAX + 1);
        r->path = BUF_INIT(TAR_PATH_MAX + 1);
        r->link = BUF_INIT(TAR_PATH_MAX + 1);
        r->name = BUF_INIT(TAR_PATH_MAX + 1);
        return r;
}

void tar_reader_free(TarReader *r)
{
        if (!r)
                return;
        pax_done(&r->local);
        pax_done(&r->global);
        buf_done(&r->global_records);
        buf_done(&r->long_name);
        buf_done(&r->long_link);
        buf_done(&r->path);
        buf_done(&r->link);
        buf_done(&r->name);
        free(r->xattrs);
        free(r);
}

/* --- headers --- */

static int begin_meta(TarReader *r, const TarHeader *h, Error *err)
{
        bool pax = h->type == 'x' || h->type == 'g';
        uint64_t size, max = pax ? TAR_PAX_SIZE_MAX : TAR_PATH_MAX + 1;

        if (++r->n_chain > TAR_HEADER_CHAIN_MAX && h->type != 'g')
                return error_set(err, ERROR_LIMIT, "more than %d extended headers before a member", TAR_HEADER_CHAIN_MAX);
        if (h->type == 'g' && ++r->n_globals > TAR_GLOBAL_HEADERS_MAX)
                return error_set(err, ERROR_LIMIT, "more than %d global headers", TAR_GLOBAL_HEADERS_MAX);
        if (member_read_size(h, &size, err) < 0)
                return -1;
        if (size > max)
                return error_set(err, ERROR_LIMIT, "extended header of %" PRIu64 " bytes: at most %" PRIu64 " are taken", size, max);
        switch (h->type) {
        case 'x':
                r->meta_body = &r->local.body;
                pax_reset(&r->local);
                break;
        case 'g':
                r->meta_body = &r->global_records;
                break;
        case 'L':
                r->meta_body = &r->long_name;
                buf_reset(&r->long_name);
                break;
        default:
                r->meta_body = &r->long_link;
                buf_reset(&r->long_link);
        }
        r->meta = h->type;
        r->body_left = size;
        r->padding_left = tar_padding(size);
        r->state = STATE_META;
        return 0;
}

static int end_meta(TarReader *r, Error *err)
{
        r->state = STATE_HEADER;
        if (r->meta == 'x')
                return pax_parse(&r->local, false, err);
        if (r->meta == 'g') {
                buf_reset(&r->global.body);
                buf_put(&r->global.body, r->global_records.data, r->global_records.size);
                /* A global header prepares nothing that must follow. */
                r->n_chain--;
                return pax_parse(&r->global, true, err);
        }
        return 0;
}

static void end_member(TarReader *r)
{
        pax_reset(&r->local);
        buf_reset(&r->long_name);
        buf_reset(&r->long_link);
        r->n_chain = 0;
        r->state = STATE_HEADER;
}

static int take_header(TarReader *r, const TarHeader *h, Error *err)
{
        r->header_offset = r->offset - TAR_BLOCK_SIZE;
        if (header_is_zero(h)) {
                if (r->n_chain)
                        return error_set(err, ERROR_CORRUPT, "tar header at offset %" PRIu64 ": the archive ends after an extended header", r->header_offset);
                if (r->zero_block)
                        r->state = STATE_END;
                r->zero_block = true;
                return 0;
        }
        if (r->zero_block || !header_checksum_ok(h))
                return error_set(err, ERROR_CORRUPT,
                                 r->header_offset ? "tar header at offset %" PRIu64 " is damaged"
                                                  : "tar header at offset %" PRIu64 " is damaged: this is not a tar archive",
                                 r->header_offset);
        if (memchr("xgLK", h->type, 4)) {
                if (begin_meta(r, h, err) < 0)
                        return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
                return 0;
        }

        const char *name = member_raw_name(r, h);

        if (member_begin(r, h, name, err) < 0) {
                _cleanup_free_ char *shown = path_shown(name);

                return error_wrap(err, "tar member '%s' at offset %" PRIu64, shown, r->header_offset);
        }
        return 0;
}

/* --- feeding --- */

/* Each of these takes some of the input and returns how much, or -1. */

static ssize_t feed_header(TarReader *r, const char *data, size_t size, Error *err)
{
        const TarHeader *h = (const TarHeader *)data;
        size_t n = MIN(size, sizeof(r->block) - r->have);

        if (n < sizeof(r->block)) {
                memcpy((char *)&r->block + r->have, data, n);
                r->have += n;
                r->offset += n;
                if (r->have < sizeof(r->block))
                        return (ssize_t)n;
                r->have = 0;
                h = &r->block;
        } else {
                r->offset += n;
        }
        return take_header(r, h, err) < 0 ? -1 : (ssize_t)n;
}

static size_t step_over_padding(TarReader *r, size_t size)
{
        size_t n = (size_t)MIN(r->padding_left, (uint64_t)size);

        r->padding_left -= n;
        r->offset += n;
        return n;
}

static ssize_t feed_meta(TarReader *r, const char *data, size_t size, Error *err)
{
        size_t n = (size_t)MIN(r->body_left, (uint64_t)size);

        if (n && buf_add(r->meta_body, data, n) < 0)
                return error_set(err, ERROR_LIMIT, "tar header at offset %" PRIu64 ": global headers of more than %" PRIu64 " bytes in all", r->header_offset,
                                 TAR_PAX_SIZE_MAX);
        r->body_left -= n;
        r->offset += n;
        if (!r->body_left) {
                n += step_over_padding(r, size - n);
                if (!r->padding_left && end_meta(r, err) < 0)
                        return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
        }
        return (ssize_t)n;
}

static ssize_t feed_data(TarReader *r, const char *data, size_t size, Error *err)
{
        size_t n = (size_t)MIN(r->body_left, (uint64_t)size);

        if (n && r->pass_data && r->ops.data(r->user, data, n, err) < 0)
                return -1;
        r->body_left -= n;
        r->offset += n;
        if (!r->body_left)
                n += step_over_padding(r, size - n);
        return (ssize_t)n;
}

/* Ends what has nothing left to come. A member without content ends at once, so that finish() right after it is not "inside". */
static int settle(TarReader *r, Error *err)
{
        if (r->body_left || r->padding_left)
                return 0;
        if (r->state == STATE_DATA)
                end_member(r);
        else if (r->state == STATE_META && end_meta(r, err) < 0)
                return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
        return 0;
}

int tar_reader_feed(TarReader *r, const void *data, size_t size, Error *err)
{
        const char *p = data;

        while (size > 0) {
                ssize_t n = -1;

                switch (r->state) {
                case STATE_HEADER:
                        n = feed_header(r, p, size, err);
                        break;
                case STATE_META:
                        n = feed_meta(r, p, size, err);
                        break;
                case STATE_DATA:
                        n = feed_data(r, p, size, err);
                        break;
                case STATE_END:
                        r->offset += size;
                        return 0;
                case STATE_FAILED:
                        return error_set(err, ERROR_CORRUPT, "the archive was given up after an earlier error");
                }
                if (n < 0 || settle(r, err) < 0) {
                        r->state = STATE_FAILED;
                        return -1;
                }
                p += n;
                size -= (size_t)n;
        }
        return 0;
}

uint64_t tar_reader_skippable(const TarReader *r)
{
        if (r->state != STATE_DATA)
                return 0;
        if (r->pass_data)
                return r->body_left ? 0 : r->padding_left;
        return r->body_left + r->padding_left;
}

void tar_reader_skip(TarReader *r, uint64_t size)
{
        uint64_t n = MIN(size, r->body_left);

        if (size == 0)
                return;
        if (size > tar_reader_skippable(r))
                abort(); /* a bug of the caller: the rest would be read as headers */
        r->body_left -= n;
        r->padding_left -= size - n;
        r->offset += size;
        if (!r->body_left && !r->padding_left)
                end_member(r);
}

bool tar_reader_at_end(const TarReader *r)
{
        return r->state == STATE_END;
}

int tar_reader_finish(TarReader *r, Error *err)
{
        if (r->state == STATE_FAILED)
                return error_set(err, ERROR_CORRUPT, "the archive was given up after an earlier error");
        if (r->state == STATE_META || r->state == STATE_DATA)
                return error_set(err, ERROR_CORRUPT, "the archive ends at offset %" PRIu64 ", inside the member that starts at offset %" PRIu64, r->offset,
                                 r->header_offset);
        if (r->have)
                return error_set(err, ERROR_CORRUPT, "the archive ends at offset %" PRIu64 ", inside a header", r->offset);
        if (r->n_chain)
                return error_set(err, ERROR_CORRUPT, "the archive ends after an extended header");
        return 0;
}
