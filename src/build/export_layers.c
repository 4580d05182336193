/*
 * The layers of an image as an output wants them.
 *
 * What was built here lies in the store as uncompressed tars, and is compressed anew for every output: the bytes depend on the tar, the codec and its level
 * only. A layer of a base image that came compressed keeps its own blob, which its manifest names, unless force-compression is given.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/export.h"
#include "codec/codec.h"
#include "tar/tar.h"

#define COPY_SIZE ((size_t)1 << 20)

/* A layer that was compressed to a file, for other outputs of the same build. */
typedef struct Compressed {
        Digest digest;
        uint64_t size;
        char *file;
} Compressed;

static void free_compressed(void *data)
{
        Compressed *compressed = data;

        free(compressed->file);
        free(compressed);
}

Map *export_compressed_new(void)
{
        return map_new(free_compressed);
}

/* --- reading a layer --- */

/* Reads the tar of a layer, verified, into `to`. */
static int read_layer(Export *export, const Digest *diff_id, const Sink *to, Error *err)
{
        uint64_t size;
        _cleanup_close_ int fd = layer_open_tar(export->build->store, diff_id, &size, err);
        _cleanup_(hash_freep) Hash *hash = hash_new(diff_id->algorithm);
        _cleanup_free_ char *buffer = xmalloc(COPY_SIZE);
        char text[DIGEST_TEXT_SIZE];
        Digest have;

        if (fd < 0)
                return -1;
        for (uint64_t at = 0; at < size;) {
                ssize_t n = fd_pread_full(fd, buffer, (size_t)MIN(size - at, (uint64_t)COPY_SIZE), at);

                if (build_check(export->build, err) < 0)
                        return -1;
                if (n <= 0)
                        return n < 0 ? error_errno(err, (int)n, "cannot read the layer '%s'", digest_format(diff_id, text))
                                     : error_set(err, ERROR_CORRUPT, "the layer '%s' is shorter than recorded: run mica fsck", digest_format(diff_id, text));
                hash_add(hash, buffer, (size_t)n);
                if (sink_write(to, buffer, (size_t)n, err) < 0)
                        return -1;
                at += (uint64_t)n;
        }
        have = hash_digest(hash);
        return digest_equal(&have, diff_id) ? 0 : error_set(err, ERROR_CORRUPT, "the layer '%s' is damaged: run mica fsck", digest_format(diff_id, text));
}

/* --- rewrite-timestamp --- */

typedef struct Rewrite {
        int64_t epoch;
        bool needed; /* a first reading has found a later time */
        const Sink *to;
        Buf header;
        uint64_t padding; /* behind the content that is being copied */
        uint64_t left;
} Rewrite;

static int look_at_time(void *user, const TarEntry *entry, Error *err)
{
        Rewrite *rewrite = user;

        rewrite->needed |= entry->mtime_sec > rewrite->epoch || (entry->mtime_sec == rewrite->epoch && entry->mtime_nsec);
        return 0;
}

static int copy_header(void *user, const TarEntry *entry, Error *err)
{
        Rewrite *rewrite = user;
        TarEntry clamped = *entry;

        if (clamped.mtime_sec >= rewrite->epoch) {
                clamped.mtime_sec = rewrite->epoch;
                clamped.mtime_nsec = 0;
        }
        buf_reset(&rewrite->header);
        if (tar_write_header(&clamped, &rewrite->header, err) < 0)
                return -1;
        rewrite->left = entry->size;
        rewrite->padding = tar_padding(entry->size);
        return sink_write(rewrite->to, rewrite->header.data, rewrite->header.size, err);
}

static int copy_data(void *user, const void *data, size_t size, Error *err)
{
        static const char zeros[TAR_BLOCK_SIZE];
        Rewrite *rewrite = user;

        if (sink_write(rewrite->to, data, size, err) < 0)
                return -1;
        rewrite->left -= size;
        return rewrite->left ? 0 : sink_write(rewrite->to, zeros, (size_t)rewrite->padding, err);
}

static int feed_reader(void *user, const void *data, size_t size, Error *err)
{
        return tar_reader_feed(user, data, size, err);
}

static int read_as_tar(Export *export, const Digest *diff_id, const TarReaderOps *ops, Rewrite *rewrite, Error *err)
{
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(ops, rewrite);
        Sink sink = { feed_reader, reader };

        return read_layer(export, diff_id, &sink, err) < 0 ? -1 : tar_reader_finish(reader, err);
}

