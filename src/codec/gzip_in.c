/*
 * gzip (RFC 1952) by ISA-L, which checks header, CRC and length. Best fed 256 KiB at a time or more.
 */
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/ops.h"

static void *gzip_new(void)
{
        struct inflate_state *state = xmalloc(sizeof(*state));

        isal_inflate_init(state);
        return state;
}

static int gzip_begin(void *user, Error *err)
{
        struct inflate_state *state = user;

        isal_inflate_reset(state);
        state->crc_flag = ISAL_GZIP;
        return 0;
}

static const char *error_text(int code)
{
        switch (code) {
        case ISAL_INVALID_BLOCK:
                return "a block is of no known kind";
        case ISAL_INVALID_SYMBOL:
                return "a symbol has no meaning";
        case ISAL_INVALID_LOOKBACK:
                return "it refers to data before its start";
        case ISAL_INVALID_WRAPPER:
                return "a member does not start as one, or something else follows the last";
        case ISAL_UNSUPPORTED_METHOD:
                return "its method is not deflate";
        case ISAL_INCORRECT_CHECKSUM:
                return "the checksum or length is wrong";
        default:
                return "it needs what gzip has no word for";
        }
}

static int gzip_run(void *user, CodecInput *in, CodecOutput *out, bool *ret_done, Error *err)
{
        struct inflate_state *state = user;
        uint32_t given = (uint32_t)MIN(in->size, (size_t)1 << 30);
        int r;

        state->next_in = (uint8_t *)in->data;
        state->avail_in = given;
        state->next_out = out->data + out->used;
        state->avail_out = (uint32_t)(out->size - out->used);
        r = isal_inflate(state);
        if (r < 0 || r == ISAL_NEED_DICT)
                return error_set(err, ERROR_CORRUPT, "gzip data is damaged: %s", error_text(r));
        in->data += given - state->avail_in;
        in->size -= given - state->avail_in;
        out->used = out->size - state->avail_out;
        *ret_done = state->block_state == ISAL_BLOCK_FINISH;
        return 0;
}

const DecoderOps gzip_decoder = { .new = gzip_new, .free = free, .begin = gzip_begin, .run = gzip_run };
