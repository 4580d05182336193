/*
 * bzip2 by libbz2; in only.
 */
#include <bzlib.h>
#include <stdlib.h>

#include "base/mem.h"
#include "codec/ops.h"

typedef struct Bzip2 {
        bz_stream stream;
        bool open;
} Bzip2;

static void *bzip2_new(void)
{
        return NEW(Bzip2);
}

static void bzip2_free(void *user)
{
        Bzip2 *b = user;

        if (b->open)
                BZ2_bzDecompressEnd(&b->stream);
        free(b);
}

static int bzip2_begin(void *user, Error *err)
{
        Bzip2 *b = user;

        if (b->open)
                BZ2_bzDecompressEnd(&b->stream);
        b->stream = (bz_stream){ 0 };
        b->open = BZ2_bzDecompressInit(&b->stream, 0, 0) == BZ_OK;
        return b->open ? 0 : error_set(err, ERROR_INTERNAL, "libbz2 cannot start");
}

static int bzip2_run(void *user, CodecInput *in, CodecOutput *out, bool *ret_done, Error *err)
{
        Bzip2 *b = user;
        unsigned given = (unsigned)MIN(in->size, (size_t)1 << 30);
        int r;

        b->stream.next_in = (char *)in->data;
        b->stream.avail_in = given;
        b->stream.next_out = (char *)out->data + out->used;
        b->stream.avail_out = (unsigned)(out->size - out->used);
        r = BZ2_bzDecompress(&b->stream);
        if (r != BZ_OK && r != BZ_STREAM_END)
                return error_set(err, r == BZ_MEM_ERROR ? ERROR_LIMIT : ERROR_CORRUPT, "bzip2 data is damaged%s",
                                 r == BZ_DATA_ERROR_MAGIC ? ": a stream does not start as one, or something else follows the last" : "");
        in->data += given - b->stream.avail_in;
        in->size -= given - b->stream.avail_in;
        out->used = out->size - b->stream.avail_out;
        *ret_done = r == BZ_STREAM_END;
        return 0;
}

const DecoderOps bzip2_decoder = { .new = bzip2_new, .free = bzip2_free, .begin = bzip2_begin, .run = bzip2_run };
