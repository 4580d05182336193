/*
 * Layers that are there: their facts, their tars, and the index that the driver `erofs` needs of them.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "erofs/erofs.h"
#include "store/internal.h"
#include "tar/tar.h"

bool layer_exists(Store *store, const Digest *diff_id)
{
        char name[STORE_NAME_SIZE];
        Error err = ERROR_INIT;
        int64_t one;
        bool exists = faccessat(store->root_fd, layer_name(diff_id, "tar", name), F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
                      db_query_int(store->db, "SELECT 1 FROM layer WHERE diff_id = ?1", DB_ARGS(DB_DIGEST(diff_id)), &one, &err) > 0;

        error_done(&err);
        return exists;
}

int layer_info(Store *store, const Digest *diff_id, LayerInfo *ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        char text[DIGEST_TEXT_SIZE];
        int r;

        if (db_query(store->db, "SELECT tar_size, content_size, n_entries, n_whiteouts, disk_size FROM layer WHERE diff_id = ?1", DB_ARGS(DB_DIGEST(diff_id)),
                     &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r < 0)
                return -1;
        if (r == 0)
                return error_set(err, ERROR_NOT_FOUND, "the store has no layer '%s'", digest_format(diff_id, text));
        *ret = (LayerInfo){
                .diff_id = *diff_id,
                .tar_size = (uint64_t)db_column_int(stmt, 0),
                .content_size = (uint64_t)db_column_int(stmt, 1),
                .n_entries = (uint64_t)db_column_int(stmt, 2),
                .n_whiteouts = (uint64_t)db_column_int(stmt, 3),
                .disk_size = (uint64_t)db_column_int(stmt, 4),
        };
        return 0;
}

int layer_open_tar(Store *store, const Digest *diff_id, uint64_t *ret_size, Error *err)
{
        char name[STORE_NAME_SIZE];

        return store_open_content(store, layer_name(diff_id, "tar", name), "layer", diff_id, ret_size, err);
}

int lease_hold_layer(Lease *lease, const Digest *diff_id, Error *err)
{
        char text[DIGEST_TEXT_SIZE];

        if (lease_has_noted(lease, "layer", diff_id))
                return 0;
        if (store_gc_enter(lease->store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = lease->store;
        if (!layer_exists(lease->store, diff_id))
                return error_set(err, ERROR_NOT_FOUND, "the store has no layer '%s'", digest_format(diff_id, text));
        return lease_note_digest(lease, "layer", diff_id, err);
}

int lease_hold_layers(Lease *lease, const Digest *diff_ids, size_t n, Error *err)
{
        for (size_t i = 0; i < n; i++)
                if (lease_hold_layer(lease, &diff_ids[i], err) < 0)
                        return -1;
        return 0;
}

int lease_layer_info(Lease *lease, const Digest *diff_id, LayerInfo *ret, Error *err)
{
        return lease_has_pending_layer(lease, diff_id, ret) ? 0 : layer_info(lease->store, diff_id, ret, err);
}

int layer_empty(Lease *lease, LayerInfo *ret, Error *err)
{
        static const char zeros[TAR_TRAILER_SIZE];
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;

        if (layer_writer_open(lease, &writer, err) < 0 || layer_writer_write(writer, zeros, sizeof(zeros), err) < 0)
                return -1;
        return layer_writer_commit(writer, NULL, ret, err);
}

/* --- indexes --- */

int mapping_open(int dir_fd, const char *path, Mapping *ret, Error *err)
{
        _cleanup_close_ int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        void *data;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        if (!S_ISREG(st.st_mode) || st.st_size <= 0)
                return error_set(err, ERROR_CORRUPT, "'%s' is empty or not a file", path);
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
                return error_errno(err, errno, "cannot map '%s'", path);
        *ret = (Mapping){ .data = data, .size = (size_t)st.st_size };
        return 0;
}

void mapping_done(Mapping *mapping)
{
        if (mapping->data)
                munmap(mapping->data, mapping->size);
        *mapping = (Mapping){ 0 };
}

