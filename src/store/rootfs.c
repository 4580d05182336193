/*
 * Mounting a chain of layers.
 *
 * Driver `erofs`: the longest beginning of the chain that has a merged index is one lower directory, each layer above it another. When more than
 * MAX_SINGLE layers are above, the chain is merged first, so that the cost of a mount does not grow with the length of a build.
 * Driver `dir`: each layer's fs/ is a lower directory.
 */
#include "store/rootfs.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "erofs/erofs.h"
#include "fs/mount.h"
#include "fs/userns.h"
#include "store/internal.h"

/* Layers that are mounted one by one above the last merged index; a single mount costs some 0.2 ms, a merge some 10 ms with a large base. */
#define MAX_SINGLE 8

struct Rootfs {
        Lease *lease;
        int fd;
        int lower_fd; /* the tree below the upper, made when it is asked for; -1 */
        char *path;
        bool attached;
        int *lower; /* descriptors of the lower directories, top first */
        size_t n_lower, capacity_lower;
        bool empty;        /* there are no layers: the lowest of them is an ordinary directory */
        char *place;       /* where they are attached, one over the other, on a kernel that wants that; else NULL */
        bool mount_points; /* the last of them is no layer, but the mount points of containers */
        bool userxattr;
};

static void add_lower(Rootfs *rootfs, int fd)
{
        GROW(rootfs->lower, rootfs->capacity_lower, rootfs->n_lower + 1);
        rootfs->lower[rootfs->n_lower++] = fd;
}

/* The indexes of an older store may end anywhere. */
static int pad_old_index(const char *path, Error *err)
{
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (stat(path, &st) < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        if ((uint64_t)st.st_size == erofs_file_size((uint64_t)st.st_size))
                return 0;
        fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW, 0);
        return fd < 0 || index_pad(fd, (uint64_t)st.st_size) < 0 ? error_errno(err, errno, "cannot pad '%s'", path) : 0;
}

static int mount_index(Store *store, const char *index, const Digest *diff_ids, size_t n, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", store->root, index);
        _cleanup_strlist_ StrList devices = { 0 };
        int fd;

        for (size_t i = 0; i < n; i++) {
                char name[STORE_NAME_SIZE];

                strlist_addf(&devices, "%s/%s", store->root, layer_name(&diff_ids[i], "tar", name));
        }
        if (pad_old_index(path, err) < 0)
                return -1;
        fd = mount_erofs(path, (const char *const *)devices.items, n, err);
        if (fd < 0 && err->code == ERROR_UNSUPPORTED) /* only when the driver was asked for: nothing chooses it on such a kernel */
                return error_wrap(err, "this kernel does not mount EROFS from files: leave MICA_STORE_DRIVER unset, or set it to 'dir'");
        return fd;
}

/* 1: overlayfs would show a layer above `base` wrong (see erofs_index_info()), so the chain has to be merged. */
static int must_merge(Lease *lease, const Digest *diff_ids, size_t base, size_t n, Error *err)
{
        for (size_t i = base; i < n; i++) {
                char name[STORE_NAME_SIZE];
                ErofsIndexInfo info;
                Mapping mapping;
                int r;

                if (layer_need_index(lease, &diff_ids[i], err) < 0 ||
                    mapping_open(lease->store->root_fd, layer_name(&diff_ids[i], "index", name), &mapping, err) < 0)
                        return -1;
                r = erofs_index_info(mapping.data, mapping.size, &info, err);
                mapping_done(&mapping);
                if (r < 0 || info.must_merge)
                        return r < 0 ? error_wrap(err, "cannot mount '%s/%s'", lease->store->root, name) : 1;
        }
        return 0;
}

/* How many layers from the bottom are covered by one index; at least 1. */
static int find_base(Lease *lease, const Digest *diff_ids, size_t n, bool merge, size_t *ret, Error *err)
{
        size_t base = n;

        for (; base > 1; base--) {
                int r = chain_have(lease, diff_ids, base, err);

                if (r < 0)
                        return -1;
                if (r > 0)
                        break;
        }
        merge = base < n && (merge || n - base > MAX_SINGLE);
        if (!merge && base < n) {
                int r = must_merge(lease, diff_ids, base, n, err);

                if (r < 0)
                        return -1;
                merge = r > 0;
        }
        if (merge) {
                if (chain_make(lease, diff_ids, n, err) < 0)
                        return -1;
                base = n;
        }
        *ret = base;
        return 0;
}

/*
 * By its absolute path: the store's own descriptors may be older than the mount namespace, and what they lead to belongs to the one before, which the
 * kernel does not take for an overlay.
 */
static int open_lower(const char *base, const char *name, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", base, name);
        int fd = open_tree_dir(AT_FDCWD, path);

        return fd < 0 ? error_errno(err, errno, "cannot open '%s'", path) : fd;
}

