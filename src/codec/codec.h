/*
 * Compression as stream filters behind one table: gzip, zstd, xz, bzip2, none. A decoder or encoder is a Sink that writes to another Sink.
 *
 * codec.c owns the table of codecs; how to add one: write <name>.c with the CodecOps of its direction, add its row to `codecs[]`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/sink.h"

typedef enum Codec { CODEC_NONE, CODEC_GZIP, CODEC_ZSTD, CODEC_XZ, CODEC_BZIP2, _CODEC_MAX } Codec;

const char *codec_name(Codec codec); /* "none", "gzip", … */

/* By magic number, from the first bytes (6 are enough). CODEC_NONE when nothing fits. */
Codec codec_sniff(const void *data, size_t size);

typedef struct Decoder Decoder;

/*
 * A decoder for `codec` that writes what it inflates to `to`.
 * max_size: LIMIT error when the output grows beyond it (0: no limit). max_ratio: LIMIT when output exceeds ratio * input + 64 MiB (0: none); gzip and zstd
 * bombs end here. Concatenated members and frames are one stream; trailing zero bytes after the last are ignored, other trailing bytes are CORRUPT.
 */
Decoder *decoder_new(Codec codec, const Sink *to, uint64_t max_size, uint64_t max_ratio);
void decoder_free(Decoder *decoder);
DEFINE_CLEANUP(Decoder *, decoder_free)
int decoder_feed(Decoder *decoder, const void *data, size_t size, Error *err);
int decoder_finish(Decoder *decoder, Error *err); /* CORRUPT when the stream is not complete */

typedef struct Encoder Encoder;

/*
 * level: the codec's own scale, or -1 for its default. gzip: independent 1 MiB members compressed by `n_threads` threads (0: as many as processors);
 * the bytes do not depend on the number of threads. zstd: one frame, likewise deterministic.
 * NULL with *err (UNSUPPORTED, INVALID level) when it cannot be.
 */
Encoder *encoder_new(Codec codec, int level, size_t n_threads, const Sink *to, Error *err);
void encoder_free(Encoder *encoder);
DEFINE_CLEANUP(Encoder *, encoder_free)
int encoder_feed(Encoder *encoder, const void *data, size_t size, Error *err);
int encoder_finish(Encoder *encoder, Error *err);
