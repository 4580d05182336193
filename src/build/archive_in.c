#include "build/archive_in.h"

#include <string.h>

#include "base/mem.h"
#include "codec/codec.h"
#include "tar/tar.h"

struct ArchiveIn {
        Build *build;
        char head[TAR_BLOCK_SIZE];
        size_t n_head;
        bool decided;
        LayerImport *import; /* an archive */
        Buf text;
};

ArchiveIn *archive_in_new(Build *build, size_t max_text)
{
        ArchiveIn *in = NEW(ArchiveIn);

        in->build = build;
        in->text = BUF_INIT(max_text);
        return in;
}

void archive_in_free(ArchiveIn *in)
{
        if (!in)
                return;
        layer_import_free(in->import);
        buf_done(&in->text);
        free(in);
}

static int pass(ArchiveIn *in, const void *data, size_t size, Error *err)
{
        if (in->import)
                return layer_import_write(in->import, data, size, err);
        if (buf_add(&in->text, data, size) < 0)
                return error_set(err, ERROR_LIMIT, "it is neither an archive nor a Dockerfile of at most %zu MiB", in->text.max >> 20);
        return 0;
}

static int decide(ArchiveIn *in, Error *err)
{
        bool is_archive = codec_sniff(in->head, in->n_head) != CODEC_NONE || (in->n_head == sizeof(in->head) && tar_looks_like_header(in->head));

        in->decided = true;
        if (is_archive && layer_import_open(in->build->lease, false, &in->import, err) < 0)
                return -1;
        return pass(in, in->head, in->n_head, err);
}

int archive_in_write(ArchiveIn *in, const void *data, size_t size, Error *err)
{
        const char *at = data;

        if (!in->decided) {
                size_t n = MIN(size, sizeof(in->head) - in->n_head);

                memcpy(in->head + in->n_head, at, n);
                in->n_head += n;
                at += n;
                size -= n;
                if (in->n_head < sizeof(in->head))
                        return 0;
                if (decide(in, err) < 0)
                        return -1;
        }
        return size ? pass(in, at, size, err) : 0;
}

static int write_sink(void *user, const void *data, size_t size, Error *err)
{
        return archive_in_write(user, data, size, err);
}

Sink archive_in_sink(ArchiveIn *in)
{
        return (Sink){ .write = write_sink, .user = in };
}

int archive_in_finish(ArchiveIn *in, Digest *ret_diff_id, Error *err)
{
        LayerInfo info;
        Codec codec;

        if (!in->decided && decide(in, err) < 0)
                return -1;
        if (!in->import)
                return 0;
        if (layer_import_commit(in->import, NULL, NULL, NULL, &codec, &info, err) < 0)
                return -1;
        if (info.n_whiteouts)
                return error_set(err, ERROR_INVALID, "it has a file whose name begins with '.wh.', which only layers may have");
        *ret_diff_id = info.diff_id;
        return 1;
}

const Buf *archive_in_text(const ArchiveIn *in)
{
        return &in->text;
}
