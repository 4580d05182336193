/*
 * Merged indexes: one EROFS image for a whole chain of layers, chains/<chainid-hex>. Made from the layers' indexes, never from their tars; losing one costs
 * making it again. It is synced before it has its name, so whatever has the name is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "erofs/erofs.h"
#include "store/internal.h"
#include "store/rootfs.h"

int chain_have(Lease *lease, const Digest *diff_ids, size_t n, Error *err)
{
        Store *store = lease->store;
        Digest chain = chain_id(diff_ids, n);
        char name[STORE_NAME_SIZE];

        /* Most often it is not there, which needs no lock to say. */
        if (faccessat(store->root_fd, chain_name(&chain, name), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (lease_has_noted(lease, "chain", &chain))
                return 1;
        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (faccessat(store->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        return lease_note_digest(lease, "chain", &chain, err) < 0 ? -1 : 1;
}

static int tar_size(Store *store, const Digest *diff_id, uint64_t *ret, Error *err)
{
        char name[STORE_NAME_SIZE];
        struct stat st;

        if (fstatat(store->root_fd, layer_name(diff_id, "tar", name), &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, errno, "cannot find '%s/%s'", store->root, name);
        *ret = (uint64_t)st.st_size;
        return 0;
}

int chain_write(Lease *lease, const Digest *diff_ids, size_t n, const char *temporary, Error *err)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        Mapping *mappings = NEW_ARRAY(Mapping, n);
        uint64_t *sizes = NEW_ARRAY(uint64_t, n);
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++) {
                char name[STORE_NAME_SIZE];

                r = layer_need_index(lease, &diff_ids[i], err);
                if (r == 0)
                        r = tar_size(lease->store, &diff_ids[i], &sizes[i], err);
                if (r == 0)
                        r = mapping_open(lease->store->root_fd, layer_name(&diff_ids[i], "index", name), &mappings[i], err);
                if (r == 0 && erofs_tree_add_index(tree, mappings[i].data, mappings[i].size, err) < 0)
                        r = error_wrap(err, "cannot merge '%s/%s'", lease->store->root, name);
        }
        if (r == 0)
                r = index_write(tree, sizes, n, lease->dir_fd, temporary, true, err);
        erofs_tree_free(TAKE_PTR(tree));
        for (size_t i = 0; i < n; i++)
                mapping_done(&mappings[i]);
        free(mappings);
        free(sizes);
        return r;
}

int chain_make(Lease *lease, const Digest *diff_ids, size_t n, Error *err)
{
        Store *store = lease->store;
        Digest chain = chain_id(diff_ids, n);
        char name[STORE_NAME_SIZE], temporary[32];
        int r = chain_have(lease, diff_ids, n, err);

        if (r != 0)
                return r < 0 ? -1 : 0;
        if (chain_write(lease, diff_ids, n, lease_new_name(lease, "chain", temporary), err) < 0)
                return -1;
        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (lease_note_digest(lease, "chain", &chain, err) < 0)
                return -1;
        if (sys_renameat(lease->dir_fd, temporary, store->root_fd, chain_name(&chain, name)) < 0)
                return error_errno(err, errno, "cannot put '%s/%s' in place", store->root, name);
        return 0;
}

int chain_merge(Lease *lease, const Digest *diff_ids, size_t n, Error *err)
{
        if (n < 2 || store_driver_kind(lease->store) != STORE_DRIVER_EROFS)
                return 0;
        if (lease_hold_layers(lease, diff_ids, n, err) < 0)
                return -1;
        return chain_make(lease, diff_ids, n, err);
}
