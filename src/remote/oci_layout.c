#include "remote/oci_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "oci/layout.h"
#include "oci/limits.h"
#include "oci/manifest.h"

#define INDEX_SIZE_MAX ((size_t)16 << 20)
/* Indexes in indexes. */
#define DEPTH_MAX 4
#define READ_SIZE (256 * KIB)

typedef struct Layout {
        Lease *lease;
        const char *path;
        int fd;
        const Platform *platform;
} Layout;

static int open_file(const Layout *layout, const char *name, Error *err)
{
        int fd = openat(layout->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return error_errno(err, errno, "cannot open '%s' of the OCI layout '%s'", name, layout->path);
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
                return fd;
        close(fd);
        return error_set(err, ERROR_INVALID, "'%s' of the OCI layout '%s' is not a file", name, layout->path);
}

static int read_file(const Layout *layout, const char *name, Buf *to, Error *err)
{
        _cleanup_close_ int fd = open_file(layout, name, err);
        int r = fd < 0 ? -1 : fd_read_to_buf(fd, to);

        if (fd < 0)
                return -1;
        if (r == -EFBIG)
                return error_set(err, ERROR_LIMIT, "'%s' of the OCI layout '%s' is larger than %zu bytes", name, layout->path, to->max);
        return r < 0 ? error_errno(err, r, "cannot read '%s' of the OCI layout '%s'", name, layout->path) : 0;
}

/* A small blob, verified. */
static int read_blob(const Layout *layout, const Digest *digest, Buf *to, Error *err)
{
        char name[OCI_BLOB_PATH_SIZE];
        _cleanup_(hash_freep) Hash *hash = hash_new(digest->algorithm);
        Digest got;

        if (read_file(layout, oci_blob_path(digest, name), to, err) < 0)
                return -1;
        hash_add(hash, to->data, to->size);
        got = hash_digest(hash);
        return digest_equal(&got, digest) ? 0 : error_set(err, ERROR_CORRUPT, "'%s' of the OCI layout '%s' is not what its name says", name, layout->path);
}

/* --- which image --- */

static int find_entry(const Layout *layout, const Index *index, const char *reference, const Digest *digest, const Descriptor **ret, Error *err)
{
        const char *wanted = str_empty(reference) ? "latest" : reference;
        char text[DIGEST_TEXT_SIZE];
        const Descriptor *only = NULL;
        size_t n_images = 0;

        for (size_t i = 0; i < index->manifests.n_items; i++) {
                const Descriptor *entry = &index->manifests.items[i];

                if (digest_is_set(digest) && digest_equal(&entry->digest, digest)) {
                        *ret = entry;
                        return 0;
                }
                if (!descriptor_is_attestation(entry)) {
                        only = entry;
                        n_images++;
                }
        }
        if (digest_is_set(digest))
                return error_set(err, ERROR_NOT_FOUND, "the index of the OCI layout '%s' has no '%s'", layout->path, digest_format(digest, text));
        *ret = oci_layout_find(index, wanted);
        if (!*ret && str_empty(reference) && n_images == 1)
                *ret = only;
        return *ret ? 0 : error_set(err, ERROR_NOT_FOUND, "the OCI layout '%s' has no image with the tag '%s': name one behind ':'", layout->path, wanted);
}

/* From an entry to the manifest of an image, through indexes. */
static int find_manifest(const Layout *layout, const Descriptor *entry, unsigned depth, Manifest *ret, Digest *ret_digest, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_index_ Index index = { 0 };
        _cleanup_platform_ Platform host = { 0 };
        const Descriptor *chosen;
        MediaType type;

        if (depth > DEPTH_MAX)
                return error_set(err, ERROR_LIMIT, "indexes in the OCI layout '%s' are nested too deeply", layout->path);
        if (read_blob(layout, &entry->digest, &text, err) < 0 || manifest_sniff(text.data, text.size, entry->media_type, &type, err) < 0)
                return -1;
        if (media_type_info(type)->kind == MEDIA_KIND_MANIFEST) {
                if (manifest_parse(text.data, text.size, ret, err) < 0)
                        return -1;
                *ret_digest = entry->digest;
                return manifest_is_image(ret) ? 0 : error_set(err, ERROR_INVALID, "what the OCI layout '%s' has there is no image", layout->path);
        }
        platform_host(&host);
        if (index_parse(text.data, text.size, &index, err) < 0 || index_select(&index, layout->platform ? layout->platform : &host, &chosen, err) < 0)
                return -1;
        return find_manifest(layout, chosen, depth + 1, ret, ret_digest, err);
}

/* --- layers --- */

static int take_layer(const Layout *layout, const Descriptor *layer, const Digest *diff_id, Error *err)
{
        char name[OCI_BLOB_PATH_SIZE];
        _cleanup_(layer_import_freep) LayerImport *import = NULL;
        _cleanup_free_ char *buffer = NULL;
        _cleanup_close_ int fd = -1;
        LayerInfo info;
        Codec codec;
        ssize_t n;

        if (layer_exists(lease_store(layout->lease), diff_id))
                return lease_hold_layer(layout->lease, diff_id, err);
        fd = open_file(layout, oci_blob_path(&layer->digest, name), err);
        if (fd < 0 || layer_import_open(layout->lease, false, &import, err) < 0)
                return -1;
        buffer = xmalloc(READ_SIZE);
        while ((n = fd_read_full(fd, buffer, READ_SIZE)) > 0)
                if (layer_import_write(import, buffer, (size_t)n, err) < 0)
                        return -1;
        if (n < 0)
                return error_errno(err, (int)n, "cannot read '%s' of the OCI layout '%s'", name, layout->path);
        return layer_import_commit(import, &layer->digest, diff_id, NULL, &codec, &info, err);
}

static int take_image(const Layout *layout, const Descriptor *entry, ImageConfig *config, Digest *ret_manifest, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_CONFIG_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };

        if (find_manifest(layout, entry, 0, &manifest, ret_manifest, err) < 0 || read_blob(layout, &manifest.config.digest, &text, err) < 0 ||
            image_config_parse(text.data, text.size, config, err) < 0)
                return -1;
        if (config->rootfs.diff_ids.n_items != manifest.layers.n_items)
                return error_set(err, ERROR_INVALID, "an image in the OCI layout '%s' has %zu layers in its manifest and %zu in its config", layout->path,
                                 manifest.layers.n_items, config->rootfs.diff_ids.n_items);
        for (size_t i = 0; i < manifest.layers.n_items; i++)
                if (take_layer(layout, &manifest.layers.items[i], &config->rootfs.diff_ids.items[i], err) < 0)
                        return -1;
        return 0;
}

int oci_layout_take(Lease *lease, const char *path, const char *reference, const Digest *digest, const Platform *platform, ImageConfig *ret_config,
                    Digest *ret_manifest, Error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Layout layout = { .lease = lease, .path = path, .fd = fd, .platform = platform };
        _cleanup_buf_ Buf mark = BUF_INIT(64 * KIB), text = BUF_INIT(INDEX_SIZE_MAX);
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_index_ Index index = { 0 };
        const Descriptor *entry;

        if (fd < 0)
                return error_errno(err, errno, "cannot open the OCI layout '%s'", path);
        if (read_file(&layout, OCI_LAYOUT_FILE, &mark, err) < 0 || oci_layout_check(mark.data, mark.size, err) < 0 ||
            read_file(&layout, OCI_LAYOUT_INDEX, &text, err) < 0 || index_parse(text.data, text.size, &index, err) < 0)
                return error_wrap(err, "'%s' cannot be used as an OCI layout", path);
        if (find_entry(&layout, &index, reference, digest, &entry, err) < 0 || take_image(&layout, entry, &config, ret_manifest, err) < 0)
                return -1;
        *ret_config = config;
        config = (ImageConfig){ 0 };
        return 0;
}
