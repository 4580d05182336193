/*
 * From the members of an archive to images: index.json leads to manifests that are kept as they are, manifest.json (docker save) to configs and layers for
 * which a manifest is made.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "oci/config.h"
#include "oci/layout.h"
#include "oci/limits.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "remote/archive_private.h"

#define LINKS_MAX 16

/* The images in order; one with several names is there once. */
typedef struct Found {
        LoadedImage *images;
        size_t n_images, capacity;
} Found;

static void found_done(Found *found)
{
        for (size_t i = 0; i < found->n_images; i++) {
                strlist_done(&found->images[i].names);
                strlist_done(&found->images[i].moved);
        }
        free(found->images);
}

static LoadedImage *found_get(Found *found, const Digest *id)
{
        for (size_t i = 0; i < found->n_images; i++)
                if (digest_equal(&found->images[i].id, id))
                        return &found->images[i];
        return NULL;
}

static LoadedImage *found_add(Found *found, const Digest *id)
{
        LoadedImage *image = found_get(found, id);

        if (image)
                return image;
        GROW(found->images, found->capacity, found->n_images + 1);
        image = &found->images[found->n_images++];
        *image = (LoadedImage){ .id = *id };
        return image;
}

/* The member behind a path, through its links. */
static const Member *find_member(const Loader *loader, const char *path)
{
        const Member *member = map_get(loader->members, path);

        for (int i = 0; member && member->link && i < LINKS_MAX; i++)
                member = map_get(loader->members, member->link);
        return member && !member->link ? member : NULL;
}

static int read_blob(const Loader *loader, const Digest *digest, size_t max, Buf *to, Error *err)
{
        char text[DIGEST_TEXT_SIZE];

        if (!blob_exists(loader->store, digest))
                return error_set(err, ERROR_NOT_FOUND, "the archive has no blob '%s', which its index names", digest_format(digest, text));
        *to = BUF_INIT(max);
        return blob_read(loader->store, digest, to, err);
}

/* A name from outside in its full form; names that are no references (skopeo writes bare tags) are left out. */
static void add_name(LoadedImage *image, const char *name)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *text = NULL;

        if (reference_parse_tagged(name, &reference, &ignored) < 0 || !reference.tag || digest_is_set(&reference.digest))
                return;
        text = reference_text(&reference);
        if (!strlist_has(&image->names, text))
                strlist_add(&image->names, text);
}

/* The names that an entry of index.json gives: containerd's full one, or a ref.name that is a whole reference. */
static void add_annotated_names(LoadedImage *image, const Descriptor *entry)
{
        const char *full = string_map_get(&entry->annotations, CONTAINERD_ANNOTATION_NAME), *ref = string_map_get(&entry->annotations, OCI_ANNOTATION_REF_NAME);

        if (full)
                add_name(image, full);
        else if (ref && strpbrk(ref, ":/"))
                add_name(image, ref);
}

/* --- index.json --- */

/*
 * What a descriptor leads to: the digest of an image manifest, through nested indexes. 0 found, 1 when it is no image (an attestation, an artifact) or not
 * in this archive (a platform that was left out).
 */
static int select_manifest(const Loader *loader, const Descriptor *entry, unsigned depth, Digest *ret, Error *err)
{
        _cleanup_buf_ Buf text = { 0 };
        _cleanup_index_ Index index = { 0 };
        _cleanup_platform_ Platform want = { 0 };
        const Descriptor *chosen;
        MediaType type;

        if (depth > 4)
                return error_set(err, ERROR_LIMIT, "indexes in the archive are nested too deeply");
        if (read_blob(loader, &entry->digest, OCI_MANIFEST_SIZE_MAX, &text, err) < 0 || manifest_sniff(text.data, text.size, entry->media_type, &type, err) < 0)
                return -1;
        if (media_type_info(type)->kind == MEDIA_KIND_MANIFEST) {
                _cleanup_manifest_ Manifest manifest = { 0 };

                if (manifest_parse(text.data, text.size, &manifest, err) < 0)
                        return -1;
                *ret = entry->digest;
                return manifest_is_image(&manifest) ? 0 : 1;
        }
        if (index_parse(text.data, text.size, &index, err) < 0)
                return -1;
        /* An archive of one platform keeps the whole index: only what is there can be chosen. */
        for (size_t i = index.manifests.n_items; i-- > 0;)
                if (!blob_exists(loader->store, &index.manifests.items[i].digest)) {
                        descriptor_done(&index.manifests.items[i]);
                        memmove(&index.manifests.items[i], &index.manifests.items[i + 1], (index.manifests.n_items - i - 1) * sizeof(*index.manifests.items));
                        index.manifests.n_items--;
                }
        if (loader->options->platform) {
                if (platform_parse(loader->options->platform, &want, err) < 0)
                        return -1;
        } else {
                platform_host(&want);
        }
        if (index_select(&index, &want, &chosen, err) < 0) {
                size_t n_images = 0;

                for (size_t i = 0; i < index.manifests.n_items; i++)
                        if (!descriptor_is_attestation(&index.manifests.items[i])) {
                                chosen = &index.manifests.items[i];
                                n_images++;
                        }
                if (n_images != 1 || loader->options->platform)
                        return -1;
                error_done(err);
        }
        return select_manifest(loader, chosen, depth + 1, ret, err);
}

