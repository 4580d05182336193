#include "container/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/mount.h"
#include "fs/path.h"

void view_close(View *view)
{
        closep(&view->root_fd);
        rootfs_free(view->rootfs);
        rootfs_free(view->lower);
        lease_free(view->lease);
        container_free(view->container);
        closep(&view->lock_fd);
        *view = VIEW_INIT;
}

/* Field 4 of /proc/<pid>/stat: the monitor, whose child the container's process is. */
static pid_t parent_of(pid_t pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/stat", pid);
        _cleanup_buf_ Buf text = BUF_INIT(4096);
        const char *p;
        int parent;

        if (file_read(AT_FDCWD, path, &text) < 0)
                return -1;
        p = strrchr(buf_str(&text), ')');
        return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : -1;
}

static int open_running(View *view, Store *store, ViewKind kind, Error *err)
{
        pid_t pid = (pid_t)view->container->state.pid;
        _cleanup_free_ char *path = NULL, *root = container_root_path(store);

        if (kind == VIEW_PROCESS)
                path = xasprintf("/proc/%d/root", pid);
        else
                path = xasprintf("/proc/%d/root%s", parent_of(pid), root);
        view->root_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return view->root_fd < 0 ? error_errno(err, errno, "cannot reach the files of container '%s'", view->container->name) : 0;
}

/* Volumes and binds, where the tree has their mount points. */
static int mount_points(const View *view, Error *err)
{
        for (size_t i = 0; i < view->container->data.mounts.n_items; i++) {
                const MountPoint *mount = &view->container->data.mounts.items[i];
                _cleanup_close_ int target = -1, source = -1;

                if (streq(mount->type, "tmpfs"))
                        continue;
                target = inroot_try_open(view->root_fd, mount->destination, O_PATH, 0);
                if (target < 0)
                        continue;
                source = mount_clone(AT_FDCWD, mount->source, true, err);
                if (source < 0 || mount_attach(source, target, "", err) < 0)
                        return error_wrap(err, "cannot show '%s' of container '%s'", mount->destination, view->container->name);
        }
        return 0;
}

static int open_stopped(View *view, Store *store, ViewKind kind, Error *err)
{
        _cleanup_free_ char *root = container_root_path(store);

        view->lock_fd = container_lock_patiently(view->container, err);
        if (view->lock_fd < 0 || container_mount_root(view->container, store, view->lease, false, &view->rootfs, err) < 0)
                return -1;
        view->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (view->root_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", root);
        return kind == VIEW_PROCESS ? mount_points(view, err) : 0;
}

int view_open(Store *store, const char *name, ViewKind kind, View *ret, Error *err)
{
        _cleanup_view_ View view = VIEW_INIT;

        if (container_load(store, name, &view.container, err) < 0 || mount_namespace_enter(err) < 0 ||
            lease_new(store, "container files", &view.lease, err) < 0)
                return -1;
        if ((container_is_active(view.container) && view.container->state.pid > 0 ? open_running(&view, store, kind, err)
                                                                                  : open_stopped(&view, store, kind, err)) < 0)
                return -1;
        *ret = view;
        view = VIEW_INIT;
        return 0;
}

int view_lower_fd(View *view, Error *err)
{
        RootfsOptions options = { 0 };

        if (!view->lower && container_mount_layers(view->container, view->lease, &options, &view->lower, err) < 0)
                return -1;
        return rootfs_fd(view->lower);
}

int view_upper_fd(const View *view, Error *err)
{
        _cleanup_free_ char *upper = container_file(view->container, "upper");
        int fd = open(upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? error_errno(err, errno, "cannot open '%s'", upper) : fd;
}

void view_excluded(const View *view, StrList *paths)
{
        strlist_add(paths, "etc/resolv.conf");
        strlist_add(paths, "etc/hostname");
        strlist_add(paths, "etc/hosts");
        strlist_add(paths, "dev");
        strlist_add(paths, "proc");
        strlist_add(paths, "sys");
        for (size_t i = 0; i < view->container->data.mounts.n_items; i++)
                strlist_add(paths, view->container->data.mounts.items[i].destination + 1);
}
