/*
 * The files of a stage: mounting its layers, its users, writing a layer.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/engine.h"
#include "fs/ids.h"
#include "fs/path.h"

/* passwd and group of an image: a directory service's export has megabytes. */
#define ACCOUNTS_MAX ((size_t)16 << 20)

int stage_mount(BuildStage *stage, const char *upper, const char *work, const char *target, Rootfs **ret, Error *err)
{
        _cleanup_free_ Digest *ids = stage_diff_ids(stage);
        RootfsOptions options = { .upper = upper, .work = work, .target = target };

        return rootfs_mount(stage->build->lease, ids, stage->n_layers, &options, ret, err);
}

char *build_make_dir(Build *build, const char *kind, Error *err)
{
        const char *tmp = lease_tmp_path(build->lease, err);
        char *path;
        unsigned n;

        if (!tmp)
                return NULL;
        pthread_mutex_lock(&build->lock);
        n = ++build->n_dirs;
        pthread_mutex_unlock(&build->lock);
        path = xasprintf("%s/%s-%u", tmp, kind, n);
        if (sys_mkdirat(AT_FDCWD, path, 0700) < 0) {
                error_errno(err, errno, "cannot make the directory '%s'", path);
                free(path);
                return NULL;
        }
        return path;
}

const char *stage_root(const BuildStage *stage)
{
        return rootfs_path(stage->rootfs);
}

static int open_stage_tree(BuildStage *stage, Error *err)
{
        _cleanup_free_ char *target = build_make_dir(stage->build, "stage", err);
        _cleanup_free_ char *name = *stage->label                          ? xasprintf("stage '%s'", stage->label)
                                    : stage == stage->build->context_stage ? xstrdup("build context")
                                                                           : xasprintf("image '%s'", stage->base_name);
        TreeOptions options = { .name = name };

        if (!target || stage_mount(stage, NULL, NULL, target, &stage->rootfs, err) < 0)
                return -1;
        options.root_fd = rootfs_fd(stage->rootfs);
        return source_tree_open(&options, &stage->tree, err);
}

int stage_tree(BuildStage *stage, SourceTree **ret, Error *err)
{
        int result = 0;

        pthread_mutex_lock(&stage->tree_lock);
        if (!stage->tree)
                result = open_stage_tree(stage, err);
        pthread_mutex_unlock(&stage->tree_lock);
        if (result == 0)
                *ret = stage->tree;
        return result;
}

static int read_accounts(int root_fd, const char *path, Buf *buf, Error *err)
{
        _cleanup_error_ Error local = ERROR_INIT;

        if (root_fd < 0 || inroot_read(root_fd, path, buf, &local) == 0)
                return 0;
        return local.code == ERROR_NOT_FOUND || local.code == ERROR_INVALID ? 0 : error_move(err, &local);
}

int root_ids(int root_fd, const char *spec, Ids *ret, Error *err)
{
        _cleanup_buf_ Buf passwd = BUF_INIT(ACCOUNTS_MAX), group = BUF_INIT(ACCOUNTS_MAX);

        if (read_accounts(root_fd, "etc/passwd", &passwd, err) < 0 || read_accounts(root_fd, "etc/group", &group, err) < 0)
                return -1;
        return ids_resolve(spec, passwd.data, passwd.size, group.data, group.size, ret, err);
}

/* "12", "root", "12:root", ":5" */
static bool is_known_without_files(const char *spec)
{
        const char *colon = strchr(spec, ':');
        size_t n = colon ? (size_t)(colon - spec) : strlen(spec);

        if (strspn(spec, "0123456789") != n && !(n == 4 && str_starts(spec, "root")))
                return false;
        return !colon || is_known_without_files(colon + 1);
}

int root_owner(int root_fd, const char *spec, uint32_t *ret_uid, uint32_t *ret_gid, Error *err)
{
        _cleanup_buf_ Buf passwd = BUF_INIT(ACCOUNTS_MAX), group = BUF_INIT(ACCOUNTS_MAX);

        if (root_fd < 0 && !is_known_without_files(spec))
                return error_set(
                        err, ERROR_INVALID,
                        "invalid user '%s': there is no /etc/passwd to look it up in (FROM scratch, or --link, which does not see the image below), so "
                        "give numbers, not names",
                        spec);
        if (read_accounts(root_fd, "etc/passwd", &passwd, err) < 0 || read_accounts(root_fd, "etc/group", &group, err) < 0)
                return -1;
        return ids_resolve_owner(spec, passwd.data, passwd.size, group.data, group.size, ret_uid, ret_gid, err);
}

/* --- writing --- */

typedef struct LayerProgress {
        Build *build;
        BuildVertex *vertex;
        uint64_t done, total, told;
} LayerProgress;

/* Every 16 MiB is often enough for an eye and costs nothing. */
#define TELL_EVERY (16 * MIB)

static bool tell(void *user, uint64_t size)
{
        LayerProgress *progress = user;
        _cleanup_error_ Error ignored = ERROR_INIT;

        progress->done += size;
        if (progress->done - progress->told >= TELL_EVERY) {
                progress->told = progress->done;
                progress_status(progress->build->progress, progress->vertex, "copying files", progress->done, progress->total, false);
        }
        return build_check(progress->build, &ignored) == 0;
}

int build_write_layer(BuildStage *stage, Work *work, Dest *dest, Digest *ret_diff_id, Error *err)
{
        LayerProgress progress = { .build = stage->build, .vertex = work->vertex, .total = dest_size(dest) };

        if (dest_make_layer(dest, stage->build->lease, tell, &progress, ret_diff_id, err) < 0)
                return -1;
        if (progress.told)
                progress_status(stage->build->progress, work->vertex, "copying files", progress.done, progress.total, true);
        return 0;
}
