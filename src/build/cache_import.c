#include "build/cache_import.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/sys.h"
#include "build/cache_dir.h"
#include "fs/owner.h"
#include "store/cache_mount.h"
#include "store/untar.h"

#define READ_SIZE ((size_t)1 << 20)
/* A cache mount's tar: as for layers (store/layer_import.c), real ones inflate far less. */
#define MOUNT_MAX_RATIO 400
#define MOUNT_MAX_SIZE (UINT64_C(1) << 42)
/* Layers that are taken at once. Each has buffers of some 6 MiB and a thread that hashes; more than this no disk is the faster for. */
#define JOBS_MAX 4
#define TELL_EVERY (64 * MIB)

typedef struct CacheImport {
        const BuildCacheFrom *from;
        BuildVertex *vertex;
        CacheDir dir;
        CacheDocument document;
        Map *steps;  /* key -> CacheStep */
        Map *mounts; /* id -> CacheMountEntry */
        Map *bad;    /* numbers of layers that could not be taken: "12" */
        bool usable;
} CacheImport;

/* A layer that is taken beside others. */
typedef struct LayerJob {
        Build *build;
        struct CacheImports *imports;
        CacheImport *import;
        const CacheLayer *layer;
        char *number;
        bool failed;
} LayerJob;

struct CacheImports {
        pthread_mutex_t lock;
        bool loaded;
        CacheImport *items;
        size_t n_items;
        bool deferred; /* cache_imports_defer() */
        Pool *pool;    /* while jobs may run */
        Map *jobs;     /* diffID -> LayerJob, also when it is over */
        size_t n_bad;  /* jobs that failed for the cache's reasons */
        Error error;   /* the first other one */
};

/* --- loading --- */

/* A failure of the cache, not of the build. */
static bool is_of_cache(const Error *err)
{
        switch (err->code) {
        case ERROR_INVALID:
        case ERROR_NOT_FOUND:
        case ERROR_DENIED:
        case ERROR_UNSUPPORTED:
        case ERROR_CORRUPT:
        case ERROR_LIMIT:
        case ERROR_CONFLICT:
        case ERROR_EXISTS:
                return true;
        default:
                return false;
        }
}

static int load(CacheImport *import, Error *err)
{
        const Descriptor *manifest;

        if (cache_dir_open(import->from->src, &import->dir, err) < 0)
                return -1;
        manifest = cache_dir_find(&import->dir, import->from->tag, &import->from->digest, err);
        if (!manifest || cache_dir_read(&import->dir, manifest, &import->document, err) < 0)
                return -1;
        for (size_t i = 0; i < import->document.records.n_items; i++)
                map_setn(import->steps, &import->document.records.items[i].key, sizeof(Digest), &import->document.records.items[i]);
        for (size_t i = 0; i < import->document.mounts.n_items; i++)
                map_set(import->mounts, import->document.mounts.items[i].id, &import->document.mounts.items[i]);
        return 0;
}

static void load_one(Build *build, CacheImport *import)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *name = xasprintf("importing cache manifest from local:%s", import->from->src);

        import->dir.fd = -1;
        import->steps = map_new(NULL);
        import->mounts = map_new(NULL);
        import->bad = map_new(NULL);
        import->vertex = progress_vertex(build->progress, &(VertexInfo){ .name = name });
        progress_start(build->progress, import->vertex);
        import->usable = load(import, &err) == 0;
        if (import->usable)
                progress_done(build->progress, import->vertex);
        else
                progress_fail(build->progress, import->vertex, error_message(&err));
}

static void job_free(void *data)
{
        LayerJob *job = data;

        free(job->number);
        free(job);
}

/* NULL when no cache is to be read. */
static CacheImports *imports_new_once(Build *build)
{
        if (!build->options->n_cache_from)
                return NULL;
        pthread_mutex_lock(&build->lock);
        if (!build->imports) {
                build->imports = NEW(CacheImports);
                pthread_mutex_init(&build->imports->lock, NULL);
                build->imports->n_items = build->options->n_cache_from;
                build->imports->items = NEW_ARRAY(CacheImport, build->imports->n_items);
                build->imports->jobs = map_new(job_free);
        }
        pthread_mutex_unlock(&build->lock);
        return build->imports;
}

/* Loads all caches on the first question. NULL when there are none. */
static CacheImports *imports_of(Build *build)
{
        CacheImports *imports = imports_new_once(build);

        if (!imports)
                return NULL;
        pthread_mutex_lock(&imports->lock);
        for (size_t i = 0; i < imports->n_items && !imports->loaded; i++) {
                imports->items[i].from = &build->options->cache_from[i];
                load_one(build, &imports->items[i]);
        }
        imports->loaded = true;
        pthread_mutex_unlock(&imports->lock);
        return imports;
}

