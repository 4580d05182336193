#include "codec/codec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/limits.h"
#include "codec/ops.h"

typedef struct CodecInfo {
        const char *name;
        const DecoderOps *decoder; /* NULL: bytes pass as they are, or cannot */
        const EncoderOps *encoder;
} CodecInfo;

static const CodecInfo codecs[_CODEC_MAX] = {
        [CODEC_NONE] = { "none", NULL, NULL },
        [CODEC_GZIP] = { "gzip", &gzip_decoder, &gzip_encoder },
        [CODEC_ZSTD] = { "zstd", &zstd_decoder, &zstd_encoder },
        [CODEC_XZ] = { "xz", &xz_decoder, &xz_encoder },
        [CODEC_BZIP2] = { "bzip2", &bzip2_decoder, NULL },
};

/* Bytes whose mask is set must be equal. */
static const struct {
        Codec codec;
        uint8_t size;
        uint8_t magic[6], mask[6];
} magics[] = {
        { CODEC_GZIP, 3, { 0x1f, 0x8b, 8 }, { 0xff, 0xff, 0xff } },
        { CODEC_ZSTD, 4, { 0x28, 0xb5, 0x2f, 0xfd }, { 0xff, 0xff, 0xff, 0xff } },
        { CODEC_ZSTD, 4, { 0x50, 0x2a, 0x4d, 0x18 }, { 0xf0, 0xff, 0xff, 0xff } }, /* a skippable frame comes first */
        { CODEC_XZ, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        { CODEC_BZIP2, 4, { 'B', 'Z', 'h', 0x30 }, { 0xff, 0xff, 0xff, 0xf0 } },
};

const char *codec_name(Codec codec)
{
        return (unsigned)codec < _CODEC_MAX ? codecs[codec].name : "unknown";
}

Codec codec_sniff(const void *data, size_t size)
{
        const uint8_t *p = data;

        for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
                size_t n = 0;

                while (n < magics[i].size && n < size && (p[n] & magics[i].mask[n]) == magics[i].magic[n])
                        n++;
                if (n == magics[i].size)
                        return magics[i].codec;
        }
        return CODEC_NONE;
}

/* --- decoding --- */

/* Small enough for the second-level cache, where the hash or the tar reader that comes next finds it. */
#define OUTPUT_SIZE ((size_t)256 << 10)

typedef enum DecoderState { BEFORE, INSIDE, AFTER, AFTER_PADDING } DecoderState;

struct Decoder {
        const CodecInfo *info;
        void *ops_state;
        Sink to;
        uint64_t max_size, max_ratio;
        uint64_t total_in, total_out;
        DecoderState state;
        bool failed;
        uint8_t *output;
};

Decoder *decoder_new(Codec codec, const Sink *to, uint64_t max_size, uint64_t max_ratio)
{
        Decoder *d = NEW(Decoder);

        d->info = &codecs[codec];
        d->to = *to;
        d->max_size = max_size;
        d->max_ratio = max_ratio;
        if (d->info->decoder) {
                d->ops_state = d->info->decoder->new ();
                d->output = xmalloc(OUTPUT_SIZE);
        }
        return d;
}

void decoder_free(Decoder *d)
{
        if (!d)
                return;
        if (d->info->decoder)
                d->info->decoder->free(d->ops_state);
        free(d->output);
        free(d);
}

static int pass_on(Decoder *d, const void *data, size_t size, Error *err)
{
        d->total_out += size;
        if (d->max_size && d->total_out > d->max_size)
                return error_set(err, ERROR_LIMIT, "%s data inflates to more than the %" PRIu64 " bytes that are allowed", d->info->name, d->max_size);
        if (d->max_ratio && d->total_out > CODEC_RATIO_FREE && (d->total_out - CODEC_RATIO_FREE) / d->max_ratio > d->total_in)
                return error_set(err, ERROR_LIMIT, "%s data inflates to more than %" PRIu64 " times its size, as only data made to exhaust a disk does",
                                 d->info->name, d->max_ratio);
        return sink_write(&d->to, data, size, err);
}

