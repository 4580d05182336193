/*
 * Reading image archives: the members, in whatever order they come.
 *
 * A member is one of: an index (index.json, manifest.json, oci-layout), kept in memory; a layer, known by its first bytes, imported at once; any other JSON,
 * stored as a blob; a link to another member (old docker saves have them for layers that repeat); anything else, skipped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "oci/layout.h"
#include "oci/limits.h"
#include "remote/archive_private.h"
#include "tar/tar.h"

#define READ_SIZE ((size_t)1 << 20)
/* A header and what comes with it decide what a member is. */
#define PEEK_SIZE TAR_BLOCK_SIZE
/* What a compressed archive may grow to against its size (and 64 MiB), as a layer in it may. gzip ends at 1032, so a higher limit would never be met. */
#define ARCHIVE_RATIO_MAX 400

static void free_member(void *data)
{
        Member *member = data;

        free(member->link);
        free(member);
}

typedef enum MemberKind { KIND_PEEK, KIND_TEXT, KIND_LAYER, KIND_BLOB, KIND_SKIP } MemberKind;

/* What is being read now. */
struct Current {
        char *path;
        uint64_t size;
        MemberKind kind;
        char peek[PEEK_SIZE];
        size_t n_peek;
        Buf *text;
        LayerImport *layer;
        BlobWriter *blob;
        Digest expected; /* from the name blobs/<algorithm>/<hex> */
};

static int add_member(Loader *loader, const char *path, const Member *from, Error *err)
{
        Member *member = NEW(Member);

        if (map_size(loader->members) >= ARCHIVE_MEMBERS_MAX) {
                free(member);
                return error_set(err, ERROR_LIMIT, "the archive has more than %d members", ARCHIVE_MEMBERS_MAX);
        }
        *member = *from;
        map_set(loader->members, path, member);
        return 0;
}

/* The digest that a path names, or none. */
static Digest digest_of_path(const char *path)
{
        const char *rest = str_after(path, "blobs/");
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *text = rest ? str_replace(rest, "/", ":") : NULL;
        Digest digest = { 0 };

        if (text && digest_parse(text, &digest, &ignored) < 0)
                digest = (Digest){ 0 };
        return digest;
}

static Buf *index_buffer(Loader *loader, const char *path)
{
        if (streq(path, OCI_LAYOUT_INDEX))
                return &loader->index;
        if (streq(path, DOCKER_ARCHIVE_MANIFEST))
                return &loader->manifest;
        if (streq(path, OCI_LAYOUT_FILE))
                return &loader->layout;
        return NULL;
}

static bool all_zero(const char *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if (data[i])
                        return false;
        return size > 0;
}

static bool looks_like_layer(const struct Current *current)
{
        const char *name = strrchr(current->path, '/');

        if (codec_sniff(current->peek, current->n_peek) != CODEC_NONE)
                return true;
        if (current->n_peek == PEEK_SIZE && (tar_looks_like_header(current->peek) || all_zero(current->peek, PEEK_SIZE)))
                return true;
        return current->size == 0 && name && streq(name, "/layer.tar");
}

/* Decides by the first bytes. */
static int classify(Loader *loader, Error *err)
{
        struct Current *current = loader->current;

        if (current->expected.algorithm && layer_exists(loader->store, &current->expected)) {
                _cleanup_error_ Error gone = ERROR_INIT;

                if (lease_hold_layer(loader->lease, &current->expected, &gone) == 0) {
                        current->kind = KIND_SKIP;
                        return add_member(loader, current->path, &(Member){ .is_layer = true, .digest = current->expected, .diff_id = current->expected }, err);
                }
        }
        if (looks_like_layer(current)) {
                current->kind = KIND_LAYER;
                if (layer_import_open(loader->lease, current->expected.algorithm != DIGEST_NONE, &current->layer, err) < 0)
                        return -1;
                return layer_import_write(current->layer, current->peek, current->n_peek, err);
        }
        if (current->n_peek && (current->peek[0] == '{' || current->peek[0] == '[' || current->expected.algorithm)) {
                current->kind = KIND_BLOB;
                if (!current->expected.algorithm && current->size > OCI_CONFIG_SIZE_MAX)
                        return error_set(err, ERROR_LIMIT, "'%s' in the archive is larger than %zu bytes", current->path, OCI_CONFIG_SIZE_MAX);
                if (blob_writer_open(loader->lease, current->expected.algorithm ? current->expected.algorithm : DIGEST_SHA256, &current->blob, err) < 0)
                        return -1;
                return blob_writer_write(current->blob, current->peek, current->n_peek, err);
        }
        current->kind = KIND_SKIP;
        return 0;
}