/* The descriptors lead to each of them, whatever covers it. */
static int attach_lower(Rootfs *rootfs, Error *err)
{
        Lease *lease = rootfs->lease;
        _cleanup_close_ int dir = -1;
        char name[STORE_NAME_SIZE];

        lease_new_name(lease, "layers", name);
        if (sys_mkdirat(lease->dir_fd, name, 0700) < 0)
                return error_errno(err, errno, "cannot make '%s/%s'", lease->path, name);
        rootfs->place = xasprintf("%s/%s", lease->path, name);
        dir = open_lower(lease->path, name, err);
        for (size_t i = 0; i < rootfs->n_lower; i++)
                if (dir < 0 || mount_attach(rootfs->lower[i], dir, "", err) < 0)
                        return -1;
        return 0;
}

static void detach_lower(Rootfs *rootfs)
{
        Error ignored = ERROR_INIT;

        for (size_t i = 0; rootfs->place && i < rootfs->n_lower; i++)
                (void)mount_detach(rootfs->place, &ignored);
        if (rootfs->place)
                sys_unlinkat(AT_FDCWD, rootfs->place, AT_REMOVEDIR);
        error_done(&ignored);
        free(rootfs->place);
}

static int open_erofs(Rootfs *rootfs, const Digest *diff_ids, size_t n, bool merge, Error *err)
{
        Store *store = rootfs->lease->store;
        char name[STORE_NAME_SIZE];
        size_t base;
        int fd;

        if (find_base(rootfs->lease, diff_ids, n, merge, &base, err) < 0)
                return -1;
        for (size_t i = n; i > base; i--) {
                if (layer_need_index(rootfs->lease, &diff_ids[i - 1], err) < 0)
                        return -1;
                fd = mount_index(store, layer_name(&diff_ids[i - 1], "index", name), &diff_ids[i - 1], 1, err);
                if (fd < 0)
                        return -1;
                add_lower(rootfs, fd);
        }
        if (base == 1) {
                if (layer_need_index(rootfs->lease, &diff_ids[0], err) < 0)
                        return -1;
                layer_name(&diff_ids[0], "index", name);
        } else {
                Digest chain = chain_id(diff_ids, base);

                chain_name(&chain, name);
        }
        fd = mount_index(store, name, diff_ids, base, err);
        if (fd < 0)
                return -1;
        add_lower(rootfs, fd);
        return store_attaches_layers(store) ? attach_lower(rootfs, err) : 0;
}

/* A layer that comes again further up hides what it has said itself; overlayfs does not take one directory twice. */
static bool is_above(const Digest *diff_ids, size_t n, size_t at)
{
        for (size_t i = at + 1; i < n; i++)
                if (digest_equal(&diff_ids[i], &diff_ids[at]))
                        return true;
        return false;
}

static int open_dir(Rootfs *rootfs, const Digest *diff_ids, size_t n, Error *err)
{
        Store *store = rootfs->lease->store;

        for (size_t i = n; i > 0; i--) {
                char name[STORE_NAME_SIZE];
                int fd;

                if (is_above(diff_ids, n, i - 1))
                        continue;
                if (layer_need_fs(rootfs->lease, &diff_ids[i - 1], err) < 0)
                        return -1;
                fd = open_lower(store->root, layer_name(&diff_ids[i - 1], "fs", name), err);
                if (fd < 0)
                        return -1;
                add_lower(rootfs, fd);
        }
        return 0;
}

/* An empty directory as the lowest one: the tree of no layers, and what makes an overlay of a single layer, which hides its whiteouts. */
static int add_empty(Rootfs *rootfs, Error *err)
{
        Lease *lease = rootfs->lease;
        int fd;

        if ((sys_mkdirat(lease->dir_fd, "empty", 0755) < 0 && errno != EEXIST) || sys_fchmodat(lease->dir_fd, "empty", 0755) < 0)
                return error_errno(err, errno, "cannot make '%s/empty'", lease->path);
        fd = open_lower(lease->path, "empty", err);
        if (fd < 0)
                return -1;
        add_lower(rootfs, fd);
        return 0;
}

static int add_mount_points(Rootfs *rootfs, Error *err)
{
        Store *store = rootfs->lease->store;
        int fd = mount_points_need(rootfs->lease, "points", err) < 0 ? -1 : open_lower(store->root, "points", err);

        if (fd < 0)
                return -1;
        add_lower(rootfs, fd);
        rootfs->mount_points = true;
        return 0;
}

/* Overlayfs leaves a mark in `work` that keeps a volatile upper from being mounted again. Whoever mounts it again knows that there was no power cut since. */
static int drop_volatile_mark(const char *work, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/work/incompat", work);
        int r = access(path, F_OK) < 0 ? 0 : tree_remove(AT_FDCWD, path);

        return r < 0 ? error_errno(err, r, "cannot remove '%s'", path) : 0;
}