/* Runs the member until it ends or the input does. */
static int run_member(Decoder *d, CodecInput *in, Error *err)
{
        for (;;) {
                CodecOutput out = { .data = d->output, .size = OUTPUT_SIZE };
                size_t before = in->size;
                bool done = false;

                if (d->info->decoder->run(d->ops_state, in, &out, &done, err) < 0 || pass_on(d, out.data, out.used, err) < 0)
                        return -1;
                if (done) {
                        d->state = AFTER;
                        return 0;
                }
                if (out.used < out.size) {
                        if (in->size == 0)
                                return 0;
                        if (in->size == before && out.used == 0)
                                return error_set(err, ERROR_CORRUPT, "%s data is damaged: the decoder is stuck", d->info->name);
                }
        }
}

static int feed_members(Decoder *d, CodecInput *in, Error *err)
{
        while (in->size > 0) {
                if (d->state != INSIDE) {
                        if (d->state != BEFORE && *in->data == 0) {
                                d->state = AFTER_PADDING;
                                in->data++;
                                in->size--;
                                continue;
                        }
                        if (d->state == AFTER_PADDING && !d->info->decoder->padding_between)
                                return error_set(err, ERROR_CORRUPT, "%s data is followed by something else", d->info->name);
                        if (d->info->decoder->begin(d->ops_state, err) < 0)
                                return -1;
                        d->state = INSIDE;
                }
                if (run_member(d, in, err) < 0)
                        return -1;
        }
        return 0;
}

int decoder_feed(Decoder *d, const void *data, size_t size, Error *err)
{
        CodecInput in = { .data = data, .size = size };
        int r;

        if (d->failed)
                return error_set(err, ERROR_CORRUPT, "%s data was given up after an earlier error", d->info->name);
        d->total_in += size;
        r = d->info->decoder ? feed_members(d, &in, err) : pass_on(d, data, size, err);
        d->failed = r < 0;
        return r;
}

int decoder_finish(Decoder *d, Error *err)
{
        if (d->failed)
                return error_set(err, ERROR_CORRUPT, "%s data was given up after an earlier error", d->info->name);
        if (d->info->decoder && (d->state == BEFORE || d->state == INSIDE))
                return error_set(err, ERROR_CORRUPT, "%s data is cut short after %" PRIu64 " bytes", d->info->name, d->total_in);
        return 0;
}

/* --- encoding --- */

struct Encoder {
        const EncoderOps *ops; /* NULL: bytes pass as they are */
        void *ops_state;
        Sink to;
};

Encoder *encoder_new(Codec codec, int level, size_t n_threads, const Sink *to, Error *err)
{
        const EncoderOps *ops = codecs[codec].encoder;
        void *state = NULL;
        Encoder *e;

        if (!ops && codec != CODEC_NONE) {
                error_set(err, ERROR_UNSUPPORTED, "compressing with %s is not offered: use gzip, zstd or xz", codec_name(codec));
                return NULL;
        }
        if (ops) {
                if (level == -1)
                        level = ops->default_level;
                if (level < ops->min_level || level > ops->max_level) {
                        error_set(err, ERROR_INVALID, "compression level %d is out of range: %s takes %d to %d", level, codec_name(codec), ops->min_level,
                                  ops->max_level);
                        return NULL;
                }
                state = ops->new (level, n_threads, to, err);
                if (!state)
                        return NULL;
        }
        e = NEW(Encoder);
        *e = (Encoder){ .ops = ops, .ops_state = state, .to = *to };
        return e;
}

void encoder_free(Encoder *e)
{
        if (!e)
                return;
        if (e->ops)
                e->ops->free(e->ops_state);
        free(e);
}

int encoder_feed(Encoder *e, const void *data, size_t size, Error *err)
{
        if (!e->ops)
                return sink_write(&e->to, data, size, err);
        return size ? e->ops->feed(e->ops_state, data, size, err) : 0;
}

int encoder_finish(Encoder *e, Error *err)
{
        return e->ops ? e->ops->finish(e->ops_state, err) : 0;
}
