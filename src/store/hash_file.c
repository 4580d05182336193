#include "store/hash_file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

#define BUFFER_SIZE ((size_t)1 << 20)
#define FLUSH_SIZE ((uint64_t)32 << 20)

/* The first buffer is small, so that a layer of a few files does not cost a page fault per 4 KiB of an unused megabyte. */
typedef struct Chunk {
        uint8_t *data;
        size_t size; /* bytes filled */
} Chunk;

/*
 * chunks[] is a ring: [tail, head) wait for the hash thread, chunks[head] is being filled. Counters only grow; a slot is counter % HASH_FILE_BUFFERS.
 * Without a thread (nothing larger than one buffer was written yet) the ring is empty and chunks[0] is all there is.
 */
struct HashFile {
        int fd;
        char *name;
        Hash *hash;
        uint64_t size, flushed; /* bytes written, and those of them that are on their way to the disk */
        Chunk chunks[HASH_FILE_BUFFERS];
        uint64_t head, tail;
        bool threaded, ending;
        bool ends_in_hole; /* which only has a size once it is set */
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
};

HashFile *hash_file_new(DigestAlgorithm algorithm, int fd, const char *name)
{
        HashFile *file = NEW(HashFile);

        file->fd = fd;
        file->name = xstrdup(name);
        file->hash = hash_new(algorithm);
        pthread_mutex_init(&file->mutex, NULL);
        pthread_cond_init(&file->changed, NULL);
        return file;
}

static void *hash_loop(void *data)
{
        HashFile *file = data;

        pthread_mutex_lock(&file->mutex);
        for (;;) {
                Chunk *chunk;

                while (file->tail == file->head && !file->ending)
                        pthread_cond_wait(&file->changed, &file->mutex);
                if (file->tail == file->head)
                        break;
                chunk = &file->chunks[file->tail % HASH_FILE_BUFFERS];
                pthread_mutex_unlock(&file->mutex);
                hash_add(file->hash, chunk->data, chunk->size);
                pthread_mutex_lock(&file->mutex);
                file->tail++;
                pthread_cond_broadcast(&file->changed);
        }
        pthread_mutex_unlock(&file->mutex);
        return NULL;
}

static void end_thread(HashFile *file)
{
        if (!file->threaded)
                return;
        pthread_mutex_lock(&file->mutex);
        file->ending = true;
        pthread_cond_broadcast(&file->changed);
        pthread_mutex_unlock(&file->mutex);
        pthread_join(file->thread, NULL);
        file->threaded = false;
}

void hash_file_free(HashFile *file)
{
        if (!file)
                return;
        end_thread(file);
        for (size_t i = 0; i < HASH_FILE_BUFFERS; i++)
                free(file->chunks[i].data);
        pthread_cond_destroy(&file->changed);
        pthread_mutex_destroy(&file->mutex);
        hash_free(file->hash);
        free(file->name);
        free(file);
}

static Chunk *filling(HashFile *file)
{
        Chunk *chunk = &file->chunks[file->head % HASH_FILE_BUFFERS];

        if (!chunk->data)
                chunk->data = xmalloc(BUFFER_SIZE);
        return chunk;
}

static bool is_zero(const Chunk *chunk)
{
        return chunk->data[0] == 0 && memcmp(chunk->data, chunk->data + 1, chunk->size - 1) == 0;
}

/* A buffer of zeros becomes a hole: disk images and the like are mostly that. */
static int write_chunk(HashFile *file, const Chunk *chunk, Error *err)
{
        int r;

        file->ends_in_hole = chunk->size == BUFFER_SIZE && is_zero(chunk);
        if (file->ends_in_hole)
                r = lseek(file->fd, (off_t)chunk->size, SEEK_CUR) < 0 ? -errno : 0;
        else
                r = fd_write_all(file->fd, chunk->data, chunk->size);
        if (r < 0)
                return error_errno(err, r, "cannot write %s", file->name);
        file->size += chunk->size;
        /*
         * The data has to be on the disk before the rows that name it: begin now, beside the hashing, or the sync at the end waits for all of it. A hint; what
         * fails here is reported by that sync.
         */
        if (file->size - file->flushed >= FLUSH_SIZE) {
                (void)sync_file_range(file->fd, (off_t)file->flushed, (off_t)(file->size - file->flushed), SYNC_FILE_RANGE_WRITE);
                file->flushed = file->size;
        }
        return 0;
}

/* Hands the buffer being filled to the hash thread, writes it meanwhile, and waits for a free one. */
static int pass_on(HashFile *file, Error *err)
{
        Chunk *chunk = filling(file);

        if (!file->threaded) {
                int r = pthread_create(&file->thread, NULL, hash_loop, file);

                if (r != 0)
                        return error_errno(err, r, "cannot start a thread");
                file->threaded = true;
        }
        pthread_mutex_lock(&file->mutex);
        file->head++;
        pthread_cond_broadcast(&file->changed);
        pthread_mutex_unlock(&file->mutex);
        if (write_chunk(file, chunk, err) < 0)
                return -1;
        pthread_mutex_lock(&file->mutex);
        while (file->head - file->tail >= HASH_FILE_BUFFERS)
                pthread_cond_wait(&file->changed, &file->mutex);
        pthread_mutex_unlock(&file->mutex);
        filling(file)->size = 0;
        return 0;
}

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

        if (chunk->size > 0 && write_chunk(file, chunk, err) < 0)
                return -1;
        if (file->ends_in_hole && sys_ftruncate(file->fd, lseek(file->fd, 0, SEEK_CUR)) < 0)
                return error_errno(err, errno, "cannot write %s", file->name);
        end_thread(file);
        hash_add(file->hash, chunk->data, chunk->size);
        chunk->size = 0;
        *ret = hash_digest(file->hash);
        *ret_size = file->size;
        return 0;
}
