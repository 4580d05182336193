/* diff, export, cp. */
#include "container/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/view.h"
#include "fs/path.h"
#include "store/untar.h"

int container_diff(Store *store, const char *name, int (*change)(void *user, ChangeKind kind, const char *path, Error *err), void *user, Error *err)
{
        _cleanup_view_ View view = VIEW_INIT;
        _cleanup_close_ int upper = -1;
        _cleanup_strlist_ StrList excluded = { 0 };
        DiffOptions options = { .epoch = -1 };
        int lower;

        if (view_open(store, name, VIEW_LAYERS, &view, err) < 0)
                return -1;
        upper = view_upper_fd(&view, err);
        lower = upper < 0 ? -1 : view_lower_fd(&view, err);
        if (lower < 0)
                return -1;
        view_excluded(&view, &excluded);
        options.exclude = (const char *const *)excluded.items;
        options.n_exclude = excluded.n_items;
        return rootfs_diff_list(upper, lower, &options, change, user, err);
}

int container_export(Store *store, const char *name, const Sink *sink, Error *err)
{
        _cleanup_view_ View view = VIEW_INIT;

        if (view_open(store, name, VIEW_LAYERS, &view, err) < 0)
                return -1;
        return rootfs_export(view.root_fd, sink, err);
}

/* --- out --- */

/* The name that a copy of `path` has: its last component as written, "/" for the root. New string. */
static char *name_of(const char *path)
{
        _cleanup_strlist_ StrList parts = { 0 };

        strlist_split(&parts, path, '/');
        for (size_t i = parts.n_items; i-- > 0;)
                if (*parts.items[i] && !streq(parts.items[i], ".") && !streq(parts.items[i], ".."))
                        return xstrdup(parts.items[i]);
        return xstrdup("/");
}

static bool wants_content(const char *path)
{
        return str_ends(path, "/.") || streq(path, ".");
}

