/*
 * The full check of an index: it is read as if it were hostile, written again from what was read, and compared. What passes is byte for byte what our own
 * writer makes, so nothing else ever gets to the kernel's parser.
 */
#include "erofs/read.h"

typedef struct Compare {
        const uint8_t *data;
        size_t size, at;
} Compare;

static int compare_write(void *user, const void *data, size_t size, Error *err)
{
        Compare *compare = user;

        if (size > compare->size - compare->at || memcmp(compare->data + compare->at, data, size) != 0)
                return error_set(err, ERROR_CORRUPT, "not a sound image index: bytes near %zu are not what mica writes", compare->at);
        compare->at += size;
        return 0;
}

int erofs_index_check(const void *index, size_t size, const uint64_t *tar_sizes, size_t n_devices, Error *err)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        Compare compare = { .data = index };
        const Sink sink = { compare_write, &compare };

        if (tree_load(tree, index, size, err) < 0)
                return -1;
        compare.size = reader_size(index);
        if (tree->n_devices != n_devices)
                return error_set(err, ERROR_CORRUPT, "the index is over %zu layers, not %zu", tree->n_devices, n_devices);
        if (erofs_tree_write(tree, tar_sizes, n_devices, &sink, err) < 0)
                return -1;
        return compare.at == compare.size ? 0 : error_set(err, ERROR_CORRUPT, "not a sound image index: %zu bytes too many", compare.size - compare.at);
}

int erofs_index_info(const void *index, size_t size, ErofsIndexInfo *ret, Error *err)
{
        Reader reader;

        if (reader_open(&reader, index, size, err) < 0)
                return -1;
        *ret = (ErofsIndexInfo){ .n_devices = reader.n_devices, .is_merged = reader.kind == TREE_MERGED, .must_merge = reader.must_merge };
        memcpy(ret->uuid, reader.data + EROFS_SUPER + SB_UUID, sizeof(ret->uuid));
        return 0;
}
