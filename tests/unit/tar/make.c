#include "make.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void make_sum(char block[512])
{
        unsigned total = 0;

        memset(block + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
                total += (uint8_t)block[i];
        snprintf(block + 148, 8, "%06o", total & 0777777);
        block[155] = ' ';
}

void make_header(char block[512], const char *name, char type, uint64_t size)
{
        memset(block, 0, 512);
        memcpy(block, name, MIN(strlen(name), (size_t)100));
        memcpy(block + 100, "0000644", 8);
        memcpy(block + 108, "0000001", 8);
        memcpy(block + 116, "0000002", 8);
        snprintf(block + 124, 12, "%011" PRIo64, size);
        memcpy(block + 136, "00000000007", 12);
        block[156] = type;
        memcpy(block + 257,
               "ustar\0"
               "00",
               8);
        make_sum(block);
}

void put_block(Buf *out, const char block[512])
{
        buf_put(out, block, 512);
}

static void put_padding(Buf *out, size_t size)
{
        assert_int_equal(buf_add_zero(out, tar_padding(size)), 0);
}

void put_member(Buf *out, const char *name, char type, const void *data, size_t size)
{
        char block[512];

        make_header(block, name, type, size);
        put_block(out, block);
        buf_put(out, data, size);
        put_padding(out, size);
}

void put_link(Buf *out, const char *name, char type, const char *target)
{
        char block[512];

        make_header(block, name, type, 0);
        memcpy(block + 157, target, MIN(strlen(target), (size_t)100));
        make_sum(block);
        put_block(out, block);
}

void put_pax(Buf *out, char type, const char *key, const void *value, size_t size)
{
        size_t rest = strlen(key) + size + 3, total = rest + 1;
        _cleanup_buf_ Buf body = BUF_INIT(BUF_MAX_DEFAULT);
        char digits[24];

        while (total != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total))
                total = rest + strlen(digits);
        buf_putf(&body, "%zu %s=", total, key);
        buf_put(&body, value, size);
        buf_putc(&body, '\n');
        put_member(out, "pax", type, body.data, body.size);
}

void put_end(Buf *out)
{
        assert_int_equal(buf_add_zero(out, TAR_TRAILER_SIZE), 0);
}

typedef struct Log {
        Buf text;
        uint64_t content_left;
        bool open; /* inside [ ] */
        const Buf *in;
} Log;

static int log_entry(void *user, const TarEntry *e, Error *err)
{
        static const char types[] = "fdlhcbp";
        Log *log = user;

        assert_int_equal(log->content_left, 0);
        buf_putf(&log->text, "%c%s %04o %u:%u %" PRIu64 " %" PRId64, types[e->type],
                 e->whiteout == TAR_WHITEOUT_REMOVE ? "W"
                 : e->whiteout                      ? "O"
                                                    : "",
                 e->mode, e->uid, e->gid, e->size, e->mtime_sec);
        if (e->mtime_nsec)
                buf_putf(&log->text, ".%09u", e->mtime_nsec);
        buf_putf(&log->text, " '%s'", e->path);
        if (e->link)
                buf_putf(&log->text, " -> '%s'", e->link);
        if (e->type == TAR_CHAR || e->type == TAR_BLOCK)
                buf_putf(&log->text, " %u,%u", e->dev_major, e->dev_minor);
        if (e->user_name || e->group_name)
                buf_putf(&log->text, " (%s:%s)", e->user_name ? e->user_name : "", e->group_name ? e->group_name : "");
        for (size_t i = 0; i < e->n_xattrs; i++) {
                _cleanup_free_ char *value = str_printable(e->xattrs[i].value, MIN(e->xattrs[i].size, (size_t)40));

                buf_putf(&log->text, " %s=%s", e->xattrs[i].name, value);
        }
        assert_int_equal(e->data_offset % 512, 0);
        log->content_left = e->size;
        if (e->size == 0 || e->size > 100)
                buf_putc(&log->text, '\n');
        else
                buf_puts(&log->text, " [");
        log->open = e->size > 0 && e->size <= 100;
        return 0;
}

static int log_data(void *user, const void *data, size_t size, Error *err)
{
        Log *log = user;

        assert_true(size > 0 && size <= log->content_left);
        log->content_left -= size;
        if (log->open) {
                buf_put(&log->text, data, size);
                if (!log->content_left)
                        buf_puts(&log->text, "]\n");
        }
        return 0;
}

char *read_all(const Buf *in, size_t step, Error *err)
{
        const TarReaderOps ops = { .entry = log_entry, .data = log_data };
        Log log = { .text = BUF_INIT(BUF_MAX_DEFAULT), .in = in };
        TarReader *reader = tar_reader_new(&ops, &log);
        int result = 0;

        for (size_t at = 0; at < in->size && result == 0;) {
                size_t n = step ? MIN(step, in->size - at) : in->size;

                /* A copy of just these bytes, so that reading past them is seen by the address sanitizer. */
                char *piece = xmemdup(in->data + at, n);

                result = tar_reader_feed(reader, piece, n, err);
                free(piece);
                at += n;
        }
        if (result == 0)
                result = tar_reader_finish(reader, err);
        tar_reader_free(reader);
        if (result == 0)
                return buf_detach(&log.text);
        buf_done(&log.text);
        return NULL;
}