static void begin_member(Loader *loader, const char *path, uint64_t size)
{
        struct Current *current = NEW(struct Current);

        loader->current = current;
        current->path = xstrdup(path);
        current->size = size;
        current->expected = digest_of_path(path);
        current->text = index_buffer(loader, path);
        if (current->text) {
                current->kind = KIND_TEXT;
                buf_reset(current->text);
        }
}

static int member_data(Loader *loader, const void *data, size_t size, Error *err)
{
        struct Current *current = loader->current;

        if (current->kind == KIND_PEEK) {
                size_t n = MIN(size, PEEK_SIZE - current->n_peek);

                memcpy(current->peek + current->n_peek, data, n);
                current->n_peek += n;
                data = (const char *)data + n;
                size -= n;
                if (current->n_peek < PEEK_SIZE)
                        return 0;
                if (classify(loader, err) < 0)
                        return -1;
        }
        if (size == 0)
                return 0;
        switch (current->kind) {
        case KIND_TEXT:
                if (buf_add(current->text, data, size) < 0)
                        return error_set(err, ERROR_LIMIT, "'%s' in the archive is larger than %zu bytes", current->path, current->text->max);
                return 0;
        case KIND_LAYER:
                return layer_import_write(current->layer, data, size, err);
        case KIND_BLOB:
                return blob_writer_write(current->blob, data, size, err);
        default:
                return 0;
        }
}

static void drop_member(Loader *loader)
{
        struct Current *current = loader->current;

        if (!current)
                return;
        free(current->path);
        layer_import_free(current->layer);
        blob_writer_free(current->blob);
        free(current);
        loader->current = NULL;
}

static int commit_member(Loader *loader, Error *err)
{
        struct Current *current = loader->current;
        const Digest *expected = current->expected.algorithm ? &current->expected : NULL;
        Member member = { 0 };
        LayerInfo info;
        Codec codec;

        if (current->kind == KIND_PEEK && classify(loader, err) < 0)
                return -1;
        if (current->kind == KIND_LAYER) {
                if (layer_import_commit(current->layer, expected, NULL, &member.digest, &codec, &info, err) < 0)
                        return -1;
                member.is_layer = true;
                member.diff_id = info.diff_id;
        } else if (current->kind == KIND_BLOB) {
                if (blob_writer_commit(current->blob, expected, &member.digest, err) < 0)
                        return -1;
        } else {
                return 0;
        }
        return add_member(loader, current->path, &member, err);
}

static int end_member(Loader *loader, Error *err)
{
        int r;

        if (!loader->current)
                return 0;
        r = commit_member(loader, err);
        if (r < 0)
                error_wrap(err, "'%s' in the archive", loader->current->path);
        drop_member(loader);
        return r;
}

/* --- from a tar --- */

/* The path that a symbolic link inside the archive leads to; NULL when it leads out of it. */
static char *link_target(const char *path, const char *target)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *joined = slash ? xasprintf("%.*s/%s", (int)(slash - path), path, target) : xstrdup(target);
        char *clean;

        if (*target == '/' || tar_path_clean(joined, &clean, &ignored) < 0)
                return NULL;
        return clean;
}

static int on_entry(void *user, const TarEntry *entry, Error *err)
{
        Loader *loader = user;

        if (end_member(loader, err) < 0)
                return -1;
        if (loader->options->cancel && *loader->options->cancel)
                return error_set(err, ERROR_CANCELLED, "cancelled");
        if (entry->type == TAR_SYMLINK || entry->type == TAR_HARDLINK) {
                char *link = entry->type == TAR_SYMLINK ? link_target(entry->path, entry->link) : xstrdup(entry->link);

                if (!link)
                        return error_set(err, ERROR_INVALID, "'%s' in the archive links to '%s', outside of it", entry->path, entry->link);
                return add_member(loader, entry->path, &(Member){ .link = link }, err);
        }
        if (entry->type != TAR_FILE)
                return 0;
        begin_member(loader, entry->path, entry->size);
        return entry->size == 0 && loader->current->kind == KIND_PEEK ? classify(loader, err) : 0;
}

static int on_data(void *user, const void *data, size_t size, Error *err)
{
        return member_data(user, data, size, err);
}

