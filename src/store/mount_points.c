/*
 * The directories and files that something is mounted on in every container, as the lowest layer of its tree: an image that has none of its own then needs
 * none made in the container's layer at each start, and removed at its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

static const struct {
        const char *path;
        bool is_dir;
} points[] = {
        { "dev", true }, { "etc", true }, { "etc/hostname", false }, { "etc/hosts", false }, { "etc/resolv.conf", false }, { "proc", true }, { "sys", true },
};

static int make_point(int dir_fd, const char *path, bool is_dir)
{
        _cleanup_close_ int fd = -1;

        if (is_dir)
                return sys_mkdirat(dir_fd, path, 0755) < 0 || sys_fchmodat(dir_fd, path, 0755) < 0 ? -errno : 0;
        fd = sys_openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        return fd < 0 || sys_fchmod(fd, 0644) < 0 ? -errno : 0;
}

/* Under a name of the lease's own first: others see all of it or nothing. */
static int make_all(Lease *lease, const char *name, Error *err)
{
        Store *store = lease->store;
        char temporary[32], path[STORE_NAME_SIZE];
        int r;

        lease_new_name(lease, "points", temporary);
        r = make_point(lease->dir_fd, temporary, true);
        for (size_t i = 0; i < ARRAY_LEN(points) && r == 0; i++) {
                snprintf(path, sizeof(path), "%s/%s", temporary, points[i].path);
                r = make_point(lease->dir_fd, path, points[i].is_dir);
        }
        if (r == 0 && sys_renameat(lease->dir_fd, temporary, store->root_fd, name) < 0)
                r = errno == EEXIST || errno == ENOTEMPTY ? 0 : -errno; /* another process was first */
        return r < 0 ? error_errno(err, r, "cannot make '%s/%s'", store->root, name) : 0;
}

int mount_points_need(Lease *lease, const char *name, Error *err)
{
        if (faccessat(lease->store->root_fd, name, F_OK, 0) == 0)
                return 0;
        return errno == ENOENT ? make_all(lease, name, err) : error_errno(err, errno, "cannot look at '%s/%s'", lease->store->root, name);
}
