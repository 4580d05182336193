#include "build/cache_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/cache_copies.h"
#include "build/cache_writer.h"
#include "oci/layout.h"
#include "oci/limits.h"
#include "oci/mediatype.h"
#include "store/cache_mount.h"
#include "store/cache_mount_tar.h"
#include "store/hash_file.h"

/* What `containerd` calls the digest of a layer's uncompressed bytes, on the descriptor of the compressed ones. */
#define ANNOTATION_DIFF_ID "containerd.io/uncompressed"
#define ANNOTATION_MOUNT "vnd.mica.buildcache.mount"

typedef struct Exporter {
        Build *build;
        const BuildCacheTo *to;
        BuildVertex *vertex;
        CacheWriter writer;
        CacheCopies copies;
        Map *old_layers; /* diffID -> CacheLayer of the earlier export */
        CacheDocument document;
        Map *layers;  /* diffID -> number + 1 */
        Map *records; /* key -> number + 1 */
} Exporter;

static const struct timespec retry_pause = { .tv_nsec = 20 * NSEC_PER_MSEC };

static MediaType layer_type(Codec codec)
{
        return codec == CODEC_GZIP ? MEDIA_OCI_LAYER_GZIP : codec == CODEC_ZSTD ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER;
}

static CacheLayer *new_layer(Exporter *ex, const Digest *diff_id, Codec codec)
{
        CacheLayer *layer = json_items_add(&ex->document.layers, sizeof(*layer));

        layer->parent = -1;
        layer->annotations.diff_id = *diff_id;
        layer->annotations.media_type = xstrdup(media_type_name(layer_type(codec)));
        layer->annotations.level = codec == CODEC_NONE ? 0 : ex->to->level;
        map_setn(ex->layers, diff_id, sizeof(*diff_id), (void *)(uintptr_t)ex->document.layers.n_items);
        return layer;
}

/* The present one of an earlier export: in the compression that is wanted, or in any when none is forced. */
static bool reuse(Exporter *ex, const Digest *diff_id)
{
        const CacheLayer *old = map_getn(ex->old_layers, diff_id, sizeof(*diff_id));
        CacheLayer *layer;
        Codec codec;

        if (!old || cache_layer_codec(old, &codec) < 0 || !cache_writer_has(&ex->writer, &old->blob, old->annotations.size))
                return false;
        if (ex->to->force_compression && (codec != ex->to->codec || (codec != CODEC_NONE && old->annotations.level != ex->to->level)))
                return false;
        layer = new_layer(ex, diff_id, codec);
        layer->blob = old->blob;
        layer->annotations.size = old->annotations.size;
        layer->annotations.level = old->annotations.level;
        return true;
}

/* --- compressing --- */

typedef struct Output {
        Exporter *ex;
        HashFile *file;
        Hash *plain; /* of the bytes before compression; NULL when that is not asked for */
        Encoder *encoder;
        uint64_t done, told;
} Output;

static int write_file(void *user, const void *data, size_t size, Error *err)
{
        return hash_file_write(((Output *)user)->file, data, size, err);
}

static int output_write(void *user, const void *data, size_t size, Error *err)
{
        Output *out = user;

        if (build_check(out->ex->build, err) < 0)
                return -1;
        if (out->plain && out->encoder)
                hash_add(out->plain, data, size);
        out->done += size;
        if (out->done - out->told >= 64 * MIB) {
                out->told = out->done;
                progress_status(out->ex->build->progress, out->ex->vertex, "writing", out->done, 0, false);
        }
        return out->encoder ? encoder_feed(out->encoder, data, size, err) : write_file(out, data, size, err);
}

static void output_done(Output *out)
{
        encoder_free(out->encoder);
        hash_file_free(out->file);
        hash_free(out->plain);
}

static int output_open(Output *out, Exporter *ex, const Ingest *in, Error *err)
{
        Sink sink = { .write = write_file, .user = out };

        *out = (Output){ .ex = ex, .file = hash_file_new(DIGEST_SHA256, in->fd, "the exported cache") };
        hash_file_go_direct(out->file);
        if (ex->to->codec == CODEC_NONE)
                return 0;
        out->plain = hash_new(DIGEST_SHA256);
        out->encoder = encoder_new(ex->to->codec, ex->to->level, 0, &sink, err);
        return out->encoder ? 0 : -1;
}

