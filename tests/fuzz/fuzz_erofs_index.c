/*
 * Indexes from arbitrary bytes: the check and the merge read them without harm, and whatever a merge takes is written as an index that passes the check.
 * The checksum of the superblock is put right first, or nothing would get past it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "erofs/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int to_buf(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_LIMIT, "too much") : 0;
}

static void try_merge(const uint8_t *index, size_t size, const uint64_t *sizes)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf out = BUF_INIT((size_t)64 << 20);
        const Sink sink = { to_buf, &out };
        size_t n_devices;

        if (erofs_tree_add_index(tree, index, size, &err) < 0)
                return;
        n_devices = tree->n_devices;
        /* Over itself, when it is the index of one layer. */
        if (n_devices == 1 && tree->n_names && erofs_tree_add_index(tree, index, size, &err) == 0)
                n_devices = 2;
        else if (tree->n_devices != n_devices)
                return;
        if (n_devices > 2 || erofs_tree_write(tree, sizes, n_devices, &sink, &err) < 0)
                return;
        if (erofs_index_check(out.data, out.size, sizes, n_devices, &err) < 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ uint8_t *copy = xmemdup(data, size ? size : 1);
        const uint64_t sizes[] = { UINT64_C(1) << 40, UINT64_C(1) << 40 };
        _cleanup_error_ Error err = ERROR_INIT;

        if (size >= EROFS_SUPER + EROFS_BLOCK)
                put32(copy + EROFS_SUPER + SB_CHECKSUM, erofs_super_checksum(copy + EROFS_SUPER));
        erofs_index_check(copy, size, sizes, 1, &err);
        try_merge(copy, size, sizes);
        return 0;
}