void cache_imports_free(CacheImports *imports)
{
        if (!imports)
                return;
        pool_free(imports->pool);
        map_free(imports->jobs);
        error_done(&imports->error);
        for (size_t i = 0; i < imports->n_items && imports->loaded; i++) {
                cache_document_done(&imports->items[i].document);
                cache_dir_done(&imports->items[i].dir);
                map_free(imports->items[i].steps);
                map_free(imports->items[i].mounts);
                map_free(imports->items[i].bad);
        }
        free(imports->items);
        pthread_mutex_destroy(&imports->lock);
        free(imports);
}

/* --- layers --- */

static bool is_bad(CacheImports *imports, const CacheImport *import, const char *number)
{
        bool bad;

        pthread_mutex_lock(&imports->lock);
        bad = map_has(import->bad, number);
        pthread_mutex_unlock(&imports->lock);
        return bad;
}

static void set_bad(CacheImports *imports, CacheImport *import, const char *number)
{
        pthread_mutex_lock(&imports->lock);
        map_set(import->bad, number, import);
        pthread_mutex_unlock(&imports->lock);
}

/* The blob's bytes, from beginning to end, are in *layer's hands after this. Uncompressed ones go from file to file without a buffer in between. */
static int feed_layer(Build *build, const CacheImport *import, const CacheLayer *layer, const char *what, LayerImport *in, Error *err)
{
        uint64_t size = (uint64_t)layer->annotations.size, done = 0, told = 0;
        _cleanup_close_ int fd = cache_dir_open_blob(&import->dir, &layer->blob, layer->annotations.size, err);
        ssize_t n;

        if (fd < 0)
                return -1;
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
        while ((n = layer_import_read(in, fd, err)) > 0) {
                done += (uint64_t)n;
                if (done > size)
                        break;
                if (build_check(build, err) < 0)
                        return -1;
                if (done - told < TELL_EVERY)
                        continue;
                told = done;
                progress_status(build->progress, import->vertex, what, done, size, false);
        }
        if (n < 0)
                return -1;
        return done == size ? 0
                            : error_set(err, ERROR_CORRUPT, "a blob of '%s' became %s while it was read", import->dir.path, done < size ? "shorter" : "longer");
}