static int tar_path(const View *view, const char *path, bool follow, const char *base, const Sink *sink, Error *err)
{
        _cleanup_free_ char *canonical = NULL, *name = NULL;
        _cleanup_close_ int dir = -1;
        size_t n = strlen(path);

        follow |= n > 0 && (path[n - 1] == '/' || wants_content(path));
        if (inroot_resolve(view->root_fd, path, follow, &canonical, err) < 0)
                return -1;
        dir = inroot_open_parent(view->root_fd, canonical, &name, err);
        if (dir < 0)
                return -1;
        if (faccessat(dir, *name ? name : ".", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return error_set(err, ERROR_NOT_FOUND, "Could not find the file %s in container %s", path, view->container->name);
        return tar_tree(dir, *name ? name : ".", base ? base : str_base_name(canonical), sink, err);
}

int container_copy_out(Store *store, const char *name, const char *path, bool follow, const Sink *sink, Error *err)
{
        _cleanup_view_ View view = VIEW_INIT;
        _cleanup_free_ char *base = name_of(path);

        if (view_open(store, name, VIEW_PROCESS, &view, err) < 0)
                return -1;
        return tar_path(&view, path, follow, streq(base, "/") || wants_content(path) ? "" : base, sink, err);
}

/*
 * docker cp's rules for the target (docs.docker.com, "docker cp"): where the copy goes (*ret_directory) and what it is called there (*ret_name; "" for the
 * content of a directory into the directory itself). Both new strings.
 */
static int place_copy(int root_fd, const char *target, bool source_is_dir, bool source_content, const char *source_name, char **ret_directory, char **ret_name,
                      Error *err)
{
        size_t n = strlen(target);
        bool wants_dir = n > 0 && (target[n - 1] == '/' || wants_content(target));
        struct stat st;
        _cleanup_error_ Error missing = ERROR_INIT;
        int r = inroot_stat(root_fd, target, true, &st, &missing);

        if (r < 0 && missing.code != ERROR_NOT_FOUND)
                return error_move(err, &missing);
        if (r == 0 && S_ISDIR(st.st_mode)) {
                *ret_directory = xstrdup(target);
                *ret_name = xstrdup(source_is_dir && source_content ? "" : source_name);
                return 0;
        }
        if (r == 0 && wants_dir)
                return error_set(err, ERROR_INVALID, "cannot copy to '%s': not a directory", target);
        if (r == 0 && source_is_dir)
                return error_set(err, ERROR_INVALID, "cannot copy directory");
        if (r < 0 && wants_dir && !source_is_dir)
                return error_set(err, ERROR_NOT_FOUND, "no such directory: '%s'", target);
        {
                _cleanup_free_ char *trimmed = xstrdup(target);
                char *slash;

                while (strlen(trimmed) > 1 && trimmed[strlen(trimmed) - 1] == '/')
                        trimmed[strlen(trimmed) - 1] = '\0';
                slash = strrchr(trimmed, '/');
                *ret_name = xstrdup(slash ? slash + 1 : trimmed);
                *ret_directory = slash ? xstrndup(trimmed, (size_t)(slash - trimmed)) : xstrdup("");
        }
        if (inroot_stat(root_fd, **ret_directory ? *ret_directory : "/", true, &st, err) < 0 || !S_ISDIR(st.st_mode)) {
                free(TAKE_PTR(*ret_directory));
                free(TAKE_PTR(*ret_name));
                return error_set(err, ERROR_NOT_FOUND, "no such directory: the parent of '%s' does not exist", target);
        }
        return 0;
}

/* Paths on the host go through the same code, with "/" as the root. */
static char *absolute(const char *path)
{
        char here[4096];

        if (*path == '/' || !getcwd(here, sizeof(here)))
                return xstrdup(path);
        return xasprintf("%s/%s", here, path);
}

static int copy_tree(int to_root, const char *directory, const char *name, bool keep_owner, int (*produce)(void *user, const Sink *sink, Error *err),
                     void *user, Error *err)
{
        _cleanup_(untar_freep) Untar *untar = untar_new(to_root, directory, name, keep_owner);
        Sink sink = untar_sink(untar);

        return produce(user, &sink, err) < 0 || untar_finish(untar, err) < 0 ? -1 : 0;
}

typedef struct FromContainer {
        const View *view;
        const char *path;
        bool follow;
} FromContainer;

static int produce_from_container(void *user, const Sink *sink, Error *err)
{
        const FromContainer *from = user;

        return tar_path(from->view, from->path, from->follow, "x", sink, err);
}

int container_copy_to_host(Store *store, const char *name, const char *path, const char *host_path, bool follow, Error *err)
{
        /* Opened before the mount namespace of the view hides nothing but shows the container's mounts */
        _cleanup_close_ int host = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *target = absolute(host_path), *source_name = name_of(path), *directory = NULL, *new_name = NULL;
        _cleanup_view_ View view = VIEW_INIT;
        FromContainer from = { .view = &view, .path = path, .follow = follow };
        struct stat st;

        if (host < 0)
                return error_errno(err, errno, "cannot open '/'");
        if (view_open(store, name, VIEW_PROCESS, &view, err) < 0)
                return -1;
        if (inroot_stat(view.root_fd, path, follow || str_ends(path, "/") || wants_content(path), &st, err) < 0)
                return err->code == ERROR_NOT_FOUND ? error_set(err, ERROR_NOT_FOUND, "Could not find the file %s in container %s", path, name) : -1;
        if (place_copy(host, target, S_ISDIR(st.st_mode), wants_content(path), streq(source_name, "/") ? "" : source_name, &directory, &new_name, err) < 0)
                return -1;
        return copy_tree(host, directory, new_name, false, produce_from_container, &from, err);
}

/* --- in --- */

typedef struct FromHost {
        int dir_fd;
        const char *name;
} FromHost;

static int produce_from_host(void *user, const Sink *sink, Error *err)
{
        const FromHost *from = user;

        return tar_tree(from->dir_fd, from->name, "x", sink, err);
}

static int check_writable(const View *view, Error *err)
{
        if (view->container->data.host.readonly_rootfs)
                return error_set(err, ERROR_CONFLICT, "container rootfs is marked read-only");
        return 0;
}

int container_copy_from_host(Store *store, const char *host_path, const char *name, const char *path, bool follow, bool keep_owner, Error *err)
{
        _cleanup_close_ int host = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
        _cleanup_free_ char *source = absolute(host_path), *canonical = NULL, *source_name = NULL, *shown_name = name_of(source), *directory = NULL,
                            *new_name = NULL;
        _cleanup_view_ View view = VIEW_INIT;
        FromHost from;
        struct stat st;

        if (host < 0)
                return error_errno(err, errno, "cannot open '/'");
        follow |= str_ends(source, "/") || wants_content(source);
        if (inroot_resolve(host, source, follow, &canonical, err) < 0)
                return -1;
        dir = inroot_open_parent(host, canonical, &source_name, err);
        if (dir < 0)
                return -1;
        from = (FromHost){ .dir_fd = dir, .name = *source_name ? source_name : "." };
        if (fstatat(dir, from.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, errno, "cannot copy '%s'", host_path);
        if (view_open(store, name, VIEW_PROCESS, &view, err) < 0 || check_writable(&view, err) < 0 ||
            place_copy(view.root_fd, path, S_ISDIR(st.st_mode), wants_content(source), streq(shown_name, "/") ? "" : shown_name, &directory, &new_name, err) <
                    0)
                return -1;
        return copy_tree(view.root_fd, directory, new_name, keep_owner, produce_from_host, &from, err);
}

static int produce_from_fd(void *user, const Sink *sink, Error *err)
{
        char data[65536];
        ssize_t n;

        while ((n = read(*(int *)user, data, sizeof(data))) > 0)
                if (sink_write(sink, data, (size_t)n, err) < 0)
                        return -1;
        return n < 0 ? error_errno(err, errno, "cannot read the archive") : 0;
}

int container_copy_in(Store *store, const char *name, const char *path, int tar_fd, bool keep_owner, Error *err)
{
        _cleanup_view_ View view = VIEW_INIT;
        struct stat st;

        if (view_open(store, name, VIEW_PROCESS, &view, err) < 0 || check_writable(&view, err) < 0)
                return -1;
        if (inroot_stat(view.root_fd, path, true, &st, err) < 0)
                return err->code == ERROR_NOT_FOUND ? error_set(err, ERROR_NOT_FOUND, "Could not find the file %s in container %s", path, name) : -1;
        if (!S_ISDIR(st.st_mode))
                return error_set(err, ERROR_INVALID, "extraction point is not a directory");
        return copy_tree(view.root_fd, path, NULL, keep_owner, produce_from_fd, &tar_fd, err);
}
