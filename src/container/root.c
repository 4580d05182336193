/* The root of a container, mounted: the layers of its image under its writable layer. */
#include <errno.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/private.h"
#include "store/rootfs.h"

/* One for all: each monitor, and whoever looks at a container that does not run, mounts in a mount namespace of its own. */
char *container_root_path(const Store *store)
{
        return xasprintf("%s/root", store_root(store));
}

int container_mount_layers(const Container *container, Lease *lease, const RootfsOptions *options, Rootfs **ret, Error *err)
{
        size_t n = container->data.layers.n_items;
        _cleanup_free_ Digest *layers = NEW_ARRAY(Digest, n + 1);

        for (size_t i = 0; i < n; i++)
                if (digest_parse(container->data.layers.items[i], &layers[i], err) < 0)
                        return -1;
        return rootfs_mount(lease, layers, n, options, ret, err);
}

int container_mount_root(const Container *container, Store *store, Lease *lease, bool merge, Rootfs **ret, Error *err)
{
        _cleanup_free_ char *upper = container_file(container, "upper"), *work = container_file(container, "work"), *root = container_root_path(store);
        RootfsOptions options = { .upper = upper, .work = work, .durable = !container->transient, .merge = merge, .mount_points = true, .target = root };
        int r = dir_make(AT_FDCWD, root, 0700);

        return r < 0 ? error_errno(err, r, "cannot make '%s'", root) : container_mount_layers(container, lease, &options, ret, err);
}
