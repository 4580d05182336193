/*
 * RUN --mount=type=bind: what it reads, as a layer when it comes from a context, and a writable view of it that is thrown away.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/run_mounts_private.h"
#include "fs/mount.h"
#include "fs/owner.h"
#include "fs/userns.h"

int mount_source(BuildStage *stage, const Work *work, const DfMount *mount, MountSource *ret, Error *err)
{
        *ret = (MountSource){ 0 };
        if (!str_empty(mount->from) && (mount->type == MOUNT_BIND || !streq(mount->from, "scratch")))
                return build_source(stage, work->instruction, mount->from, &ret->stage, &ret->tree, err);
        if (mount->type == MOUNT_BIND && str_empty(mount->from) && stage->build->context_stage) {
                ret->stage = stage->build->context_stage;
                return 0;
        }
        if (mount->type == MOUNT_BIND && str_empty(mount->from))
                return build_context(stage->build, &ret->tree, err);
        return 0;
}

int mount_snapshot_plan(BuildStage *stage, SourceTree *tree, const DfMount *mount, CopyPlan *plan, Error *err)
{
        *plan = (CopyPlan){ .destination = xstrdup("/source"), .epoch = stage->build->epoch };
        plan->tmp = lease_tmp_path(stage->build->lease, err);
        if (!plan->tmp)
                return -1;
        return copy_plan_add_path(plan, tree, str_empty(mount->source) ? "/" : mount->source, err);
}

int mount_snapshot_key(BuildStage *stage, CopyPlan *plan, Digest *ret, Error *err)
{
        _cleanup_(hash_freep) Hash *hash = key_begin(stage, "context snapshot", true);

        if (copy_plan_hash(plan, hash, NULL, NULL, err) < 0)
                return -1;
        *ret = hash_digest(hash);
        return 0;
}

static int make_snapshot(BuildStage *stage, Work *work, CopyPlan *plan, const Digest *key, Digest *ret, Error *err)
{
        static const CopyOwner owner = { 0 };
        _cleanup_(dest_freep) Dest *dest = dest_new(-1);
        CacheRecord record = {
                .key = *key, .description = (char *)"[internal] build context", .kind = (char *)"source.local", .created = clock_now(), .n_used = 1
        };

        if (copy_plan_apply(plan, dest, &owner, clock_now(), err) < 0 || build_write_layer(stage, work, dest, ret, err) < 0)
                return -1;
        record.diff_id = *ret;
        record.last_used = record.created;
        return cache_put(stage->build->lease, &record, err);
}

/* Mounts what a bind mount reads from a context. *ret_path is its absolute path. */
static int mount_snapshot(BuildStage *stage, Work *work, SourceTree *tree, const DfMount *mount, RunHeld *held, char **ret_path, Error *err)
{
        _cleanup_(copy_plan_done) CopyPlan plan = { 0 };
        _cleanup_free_ char *target = build_make_dir(stage->build, "bind", err);
        RootfsOptions options = { .target = target };
        Digest key, diff_id;
        Rootfs *rootfs;
        int found;

        if (!target || mount_snapshot_plan(stage, tree, mount, &plan, err) < 0 || mount_snapshot_key(stage, &plan, &key, err) < 0)
                return -1;
        found = cache_get(stage->build->lease, &key, &diff_id, err);
        if (found < 0 || (!found && make_snapshot(stage, work, &plan, &key, &diff_id, err) < 0))
                return -1;
        if (rootfs_mount(stage->build->lease, &diff_id, 1, &options, &rootfs, err) < 0)
                return -1;
        GROW(held->roots, held->roots_capacity, held->n_roots + 1);
        held->roots[held->n_roots++] = rootfs;
        *ret_path = xasprintf("%s/source", target);
        return 0;
}