/* *ret_blob: of the bytes written; *ret_diff_id: of those that went in. */
static int output_finish(Output *out, Digest *ret_blob, Digest *ret_diff_id, uint64_t *ret_size, Error *err)
{
        if (out->encoder && encoder_finish(out->encoder, err) < 0)
                return -1;
        if (hash_file_finish(out->file, ret_blob, ret_size, err) < 0)
                return -1;
        *ret_diff_id = out->plain ? hash_digest(out->plain) : *ret_blob;
        return 0;
}

/* --- layers --- */

/* As it is. Its digest is its name, which the reader verifies. Owns `tar`. */
static void copy_layer(Exporter *ex, const Digest *diff_id, int tar, uint64_t size)
{
        CacheLayer *layer;

        if (cache_writer_has(&ex->writer, diff_id, (int64_t)size))
                close(tar);
        else
                cache_copies_add(&ex->copies, diff_id, tar, size);
        layer = new_layer(ex, diff_id, CODEC_NONE);
        layer->blob = *diff_id;
        layer->annotations.size = (int64_t)size;
}

#define READ_SIZE ((size_t)1 << 20)

static int feed_file(Output *out, int fd, uint64_t size, Error *err)
{
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);

        for (uint64_t at = 0; at < size;) {
                ssize_t n = fd_pread_full(fd, buffer, (size_t)MIN(size - at, (uint64_t)READ_SIZE), at);

                if (n <= 0)
                        return error_errno(err, n < 0 ? (int)n : EIO, "cannot read a layer");
                if (output_write(out, buffer, (size_t)n, err) < 0)
                        return -1;
                at += (uint64_t)n;
        }
        return 0;
}