/* The layer with no time later than the epoch: itself when that is so already. The result is held by the build's lease. */
static int rewrite_times(Export *export, Digest *diff_id, Error *err)
{
        static const TarReaderOps look = { .entry = look_at_time }, copy = { .entry = copy_header, .data = copy_data };
        static const char trailer[TAR_TRAILER_SIZE];
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        Rewrite rewrite = { .epoch = export->epoch, .header = BUF_INIT(16 * MIB) };
        LayerInfo info;
        Sink sink;
        int r = read_as_tar(export, diff_id, &look, &rewrite, err);

        if (r < 0 || !rewrite.needed)
                return r;
        if (layer_writer_open(export->build->lease, &writer, err) < 0)
                return -1;
        sink = layer_writer_sink(writer);
        rewrite.to = &sink;
        r = read_as_tar(export, diff_id, &copy, &rewrite, err);
        buf_done(&rewrite.header);
        if (r < 0 || sink_write(&sink, trailer, sizeof(trailer), err) < 0 || layer_writer_commit(writer, NULL, &info, err) < 0)
                return -1;
        *diff_id = info.diff_id;
        return 0;
}

/* --- compressing --- */

/* BuildKit lets zstd have a level 0, which libzstd takes for its default; here it is the fastest. */
static int level_of(const BuildOutput *output, Codec codec)
{
        return codec == CODEC_ZSTD && output->level == 0 ? 1 : output->level;
}

static int feed_encoder(void *user, const void *data, size_t size, Error *err)
{
        return encoder_feed(user, data, size, err);
}

static int compress(Export *export, const Digest *diff_id, Codec codec, const Sink *to, Error *err)
{
        _cleanup_(encoder_freep) Encoder *encoder = encoder_new(codec, level_of(export->output, codec), 0, to, err);
        Sink sink = { feed_encoder, encoder };

        if (!encoder)
                return -1;
        return read_layer(export, diff_id, &sink, err) < 0 ? -1 : encoder_finish(encoder, err);
}

typedef struct FileSink {
        int fd;
        Hash *hash;
        uint64_t size;
} FileSink;

static int write_file(void *user, const void *data, size_t size, Error *err)
{
        FileSink *file = user;
        int r = fd_write_all(file->fd, data, size);

        if (r < 0)
                return error_errno(err, r, "cannot write a compressed layer");
        hash_add(file->hash, data, size);
        file->size += size;
        return 0;
}

/* To a file of the build's own directory, which goes with the build however it ends. */
static int compress_to_file(Export *export, const Digest *diff_id, Codec codec, Compressed *ret, Error *err)
{
        _cleanup_free_ char *directory = build_make_dir(export->build, "export", err), *path = NULL;
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        FileSink file = { .fd = -1, .hash = hash };
        Sink sink = { write_file, &file };
        int r;

        if (!directory)
                return -1;
        path = xasprintf("%s/layer", directory);
        file.fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (file.fd < 0)
                return error_errno(err, errno, "cannot make '%s'", path);
        r = compress(export, diff_id, codec, &sink, err);
        close(file.fd);
        if (r < 0)
                return -1;
        *ret = (Compressed){ .digest = hash_digest(hash), .size = file.size, .file = TAKE_PTR(path) };
        return 0;
}

static int write_blob(void *user, const void *data, size_t size, Error *err)
{
        return blob_writer_write(user, data, size, err);
}

/* To a blob of the store, which knows afterwards which layer it holds. */
static int compress_to_blob(Export *export, const Digest *diff_id, Codec codec, Compressed *ret, Error *err)
{
        _cleanup_(blob_writer_freep) BlobWriter *writer = NULL;
        _cleanup_close_ int fd = -1;
        Sink sink;

        if (blob_writer_open(export->build->lease, DIGEST_SHA256, &writer, err) < 0)
                return -1;
        sink = (Sink){ write_blob, writer };
        if (compress(export, diff_id, codec, &sink, err) < 0 || blob_writer_commit_layer(writer, diff_id, &ret->digest, err) < 0)
                return -1;
        fd = blob_open(export->build->store, &ret->digest, &ret->size, err);
        return fd < 0 ? -1 : 0;
}

static int compressed_get(Export *export, const Digest *diff_id, Codec codec, Compressed *ret, Error *err)
{
        char text[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *key = xasprintf("%s %d %d %d", digest_format(diff_id, text), (int)codec, export->output->level, export->to_store);
        const Compressed *known = map_get(export->compressed, key);
        Compressed *made;
        int r;

        if (known) {
                *ret = *known;
                return 0;
        }
        made = NEW(Compressed);
        r = export->to_store ? compress_to_blob(export, diff_id, codec, made, err) : compress_to_file(export, diff_id, codec, made, err);
        map_set(export->compressed, key, made);
        *ret = *made;
        if (r < 0)
                map_remove(export->compressed, key);
        return r;
}

/* --- what each layer becomes --- */

/* The manifest that the base image came with, when one is known: its layers may be there as they travelled. */
static void base_manifest(const Export *export, const BuildStage *stage, Manifest *ret)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error ignored = ERROR_INIT;

        while (stage->base)
                stage = stage->base;
        if (!digest_is_set(&stage->image_id) || image_get(export->build->store, &stage->image_id, &image, &ignored) < 0)
                return;
        if (blob_read(export->build->store, &image->manifest, &text, &ignored) == 0)
                (void)manifest_parse(text.data, text.size, ret, &ignored);
}

