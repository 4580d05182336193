/*
 * WORKDIR: the directory is made when it is missing, with every missing parent, mode 0755, owned by USER. A layer comes of it in any case (BuildKit's rule), an
 * empty one when nothing was missing.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "fs/ids.h"

static char *work_dir(const BuildStage *stage, const Work *work)
{
        return stem_path(&stage->stem, work->instruction->word.text);
}

int workdir_step_key(BuildStage *stage, Work *work, bool probe, Error *err)
{
        _cleanup_(hash_freep) Hash *hash = key_begin(stage, "WORKDIR", false);
        _cleanup_free_ char *path = work_dir(stage, work);

        hash_field_str(hash, path);
        hash_field_str(hash, stage->stem.image.config.user);
        work->key = hash_digest(hash);
        return 0;
}

int workdir_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err)
{
        _cleanup_(rootfs_freep) Rootfs *rootfs = NULL;
        _cleanup_(dest_freep) Dest *dest = NULL;
        _cleanup_free_ char *path = work_dir(stage, work);
        const char *user = stage->stem.image.config.user;
        DestDirs dirs = { .mode = 0755, .mtime_ns = clock_now_or_epoch(stage->build->epoch) };
        DestNode *node;

        if (stage_mount(stage, NULL, NULL, NULL, &rootfs, err) < 0)
                return -1;
        if (!str_empty(user) && root_owner(stage->n_layers > 0 ? rootfs_fd(rootfs) : -1, user, &dirs.uid, &dirs.gid, err) < 0)
                return -1;
        dest = dest_new(rootfs_fd(rootfs));
        if (dest_make_dirs(dest, path, &dirs, &node, err) < 0)
                return -1;
        return build_write_layer(stage, work, dest, ret_diff_id, err);
}
