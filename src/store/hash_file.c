#include "store/hash_file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/direct.h"
#include "base/mem.h"
#include "base/sys.h"

#define BUFFER_SIZE ((size_t)1 << 20)
#define FLUSH_SIZE ((uint64_t)32 << 20)
/* What one call writes: a disk wants some megabytes at a time. */
#define BATCH ((uint64_t)4)

typedef struct Chunk {
        uint8_t *data;
        size_t size; /* bytes filled */
} Chunk;

/*
 * chunks[] is a ring: [tail, head) are full, chunks[head] is being filled. Two threads go through it at their own pace, one hashes and the other writes; a
 * chunk is free when both have passed it. Counters only grow; a slot is counter % HASH_FILE_BUFFERS. Without threads (nothing larger than one buffer was
 * written yet) the ring is empty and chunks[0] is all there is.
 */
struct HashFile {
        DirectOut out;
        char *name;
        Hash *hash;
        uint64_t flushed; /* bytes that are on their way to the disk */
        Chunk chunks[HASH_FILE_BUFFERS];
        uint64_t head, hashed, written;
        bool threaded, ending;
        bool ends_in_hole; /* which only has a size once it is set */
        int failed;        /* -errno of the first write that failed; nothing is written after it */
        pthread_t hasher, writer;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
};

HashFile *hash_file_new(DigestAlgorithm algorithm, int fd, const char *name)
{
        HashFile *file = NEW(HashFile);

        file->out.fd = fd;
        file->name = xstrdup(name);
        file->hash = hash_new(algorithm);
        pthread_mutex_init(&file->mutex, NULL);
        pthread_cond_init(&file->changed, NULL);
        return file;
}

void hash_file_go_direct(HashFile *file)
{
        file->out.wanted = true;
}

static Chunk *chunk_at(HashFile *file, uint64_t at)
{
        return &file->chunks[at % HASH_FILE_BUFFERS];
}

static Chunk *filling(HashFile *file)
{
        Chunk *chunk = chunk_at(file, file->head);

        if (!chunk->data)
                chunk->data = direct_buffer_new(BUFFER_SIZE);
        return chunk;
}

/* --- writing --- */

static bool is_zero(const Chunk *chunk)
{
        return chunk->size == BUFFER_SIZE && chunk->data[0] == 0 && memcmp(chunk->data, chunk->data + 1, chunk->size - 1) == 0;
}

/*
 * The data has to be on the disk before the rows that name it: begin now, beside the hashing, or the sync at the end waits for all of it. A hint; what fails
 * here is reported by that sync.
 */
static void begin_flush(HashFile *file)
{
        if (file->out.size - file->flushed < FLUSH_SIZE)
                return;
        if (!file->out.on)
                (void)sync_file_range(file->out.fd, (off_t)file->flushed, (off_t)(file->out.size - file->flushed), SYNC_FILE_RANGE_WRITE);
        file->flushed = file->out.size;
}

/* n (1..BATCH) chunks from `at` on. A buffer of zeros becomes a hole: disk images and the like are mostly that. */
static int write_chunks(HashFile *file, uint64_t at, uint64_t n)
{
        struct iovec parts[BATCH];
        size_t n_parts = 0;
        int r = 0;

        for (uint64_t i = 0; i < n && r == 0; i++) {
                Chunk *chunk = chunk_at(file, at + i);

                file->ends_in_hole = is_zero(chunk);
                if (!file->ends_in_hole) {
                        parts[n_parts++] = (struct iovec){ chunk->data, chunk->size };
                        continue;
                }
                r = direct_out_write(&file->out, parts, n_parts);
                n_parts = 0;
                if (r == 0)
                        r = direct_out_skip(&file->out, chunk->size);
        }
        if (r == 0)
                r = direct_out_write(&file->out, parts, n_parts);
        begin_flush(file);
        return r;
}

/* --- threads --- */

/* How many chunks wait behind *done, at most `most`; 0 when no more will come. */
static uint64_t await(HashFile *file, const uint64_t *done, uint64_t most)
{
        while (*done == file->head && !file->ending)
                pthread_cond_wait(&file->changed, &file->mutex);
        return MIN(file->head - *done, most);
}

static void *hash_loop(void *data)
{
        HashFile *file = data;

        pthread_mutex_lock(&file->mutex);
        while (await(file, &file->hashed, 1)) {
                const Chunk *chunk = chunk_at(file, file->hashed);

                pthread_mutex_unlock(&file->mutex);
                hash_add(file->hash, chunk->data, chunk->size);
                pthread_mutex_lock(&file->mutex);
                file->hashed++;
                pthread_cond_broadcast(&file->changed);
        }
        pthread_mutex_unlock(&file->mutex);
        return NULL;
}

