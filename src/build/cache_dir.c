#include "build/cache_dir.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/path.h"
#include "oci/layout.h"
#include "oci/limits.h"

/* An index of indexes of manifests is as deep as anybody writes. */
#define NESTING_MAX 4

void cache_dir_done(CacheDir *dir)
{
        free(dir->path);
        if (dir->fd >= 0)
                close(dir->fd);
        index_done(&dir->index);
        *dir = (CacheDir){ .fd = -1 };
}

static int open_file(const CacheDir *dir, const char *path, uint64_t *ret_size, Error *err)
{
        _cleanup_close_ int fd = inroot_try_open(dir->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, fd < 0 ? fd : errno, "cannot open '%s/%s'", dir->path, path);
        if (!S_ISREG(st.st_mode))
                return error_set(err, ERROR_INVALID, "'%s/%s' is no file", dir->path, path);
        *ret_size = (uint64_t)st.st_size;
        return TAKE_FD(fd);
}

static int read_whole(const CacheDir *dir, const char *path, Buf *buf, Error *err)
{
        uint64_t size;
        _cleanup_close_ int fd = open_file(dir, path, &size, err);
        int r;

        if (fd < 0)
                return -1;
        r = fd_read_to_buf(fd, buf);
        if (r == -EFBIG)
                return error_set(err, ERROR_LIMIT, "'%s/%s' is larger than %zu bytes", dir->path, path, buf->max);
        return r < 0 ? error_errno(err, r, "cannot read '%s/%s'", dir->path, path) : 0;
}

int cache_dir_open(const char *path, CacheDir *ret, Error *err)
{
        _cleanup_(cache_dir_done) CacheDir dir = { .fd = -1, .path = xstrdup(path) };
        _cleanup_buf_ Buf layout = BUF_INIT(64 * KIB), index = BUF_INIT(OCI_MANIFEST_SIZE_MAX);

        dir.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir.fd < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        if (read_whole(&dir, OCI_LAYOUT_INDEX, &index, err) < 0 || read_whole(&dir, OCI_LAYOUT_FILE, &layout, err) < 0)
                return -1;
        if (oci_layout_check(buf_str(&layout), layout.size, err) < 0 || index_parse(buf_str(&index), index.size, &dir.index, err) < 0)
                return error_wrap(err, "'%s' is no OCI layout", path);
        *ret = dir;
        dir = (CacheDir){ .fd = -1 };
        return 0;
}

const Descriptor *cache_dir_find(const CacheDir *dir, const char *tag, const Digest *digest, Error *err)
{
        _cleanup_buf_ Buf names = BUF_INIT(MIB);
        char text[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < dir->index.manifests.n_items; i++) {
                const Descriptor *manifest = &dir->index.manifests.items[i];
                const char *name = string_map_get(&manifest->annotations, OCI_ANNOTATION_REF_NAME);

                if (digest_is_set(digest) ? digest_equal(&manifest->digest, digest) : name && streq(name, tag))
                        return manifest;
                if (name && names.size < 200)
                        buf_putf(&names, "%s%s", names.size ? ", " : "", name);
        }
        if (digest_is_set(digest))
                error_set(err, ERROR_NOT_FOUND, "there is no '%s' in '%s'", digest_format(digest, text), dir->path);
        else
                error_set(err, ERROR_NOT_FOUND, "there is no cache with the tag '%s' in '%s' (there are: %s)", tag, dir->path,
                          names.size ? buf_str(&names) : "none");
        return NULL;
}

int cache_dir_open_blob(const CacheDir *dir, const Digest *digest, int64_t size, Error *err)
{
        char path[OCI_BLOB_PATH_SIZE];
        uint64_t have;
        _cleanup_close_ int fd = open_file(dir, oci_blob_path(digest, path), &have, err);

        if (fd < 0)
                return -1;
        if (have != (uint64_t)size)
                return error_set(err, ERROR_CORRUPT, "'%s/%s' has %llu bytes and not %lld", dir->path, path, (unsigned long long)have, (long long)size);
        return TAKE_FD(fd);
}