static MediaCompression media_of(Codec codec)
{
        return codec == CODEC_GZIP ? MEDIA_GZIP : codec == CODEC_ZSTD ? MEDIA_ZSTD : MEDIA_PLAIN;
}

/* 1 when the blob that the base image came with can travel again. */
static int keep_blob(const Export *export, const Descriptor *from, Codec codec, ExportLayer *layer, Error *err)
{
        const MediaTypeInfo *type = descriptor_type(from);

        if (type->kind != MEDIA_KIND_LAYER || type->compression == MEDIA_PLAIN || !blob_exists(export->build->store, &from->digest))
                return 0;
        if ((export->output->force_compression || codec == CODEC_NONE) && type->compression != media_of(codec))
                return 0;
        if (export->output->docker_types && type->compression == MEDIA_ZSTD)
                return 0;
        if (lease_hold_blob(export->build->lease, &from->digest, err) < 0)
                return -1;
        layer->place = LAYER_PLACE_BLOB;
        descriptor_set(&layer->descriptor, media_type_layer(type->compression, export->output->docker_types), &from->digest, (uint64_t)from->size);
        return 1;
}

static int fill_layer(Export *export, Codec codec, const Descriptor *from, ExportLayer *layer, Error *err)
{
        Compressed compressed;
        LayerInfo info;
        int r = from ? keep_blob(export, from, codec, layer, err) : 0;

        if (r)
                return r < 0 ? -1 : 0;
        if (codec == CODEC_NONE) {
                _cleanup_close_ int fd = layer_open_tar(export->build->store, &layer->diff_id, &info.tar_size, err);

                if (fd < 0)
                        return -1;
                layer->place = LAYER_PLACE_TAR;
                descriptor_set(&layer->descriptor, media_type_layer(MEDIA_PLAIN, export->output->docker_types), &layer->diff_id, info.tar_size);
                return 0;
        }
        if (compressed_get(export, &layer->diff_id, codec, &compressed, err) < 0)
                return -1;
        layer->place = export->to_store ? LAYER_PLACE_BLOB : LAYER_PLACE_FILE;
        layer->file = xstrdup_or_null(compressed.file);
        descriptor_set(&layer->descriptor, media_type_layer(media_of(codec), export->output->docker_types), &compressed.digest, compressed.size);
        return 0;
}

static int image_layers(Export *export, ExportImage *image, Error *err)
{
        const BuildOutput *output = export->output;
        const BuildStage *stage = image->target->stage;
        Codec codec = output->has_compression ? output->compression : export->to_store ? CODEC_NONE : CODEC_GZIP;
        _cleanup_manifest_ Manifest manifest = { 0 };
        size_t n_base = stage_n_base_layers(stage);

        base_manifest(export, stage, &manifest);
        image->n_layers = image->config.rootfs.diff_ids.n_items;
        image->layers = NEW_ARRAY(ExportLayer, image->n_layers);
        for (size_t i = 0; i < image->n_layers; i++) {
                ExportLayer *layer = &image->layers[i];
                const Descriptor *from = i < n_base && manifest.layers.n_items == n_base ? &manifest.layers.items[i] : NULL;

                layer->diff_id = image->config.rootfs.diff_ids.items[i];
                /* Layers of the base are not ours to change: two images on it go on sharing them. */
                if (output->rewrite_timestamp && export->epoch >= 0 && i >= n_base) {
                        if (rewrite_times(export, &layer->diff_id, err) < 0)
                                return error_wrap(err, "cannot rewrite the times of layer %zu", i + 1);
                        image->config.rootfs.diff_ids.items[i] = layer->diff_id;
                }
                if (fill_layer(export, codec, from, layer, err) < 0)
                        return error_wrap(err, "cannot export layer %zu of %zu", i + 1, image->n_layers);
        }
        return 0;
}

int export_layers(Export *export, Error *err)
{
        for (size_t i = 0; i < export->n_images; i++)
                if (image_layers(export, &export->images[i], err) < 0)
                        return -1;
        return 0;
}

int export_layer_open(const Export *export, const ExportLayer *layer, Error *err)
{
        int fd;

        if (layer->place == LAYER_PLACE_TAR)
                return layer_open_tar(export->build->store, &layer->diff_id, NULL, err);
        if (layer->place == LAYER_PLACE_BLOB)
                return blob_open(export->build->store, &layer->descriptor.digest, NULL, err);
        fd = open(layer->file, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, errno, "cannot read a compressed layer") : fd;
}
