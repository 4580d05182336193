/*
 * Hostile compressed data; the format is taken from its first bytes, as everywhere. The result must not depend on how the input was cut, and a limit is
 * a limit.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "codec/codec.h"

#define SIZE_LIMIT ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int collect(void *user, const void *data, size_t size, Error *err)
{
        if (buf_add(user, data, size) < 0)
                abort();
        return 0;
}

static int decode_in_steps(Codec codec, const uint8_t *data, size_t size, size_t step, Buf *out, Error *err)
{
        const Sink sink = { collect, out };
        Decoder *decoder = decoder_new(codec, &sink, SIZE_LIMIT, 1000);
        int r = 0;

        for (size_t at = 0; at < size && r == 0; at += step)
                r = decoder_feed(decoder, data + at, MIN(step, size - at), err);
        if (r == 0)
                r = decoder_finish(decoder, err);
        decoder_free(decoder);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_buf_ Buf whole = BUF_INIT(SIZE_LIMIT), pieces = BUF_INIT(SIZE_LIMIT);
        _cleanup_error_ Error err = ERROR_INIT, err_pieces = ERROR_INIT;
        Codec codec = codec_sniff(data, size);

        if (codec == CODEC_NONE)
                return 0;

        int r = decode_in_steps(codec, data, size, size, &whole, &err), r_pieces = decode_in_steps(codec, data, size, 7, &pieces, &err_pieces);

        if (r != r_pieces || (r == 0 && (whole.size != pieces.size || (whole.size && memcmp(whole.data, pieces.data, whole.size) != 0))))
                abort();
        return 0;
}