static void *write_loop(void *data)
{
        HashFile *file = data;
        uint64_t n;

        pthread_mutex_lock(&file->mutex);
        while ((n = await(file, &file->written, BATCH))) {
                int r = file->failed;

                pthread_mutex_unlock(&file->mutex);
                if (r == 0)
                        r = write_chunks(file, file->written, n);
                pthread_mutex_lock(&file->mutex);
                file->failed = r;
                file->written += n;
                pthread_cond_broadcast(&file->changed);
        }
        pthread_mutex_unlock(&file->mutex);
        return NULL;
}

static int begin_threads(HashFile *file)
{
        int r;

        if (file->threaded)
                return 0;
        r = pthread_create(&file->hasher, NULL, hash_loop, file);
        if (r != 0)
                return -r;
        file->threaded = true;
        r = pthread_create(&file->writer, NULL, write_loop, file);
        if (r != 0)
                file->writer = file->hasher;
        return -r;
}

/* Until everything that was passed on is hashed and written. */
static void end_threads(HashFile *file)
{
        if (!file->threaded)
                return;
        pthread_mutex_lock(&file->mutex);
        file->ending = true;
        pthread_cond_broadcast(&file->changed);
        pthread_mutex_unlock(&file->mutex);
        if (!pthread_equal(file->writer, file->hasher))
                pthread_join(file->writer, NULL);
        pthread_join(file->hasher, NULL);
        file->threaded = false;
}

void hash_file_free(HashFile *file)
{
        if (!file)
                return;
        end_threads(file);
        for (size_t i = 0; i < HASH_FILE_BUFFERS; i++)
                free(file->chunks[i].data);
        pthread_cond_destroy(&file->changed);
        pthread_mutex_destroy(&file->mutex);
        hash_free(file->hash);
        free(file->name);
        free(file);
}

/* Hands the buffer being filled to the threads, and waits for a free one. */
static int pass_on(HashFile *file, Error *err)
{
        int r = begin_threads(file);

        if (r < 0)
                return error_errno(err, r, "cannot start a thread");
        pthread_mutex_lock(&file->mutex);
        file->head++;
        pthread_cond_broadcast(&file->changed);
        while (file->head - MIN(file->hashed, file->written) >= HASH_FILE_BUFFERS)
                pthread_cond_wait(&file->changed, &file->mutex);
        r = file->failed;
        pthread_mutex_unlock(&file->mutex);
        filling(file)->size = 0;
        return r < 0 ? error_errno(err, r, "cannot write %s", file->name) : 0;
}

/* --- filling --- */

int hash_file_reserve(HashFile *file, void **ret_data, size_t *ret_size, Error *err)
{
        Chunk *chunk = filling(file);

        if (chunk->size == BUFFER_SIZE) {
                if (pass_on(file, err) < 0)
                        return -1;
                chunk = filling(file);
        }
        *ret_data = chunk->data + chunk->size;
        *ret_size = BUFFER_SIZE - chunk->size;
        return 0;
}

int hash_file_filled(HashFile *file, size_t size, Error *err)
{
        filling(file)->size += size;
        return 0;
}

int hash_file_write(HashFile *file, const void *data, size_t size, Error *err)
{
        const uint8_t *from = data;

        while (size > 0) {
                void *to;
                size_t n;

                if (hash_file_reserve(file, &to, &n, err) < 0)
                        return -1;
                n = MIN(n, size);
                memcpy(to, from, n);
                if (hash_file_filled(file, n, err) < 0)
                        return -1;
                from += n;
                size -= n;
        }
        return 0;
}

int hash_file_finish(HashFile *file, Digest *ret, uint64_t *ret_size, Error *err)
{
        Chunk *chunk = filling(file);

        end_threads(file);
        if (file->failed == 0 && chunk->size > 0)
                file->failed = write_chunks(file, file->head, 1);
        if (file->failed == 0 && file->ends_in_hole && sys_ftruncate(file->out.fd, (off_t)file->out.size) < 0)
                file->failed = -errno;
        if (file->failed < 0)
                return error_errno(err, file->failed, "cannot write %s", file->name);
        direct_out_end(&file->out);
        hash_add(file->hash, chunk->data, chunk->size);
        chunk->size = 0;
        *ret = hash_digest(file->hash);
        *ret_size = file->out.size;
        return 0;
}