static int compress_layer(Exporter *ex, const Digest *diff_id, int tar, uint64_t size, Error *err)
{
        char text[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *what = xasprintf("writing layer %s", digest_format(diff_id, text));
        _cleanup_(output_done) Output out = { 0 };
        Ingest in = { .fd = -1 };
        Digest blob, plain;
        uint64_t written;
        int r = -1;

        if (ingest_begin(&ex->writer, &in, err) < 0)
                return -1;
        if (output_open(&out, ex, &in, err) == 0 && feed_file(&out, tar, size, err) == 0 && output_finish(&out, &blob, &plain, &written, err) == 0)
                r = ingest_end(&ex->writer, &in, &blob, err);
        ingest_drop(&ex->writer, &in);
        if (r < 0)
                return -1;
        {
                CacheLayer *layer = new_layer(ex, diff_id, ex->to->codec);

                layer->blob = blob;
                layer->annotations.size = (int64_t)written;
        }
        progress_status(ex->build->progress, ex->vertex, what, size, size, true);
        return 0;
}

/* The number of the layer in the document, writing it when it is new. -1 on error. */
static int64_t need_layer(Exporter *ex, const Layer *made, Error *err)
{
        void *known = map_getn(ex->layers, &made->diff_id, sizeof(Digest));
        char created[TIMESTAMP_TEXT_SIZE];
        uint64_t size;

        if (known)
                return (int64_t)(uintptr_t)known - 1;
        if (build_check(ex->build, err) < 0)
                return -1;
        if (ex->document.layers.n_items >= OCI_LAYERS_MAX)
                return error_set(err, ERROR_LIMIT, "the cache has more than %d layers, which no manifest may have: export it with mode=min", OCI_LAYERS_MAX);
        if (!reuse(ex, &made->diff_id)) {
                _cleanup_close_ int tar = layer_open_tar(ex->build->store, &made->diff_id, &size, err);

                if (tar < 0)
                        return -1;
                if (ex->to->codec == CODEC_NONE)
                        copy_layer(ex, &made->diff_id, TAKE_FD(tar), size);
                else if (compress_layer(ex, &made->diff_id, tar, size, err) < 0)
                        return -1;
        }
        ex->document.layers.items[ex->document.layers.n_items - 1].annotations.created = xstrdup(timestamp_format(made->created, created));
        return (int64_t)ex->document.layers.n_items - 1;
}

/* --- records --- */

static void link_to(const Exporter *ex, CacheStep *step, const Digest *key)
{
        void *known = digest_is_set(key) ? map_getn(ex->records, key, sizeof(*key)) : NULL;

        if (known)
                cache_links_add(&step->inputs, (int64_t)(uintptr_t)known - 1);
}

static void add_record(Exporter *ex, const Work *work, const Digest *key, const Digest *source, int64_t layer)
{
        CacheStep *step;
        CacheResult *result;
        char created[TIMESTAMP_TEXT_SIZE];

        if (!digest_is_set(key) || map_getn(ex->records, key, sizeof(*key)))
                return;
        step = json_items_add(&ex->document.records, sizeof(*step));
        step->key = *key;
        step->source = *source;
        step->description = xstrdup(work->title);
        step->kind = xstrdup("regular");
        result = json_items_add(&step->results, sizeof(*result));
        result->layer = layer;
        result->created = xstrdup(timestamp_format(work->layer.created, created));
        link_to(ex, step, &work->below_key);
        for (size_t i = 0; i < work->n_parents; i++)
                link_to(ex, step, &work->parents[i]);
        map_setn(ex->records, key, sizeof(*key), (void *)(uintptr_t)ex->document.records.n_items);
}

static int add_work(Exporter *ex, const Work *work, const Digest *below, Error *err)
{
        static const Digest none;
        Digest key = work->keyed || !digest_is_set(&work->fast_key) ? work->key : none;
        void *parent = map_getn(ex->layers, below, sizeof(*below));
        size_t before = ex->document.layers.n_items;
        int64_t layer = need_layer(ex, &work->layer, err);

        if (layer < 0)
                return -1;
        if (ex->document.layers.n_items > before && parent)
                ex->document.layers.items[layer].parent = (int64_t)(uintptr_t)parent - 1;
        /* Answered by the key of chains alone: the other one is in the store. */
        if (!digest_is_set(&key) && cache_get_source(ex->build->store, &work->fast_key, &key, err) < 0)
                return -1;
        add_record(ex, work, &key, &none, layer);
        add_record(ex, work, &work->fast_key, &key, layer);
        return 0;
}

static int add_stage(Exporter *ex, const BuildStage *stage, Error *err)
{
        size_t first = stage->n_layers - stage->n_works;

        for (size_t i = 0; i < stage->n_works; i++) {
                static const Digest none;

                if (add_work(ex, stage->works[i], first + i > 0 ? &stage->layers[first + i - 1].diff_id : &none, err) < 0)
                        return -1;
        }
        return 0;
}

static int add_result_stages(Exporter *ex, const BuildStage *stage, Error *err)
{
        if (stage->base && add_result_stages(ex, stage->base, err) < 0)
                return -1;
        return add_stage(ex, stage, err);
}

static int add_steps(Exporter *ex, Error *err)
{
        Build *build = ex->build;

        if (!ex->to->max) {
                for (size_t i = 0; i < build->n_targets; i++)
                        if (add_result_stages(ex, build->targets[i].stage, err) < 0)
                                return -1;
                return 0;
        }
        for (size_t i = 0; i < build->n_stages; i++)
                if (build->stages[i]->status == STAGE_DONE && add_stage(ex, build->stages[i], err) < 0)
                        return -1;
        return 0;
}

/* --- mounts --- */

static const CacheMountEntry *old_mount(const Exporter *ex, const char *id)
{
        for (size_t i = 0; i < ex->writer.old.mounts.n_items; i++)
                if (streq(ex->writer.old.mounts.items[i].id, id))
                        return &ex->writer.old.mounts.items[i];
        return NULL;
}

static int write_mount(Exporter *ex, int dir_fd, Error *err)
{
        _cleanup_(output_done) Output out = { 0 };
        Sink sink = { .write = output_write, .user = &out };
        Ingest in = { .fd = -1 };
        Digest blob, diff_id;
        uint64_t size;
        int r = -1;

        if (ingest_begin(&ex->writer, &in, err) < 0)
                return -1;
        if (output_open(&out, ex, &in, err) == 0 && cache_mount_write_tar(dir_fd, &sink, err) == 0 && output_finish(&out, &blob, &diff_id, &size, err) == 0)
                r = cache_writer_has(&ex->writer, &blob, (int64_t)size) ? 0 : ingest_end(&ex->writer, &in, &blob, err);
        ingest_drop(&ex->writer, &in);
        if (r == 0 && !map_getn(ex->layers, &diff_id, sizeof(diff_id))) {
                CacheLayer *layer = new_layer(ex, &diff_id, ex->to->codec);

                layer->blob = blob;
                layer->annotations.size = (int64_t)size;
        }
        return r < 0 ? -1 : (int)(uintptr_t)map_getn(ex->layers, &diff_id, sizeof(diff_id)) - 1;
}

/* The number of the layer that holds it. */
static int mount_layer(Exporter *ex, const char *id, int dir_fd, const Digest *stamp, Error *err)
{
        const CacheMountEntry *old = old_mount(ex, id);
        const CacheLayer *layer = old ? &ex->writer.old.layers.items[old->layer] : NULL;
        void *known;

        if (layer && digest_equal(&old->stamp, stamp)) {
                known = map_getn(ex->layers, &layer->annotations.diff_id, sizeof(Digest));
                if (known)
                        return (int)(uintptr_t)known - 1;
                if (reuse(ex, &layer->annotations.diff_id))
                        return (int)ex->document.layers.n_items - 1;
        }
        return write_mount(ex, dir_fd, err);
}

static int open_mount(Exporter *ex, const char *id, Error *err)
{
        for (;;) {
                int fd = cache_mount_try_open_existing(ex->build->store, id, true, NULL, err);

                if (fd >= 0 || err->code != ERROR_CONFLICT)
                        return fd;
                error_done(err);
                if (build_check(ex->build, err) < 0)
                        return -1;
                nanosleep(&retry_pause, NULL);
        }
}

/* 1, or 0 when the store has no such mount. */
static int add_mount(Exporter *ex, const char *id, Error *err)
{
        _cleanup_free_ char *shown = str_printable(id, strlen(id)), *what = xasprintf("writing cache mount %s", shown);
        _cleanup_close_ int fd = -1;
        size_t before = ex->writer.n_written;
        CacheMountEntry *entry;
        Digest stamp;
        struct stat st;
        int layer;

        for (size_t i = 0; i < ex->document.mounts.n_items; i++)
                if (streq(ex->document.mounts.items[i].id, id))
                        return 1;
        fd = open_mount(ex, id, err);
        if (fd < 0) {
                if (err->code != ERROR_NOT_FOUND)
                        return -1;
                error_done(err);
                return 0;
        }
        if (fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot read the cache mount '%s'", shown);
        if (cache_mount_stamp(fd, &stamp, err) < 0)
                return error_wrap(err, "cannot read the cache mount '%s'", shown);
        layer = mount_layer(ex, id, fd, &stamp, err);
        if (layer < 0)
                return error_wrap(err, "cannot export the cache mount '%s'", shown);
        entry = json_items_add(&ex->document.mounts, sizeof(*entry));
        *entry = (CacheMountEntry){ .id = xstrdup(id), .layer = layer, .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid, .stamp = stamp };
        if (ex->writer.n_written > before) {
                uint64_t size = (uint64_t)ex->document.layers.items[layer].annotations.size;

                progress_status(ex->build->progress, ex->vertex, what, size, size, true);
        }
        return 1;
}

/* The mount itself, and its private ones. */
static int add_mounts_of(Exporter *ex, const char *id, Error *err)
{
        int found = add_mount(ex, id, err), r = found;

        for (unsigned n = 0; r >= 0; n++) {
                _cleanup_free_ char *numbered = cache_mount_private_id(id, n);

                r = add_mount(ex, numbered, err);
                if (r <= 0)
                        break;
                found = 1;
        }
        return r < 0 ? -1 : found;
}

static int add_mounts(Exporter *ex, Error *err)
{
        const StrList *ids = &ex->to->mount_ids;

        for (size_t i = 0; i < ids->n_items; i++) {
                int r = add_mounts_of(ex, ids->items[i], err);

                if (r <= 0)
                        return r < 0 ? -1
                                     : error_set(err, ERROR_NOT_FOUND, "there is no cache mount with the id '%s': 'mica builder du' lists them", ids->items[i]);
        }
        for (size_t i = 0; i < ex->build->n_stages && ids->n_items == 0; i++) {
                const BuildStage *stage = ex->build->stages[i];

                for (size_t k = 0; k < stage->n_works; k++)
                        for (size_t m = 0; m < stage->works[k]->cache_ids.n_items; m++)
                                if (add_mounts_of(ex, stage->works[k]->cache_ids.items[m], err) < 0)
                                        return -1;
        }
        return 0;
}

/* --- all of it --- */

static int put_manifest(Exporter *ex, Descriptor *ret, Error *err)
{
        _cleanup_buf_ Buf config = BUF_INIT(CACHE_DOCUMENT_MAX), text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };
        Digest digest;

        manifest_init(&manifest, false);
        ex->document.version = 1;
        if (cache_document_text(&ex->document, &config, err) < 0 || cache_writer_put(&ex->writer, config.data, config.size, &digest, err) < 0)
                return -1;
        manifest.config.media_type = xstrdup(CACHE_CONFIG_MEDIA_TYPE);
        manifest.config.digest = digest;
        manifest.config.size = (int64_t)config.size;
        for (size_t i = 0; i < ex->document.layers.n_items; i++) {
                const CacheLayer *layer = &ex->document.layers.items[i];
                Descriptor *descriptor = descriptor_list_add(&manifest.layers);
                char diff_id[DIGEST_TEXT_SIZE];

                descriptor->media_type = xstrdup(layer->annotations.media_type);
                descriptor->digest = layer->blob;
                descriptor->size = layer->annotations.size;
                string_map_set(&descriptor->annotations, ANNOTATION_DIFF_ID, digest_format(&layer->annotations.diff_id, diff_id));
        }
        for (size_t i = 0; i < ex->document.mounts.n_items; i++)
                string_map_set(&manifest.layers.items[ex->document.mounts.items[i].layer].annotations, ANNOTATION_MOUNT, ex->document.mounts.items[i].id);
        if (manifest_text(&manifest, &text, err) < 0 || cache_writer_put(&ex->writer, text.data, text.size, &digest, err) < 0)
                return -1;
        descriptor_set(ret, MEDIA_OCI_MANIFEST, &digest, text.size);
        string_map_set(&ret->annotations, OCI_ANNOTATION_REF_NAME, ex->to->tag);
        return 0;
}

static int export_locked(Exporter *ex, Error *err)
{
        _cleanup_descriptor_ Descriptor manifest = { 0 };

        if (add_steps(ex, err) < 0 || cache_copies_wait(&ex->copies, err) < 0 || (ex->to->mounts && add_mounts(ex, err) < 0) ||
            put_manifest(ex, &manifest, err) < 0)
                return -1;
        return cache_writer_commit(&ex->writer, &manifest, err);
}

static int export_to(Exporter *ex, Error *err)
{
        int r = cache_writer_open(ex->build, ex->to->dest, ex->to->tag, &ex->writer, err);

        if (r < 0)
                return -1;
        for (size_t i = 0; i < ex->writer.old.layers.n_items; i++)
                map_setn(ex->old_layers, &ex->writer.old.layers.items[i].annotations.diff_id, sizeof(Digest), &ex->writer.old.layers.items[i]);
        cache_copies_init(&ex->copies, &ex->writer, ex->vertex);
        r = export_locked(ex, err);
        cache_copies_done(&ex->copies);
        cache_writer_done(&ex->writer);
        return r;
}

static int export_one(Build *build, const BuildCacheTo *to, Error *err)
{
        Exporter ex = { .build = build, .to = to, .old_layers = map_new(NULL), .layers = map_new(NULL), .records = map_new(NULL) };
        int r;

        ex.vertex = progress_vertex(build->progress, &(VertexInfo){ .name = "exporting cache to client directory" });
        progress_start(build->progress, ex.vertex);
        r = export_to(&ex, err);
        if (r < 0)
                progress_fail(build->progress, ex.vertex, error_message(err));
        else
                progress_done(build->progress, ex.vertex);
        cache_document_done(&ex.document);
        map_free(ex.old_layers);
        map_free(ex.layers);
        map_free(ex.records);
        return r < 0 ? error_wrap(err, "cannot export the cache to '%s'", to->dest) : 0;
}

int cache_export_all(Build *build, Error *err)
{
        for (size_t i = 0; i < build->options->n_cache_to; i++) {
                const BuildCacheTo *to = &build->options->cache_to[i];

                if (export_one(build, to, err) == 0)
                        continue;
                if (!to->ignore_error || err->code == ERROR_CANCELLED)
                        return -1;
                error_done(err);
        }
        return 0;
}
