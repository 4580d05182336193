/*
 * Takes a layer tar as a stream and stores it: one pass writes the file, hashes it (hash_file.h) and reads its headers into the tree that becomes the index.
 * Everything is made in the lease's directory as layer<n>/tar and layer<n>/index, and the directory is renamed to layers/<hex> when the digest is known.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "erofs/erofs.h"
#include "store/hash_file.h"
#include "store/internal.h"
#include "tar/tar.h"

struct LayerWriter {
        Lease *lease;
        char name[32]; /* of the directory, in the lease's */
        int dir_fd, tar_fd;
        HashFile *file;
        TarReader *reader;
        ErofsTree *tree;
        bool failed;
};

static int on_entry(void *user, const TarEntry *entry, Error *err)
{
        LayerWriter *writer = user;

        return erofs_tree_add(writer->tree, entry, err);
}

int layer_writer_open(Lease *lease, LayerWriter **ret, Error *err)
{
        static const TarReaderOps ops = { .entry = on_entry };
        _cleanup_(layer_writer_freep) LayerWriter *writer = NEW(LayerWriter);
        _cleanup_free_ char *what = NULL;

        writer->lease = lease;
        writer->dir_fd = writer->tar_fd = -1;
        lease_new_name(lease, "layer", writer->name);
        if (sys_mkdirat(lease->dir_fd, writer->name, 0755) < 0)
                return error_errno(err, errno, "cannot make '%s/%s'", lease->path, writer->name);
        writer->dir_fd = sys_openat(lease->dir_fd, writer->name, O_RDONLY | O_DIRECTORY, 0);
        if (writer->dir_fd < 0)
                return error_errno(err, errno, "cannot open '%s/%s'", lease->path, writer->name);
        writer->tar_fd = sys_openat(writer->dir_fd, "tar", O_RDWR | O_CREAT | O_EXCL, 0644);
        if (writer->tar_fd < 0)
                return error_errno(err, errno, "cannot make '%s/%s/tar'", lease->path, writer->name);
        what = xasprintf("a layer into the store '%s'", lease->store->root);
        writer->file = hash_file_new(DIGEST_SHA256, writer->tar_fd, what);
        writer->reader = tar_reader_new(&ops, writer);
        writer->tree = erofs_tree_new();
        *ret = TAKE_PTR(writer);
        return 0;
}

void layer_writer_go_direct(LayerWriter *writer)
{
        hash_file_go_direct(writer->file);
}

void layer_writer_free(LayerWriter *writer)
{
        if (!writer)
                return;
        hash_file_free(writer->file);
        tar_reader_free(writer->reader);
        erofs_tree_free(writer->tree);
        if (writer->tar_fd >= 0)
                close(writer->tar_fd);
        if (writer->dir_fd >= 0)
                close(writer->dir_fd);
        (void)tree_remove(writer->lease->dir_fd, writer->name);
        free(writer);
}

int layer_writer_write(LayerWriter *writer, const void *data, size_t size, Error *err)
{
        if (tar_reader_feed(writer->reader, data, size, err) < 0)
                return error_wrap(err, "cannot store the layer");
        return hash_file_write(writer->file, data, size, err);
}

int layer_writer_write_file(LayerWriter *writer, int fd, uint64_t offset, uint64_t size, Error *err)
{
        while (size > 0) {
                void *to;
                size_t room;
                ssize_t n;

                if (hash_file_reserve(writer->file, &to, &room, err) < 0)
                        return -1;
                n = fd_pread_full(fd, to, (size_t)MIN((uint64_t)room, size), offset);
                if (n < 0)
                        return error_errno(err, (int)n, "cannot read a file for the layer");
                if (n == 0)
                        return error_set(err, ERROR_IO, "cannot read a file for the layer: it became shorter while it was read; try again");
                if (tar_reader_feed(writer->reader, to, (size_t)n, err) < 0)
                        return error_wrap(err, "cannot store the layer");
                if (hash_file_filled(writer->file, (size_t)n, err) < 0)
                        return -1;
                offset += (uint64_t)n;
                size -= (uint64_t)n;
        }
        return 0;
}

ssize_t layer_writer_read(LayerWriter *writer, int fd, Error *err)
{
        void *to;
        size_t room;
        ssize_t n;

        if (hash_file_reserve(writer->file, &to, &room, err) < 0)
                return -1;
        n = fd_read_full(fd, to, room);
        if (n < 0)
                return error_errno(err, (int)n, "cannot read the archive");
        if (n > 0 && tar_reader_feed(writer->reader, to, (size_t)n, err) < 0)
                return error_wrap(err, "cannot store the layer");
        return hash_file_filled(writer->file, (size_t)n, err) < 0 ? -1 : n;
}

static int sink_to_writer(void *user, const void *data, size_t size, Error *err)
{
        return layer_writer_write(user, data, size, err);
}

Sink layer_writer_sink(LayerWriter *writer)
{
        return (Sink){ .write = sink_to_writer, .user = writer };
}

static uint64_t disk_size_at(int dir_fd, const char *name)
{
        struct stat st;

        return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

int layer_writer_commit(LayerWriter *writer, const Digest *expected, LayerInfo *ret, Error *err)
{
        Lease *lease = writer->lease;
        LayerInfo info = { 0 };
        ErofsStats stats;
        char to[STORE_NAME_SIZE];
        Published published;

        if (tar_reader_finish(writer->reader, err) < 0)
                return error_wrap(err, "cannot store the layer");
        if (hash_file_finish(writer->file, &info.diff_id, &info.tar_size, err) < 0)
                return -1;
        if (expected && digest_is_set(expected) && !digest_equal(expected, &info.diff_id)) {
                char want[DIGEST_TEXT_SIZE], have[DIGEST_TEXT_SIZE];

                return error_set(err, ERROR_CORRUPT, "cannot store the layer: its content has the digest '%s' and not '%s' as expected",
                                 digest_format(&info.diff_id, have), digest_format(expected, want));
        }
        erofs_tree_stats(writer->tree, &stats);
        info.content_size = stats.content_size;
        info.n_entries = stats.n_entries;
        info.n_whiteouts = stats.n_whiteouts;
        if (store_driver_kind(lease->store) == STORE_DRIVER_EROFS && index_write(writer->tree, &info.tar_size, 1, writer->dir_fd, "index", false, err) < 0)
                return -1;
        info.disk_size = info.tar_size + disk_size_at(writer->dir_fd, "index");
        if (store_publish(lease, writer->name, "layer", &info.diff_id, info.tar_size, layer_name(&info.diff_id, NULL, to), &published, err) < 0)
                return error_wrap(err, "cannot store the layer");
        if (published != PUBLISHED_RECORDED && !lease_has_pending_layer(lease, &info.diff_id, NULL))
                lease_add_layer(lease, &info);
        if (ret)
                *ret = info;
        return 0;
}