int mount_stage_path(BuildStage *source, const DfMount *mount, char **ret_path, Error *err)
{
        TreeNode *node;
        SourceTree *tree;
        int found;

        if (stage_tree(source, &tree, err) < 0)
                return -1;
        found = source_tree_find(tree, str_empty(mount->source) ? "/" : mount->source, true, &node, err);
        if (found <= 0)
                return found < 0 ? -1 : error_set(err, ERROR_NOT_FOUND, "\"%s\": not found in the %s", mount->source, source_tree_name(tree));
        {
                _cleanup_free_ char *path = source_tree_node_path(node);

                *ret_path = xasprintf("%s%s%s", stage_root(source), *path ? "/" : "", path);
        }
        return 0;
}

int mount_make_writable(Build *build, RunHeld *held, char **path, Error *err)
{
        _cleanup_free_ char *upper = build_make_dir(build, "upper", err), *work = upper ? build_make_dir(build, "work", err) : NULL;
        char *target = work ? build_make_dir(build, "bind", err) : NULL;
        const char *lower = *path;
        OverlaySpec spec = { .lower = &lower, .n_lower = 1, .upper = upper, .work = work, .is_volatile = true, .userxattr = userns_inside() };
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (!target)
                return -1;
        if (stat(*path, &st) == 0 && (owner_set(AT_FDCWD, upper, st.st_uid, st.st_gid) < 0 || sys_fchmodat(AT_FDCWD, upper, st.st_mode & 07777) < 0)) {
                free(target);
                return error_errno(err, errno, "cannot prepare '%s'", upper);
        }
        fd = mount_overlay(&spec, err);
        if (fd < 0 || mount_attach(fd, AT_FDCWD, target, err) < 0) {
                free(target);
                return -1;
        }
        strlist_add(&held->overlays, target);
        free(*path);
        *path = target;
        return 0;
}

/* A single file that may be written is a copy. */
static int make_file_writable(Build *build, char **path, Error *err)
{
        _cleanup_free_ char *dir = build_make_dir(build, "file", err);
        _cleanup_close_ int in = -1, out = -1;
        char *copy;
        struct stat st;
        int r;

        if (!dir)
                return -1;
        copy = xasprintf("%s/file", dir);
        in = open(*path, O_RDONLY | O_CLOEXEC);
        out = in < 0 || fstat(in, &st) < 0 ? -1 : sys_openat(AT_FDCWD, copy, O_WRONLY | O_CREAT | O_EXCL, 0600);
        r = out < 0 ? -errno : fd_copy(in, 0, out, (uint64_t)st.st_size);
        if (r == 0 && (owner_set(out, "", st.st_uid, st.st_gid) < 0 || sys_fchmod(out, st.st_mode & 07777) < 0))
                r = -errno;
        if (r < 0) {
                error_errno(err, r, "cannot copy '%s'", *path);
                free(copy);
                return -1;
        }
        free(*path);
        *path = copy;
        return 0;
}

int mount_prepare_bind(Prepare *p, const DfMount *mount, Error *err)
{
        _cleanup_free_ char *target = mount_target(p->stage, mount), *path = NULL;
        Build *build = p->stage->build;
        struct stat st;
        MountSource source;

        if (mount_source(p->stage, p->work, mount, &source, err) < 0)
                return -1;
        if (source.stage ? mount_stage_path(source.stage, mount, &path, err) < 0
                         : mount_snapshot(p->stage, p->work, source.tree, mount, p->held, &path, err) < 0)
                return -1;
        if (stat(path, &st) < 0) {
                /* An empty context makes no directory in its layer. */
                free(path);
                path = build_make_dir(build, "empty", err);
                if (!path)
                        return -1;
                if (stat(path, &st) < 0)
                        return error_errno(err, errno, "cannot find '%s'", path);
        }
        if (!mount->read_only && (S_ISDIR(st.st_mode) ? mount_make_writable(build, p->held, &path, err) < 0 : make_file_writable(build, &path, err) < 0))
                return -1;
        if (stubs_add(p->stubs, target, S_ISDIR(st.st_mode), err) < 0)
                return -1;
        run_spec_add_bind(p->spec, path, target, mount->read_only);
        return 0;
}
