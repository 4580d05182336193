#include "build/cache_copies.h"

#include <unistd.h>

#include "base/direct.h"
#include "base/mem.h"

/* More at once than this no disk is the faster for. */
#define COPIES_MAX 4

typedef struct Copy {
        CacheCopies *copies;
        Digest diff_id;
        int tar;
        uint64_t size;
} Copy;

void cache_copies_init(CacheCopies *copies, CacheWriter *writer, BuildVertex *vertex)
{
        *copies = (CacheCopies){ .writer = writer, .vertex = vertex, .lock = PTHREAD_MUTEX_INITIALIZER };
}

void cache_copies_done(CacheCopies *copies)
{
        pool_free(copies->pool);
        pthread_mutex_destroy(&copies->lock);
        error_done(&copies->error);
}

static int copy(const Copy *job, Error *err)
{
        CacheWriter *writer = job->copies->writer;
        Ingest in = { .fd = -1 };
        int r;

        if (build_check(writer->build, err) < 0 || ingest_begin(writer, &in, err) < 0)
                return -1;
        r = direct_copy(job->tar, in.fd, job->size);
        r = r < 0 ? error_errno(err, r, "cannot copy a layer into '%s'", writer->dest) : ingest_end(writer, &in, &job->diff_id, err);
        ingest_drop(writer, &in);
        return r;
}

static bool has_failed(CacheCopies *copies)
{
        bool failed;

        pthread_mutex_lock(&copies->lock);
        failed = error_is_set(&copies->error);
        pthread_mutex_unlock(&copies->lock);
        return failed;
}

static void run_copy(void *data)
{
        _cleanup_free_ Copy *job = data;
        _cleanup_error_ Error err = ERROR_INIT;
        CacheCopies *copies = job->copies;
        char text[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *what = xasprintf("writing layer %s", digest_format(&job->diff_id, text));

        if (!has_failed(copies) && copy(job, &err) == 0)
                progress_status(copies->writer->build->progress, copies->vertex, what, job->size, job->size, true);
        close(job->tar);
        pthread_mutex_lock(&copies->lock);
        if (error_is_set(&err) && !error_is_set(&copies->error))
                error_move(&copies->error, &err);
        pthread_mutex_unlock(&copies->lock);
}

void cache_copies_add(CacheCopies *copies, const Digest *diff_id, int tar, uint64_t size)
{
        Copy *job = NEW(Copy);

        *job = (Copy){ .copies = copies, .diff_id = *diff_id, .tar = tar, .size = size };
        if (!copies->pool)
                copies->pool = pool_new(MIN(cpu_count(), (size_t)COPIES_MAX));
        pool_submit(copies->pool, run_copy, job);
}

int cache_copies_wait(CacheCopies *copies, Error *err)
{
        pool_free(TAKE_PTR(copies->pool));
        return error_is_set(&copies->error) ? error_move(err, &copies->error) : 0;
}
