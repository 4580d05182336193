/*
 * zstd (RFC 8878) by libzstd.
 */
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/pool.h"
#include "codec/limits.h"
#include "codec/ops.h"

/* --- in --- */

static void *zstd_in_new(void)
{
        ZSTD_DCtx *context = ZSTD_createDCtx();

        if (!context || ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, CODEC_WINDOW_LOG_MAX)))
                abort();
        return context;
}

static void zstd_in_free(void *user)
{
        ZSTD_freeDCtx(user);
}

static int zstd_begin(void *user, Error *err)
{
        ZSTD_DCtx_reset(user, ZSTD_reset_session_only);
        return 0;
}

static int zstd_run(void *user, CodecInput *in, CodecOutput *out, bool *ret_done, Error *err)
{
        ZSTD_inBuffer source = { .src = in->data, .size = in->size };
        ZSTD_outBuffer target = { .dst = out->data, .size = out->size, .pos = out->used };
        size_t r;

        do {
                r = ZSTD_decompressStream(user, &target, &source);
                if (ZSTD_isError(r)) {
                        if (ZSTD_getErrorCode(r) == ZSTD_error_frameParameter_windowTooLarge)
                                return error_set(err, ERROR_LIMIT, "zstd data needs a window of more than 128 MiB: compress it without --ultra or --long");
                        return error_set(err, ERROR_CORRUPT, "zstd data is damaged: %s", ZSTD_getErrorName(r));
                }
        } while (r != 0 && source.pos < source.size && target.pos < target.size);
        in->data += source.pos;
        in->size -= source.pos;
        out->used = target.pos;
        *ret_done = r == 0;
        return 0;
}

const DecoderOps zstd_decoder = { .new = zstd_in_new, .free = zstd_in_free, .begin = zstd_begin, .run = zstd_run };

/* --- out --- */

#define JOB_SIZE (4 << 20)
#define THREADS_MAX 6 /* each holds a job, its overlap and tables: some 8 MiB at the default level */

typedef struct Zstd {
        ZSTD_CCtx *context;
        Sink to;
        size_t out_size;
        uint8_t *out;
} Zstd;

static void zstd_out_free(void *user)
{
        Zstd *z = user;

        ZSTD_freeCCtx(z->context);
        free(z->out);
        free(z);
}

static void *zstd_out_new(int level, size_t n_threads, const Sink *to, Error *err)
{
        Zstd *z = NEW(Zstd);
        size_t r;

        if (n_threads == 0)
                n_threads = cpu_count();
        z->to = *to;
        z->out_size = ZSTD_CStreamOutSize();
        z->out = xmalloc(z->out_size);
        z->context = ZSTD_createCCtx();
        if (!z->context)
                abort();
        r = ZSTD_CCtx_setParameter(z->context, ZSTD_c_compressionLevel, level);
        if (!ZSTD_isError(r))
                r = ZSTD_CCtx_setParameter(z->context, ZSTD_c_checksumFlag, 1);
        /*
         * Always with workers, be it one: the bytes then depend on the size of the jobs, which is fixed, and not on the number of threads. A libzstd
         * built without threads refuses this and compresses in one piece.
         */
        if (!ZSTD_isError(r) && !ZSTD_isError(ZSTD_CCtx_setParameter(z->context, ZSTD_c_nbWorkers, (int)MIN(n_threads, (size_t)THREADS_MAX))))
                r = ZSTD_CCtx_setParameter(z->context, ZSTD_c_jobSize, JOB_SIZE);
        if (ZSTD_isError(r)) {
                error_set(err, ERROR_INTERNAL, "zstd: %s", ZSTD_getErrorName(r));
                zstd_out_free(z);
                return NULL;
        }
        return z;
}

static int compress_some(Zstd *z, ZSTD_inBuffer *source, ZSTD_EndDirective end, Error *err)
{
        size_t left;

        do {
                ZSTD_outBuffer target = { .dst = z->out, .size = z->out_size };

                left = ZSTD_compressStream2(z->context, &target, source, end);
                if (ZSTD_isError(left))
                        return error_set(err, ERROR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
                if (sink_write(&z->to, z->out, target.pos, err) < 0)
                        return -1;
        } while (end == ZSTD_e_end ? left > 0 : source->pos < source->size);
        return 0;
}

static int zstd_feed(void *user, const void *data, size_t size, Error *err)
{
        ZSTD_inBuffer source = { .src = data, .size = size };

        return compress_some(user, &source, ZSTD_e_continue, err);
}

static int zstd_finish(void *user, Error *err)
{
        ZSTD_inBuffer source = { .src = "", .size = 0 };

        return compress_some(user, &source, ZSTD_e_end, err);
}

const EncoderOps zstd_encoder = {
        .min_level = 1, .max_level = 22, .default_level = 3, .new = zstd_out_new, .free = zstd_out_free, .feed = zstd_feed, .finish = zstd_finish
};