static int feed_reader(void *user, const void *data, size_t size, Error *err)
{
        return tar_reader_feed(user, data, size, err);
}

static int read_tar(Loader *loader, int fd, Error *err)
{
        static const TarReaderOps ops = { .entry = on_entry, .data = on_data };
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, loader);
        _cleanup_(decoder_freep) Decoder *decoder = NULL;
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);
        Sink sink = { feed_reader, reader };
        uint64_t total = 0;

        for (;;) {
                ssize_t n = fd_read_full(fd, buffer, READ_SIZE);

                if (n < 0)
                        return error_errno(err, (int)n, "cannot read the archive");
                if (n == 0)
                        break;
                if (!decoder)
                        decoder = decoder_new(codec_sniff(buffer, (size_t)n), &sink, 0, ARCHIVE_RATIO_MAX);
                if (decoder_feed(decoder, buffer, (size_t)n, err) < 0)
                        return -1;
                total += (uint64_t)n;
                if (loader->options->progress)
                        loader->options->progress(loader->options->user, loader->current ? loader->current->path : "", total);
        }
        if (!decoder)
                return error_set(err, ERROR_INVALID, "the archive is empty");
        if (decoder_finish(decoder, err) < 0 || tar_reader_finish(reader, err) < 0)
                return -1;
        return end_member(loader, err);
}

/* --- from an OCI layout --- */

static int read_file(Loader *loader, int dir_fd, const char *name, const char *path, Error *err)
{
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *buffer = NULL;
        struct stat st;

        fd = sys_openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot open '%s'", path);
        if (!S_ISREG(st.st_mode))
                return 0;
        begin_member(loader, path, (uint64_t)st.st_size);
        buffer = xmalloc(READ_SIZE);
        for (;;) {
                ssize_t n = fd_read_full(fd, buffer, READ_SIZE);

                if (n < 0)
                        return error_errno(err, (int)n, "cannot read '%s'", path);
                if (n == 0)
                        return end_member(loader, err);
                if (member_data(loader, buffer, (size_t)n, err) < 0)
                        return -1;
        }
}

static int read_blobs(Loader *loader, int root_fd, const char *algorithm, Error *err)
{
        _cleanup_free_ char *dir = xasprintf("blobs/%s", algorithm);
        int fd = sys_openat(root_fd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), r = 0;
        struct dirent *entry;
        DIR *list;

        if (fd < 0)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot open '%s'", dir);
        list = fdopendir(fd);
        if (!list) {
                close(fd);
                return error_errno(err, errno, "cannot read '%s'", dir);
        }
        while (r >= 0 && (entry = readdir(list))) {
                _cleanup_free_ char *path = xasprintf("%s/%s", dir, entry->d_name);

                if (entry->d_name[0] != '.')
                        r = read_file(loader, fd, entry->d_name, path, err);
        }
        closedir(list);
        return r;
}

static int read_layout(Loader *loader, int fd, Error *err)
{
        static const char *const files[] = { OCI_LAYOUT_FILE, OCI_LAYOUT_INDEX, DOCKER_ARCHIVE_MANIFEST };

        for (size_t i = 0; i < ARRAY_LEN(files); i++)
                if (read_file(loader, fd, files[i], files[i], err) < 0)
                        return -1;
        if (read_blobs(loader, fd, "sha256", err) < 0)
                return -1;
        return read_blobs(loader, fd, "sha512", err);
}

int archive_load(Store *store, int fd, const ArchiveLoad *options, int (*each)(void *user, const LoadedImage *image, Error *err), void *user, Error *err)
{
        static const ArchiveLoad no_options;
        Loader loader = { .store = store,
                          .options = options ? options : &no_options,
                          .members = map_new(free_member),
                          .index = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX),
                          .manifest = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX),
                          .layout = BUF_INIT(KIB * 64),
                          .each = each,
                          .user = user };
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                r = error_errno(err, errno, "cannot read the archive");
        else
                r = lease_new(store, "load", &loader.lease, err);
        if (r >= 0)
                r = S_ISDIR(st.st_mode) ? read_layout(&loader, fd, err) : read_tar(&loader, fd, err);
        if (r >= 0)
                r = lease_sync(loader.lease, err);
        if (r >= 0)
                r = loader_resolve(&loader, err);
        drop_member(&loader);
        lease_free(loader.lease);
        map_free(loader.members);
        buf_done(&loader.index);
        buf_done(&loader.manifest);
        buf_done(&loader.layout);
        return r;
}
