/*
 * Private to codec/: what each format implements. codec.c does what they have in common: buffers, limits, concatenation, trailing bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/codec.h"

/* What is left to read; run() moves it on. */
typedef struct CodecInput {
        const uint8_t *data;
        size_t size;
} CodecInput;

/* Room to write to; run() moves `used` on. */
typedef struct CodecOutput {
        uint8_t *data;
        size_t size;
        size_t used;
} CodecOutput;

typedef struct DecoderOps {
        void *(*new)(void);
        void (*free)(void *state);
        /* Makes ready for a member (gzip), frame (zstd) or stream (xz, bzip2); called before each. */
        int (*begin)(void *state, Error *err);
        /*
         * Works until the input is used up, the output is full, or the member is complete with all of its output written (*ret_done). Reads nothing
         * behind the end of the member.
         */
        int (*run)(void *state, CodecInput *in, CodecOutput *out, bool *ret_done, Error *err);
        bool padding_between; /* zero bytes between members are allowed, not only after the last */
} DecoderOps;

typedef struct EncoderOps {
        int min_level, max_level, default_level;
        void *(*new)(int level, size_t n_threads, const Sink *to, Error *err);
        void (*free)(void *state);
        int (*feed)(void *state, const void *data, size_t size, Error *err);
        int (*finish)(void *state, Error *err);
} EncoderOps;

extern const DecoderOps gzip_decoder, zstd_decoder, xz_decoder, bzip2_decoder;
extern const EncoderOps gzip_encoder, zstd_encoder, xz_encoder;
