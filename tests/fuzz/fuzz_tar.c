/*
 * A hostile layer. What is accepted must not depend on how the bytes were cut, must be clean, and must read back after it was written again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "tar/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
typedef struct Seen {
        Buf text;      /* what was read, one line a member */
        Buf rewritten; /* headers only, sizes zero; not filled when `skip_rewrite` */
        uint64_t left; /* content that must still come */
        bool skip_rewrite;
} Seen;

static void expect(bool ok)
{
        if (!ok)
                abort();
}

static int on_entry(void *user, const TarEntry *e, Error *err)
{
        _cleanup_free_ char *clean = NULL;
        Seen *seen = user;

        expect(seen->left == 0 && e->mode <= 07777 && e->data_offset % 512 == 0 && (e->type == TAR_FILE || e->size == 0));
        expect(tar_path_clean(e->path, &clean, err) == 0 && streq(clean, e->path));
        expect((e->link != NULL) == (e->type == TAR_SYMLINK || e->type == TAR_HARDLINK));
        seen->left = e->size;
        buf_putf(&seen->text, "%u %u %s %s %o %u %u %lld %u %u", (unsigned)e->type, (unsigned)e->whiteout, e->path, e->link ? e->link : "", e->mode, e->uid,
                 e->gid, (long long)e->mtime_sec, e->dev_major, e->dev_minor);
        for (size_t i = 0; i < e->n_xattrs; i++) {
                expect(i == 0 || strcmp(e->xattrs[i - 1].name, e->xattrs[i].name) < 0);
                expect(!str_starts(e->xattrs[i].name, "trusted.overlay.") && !str_starts(e->xattrs[i].name, "user.overlay."));
                buf_putf(&seen->text, " %s=", e->xattrs[i].name);
                buf_put(&seen->text, e->xattrs[i].value, e->xattrs[i].size);
        }
        buf_putc(&seen->text, '\n');
        if (!seen->skip_rewrite) {
                TarEntry copy = *e;
                _cleanup_error_ Error ignored = ERROR_INIT;

                copy.size = 0;
                /* A whiteout is written with zeros for what a whiteout does not need; the rest must come back as it is. */
                if (e->whiteout || tar_write_header(&copy, &seen->rewritten, &ignored) < 0)
                        seen->skip_rewrite = true;
        }
        return 0;
}

static int on_data(void *user, const void *data, size_t size, Error *err)
{
        Seen *seen = user;

        expect(size > 0 && size <= seen->left);
        seen->left -= size;
        return 0;
}

static int read_in_steps(const void *data, size_t size, size_t step, Seen *seen, Error *err)
{
        const TarReaderOps ops = { .entry = on_entry, .data = on_data };
        TarReader *reader = tar_reader_new(&ops, seen);
        int r = 0;

        for (size_t at = 0; at < size && r == 0; at += step)
                r = tar_reader_feed(reader, (const char *)data + at, MIN(step, size - at), err);
        if (r == 0)
                r = tar_reader_finish(reader, err);
        tar_reader_free(reader);
        return r;
}

static void seen_done(Seen *seen)
{
        buf_done(&seen->text);
        buf_done(&seen->rewritten);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(seen_done) Seen whole = { .text = BUF_INIT(BUF_MAX_DEFAULT), .rewritten = BUF_INIT(BUF_MAX_DEFAULT) };
        _cleanup_(seen_done) Seen pieces = { .text = BUF_INIT(BUF_MAX_DEFAULT), .skip_rewrite = true };
        _cleanup_(seen_done) Seen again = { .text = BUF_INIT(BUF_MAX_DEFAULT), .skip_rewrite = true };
        _cleanup_error_ Error err = ERROR_INIT, err_pieces = ERROR_INIT, err_again = ERROR_INIT;

        /* Text of members grows with their paths; an input of this size stays far below the buffers' maximum. */
        if (size > 1 << 20)
                return 0;

        int r = read_in_steps(data, size, size + 1, &whole, &err);

        expect(read_in_steps(data, size, 97, &pieces, &err_pieces) == r);
        expect(err.code == err_pieces.code);
        expect(whole.text.size == pieces.text.size && streq(buf_str(&whole.text), buf_str(&pieces.text)));
        if (r < 0 || whole.skip_rewrite)
                return 0;
        expect(read_in_steps(whole.rewritten.data, whole.rewritten.size, whole.rewritten.size + 1, &again, &err_again) == 0);
        expect(whole.text.size == again.text.size && (whole.text.size == 0 || memcmp(whole.text.data, again.text.data, whole.text.size) == 0));
        return 0;
}