/* A small one as a whole, verified. Appends, up to the maximum of the buffer. */
static int read_blob(const CacheDir *dir, const Descriptor *descriptor, Buf *buf, Error *err)
{
        _cleanup_close_ int fd = cache_dir_open_blob(dir, &descriptor->digest, descriptor->size, err);
        char path[OCI_BLOB_PATH_SIZE];
        int r;

        if (fd < 0)
                return -1;
        oci_blob_path(&descriptor->digest, path);
        if ((uint64_t)descriptor->size > buf->max)
                return error_set(err, ERROR_LIMIT, "'%s/%s' is larger than %zu bytes", dir->path, path, buf->max);
        r = fd_read_to_buf(fd, buf);
        if (r < 0)
                return error_errno(err, r, "cannot read '%s/%s'", dir->path, path);
        return descriptor_verify(descriptor, path, buf_str(buf), buf->size, err);
}

int cache_dir_read(const CacheDir *dir, const Descriptor *descriptor, CacheDocument *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_MANIFEST_SIZE_MAX), config = BUF_INIT(CACHE_DOCUMENT_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };

        if (read_blob(dir, descriptor, &text, err) < 0 || manifest_parse(buf_str(&text), text.size, &manifest, err) < 0)
                return -1;
        if (!manifest.config.media_type || !streq(manifest.config.media_type, CACHE_CONFIG_MEDIA_TYPE))
                return error_set(err, ERROR_INVALID, "'%s' holds no build cache of mica's, but '%s': caches of other builders cannot be used", dir->path,
                                 manifest.config.media_type ? manifest.config.media_type : "");
        return read_blob(dir, &manifest.config, &config, err) < 0 || cache_document_parse(buf_str(&config), config.size, ret, err) < 0 ? -1 : 0;
}

/* --- what the index leads to --- */

static void add_path(Map *paths, const Digest *digest)
{
        char path[OCI_BLOB_PATH_SIZE];

        map_set(paths, oci_blob_path(digest, path), paths);
}

static bool add_reachable(const CacheDir *dir, const DescriptorList *list, Map *paths, unsigned depth);

static bool add_document(const CacheDir *dir, const Descriptor *descriptor, Map *paths, unsigned depth)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_buf_ Buf text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_manifest_ Manifest manifest = { 0 };
        _cleanup_index_ Index index = { 0 };
        MediaType type;

        add_path(paths, &descriptor->digest);
        if (depth == 0 || read_blob(dir, descriptor, &text, &ignored) < 0 || manifest_sniff(buf_str(&text), text.size, NULL, &type, &ignored) < 0)
                return false;
        if (media_type_info(type)->kind == MEDIA_KIND_INDEX) {
                if (index_parse(buf_str(&text), text.size, &index, &ignored) < 0)
                        return false;
                /* BuildKit's caches are indexes of layers and a config. */
                for (size_t i = 0; i < index.manifests.n_items; i++)
                        add_path(paths, &index.manifests.items[i].digest);
                return add_reachable(dir, &index.manifests, paths, depth - 1);
        }
        if (manifest_parse(buf_str(&text), text.size, &manifest, &ignored) < 0)
                return false;
        add_path(paths, &manifest.config.digest);
        for (size_t i = 0; i < manifest.layers.n_items; i++)
                add_path(paths, &manifest.layers.items[i].digest);
        return true;
}

static bool add_reachable(const CacheDir *dir, const DescriptorList *list, Map *paths, unsigned depth)
{
        bool all = true;

        for (size_t i = 0; i < list->n_items; i++) {
                MediaKind kind = descriptor_type(&list->items[i])->kind;

                if (kind == MEDIA_KIND_MANIFEST || kind == MEDIA_KIND_INDEX)
                        all &= add_document(dir, &list->items[i], paths, depth);
        }
        return all;
}

int cache_dir_reachable(const CacheDir *dir, Map *paths)
{
        for (size_t i = 0; i < dir->index.manifests.n_items; i++)
                add_path(paths, &dir->index.manifests.items[i].digest);
        return add_reachable(dir, &dir->index.manifests, paths, NESTING_MAX);
}
