/*
 * gzip by libdeflate: the input is cut every MiB and each piece becomes a member of its own, so that threads can compress them at the same time and the
 * bytes depend on input and level only. Members carry no time and no name (MTIME 0, OS 255).
 *
 * A ring of slots: the caller fills the newest, the pool compresses those in between, the caller writes out the oldest.
 *
 *   FREE -> (filled, submitted) -> BUSY -> (worker) -> READY -> (written) -> FREE
 *
 * Threads: `mutex` guards the state of the slots; everything else in a slot belongs to the caller unless it is BUSY.
 */
#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "codec/ops.h"

#define PIECE_SIZE ((size_t)1 << 20)
#define THREADS_MAX 12 /* 2 MiB for each, and two more: 28 MiB */

typedef enum SlotState { SLOT_FREE, SLOT_BUSY, SLOT_READY } SlotState;

typedef struct Gzip Gzip;

typedef struct Slot {
        Gzip *gzip;
        struct libdeflate_compressor *compressor;
        uint8_t *in, *out;
        size_t in_size, out_size; /* out_size 0 when READY: failed */
        SlotState state;
} Slot;

struct Gzip {
        Sink to;
        Pool *pool;
        size_t out_max;
        bool wrote; /* at least one member was submitted */
        pthread_mutex_t mutex;
        pthread_cond_t ready;
        Slot *slots;
        size_t n_slots;
        size_t first, n_used; /* ring: slots in flight, without the one being filled */
};

static void compress_slot(void *data)
{
        Slot *slot = data;
        Gzip *g = slot->gzip;

        slot->out_size = libdeflate_gzip_compress(slot->compressor, slot->in, slot->in_size, slot->out, g->out_max);
        pthread_mutex_lock(&g->mutex);
        slot->state = SLOT_READY;
        pthread_cond_broadcast(&g->ready);
        pthread_mutex_unlock(&g->mutex);
}

static void gzip_free(void *user)
{
        Gzip *g = user;

        pool_free(g->pool);
        for (size_t i = 0; i < g->n_slots; i++) {
                libdeflate_free_compressor(g->slots[i].compressor);
                free(g->slots[i].in);
                free(g->slots[i].out);
        }
        free(g->slots);
        pthread_mutex_destroy(&g->mutex);
        pthread_cond_destroy(&g->ready);
        free(g);
}

static void *gzip_new(int level, size_t n_threads, const Sink *to, Error *err)
{
        Gzip *g = NEW(Gzip);

        if (n_threads == 0)
                n_threads = cpu_count();
        n_threads = MIN(n_threads, (size_t)THREADS_MAX);
        g->to = *to;
        pthread_mutex_init(&g->mutex, NULL);
        pthread_cond_init(&g->ready, NULL);
        g->pool = pool_new(n_threads);
        g->n_slots = n_threads > 1 ? n_threads + 2 : 1;
        g->slots = NEW_ARRAY(Slot, g->n_slots);
        for (size_t i = 0; i < g->n_slots; i++) {
                Slot *slot = &g->slots[i];

                slot->gzip = g;
                slot->compressor = libdeflate_alloc_compressor(level);
                if (!slot->compressor) {
                        error_set(err, ERROR_INTERNAL, "gzip: no memory for a compressor");
                        gzip_free(g);
                        return NULL;
                }
                g->out_max = libdeflate_gzip_compress_bound(slot->compressor, PIECE_SIZE);
                slot->in = xmalloc(PIECE_SIZE);
                slot->out = xmalloc(g->out_max);
        }
        return g;
}

static Slot *filling(Gzip *g)
{
        return &g->slots[(g->first + g->n_used) % g->n_slots];
}

static int write_oldest(Gzip *g, Error *err)
{
        Slot *slot = &g->slots[g->first];

        pthread_mutex_lock(&g->mutex);
        while (slot->state != SLOT_READY)
                pthread_cond_wait(&g->ready, &g->mutex);
        slot->state = SLOT_FREE;
        pthread_mutex_unlock(&g->mutex);
        g->first = (g->first + 1) % g->n_slots;
        g->n_used--;
        slot->in_size = 0;
        if (slot->out_size == 0)
                return error_set(err, ERROR_INTERNAL, "gzip: a member of 1 MiB did not fit its bound");
        return sink_write(&g->to, slot->out, slot->out_size, err);
}

static int submit(Gzip *g, Error *err)
{
        Slot *slot = filling(g);

        slot->state = SLOT_BUSY;
        g->wrote = true;
        g->n_used++;
        pool_submit(g->pool, compress_slot, slot);
        return g->n_used == g->n_slots ? write_oldest(g, err) : 0;
}

static int gzip_feed(void *user, const void *data, size_t size, Error *err)
{
        const uint8_t *p = data;
        Gzip *g = user;

        while (size > 0) {
                Slot *slot = filling(g);
                size_t n = MIN(size, PIECE_SIZE - slot->in_size);

                memcpy(slot->in + slot->in_size, p, n);
                slot->in_size += n;
                p += n;
                size -= n;
                if (slot->in_size == PIECE_SIZE && submit(g, err) < 0)
                        return -1;
        }
        return 0;
}

static int gzip_finish(void *user, Error *err)
{
        Gzip *g = user;

        /* Nothing at all is still one member: an empty file is no gzip file. */
        if ((filling(g)->in_size > 0 || !g->wrote) && submit(g, err) < 0)
                return -1;
        while (g->n_used > 0)
                if (write_oldest(g, err) < 0)
                        return -1;
        return 0;
}

const EncoderOps gzip_encoder = {
        .min_level = 0, .max_level = 12, .default_level = 6, .new = gzip_new, .free = gzip_free, .feed = gzip_feed, .finish = gzip_finish
};
