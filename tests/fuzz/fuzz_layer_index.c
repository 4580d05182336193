/*
 * From a hostile layer to its index: whatever tar is accepted gives an index that passes the check, that can be merged over itself, and that does not depend on
 * how the bytes came.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "erofs/erofs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool ok)
{
        if (!ok)
                abort();
}

static int to_buf(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_LIMIT, "too much") : 0;
}

static int on_entry(void *user, const TarEntry *entry, Error *err)
{
        return erofs_tree_add(user, entry, err);
}

/* The index of the tar, or -1. */
static int index_of(const uint8_t *data, size_t size, size_t step, Buf *ret, Error *err)
{
        static const TarReaderOps ops = { .entry = on_entry };
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, tree);
        const Sink sink = { to_buf, ret };
        uint64_t tar_size = size;

        for (size_t at = 0; at < size; at += step)
                if (tar_reader_feed(reader, data + at, MIN(step, size - at), err) < 0)
                        return -1;
        if (tar_reader_finish(reader, err) < 0)
                return -1;
        return erofs_tree_write(tree, &tar_size, 1, &sink, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_(erofs_tree_freep) ErofsTree *merged = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT, err_pieces = ERROR_INIT;
        _cleanup_buf_ Buf index = BUF_INIT((size_t)64 << 20), pieces = BUF_INIT((size_t)64 << 20), both = BUF_INIT((size_t)64 << 20);
        const Sink sink = { to_buf, &both };
        const uint64_t sizes[] = { size, size };
        ErofsIndexInfo info;
        int r;

        if (size > 1 << 20)
                return 0;
        r = index_of(data, size, size + 1, &index, &err);
        expect(index_of(data, size, 131, &pieces, &err_pieces) == r && err.code == err_pieces.code);
        if (r < 0)
                return 0;
        expect(index.size == pieces.size && memcmp(index.data, pieces.data, index.size) == 0);
        expect(erofs_index_check(index.data, index.size, sizes, 1, &err) == 0);
        expect(erofs_index_info(index.data, index.size, &info, &err) == 0 && info.n_devices == 1 && !info.is_merged);
        expect(erofs_tree_add_index(merged, index.data, index.size, &err) == 0 && erofs_tree_add_index(merged, index.data, index.size, &err) == 0);
        expect(erofs_tree_write(merged, sizes, 2, &sink, &err) == 0);
        expect(erofs_index_check(both.data, both.size, sizes, 2, &err) == 0);
        expect(erofs_index_info(both.data, both.size, &info, &err) == 0 && info.n_devices == 2 && info.is_merged);
        return 0;
}