static int overlay(Rootfs *rootfs, size_t n_lower, const RootfsOptions *options, Error *err)
{
        _cleanup_strlist_ StrList paths = { 0 };
        OverlaySpec spec = { .userxattr = rootfs->userxattr };

        for (size_t i = 0; i < n_lower; i++)
                strlist_addf(&paths, "/proc/self/fd/%d", rootfs->lower[i]);
        spec.lower = (const char *const *)paths.items;
        spec.n_lower = paths.n_items;
        if (options && options->upper) {
                spec.upper = options->upper;
                spec.work = options->work;
                spec.is_volatile = !options->durable;
                if (spec.is_volatile && drop_volatile_mark(options->work, err) < 0)
                        return -1;
        }
        return mount_overlay(&spec, err);
}

/* The layers as one tree, without an upper. */
static int read_only_tree(Rootfs *rootfs, Error *err)
{
        size_t n = rootfs->n_lower - rootfs->mount_points;
        int fd;

        if (n > 1)
                return overlay(rootfs, n, NULL, err);
        if (store_driver_kind(rootfs->lease->store) == STORE_DRIVER_EROFS && !rootfs->empty) { /* a mount already */
                fd = fcntl(rootfs->lower[0], F_DUPFD_CLOEXEC, 3);
                return fd < 0 ? error_errno(err, errno, "cannot keep a mount open") : fd;
        }
        fd = mount_clone(rootfs->lower[0], "", false, err);
        if (fd >= 0 && mount_set(fd, "", MOUNT_READ_ONLY, false, err) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

/* A single layer may hold whiteouts, of things that no layer below it has: they must not be seen. */
static int hide_whiteouts(Rootfs *rootfs, const Digest *diff_ids, size_t n, const RootfsOptions *options, Error *err)
{
        LayerInfo info;

        rootfs->empty = n == 0;
        if (rootfs->empty)
                return add_empty(rootfs, err);
        if (n > 1 || options->upper)
                return 0;
        if (lease_layer_info(rootfs->lease, &diff_ids[0], &info, err) < 0)
                return -1;
        return info.n_whiteouts ? add_empty(rootfs, err) : 0;
}

static int attach(Rootfs *rootfs, const RootfsOptions *options, Error *err)
{
        if (!options->target) {
                rootfs->path = xasprintf("/proc/self/fd/%d", rootfs->fd);
                return 0;
        }
        if (mount_attach(rootfs->fd, AT_FDCWD, options->target, err) < 0)
                return -1;
        rootfs->attached = true;
        rootfs->path = xstrdup(options->target);
        return 0;
}

int rootfs_mount(Lease *lease, const Digest *diff_ids, size_t n, const RootfsOptions *options, Rootfs **ret, Error *err)
{
        static const RootfsOptions none;
        _cleanup_(rootfs_freep) Rootfs *rootfs = NEW(Rootfs);
        int r = 0;

        options = options ? options : &none;
        rootfs->lease = lease;
        rootfs->fd = rootfs->lower_fd = -1;
        rootfs->userxattr = userns_inside();
        if (lease_hold_layers(lease, diff_ids, n, err) < 0)
                return error_wrap(err, "cannot mount an image");
        if (n > 0)
                r = store_driver_kind(lease->store) == STORE_DRIVER_EROFS ? open_erofs(rootfs, diff_ids, n, options->merge, err)
                                                                          : open_dir(rootfs, diff_ids, n, err);
        if (r < 0 || hide_whiteouts(rootfs, diff_ids, n, options, err) < 0)
                return error_wrap(err, "cannot mount an image");
        if (options->mount_points && add_mount_points(rootfs, err) < 0)
                return -1;
        rootfs->fd = options->upper ? overlay(rootfs, rootfs->n_lower, options, err) : read_only_tree(rootfs, err);
        if (rootfs->fd < 0 || attach(rootfs, options, err) < 0)
                return error_wrap(err, "cannot mount an image");
        *ret = TAKE_PTR(rootfs);
        return 0;
}

void rootfs_free(Rootfs *rootfs)
{
        Error ignored = ERROR_INIT;
        char path[FD_PROC_PATH_SIZE + 4];

        if (!rootfs)
                return;
        if (rootfs->attached) { /* not by its path: the directory may have been moved since */
                strcat(fd_proc_path(rootfs->fd, path), "/.");
                (void)mount_detach(path, &ignored);
        }
        error_done(&ignored);
        if (rootfs->fd >= 0)
                close(rootfs->fd);
        if (rootfs->lower_fd >= 0)
                close(rootfs->lower_fd);
        detach_lower(rootfs);
        for (size_t i = 0; i < rootfs->n_lower; i++)
                close(rootfs->lower[i]);
        free(rootfs->lower);
        free(rootfs->path);
        free(rootfs);
}

int rootfs_fd(const Rootfs *rootfs)
{
        return rootfs->fd;
}

const char *rootfs_path(const Rootfs *rootfs)
{
        return rootfs->path;
}

int rootfs_lower_fd(Rootfs *rootfs, Error *err)
{
        if (rootfs->lower_fd < 0)
                rootfs->lower_fd = read_only_tree(rootfs, err);
        return rootfs->lower_fd;
}