static int take_layer(Build *build, CacheImport *import, const CacheLayer *layer, Error *err)
{
        _cleanup_(layer_import_freep) LayerImport *in = NULL;
        const Digest *diff_id = &layer->annotations.diff_id;
        char text[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *what = xasprintf("importing layer %s", digest_format(diff_id, text));
        LayerInfo info;

        if (layer_import_open(build->lease, false, &in, err) < 0 || feed_layer(build, import, layer, what, in, err) < 0 ||
            layer_import_commit(in, &layer->blob, diff_id, NULL, NULL, &info, err) < 0)
                return -1;
        progress_status(build->progress, import->vertex, what, (uint64_t)layer->annotations.size, (uint64_t)layer->annotations.size, true);
        return 0;
}

/* Says what is wrong with a cache that is then done without. -1 when it is nothing of the cache's. */
static int forgive(CacheImports *imports, CacheImport *import, Build *build, const char *what, const char *number, Error *err)
{
        _cleanup_free_ char *note = NULL;

        if (!is_of_cache(err))
                return -1;
        note = xasprintf("cannot use a %s of the cache '%s': %s\n", what, import->dir.path, error_message(err));
        progress_log(build->progress, import->vertex, 2, note, strlen(note));
        set_bad(imports, import, number);
        error_done(err);
        return 0;
}

static void run_job(void *data)
{
        LayerJob *job = data;
        CacheImports *imports = job->imports;
        _cleanup_error_ Error err = ERROR_INIT;
        bool failed = take_layer(job->build, job->import, job->layer, &err) < 0;
        bool forgiven = failed && forgive(imports, job->import, job->build, "layer", job->number, &err) == 0;

        pthread_mutex_lock(&imports->lock);
        job->failed = failed;
        imports->n_bad += forgiven;
        if (failed && !forgiven && !error_is_set(&imports->error))
                error_move(&imports->error, &err);
        pthread_mutex_unlock(&imports->lock);
}

/* Lets others take the layer while the caller goes on as if it were there. What can be seen of the blob without reading it is right. */
static int promise_layer(Build *build, CacheImports *imports, CacheImport *import, const CacheLayer *layer, const char *number, Error *err)
{
        _cleanup_close_ int fd = cache_dir_open_blob(&import->dir, &layer->blob, layer->annotations.size, err);
        LayerJob *job;

        if (fd < 0)
                return -1;
        job = NEW(LayerJob);
        *job = (LayerJob){ .build = build, .imports = imports, .import = import, .layer = layer, .number = xstrdup(number) };
        pthread_mutex_lock(&imports->lock);
        map_setn(imports->jobs, &layer->annotations.diff_id, sizeof(Digest), job);
        if (!imports->pool)
                imports->pool = pool_new(MIN(cpu_count(), (size_t)JOBS_MAX));
        pthread_mutex_unlock(&imports->lock);
        pool_submit(imports->pool, run_job, job);
        return 0;
}

/* Whether it was asked for already and did not turn out to be unusable. */
static bool is_taken(CacheImports *imports, const Digest *diff_id)
{
        const LayerJob *job;
        bool taken;

        pthread_mutex_lock(&imports->lock);
        job = map_getn(imports->jobs, diff_id, sizeof(*diff_id));
        taken = job && !job->failed;
        pthread_mutex_unlock(&imports->lock);
        return taken;
}

static int need_layer(Build *build, CacheImports *imports, CacheImport *import, const CacheLayer *layer, const char *number, Error *err)
{
        const Digest *diff_id = &layer->annotations.diff_id;

        if (is_taken(imports, diff_id) || (layer_exists(build->store, diff_id) && lease_hold_layer(build->lease, diff_id, err) == 0))
                return 0;
        error_done(err);
        return imports->deferred ? promise_layer(build, imports, import, layer, number, err) : take_layer(build, import, layer, err);
}

/* 1, 0 when this cache does not have it or not in a usable form, -1. */
static int find_in(Build *build, CacheImports *imports, CacheImport *import, const Digest *key, Layer *ret, Error *err)
{
        const CacheStep *step = import->usable ? map_getn(import->steps, key, sizeof(*key)) : NULL;
        const CacheResult *result = step ? &step->results.items[0] : NULL;
        const CacheLayer *layer = result ? &import->document.layers.items[result->layer] : NULL;
        _cleanup_free_ char *number = result ? xasprintf("%lld", (long long)result->layer) : NULL;

        if (!layer || is_bad(imports, import, number))
                return 0;
        if (need_layer(build, imports, import, layer, number, err) < 0)
                return forgive(imports, import, build, "layer", number, err);
        ret->diff_id = layer->annotations.diff_id;
        if (!result->created || timestamp_parse(result->created, &ret->created) < 0)
                ret->created = clock_now_or_epoch(build->epoch);
        return 1;
}

int cache_imports_find(Build *build, const Digest *key, Layer *ret, Error *err)
{
        CacheImports *imports = imports_of(build);
        int found = 0;

        for (size_t i = 0; imports && i < imports->n_items && found == 0; i++)
                found = find_in(build, imports, &imports->items[i], key, ret, err);
        return found;
}

void cache_imports_defer(Build *build)
{
        CacheImports *imports = imports_new_once(build);

        if (imports)
                imports->deferred = true;
}

int cache_imports_settle(Build *build, Error *err)
{
        CacheImports *imports = build->imports;
        size_t n_bad;

        if (!imports)
                return 0;
        pool_free(TAKE_PTR(imports->pool));
        imports->deferred = false;
        n_bad = imports->n_bad;
        imports->n_bad = 0;
        if (error_is_set(&imports->error))
                return error_move(err, &imports->error);
        return n_bad > 0;
}

/* --- mounts --- */

typedef int Feed(void *user, const void *data, size_t size, Error *err);

static int read_blob(Build *build, const CacheImport *import, const CacheLayer *layer, Feed *feed, void *user, Error *err)
{
        _cleanup_close_ int fd = cache_dir_open_blob(&import->dir, &layer->blob, layer->annotations.size, err);
        _cleanup_free_ char *buffer = fd >= 0 ? xmalloc(READ_SIZE) : NULL;

        if (fd < 0)
                return -1;
        for (int64_t left = layer->annotations.size; left > 0;) {
                ssize_t n = fd_read_full(fd, buffer, (size_t)MIN(left, (int64_t)READ_SIZE));

                if (n <= 0)
                        return n < 0 ? error_errno(err, (int)n, "cannot read a blob of '%s'", import->dir.path)
                                     : error_set(err, ERROR_CORRUPT, "a blob of '%s' became shorter while it was read", import->dir.path);
                if (build_check(build, err) < 0 || feed(user, buffer, (size_t)n, err) < 0)
                        return -1;
                left -= n;
        }
        return 0;
}

typedef struct Fill {
        Untar *untar;
        Decoder *decoder;
        Hash *hash;  /* of the bytes as they come */
        Hash *plain; /* of the tar, when it came compressed */
} Fill;

static void fill_done(Fill *fill)
{
        decoder_free(fill->decoder);
        untar_free(fill->untar);
        hash_free(fill->hash);
        hash_free(fill->plain);
}

static int feed_tar(void *user, const void *data, size_t size, Error *err)
{
        Fill *fill = user;
        Sink sink = untar_sink(fill->untar);

        if (fill->plain)
                hash_add(fill->plain, data, size);
        return sink_write(&sink, data, size, err);
}

static int feed_fill(void *user, const void *data, size_t size, Error *err)
{
        Fill *fill = user;

        hash_add(fill->hash, data, size);
        return fill->decoder ? decoder_feed(fill->decoder, data, size, err) : feed_tar(fill, data, size, err);
}

static int check_digest(const Hash *hash, const Digest *expected, Error *err)
{
        Digest found = hash_digest(hash);
        char want[DIGEST_TEXT_SIZE], got[DIGEST_TEXT_SIZE];

        if (digest_equal(&found, expected))
                return 0;
        return error_set(err, ERROR_CORRUPT, "it has the digest '%s' and not '%s'", digest_format(&found, got), digest_format(expected, want));
}

/* Unpacks into a new directory of the lease's; only what was verified as a whole gets the name. */
static int unpack_mount(Build *build, const CacheImport *import, const CacheMountEntry *mount, const char *path, int root_fd, Error *err)
{
        const CacheLayer *layer = &import->document.layers.items[mount->layer];
        _cleanup_(fill_done) Fill fill = { .hash = hash_new(DIGEST_SHA256), .untar = untar_new(root_fd, "", NULL, true) };
        Sink sink = { .write = feed_tar, .user = &fill };
        Codec codec = CODEC_NONE;

        (void)cache_layer_codec(layer, &codec);
        if (codec != CODEC_NONE) {
                fill.plain = hash_new(DIGEST_SHA256);
                fill.decoder = decoder_new(codec, &sink, MOUNT_MAX_SIZE, MOUNT_MAX_RATIO);
        }
        if (read_blob(build, import, layer, feed_fill, &fill, err) < 0 || (fill.decoder && decoder_finish(fill.decoder, err) < 0) ||
            untar_finish(fill.untar, err) < 0)
                return -1;
        if (check_digest(fill.hash, &layer->blob, err) < 0 || (fill.plain && check_digest(fill.plain, &layer->annotations.diff_id, err) < 0))
                return -1;
        if (owner_set(root_fd, "", (uint32_t)mount->uid, (uint32_t)mount->gid) < 0 || sys_fchmod(root_fd, (mode_t)mount->mode) < 0)
                return error_errno(err, errno, "cannot set the owner and the mode of '%s'", path);
        return 0;
}

static int take_mount(Build *build, CacheImport *import, const CacheMountEntry *mount, Error *err)
{
        _cleanup_free_ char *path = build_make_dir(build, "mount", err), *shown = str_printable(mount->id, strlen(mount->id));
        _cleanup_free_ char *what = xasprintf("importing cache mount %s", shown);
        _cleanup_close_ int root_fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        int64_t size = import->document.layers.items[mount->layer].annotations.size;

        if (!path)
                return -1;
        if (root_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        if (unpack_mount(build, import, mount, path, root_fd, err) < 0 || cache_mount_replace(build->lease, mount->id, path, err) < 0) {
                (void)tree_remove(AT_FDCWD, path);
                return -1;
        }
        progress_status(build->progress, import->vertex, what, (uint64_t)size, (uint64_t)size, true);
        return 0;
}

int cache_imports_fill_mount(Build *build, const char *id, Error *err)
{
        CacheImports *imports = imports_of(build);

        for (size_t i = 0; imports && i < imports->n_items; i++) {
                CacheImport *import = &imports->items[i];
                const CacheMountEntry *mount = import->usable ? map_get(import->mounts, id) : NULL;

                if (!mount || is_bad(imports, import, id))
                        continue;
                if (cache_mount_has_content(build->store, id))
                        return 0;
                if (take_mount(build, import, mount, err) == 0)
                        return 0;
                if (forgive(imports, import, build, "cache mount", id, err) < 0)
                        return -1;
        }
        return 0;
}
