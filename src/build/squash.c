/*
 * --squash: the layers that a build added to its base become one.
 *
 * The names that the layers touch are known from their tars. Of those the result holds what the finished tree has, with the directories above, and a whiteout
 * for each that the base has and the finished tree has not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/engine.h"
#include "fs/mount.h"
#include "fs/path.h"
#include "fs/walk.h"
#include "store/tree_tar.h"
#include "tar/tar.h"

#define READ_SIZE ((size_t)256 << 10)

typedef struct Squash {
        Build *build;
        Map *touched;    /* paths that the result has when the finished tree has them */
        StrList removed; /* paths where something of the base may have gone */
        int base_fd, final_fd;
        StrList whiteouts;
        Map *gone; /* the same paths */
        TreeTar tar;
} Squash;

static void squash_done(Squash *squash)
{
        map_free(squash->touched);
        map_free(squash->gone);
        strlist_done(&squash->removed);
        strlist_done(&squash->whiteouts);
        tree_tar_done(&squash->tar);
}

/* A path and every directory above it. */
static void touch(Squash *squash, const char *path)
{
        _cleanup_free_ char *at = xstrdup(path);

        while (*at && !map_has(squash->touched, at)) {
                char *slash = strrchr(at, '/');

                map_set(squash->touched, at, NULL);
                if (!slash)
                        return;
                *slash = '\0';
        }
}

/* --- what the layers say --- */

static int on_member(void *user, const TarEntry *entry, Error *err)
{
        Squash *squash = user;

        touch(squash, entry->path);
        if (entry->whiteout != TAR_WHITEOUT_NONE)
                strlist_add(&squash->removed, entry->path);
        return 0;
}

static int read_layer(Squash *squash, const Digest *diff_id, Error *err)
{
        static const TarReaderOps ops = { .entry = on_member };
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, squash);
        _cleanup_close_ int fd = layer_open_tar(squash->build->store, diff_id, NULL, err);
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);
        ssize_t n = 0;

        while (fd >= 0 && (n = fd_read_full(fd, buffer, READ_SIZE)) > 0)
                if (build_check(squash->build, err) < 0 || tar_reader_feed(reader, buffer, (size_t)n, err) < 0)
                        return -1;
        if (n < 0)
                return error_errno(err, (int)n, "cannot read a layer");
        return fd < 0 ? -1 : tar_reader_finish(reader, err);
}

/* --- what has gone --- */

/* The type of a path in a root, or 0 when it is not there. Links are not followed in the last place; those before are directories of the base. */
static mode_t type_at(int root_fd, const char *path)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        struct stat st;

        return root_fd >= 0 && inroot_stat(root_fd, path, false, &st, &ignored) == 0 ? st.st_mode & S_IFMT : 0;
}

static int list_directory(int root_fd, const char *path, StrList *to, Error *err)
{
        int fd = inroot_open(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY, 0, err);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir)
                return fd < 0 ? -1 : error_errno(err, errno, "cannot read the directory '%s'", path);
        while ((entry = readdir(dir)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, ".."))
                        strlist_add(to, entry->d_name);
        closedir(dir);
        strlist_sort(to);
        return 0;
}

/* Below a directory that was removed and made again every name of the base may be missing. */
static int find_removed(Squash *squash, const char *path, Error *err)
{
        mode_t below = type_at(squash->base_fd, path), now = type_at(squash->final_fd, path);
        _cleanup_strlist_ StrList names = { 0 };

        if (!below)
                return 0;
        if (!now) {
                if (!map_has(squash->gone, path))
                        strlist_add(&squash->whiteouts, path);
                map_set(squash->gone, path, NULL);
                return 0;
        }
        if (below != S_IFDIR || now != S_IFDIR)
                return 0; /* what is there now takes its place */
        if (list_directory(squash->base_fd, path, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.n_items; i++) {
                _cleanup_free_ char *child = *path ? xasprintf("%s/%s", path, names.items[i]) : xstrdup(names.items[i]);

                if (find_removed(squash, child, err) < 0)
                        return -1;
        }
        return 0;
}

/* A whiteout below a path that has gone itself says nothing. */
static bool is_below_another(const Squash *squash, const char *path)
{
        _cleanup_free_ char *at = xstrdup(path);

        for (char *slash = strrchr(at, '/'); slash; slash = strrchr(at, '/')) {
                *slash = '\0';
                if (type_at(squash->final_fd, at) != S_IFDIR)
                        return true;
        }
        return false;
}

/* --- the new layer --- */

static int on_entry(void *user, const WalkEntry *entry, Error *err)
{
        Squash *squash = user;

        if (build_check(squash->build, err) < 0)
                return -1;
        if (entry->depth == 0)
                return 0;
        if (!map_has(squash->touched, entry->path))
                return S_ISDIR(entry->st.st_mode) ? WALK_SKIP : 0;
        return tree_tar_add(&squash->tar, entry->dir_fd, entry->name, entry->path, &entry->st, err);
}

static int write_layer(Squash *squash, Digest *ret, Error *err)
{
        static const WalkOps ops = { .entry = on_entry };
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        LayerInfo info;
        Sink sink;

        if (layer_writer_open(squash->build->lease, &writer, err) < 0)
                return -1;
        sink = layer_writer_sink(writer);
        tree_tar_init(&squash->tar, &sink, writer, squash->build->epoch);
        if (tree_walk(squash->final_fd, ".", &ops, squash, err) < 0)
                return -1;
        for (size_t i = 0; i < squash->whiteouts.n_items; i++)
                if (!is_below_another(squash, squash->whiteouts.items[i]) && tree_tar_add_whiteout(&squash->tar, squash->whiteouts.items[i], err) < 0)
                        return -1;
        if (tree_tar_finish(&squash->tar, err) < 0 || layer_writer_commit(writer, NULL, &info, err) < 0)
                return -1;
        *ret = info.diff_id;
        return 0;
}

static int squash_layers(BuildTarget *target, size_t n_base, Error *err)
{
        BuildStage *stage = target->stage;
        Build *build = target->build;
        _cleanup_(squash_done) Squash squash = { .build = build, .touched = map_new(NULL), .gone = map_new(NULL), .base_fd = -1 };
        _cleanup_(rootfs_freep) Rootfs *base = NULL;
        _cleanup_free_ Digest *ids = stage_diff_ids(stage);
        SourceTree *tree;

        for (size_t i = n_base; i < stage->n_layers; i++)
                if (read_layer(&squash, &ids[i], err) < 0)
                        return -1;
        if (mount_namespace_enter(err) < 0 || stage_tree(stage, &tree, err) < 0 || (n_base && rootfs_mount(build->lease, ids, n_base, NULL, &base, err) < 0))
                return -1;
        squash.final_fd = rootfs_fd(stage->rootfs);
        squash.base_fd = base ? rootfs_fd(base) : -1;
        strlist_sort(&squash.removed);
        for (size_t i = 0; i < squash.removed.n_items; i++)
                if (find_removed(&squash, squash.removed.items[i], err) < 0)
                        return -1;
        strlist_sort(&squash.whiteouts);
        return write_layer(&squash, &target->squashed, err);
}

int build_squash(Build *build, Error *err)
{
        for (size_t i = 0; i < build->n_targets; i++) {
                BuildTarget *target = &build->targets[i];
                size_t n_base = stage_n_base_layers(target->stage);

                if (target->stage->n_layers < n_base + 2)
                        continue;
                if (squash_layers(target, n_base, err) < 0)
                        return error_wrap(err, "cannot squash");
        }
        return 0;
}