/* Whether an archive has everything of an index: one that was saved for one platform has the document only. */
static bool has_all_manifests(const Loader *loader, const Index *index)
{
        for (size_t i = 0; i < index->manifests.n_items; i++)
                if (!blob_exists(loader->store, &index->manifests.items[i].digest))
                        return false;
        return true;
}

/*
 * An index whose images are all there is recorded as a whole, when no platform was asked for: 1 and its own image. 0: one image of it has to be chosen, or
 * this is no index.
 */
static int take_whole_index(Loader *loader, const Descriptor *entry, Digest *ret_id, Error *err)
{
        _cleanup_buf_ Buf text = { 0 };
        _cleanup_index_ Index index = { 0 };
        size_t n_images = 0;
        MediaType type;

        if (loader->options->platform || read_blob(loader, &entry->digest, OCI_MANIFEST_SIZE_MAX, &text, err) < 0)
                return loader->options->platform ? 0 : -1;
        if (manifest_sniff(text.data, text.size, entry->media_type, &type, err) < 0)
                return -1;
        if (media_type_info(type)->kind != MEDIA_KIND_INDEX)
                return 0;
        if (index_parse(text.data, text.size, &index, err) < 0)
                return -1;
        if (!has_all_manifests(loader, &index))
                return 0;
        for (size_t i = 0; i < index.manifests.n_items; i++) {
                const Descriptor *member = &index.manifests.items[i];

                if (media_type_find(member->media_type)->kind != MEDIA_KIND_MANIFEST)
                        return 0; /* indexes in an index: one image of them is chosen */
                if (descriptor_is_attestation(member))
                        continue;
                n_images++;
        }
        if (!n_images)
                return 0;
        return image_put_index(loader->lease, &entry->digest, NULL, 0, ret_id, err) < 0 ? -1 : 1;
}

static int resolve_index(Loader *loader, Found *found, Error *err)
{
        _cleanup_index_ Index index = { 0 };

        if (loader->layout.size && oci_layout_check(loader->layout.data, loader->layout.size, err) < 0)
                return -1;
        if (index_parse(loader->index.data, loader->index.size, &index, err) < 0)
                return error_wrap(err, "'%s' in the archive", OCI_LAYOUT_INDEX);
        if (index.manifests.n_items > ARCHIVE_IMAGES_MAX)
                return error_set(err, ERROR_LIMIT, "the archive has more than %d images", ARCHIVE_IMAGES_MAX);
        for (size_t i = 0; i < index.manifests.n_items; i++) {
                const Descriptor *entry = &index.manifests.items[i];
                Digest manifest, id;
                int r;

                if (descriptor_is_attestation(entry))
                        continue;
                r = take_whole_index(loader, entry, &id, err);
                if (r < 0)
                        return -1;
                if (r > 0) {
                        LoadedImage *image = found_add(found, &id);

                        image->index = entry->digest;
                        add_annotated_names(image, entry);
                        continue;
                }
                r = select_manifest(loader, entry, 0, &manifest, err);
                if (r < 0)
                        return -1;
                if (r > 0)
                        continue;
                if (image_put(loader->lease, &manifest, &id, err) < 0)
                        return -1;
                add_annotated_names(found_add(found, &id), entry);
        }
        return 0;
}

/* --- manifest.json --- */

/* Checks that the layers the archive names are those of the config. */
static int check_layers(const Loader *loader, const DockerArchiveImage *row, const ImageConfig *config, Error *err)
{
        if (config->rootfs.diff_ids.n_items != row->layers.n_items)
                return error_set(err, ERROR_INVALID, "the archive has %zu layers for '%s', and its config %zu", row->layers.n_items, row->config,
                                 config->rootfs.diff_ids.n_items);
        for (size_t i = 0; i < row->layers.n_items; i++) {
                const Member *layer = find_member(loader, row->layers.items[i]);

                if (!layer || !layer->is_layer)
                        return error_set(err, ERROR_NOT_FOUND, "the archive has no layer '%s', which its manifest.json names", row->layers.items[i]);
                if (!digest_equal(&layer->diff_id, &config->rootfs.diff_ids.items[i]))
                        return error_set(err, ERROR_CORRUPT, "layer '%s' in the archive is not the one that the config names", row->layers.items[i]);
        }
        return 0;
}

