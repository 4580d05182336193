/*
 * Writing image archives.
 *
 * Order of members, as docker's: blobs, index.json, manifest.json, oci-layout, repositories. Every blob is written once, however many images share it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "oci/config.h"
#include "oci/layout.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "remote/archive.h"
#include "remote/layout_writer.h"
#include "json/writer.h"

typedef struct Saver {
        Store *store;
        LayoutWriter *writer;
        ArchiveFormat format;
        Index index;
        DockerArchive archive;
} Saver;

static int put_stored_blob(Saver *saver, const Digest *digest, Error *err)
{
        _cleanup_close_ int fd = -1;
        uint64_t size;

        fd = blob_open(saver->store, digest, &size, err);
        return fd < 0 ? -1 : layout_writer_put_blob_fd(saver->writer, digest, fd, size, err);
}

static int put_layer(Saver *saver, const Digest *diff_id, uint64_t *ret_size, Error *err)
{
        _cleanup_close_ int fd = -1;

        fd = layer_open_tar(saver->store, diff_id, ret_size, err);
        return fd < 0 ? -1 : layout_writer_put_blob_fd(saver->writer, diff_id, fd, *ret_size, err);
}

/* Every blob of a stored manifest is there as it travels? */
static bool has_all_blobs(Saver *saver, const Manifest *manifest)
{
        for (size_t i = 0; i < manifest->layers.n_items; i++)
                if (!blob_exists(saver->store, &manifest->layers.items[i].digest))
                        return false;
        return blob_exists(saver->store, &manifest->config.digest);
}

/* Writes the image under its own manifest. 1 when done, 0 when its compressed blobs are not there any more. */
static int put_as_stored(Saver *saver, const Image *image, Descriptor *to, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };

        if (blob_read(saver->store, &image->manifest, &text, err) < 0 || manifest_parse(text.data, text.size, &manifest, err) < 0)
                return -1;
        if (!has_all_blobs(saver, &manifest))
                return 0;
        for (size_t i = 0; i < manifest.layers.n_items; i++)
                if (put_stored_blob(saver, &manifest.layers.items[i].digest, err) < 0)
                        return -1;
        if (put_stored_blob(saver, &manifest.config.digest, err) < 0 || layout_writer_put_blob(saver->writer, &image->manifest, text.data, text.size, err) < 0)
                return -1;
        descriptor_set(to, media_type_find(manifest.media_type)->type == MEDIA_DOCKER_MANIFEST ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST, &image->manifest,
                       text.size);
        return 1;
}

/* Writes the image with uncompressed layers, under a manifest that says so. */
static int put_uncompressed(Saver *saver, const Image *image, Descriptor *to, Error *err)
{
        _cleanup_buf_ Buf config = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX), text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };
        Digest digest;

        manifest_init(&manifest, false);
        if (image_config(saver->store, image, &config, err) < 0 || layout_writer_put_blob(saver->writer, &image->id, config.data, config.size, err) < 0)
                return -1;
        descriptor_set(&manifest.config, MEDIA_OCI_CONFIG, &image->id, config.size);
        for (size_t i = 0; i < image->n_diff_ids; i++) {
                uint64_t size;

                if (put_layer(saver, &image->diff_ids[i], &size, err) < 0)
                        return -1;
                descriptor_set(descriptor_list_add(&manifest.layers), MEDIA_OCI_LAYER, &image->diff_ids[i], size);
        }
        if (manifest_text(&manifest, &text, err) < 0)
                return -1;
        digest = digest_of(text.data, text.size);
        descriptor_set(to, MEDIA_OCI_MANIFEST, &digest, text.size);
        return layout_writer_put_blob(saver->writer, &digest, text.data, text.size, err);
}

/* Writes what a manifest of an index names, and the manifest, byte for byte. */
static int put_member(Saver *saver, const Descriptor *entry, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };
        char digest[DIGEST_TEXT_SIZE];

        if (blob_read(saver->store, &entry->digest, &text, err) < 0 || manifest_parse(text.data, text.size, &manifest, err) < 0)
                return -1;
        if (!has_all_blobs(saver, &manifest))
                return error_set(err, ERROR_NOT_FOUND, "the compressed layers of the manifest '%s' are not in the store any more: save one platform by its id",
                                 digest_format(&entry->digest, digest));
        for (size_t i = 0; i < manifest.layers.n_items; i++)
                if (put_stored_blob(saver, &manifest.layers.items[i].digest, err) < 0)
                        return -1;
        if (put_stored_blob(saver, &manifest.config.digest, err) < 0)
                return -1;
        return layout_writer_put_blob(saver->writer, &entry->digest, text.data, text.size, err);
}

static int put_whole_index(Saver *saver, const ImageIndex *index, Descriptor *to, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        _cleanup_index_ Index document = { 0 };

        if (blob_read(saver->store, &index->digest, &text, err) < 0 || index_parse(text.data, text.size, &document, err) < 0)
                return -1;
        for (size_t i = 0; i < document.manifests.n_items; i++)
                if (put_member(saver, &document.manifests.items[i], err) < 0)
                        return -1;
        descriptor_set(to, media_type_find(index->media_type)->type, &index->digest, text.size);
        return layout_writer_put_blob(saver->writer, &index->digest, text.data, text.size, err);
}