typedef struct IndexFile {
        Buf buffer; /* gathers small writes */
        int fd;
        uint64_t size;
} IndexFile;

static int index_flush(IndexFile *file, Error *err)
{
        int r = fd_write_all(file->fd, buf_str(&file->buffer), file->buffer.size);

        buf_reset(&file->buffer);
        return r < 0 ? error_errno(err, r, "cannot write the index of a layer") : 0;
}

static int index_sink(void *user, const void *data, size_t size, Error *err)
{
        IndexFile *file = user;

        file->size += size;
        if (buf_add(&file->buffer, data, size) == 0)
                return 0;
        if (index_flush(file, err) < 0)
                return -1;
        if (buf_add(&file->buffer, data, size) == 0)
                return 0;
        int r = fd_write_all(file->fd, data, size);

        return r < 0 ? error_errno(err, r, "cannot write the index of a layer") : 0;
}

int index_pad(int fd, uint64_t size)
{
        uint64_t padded = erofs_file_size(size);

        return padded > size ? sys_ftruncate(fd, (off_t)padded) : 0;
}

int index_write(ErofsTree *tree, const uint64_t *tar_sizes, size_t n_devices, int dir_fd, const char *name, bool durable, Error *err)
{
        _cleanup_close_ int fd = sys_openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        IndexFile file = { .buffer = BUF_INIT(256 * KIB), .fd = fd };
        Sink sink = { .write = index_sink, .user = &file };
        int r;

        if (fd < 0)
                return error_errno(err, errno, "cannot make the index of a layer");
        r = erofs_tree_write(tree, tar_sizes, n_devices, &sink, err);
        if (r == 0)
                r = index_flush(&file, err);
        if (r == 0 && index_pad(fd, file.size) < 0)
                r = error_errno(err, errno, "cannot pad the index of a layer");
        if (r == 0 && durable && sys_fdatasync(fd) < 0)
                r = error_errno(err, errno, "cannot sync the index of a layer");
        buf_done(&file.buffer);
        return r;
}

static int tree_entry(void *user, const TarEntry *entry, Error *err)
{
        return erofs_tree_add(user, entry, err);
}

int layer_read_tree(Store *store, const Digest *diff_id, ErofsTree **ret, uint64_t *ret_size, Error *err)
{
        static const TarReaderOps ops = { .entry = tree_entry };
        _cleanup_close_ int fd = layer_open_tar(store, diff_id, ret_size, err);
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, tree);
        _cleanup_free_ char *buffer = xmalloc(256 * KIB);
        char text[DIGEST_TEXT_SIZE];
        ssize_t n;

        if (fd < 0)
                return -1;
        while ((n = fd_read_full(fd, buffer, 256 * KIB)) > 0)
                if (tar_reader_feed(reader, buffer, (size_t)n, err) < 0)
                        return error_wrap(err, "cannot index the layer '%s'", digest_format(diff_id, text));
        if (n < 0)
                return error_errno(err, (int)n, "cannot read the layer '%s'", digest_format(diff_id, text));
        if (tar_reader_finish(reader, err) < 0)
                return error_wrap(err, "cannot index the layer '%s'", digest_format(diff_id, text));
        *ret = TAKE_PTR(tree);
        return 0;
}

int layer_need_index(Lease *lease, const Digest *diff_id, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE], temporary[32];
        _cleanup_(erofs_tree_freep) ErofsTree *tree = NULL;
        uint64_t size;

        if (faccessat(store->root_fd, layer_name(diff_id, "index", name), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        /* Not made with the layer, so no syncfs before the layer's row covered it: it has to be durable before it has its name. */
        if (layer_read_tree(store, diff_id, &tree, &size, err) < 0 ||
            index_write(tree, &size, 1, lease->dir_fd, lease_new_name(lease, "index", temporary), true, err) < 0)
                return -1;
        if (sys_renameat(lease->dir_fd, temporary, store->root_fd, name) < 0)
                return error_errno(err, errno, "cannot put '%s/%s' in place", store->root, name);
        return 0;
}