/* Gives a config, which stays byte for byte, a manifest over its uncompressed layers, and records the image. */
static int write_image(Loader *loader, const DockerArchiveImage *row, const Digest *config_digest, Error *err)
{
        _cleanup_buf_ Buf text = { 0 }, manifest_bytes = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_manifest_ Manifest manifest = { 0 };
        Digest digest;

        if (read_blob(loader, config_digest, OCI_CONFIG_SIZE_MAX, &text, err) < 0 || image_config_parse(text.data, text.size, &config, err) < 0)
                return error_wrap(err, "config '%s' in the archive", row->config);
        if (check_layers(loader, row, &config, err) < 0)
                return -1;
        manifest_init(&manifest, false);
        descriptor_set(&manifest.config, MEDIA_OCI_CONFIG, config_digest, text.size);
        for (size_t i = 0; i < config.rootfs.diff_ids.n_items; i++) {
                LayerInfo info;

                if (layer_info(loader->store, &config.rootfs.diff_ids.items[i], &info, err) < 0)
                        return -1;
                descriptor_set(descriptor_list_add(&manifest.layers), MEDIA_OCI_LAYER, &info.diff_id, info.tar_size);
        }
        if (manifest_text(&manifest, &manifest_bytes, err) < 0 || blob_put(loader->lease, manifest_bytes.data, manifest_bytes.size, &digest, err) < 0)
                return -1;
        return image_put(loader->lease, &digest, NULL, err);
}

static int resolve_docker(Loader *loader, Found *found, Error *err)
{
        _cleanup_docker_archive_ DockerArchive archive = { 0 };

        if (docker_archive_parse(loader->manifest.data, loader->manifest.size, &archive, err) < 0)
                return error_wrap(err, "'%s' in the archive", DOCKER_ARCHIVE_MANIFEST);
        if (archive.images.n_items > ARCHIVE_IMAGES_MAX)
                return error_set(err, ERROR_LIMIT, "the archive has more than %d images", ARCHIVE_IMAGES_MAX);
        for (size_t i = 0; i < archive.images.n_items; i++) {
                const DockerArchiveImage *row = &archive.images.items[i];
                const Member *config = find_member(loader, row->config);
                LoadedImage *image;

                if (!config || config->is_layer)
                        return error_set(err, ERROR_NOT_FOUND, "the archive has no config '%s', which its manifest.json names", row->config);
                image = found_get(found, &config->digest);
                if (!image) {
                        if (write_image(loader, row, &config->digest, err) < 0)
                                return -1;
                        image = found_add(found, &config->digest);
                }
                for (size_t k = 0; k < row->repo_tags.n_items; k++)
                        add_name(image, row->repo_tags.items[k]);
        }
        return 0;
}

/* Which other image has this name until now. */
static void note_moved(Loader *loader, LoadedImage *image, const char *name)
{
        _cleanup_(image_freep) Image *before = NULL;
        _cleanup_error_ Error none = ERROR_INIT;
        char text[DIGEST_TEXT_SIZE];

        if (image_find(loader->store, name, &before, &none) < 0 || digest_equal(&before->id, &image->id))
                strlist_add(&image->moved, "");
        else
                strlist_add(&image->moved, digest_format(&before->id, text));
}

int loader_resolve(Loader *loader, Error *err)
{
        _cleanup_(found_done) Found found = { 0 };

        if (!loader->index.size && !loader->manifest.size)
                return error_set(err, ERROR_INVALID, "this is no image archive: it has neither '%s' nor '%s' (a root file system is taken by mica import)",
                                 DOCKER_ARCHIVE_MANIFEST, OCI_LAYOUT_INDEX);
        if (loader->index.size && resolve_index(loader, &found, err) < 0)
                return -1;
        if (loader->manifest.size && resolve_docker(loader, &found, err) < 0)
                return -1;
        for (size_t i = 0; i < found.n_images; i++) {
                LoadedImage *image = &found.images[i];

                for (size_t k = 0; k < image->names.n_items; k++) {
                        note_moved(loader, image, image->names.items[k]);
                        if ((digest_is_set(&image->index) ? image_tag_index(loader->store, image->names.items[k], &image->index, err)
                                                          : image_tag(loader->store, image->names.items[k], &image->id, err)) < 0)
                                return -1;
                }
                if (loader->each(loader->user, image, err) < 0)
                        return -1;
        }
        return 0;
}