/* The row of manifest.json. */
static int describe_for_docker(Saver *saver, const ArchiveItem *item, Error *err)
{
        DockerArchiveImage *row = json_items_add(&saver->archive.images, sizeof(*row));
        char path[OCI_BLOB_PATH_SIZE];

        row->config = xstrdup(oci_blob_path(&item->image->id, path));
        for (size_t i = 0; i < item->image->n_diff_ids; i++)
                strlist_add(&row->layers, oci_blob_path(&item->image->diff_ids[i], path));
        for (size_t i = 0; i < item->names.n_items; i++) {
                _cleanup_reference_ Reference reference = { 0 };

                if (reference_parse(item->names.items[i], &reference, err) < 0)
                        return -1;
                strlist_take(&row->repo_tags, reference_familiar(&reference));
        }
        return 0;
}

/* One entry of index.json per name, or one without a name. */
static int describe_for_index(Saver *saver, const ArchiveItem *item, const Descriptor *manifest, Error *err)
{
        for (size_t i = 0; i < MAX(item->names.n_items, (size_t)1); i++) {
                Descriptor *entry = descriptor_list_add(&saver->index.manifests);
                _cleanup_reference_ Reference reference = { 0 };

                descriptor_copy(entry, manifest);
                if (!item->index) {
                        entry->platform = NEW(Platform);
                        entry->platform->os = xstrdup(item->image->os);
                        entry->platform->architecture = xstrdup(item->image->architecture);
                        entry->platform->variant = xstrdup_or_null(item->image->variant);
                }
                if (item->names.n_items == 0)
                        return 0;
                if (reference_parse(item->names.items[i], &reference, err) < 0)
                        return -1;
                string_map_set(&entry->annotations, CONTAINERD_ANNOTATION_NAME, item->names.items[i]);
                string_map_set(&entry->annotations, OCI_ANNOTATION_REF_NAME, reference.tag ? reference.tag : REFERENCE_DEFAULT_TAG);
        }
        return 0;
}

static int put_image(Saver *saver, const ArchiveItem *item, Error *err)
{
        _cleanup_descriptor_ Descriptor manifest = { 0 }, index = { 0 };
        int r = 0;

        if (item->index && put_whole_index(saver, item->index, &index, err) < 0)
                return -1;
        /* Readers of manifest.json want one image, with uncompressed layers. */
        if (saver->format == ARCHIVE_OCI && !item->index)
                r = put_as_stored(saver, item->image, &manifest, err);
        if (r < 0 || (r == 0 && (saver->format == ARCHIVE_DOCKER || !item->index) && put_uncompressed(saver, item->image, &manifest, err) < 0))
                return -1;
        if (saver->format == ARCHIVE_DOCKER && describe_for_docker(saver, item, err) < 0)
                return -1;
        return describe_for_index(saver, item, item->index ? &index : &manifest, err);
}

/* {"name":{"tag":"hex of the image"}}, which old readers look for. */
static int put_repositories(Saver *saver, const ArchiveItem *items, size_t n_items, Error *err)
{
        _cleanup_json_ JsonValue *all = json_value_new_object();
        _cleanup_free_ char *text = NULL;
        char hex[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < n_items; i++)
                for (size_t k = 0; k < items[i].names.n_items; k++) {
                        _cleanup_reference_ Reference reference = { 0 };
                        _cleanup_free_ char *name = NULL;

                        if (reference_parse(items[i].names.items[k], &reference, err) < 0)
                                return -1;
                        name = reference_familiar_name(&reference);
                        if (!json_value_get(all, name))
                                json_value_set(all, name, json_value_new_object());
                        if (reference.tag)
                                json_value_set_string(json_value_get(all, name), reference.tag, digest_hex(&items[i].image->id, hex));
                }
        if (json_value_size(all) == 0)
                return 0;
        text = json_value_text(all, JSON_WRITE_SORTED);
        return layout_writer_put_file(saver->writer, "repositories", text, strlen(text), err);
}

static int put_indexes(Saver *saver, const ArchiveItem *items, size_t n_items, Error *err)
{
        _cleanup_buf_ Buf index = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX), archive = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);

        if (index_text(&saver->index, &index, err) < 0 || layout_writer_put_file(saver->writer, OCI_LAYOUT_INDEX, index.data, index.size, err) < 0)
                return -1;
        if (saver->format == ARCHIVE_DOCKER) {
                if (docker_archive_text(&saver->archive, &archive, err) < 0 ||
                    layout_writer_put_file(saver->writer, DOCKER_ARCHIVE_MANIFEST, archive.data, archive.size, err) < 0)
                        return -1;
        }
        if (layout_writer_put_file(saver->writer, OCI_LAYOUT_FILE, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), err) < 0)
                return -1;
        return saver->format == ARCHIVE_DOCKER ? put_repositories(saver, items, n_items, err) : 0;
}

int archive_save(Store *store, const ArchiveItem *items, size_t n_items, ArchiveFormat format, const Sink *to, Error *err)
{
        Saver saver = { .store = store, .writer = layout_writer_new_tar(to), .format = format };
        int r;

        index_init(&saver.index, false);
        r = layout_writer_begin(saver.writer, err);
        for (size_t i = 0; i < n_items && r >= 0; i++)
                r = put_image(&saver, &items[i], err);
        if (r >= 0)
                r = put_indexes(&saver, items, n_items, err);
        if (r >= 0)
                r = layout_writer_end(saver.writer, err);
        index_done(&saver.index);
        docker_archive_done(&saver.archive);
        layout_writer_free(saver.writer);
        return r;
}
