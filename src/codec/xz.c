/*
 * xz by liblzma.
 */
#include <lzma.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/limits.h"
#include "codec/ops.h"

static int lzma_error(lzma_ret r, Error *err)
{
        switch (r) {
        case LZMA_MEM_ERROR:
        case LZMA_MEMLIMIT_ERROR:
                return error_set(err, ERROR_LIMIT, "xz data needs more than 160 MiB of memory: compress it with `xz -9` or less");
        case LZMA_FORMAT_ERROR:
                return error_set(err, ERROR_CORRUPT, "xz data is damaged: a stream does not start as one, or something else follows the last");
        case LZMA_OPTIONS_ERROR:
                return error_set(err, ERROR_UNSUPPORTED, "xz data uses filters that this build of liblzma does not know");
        case LZMA_DATA_ERROR:
                return error_set(err, ERROR_CORRUPT, "xz data is damaged");
        default:
                return error_set(err, ERROR_INTERNAL, "liblzma failed with code %d", (int)r);
        }
}

static void *xz_new(void)
{
        lzma_stream *stream = NEW(lzma_stream);

        *stream = (lzma_stream)LZMA_STREAM_INIT;
        return stream;
}

static void xz_free(void *user)
{
        lzma_end(user);
        free(user);
}

static int xz_begin(void *user, Error *err)
{
        lzma_ret r = lzma_stream_decoder(user, CODEC_MEMORY_MAX, 0);

        return r == LZMA_OK ? 0 : lzma_error(r, err);
}

static int xz_run(void *user, CodecInput *in, CodecOutput *out, bool *ret_done, Error *err)
{
        lzma_stream *stream = user;
        lzma_ret r;

        stream->next_in = in->data;
        stream->avail_in = in->size;
        stream->next_out = out->data + out->used;
        stream->avail_out = out->size - out->used;
        r = lzma_code(stream, LZMA_RUN);
        /* BUF_ERROR only says that nothing could be done with what there was. */
        if (r != LZMA_OK && r != LZMA_STREAM_END && r != LZMA_BUF_ERROR)
                return lzma_error(r, err);
        in->data = stream->next_in;
        in->size = stream->avail_in;
        out->used = out->size - stream->avail_out;
        *ret_done = r == LZMA_STREAM_END;
        return 0;
}

const DecoderOps xz_decoder = { .new = xz_new, .free = xz_free, .begin = xz_begin, .run = xz_run, .padding_between = true };

/* --- out --- */

#define OUT_SIZE ((size_t)64 << 10)

typedef struct Xz {
        lzma_stream stream;
        Sink to;
        uint8_t *out;
} Xz;

static void xz_out_free(void *user)
{
        Xz *x = user;

        lzma_end(&x->stream);
        free(x->out);
        free(x);
}

static void *xz_out_new(int level, size_t n_threads, const Sink *to, Error *err)
{
        Xz *x = NEW(Xz);
        lzma_ret r;

        x->stream = (lzma_stream)LZMA_STREAM_INIT;
        x->to = *to;
        x->out = xmalloc(OUT_SIZE);
        /* One thread: liblzma's workers take 94 MiB each at the default level. */
        r = lzma_easy_encoder(&x->stream, (uint32_t)level, LZMA_CHECK_CRC64);
        if (r != LZMA_OK) {
                lzma_error(r, err);
                xz_out_free(x);
                return NULL;
        }
        return x;
}

static int encode_some(Xz *x, lzma_action action, Error *err)
{
        lzma_ret r;

        do {
                x->stream.next_out = x->out;
                x->stream.avail_out = OUT_SIZE;
                r = lzma_code(&x->stream, action);
                if (r != LZMA_OK && r != LZMA_STREAM_END)
                        return lzma_error(r, err);
                if (sink_write(&x->to, x->out, OUT_SIZE - x->stream.avail_out, err) < 0)
                        return -1;
        } while (action == LZMA_FINISH ? r != LZMA_STREAM_END : x->stream.avail_in > 0);
        return 0;
}

static int xz_feed(void *user, const void *data, size_t size, Error *err)
{
        Xz *x = user;

        x->stream.next_in = data;
        x->stream.avail_in = size;
        return encode_some(x, LZMA_RUN, err);
}

static int xz_finish(void *user, Error *err)
{
        return encode_some(user, LZMA_FINISH, err);
}

const EncoderOps xz_encoder = {
        .min_level = 0, .max_level = 9, .default_level = 6, .new = xz_out_new, .free = xz_out_free, .feed = xz_feed, .finish = xz_finish
};
