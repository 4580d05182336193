/*
 * Blobs: manifests, configs and layers as they travel, in blobs/<algorithm>/<hex>.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/hash_file.h"
#include "store/internal.h"

struct BlobWriter {
        Lease *lease;
        char name[32]; /* in the lease's directory */
        int fd;
        HashFile *file;
};

int blob_writer_open(Lease *lease, DigestAlgorithm algorithm, BlobWriter **ret, Error *err)
{
        _cleanup_(blob_writer_freep) BlobWriter *writer = NEW(BlobWriter);
        _cleanup_free_ char *what = NULL;

        writer->lease = lease;
        lease_new_name(lease, "blob", writer->name);
        writer->fd = sys_openat(lease->dir_fd, writer->name, O_RDWR | O_CREAT | O_EXCL, 0644);
        if (writer->fd < 0)
                return error_errno(err, errno, "cannot make '%s/%s'", lease->path, writer->name);
        what = xasprintf("a blob into the store '%s'", lease->store->root);
        writer->file = hash_file_new(algorithm, writer->fd, what);
        *ret = TAKE_PTR(writer);
        return 0;
}

void blob_writer_free(BlobWriter *writer)
{
        if (!writer)
                return;
        hash_file_free(writer->file);
        if (writer->fd >= 0)
                close(writer->fd);
        (void)sys_unlinkat(writer->lease->dir_fd, writer->name, 0);
        free(writer);
}

int blob_writer_write(BlobWriter *writer, const void *data, size_t size, Error *err)
{
        return hash_file_write(writer->file, data, size, err);
}

int blob_writer_commit(BlobWriter *writer, const Digest *expected, Digest *ret, Error *err)
{
        Digest digest;
        uint64_t size;
        char to[STORE_NAME_SIZE];
        Published published;

        if (hash_file_finish(writer->file, &digest, &size, err) < 0)
                return -1;
        if (expected && digest_is_set(expected) && !digest_equal(expected, &digest)) {
                char want[DIGEST_TEXT_SIZE], have[DIGEST_TEXT_SIZE];

                return error_set(err, ERROR_CORRUPT, "cannot store the blob: its content has the digest '%s' and not '%s' as expected",
                                 digest_format(&digest, have), digest_format(expected, want));
        }
        if (store_publish(writer->lease, writer->name, "blob", &digest, size, blob_name(&digest, to), &published, err) < 0)
                return error_wrap(err, "cannot store the blob");
        if (published != PUBLISHED_RECORDED && !lease_has_pending_blob(writer->lease, &digest))
                lease_add_blob(writer->lease, &digest, size, NULL);
        if (ret)
                *ret = digest;
        return 0;
}

int blob_writer_commit_layer(BlobWriter *writer, const Digest *diff_id, Digest *ret, Error *err)
{
        if (blob_writer_commit(writer, NULL, ret, err) < 0)
                return -1;
        lease_set_blob_layer(writer->lease, ret, diff_id);
        return 0;
}

/* Whether a recorded blob is there already; held then. What a build that changes nothing asks for its manifest and config. */
static int blob_have(Lease *lease, const Digest *digest, size_t size, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE];
        struct stat st;
        int64_t recorded;
        int r;

        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (fstatat(store->root_fd, blob_name(digest, name), &st, AT_SYMLINK_NOFOLLOW) < 0 || (size_t)st.st_size != size)
                return 0;
        r = db_query_int(store->db, "SELECT size FROM blob WHERE digest = ?1", DB_ARGS(DB_DIGEST(digest)), &recorded, err);
        if (r <= 0)
                return r;
        return lease_note_digest(lease, "blob", digest, err) < 0 ? -1 : 1;
}

int blob_put(Lease *lease, const void *data, size_t size, Digest *ret, Error *err)
{
        _cleanup_(blob_writer_freep) BlobWriter *writer = NULL;
        Digest digest = digest_of(data, size);
        int r = blob_have(lease, &digest, size, err);

        if (r < 0)
                return -1;
        if (r > 0) {
                if (ret)
                        *ret = digest;
                return 0;
        }
        if (blob_writer_open(lease, DIGEST_SHA256, &writer, err) < 0 || blob_writer_write(writer, data, size, err) < 0)
                return -1;
        return blob_writer_commit(writer, NULL, ret, err);
}

int blob_open(Store *store, const Digest *digest, uint64_t *ret_size, Error *err)
{
        char name[STORE_NAME_SIZE];

        return store_open_content(store, blob_name(digest, name), "blob", digest, ret_size, err);
}

int blob_read(Store *store, const Digest *digest, Buf *buf, Error *err)
{
        _cleanup_close_ int fd = blob_open(store, digest, NULL, err);
        size_t start = buf->size;
        _cleanup_(hash_freep) Hash *hash = NULL;
        char text[DIGEST_TEXT_SIZE];
        Digest have;
        int r;

        if (fd < 0)
                return -1;
        digest_format(digest, text);
        r = fd_read_to_buf(fd, buf);
        if (r < 0)
                return error_errno(err, r, "cannot read the blob '%s'", text);
        hash = hash_new(digest->algorithm);
        hash_add(hash, buf_str(buf) + start, buf->size - start);
        have = hash_digest(hash);
        if (digest_equal(&have, digest))
                return 0;
        if (buf->data)
                buf->data[buf->size = start] = '\0';
        return error_set(err, ERROR_CORRUPT, "the blob '%s' does not match its digest; 'mica fsck --repair' finds out what is left", text);
}

bool blob_exists(Store *store, const Digest *digest)
{
        char name[STORE_NAME_SIZE];

        return faccessat(store->root_fd, blob_name(digest, name), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int lease_hold_blob(Lease *lease, const Digest *digest, Error *err)
{
        char text[DIGEST_TEXT_SIZE];

        if (store_gc_enter(lease->store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = lease->store;
        if (lease_note_digest(lease, "blob", digest, err) < 0)
                return -1;
        if (!blob_exists(lease->store, digest))
                return error_set(err, ERROR_NOT_FOUND, "the store has no blob '%s'", digest_format(digest, text));
        return 0;
}
