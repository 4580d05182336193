#include "build/snapshot.h"

#include <stdatomic.h>

#include "base/mem.h"

int snapshot_find(Build *build, const Digest *key, Digest *ret_diff_id, Error *err)
{
        return cache_get(build->lease, key, ret_diff_id, err);
}

int snapshot_put(Build *build, const Digest *key, const Digest *diff_id, const char *description, const char *kind, Error *err)
{
        CacheRecord record = {
                .key = *key,
                .diff_id = *diff_id,
                .description = (char *)description,
                .kind = (char *)kind,
                .created = clock_now(),
                .n_used = 1,
        };
        LayerInfo info;

        record.last_used = record.created;
        if (layer_info(build->store, diff_id, &info, err) == 0)
                record.size = info.disk_size;
        else
                error_done(err);
        return cache_put(build->lease, &record, err);
}

static bool go_on(void *user, uint64_t size)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        return build_check(user, &ignored) == 0;
}

static int make_layer(Build *build, CopyPlan *plan, Digest *ret_diff_id, Error *err)
{
        static const CopyOwner owner = { 0 };
        _cleanup_(dest_freep) Dest *dest = dest_new(-1);

        if (copy_plan_apply(plan, dest, &owner, clock_now(), err) < 0)
                return -1;
        return dest_make_layer(dest, build->lease, go_on, build, ret_diff_id, err);
}

int snapshot_make(Build *build, const SnapshotSpec *spec, const Digest *key, Digest *ret_diff_id, Error *err)
{
        CopyPlan plan = { .destination = xstrdup("/"), .epoch = spec->epoch, .exclude = (IgnoreMatcher *)spec->exclude };
        int r;

        plan.tmp = lease_tmp_path(build->lease, err);
        r = plan.tmp ? copy_plan_add_source(&plan, spec->tree, "/", false, false, err) : -1;
        if (r == 0)
                r = make_layer(build, &plan, ret_diff_id, err);
        plan.exclude = NULL; /* the caller's */
        copy_plan_done(&plan);
        return r < 0 ? -1 : snapshot_put(build, key, ret_diff_id, spec->description, spec->kind, err);
}

int snapshot_make_file(Build *build, const char *name, const Buf *content, int64_t mtime, const Digest *key, const char *description, Digest *ret_diff_id,
                       Error *err)
{
        static const Chmod mode = { .octal = true, .mode = 0600 };
        CopyPlan plan = { .destination = xstrdup("/"), .chmod = &mode, .epoch = mtime };
        int r;

        copy_plan_add_bytes(&plan, name, content->data ? content->data : "", content->size);
        r = make_layer(build, &plan, ret_diff_id, err);
        copy_plan_done(&plan);
        return r < 0 ? -1 : snapshot_put(build, key, ret_diff_id, description, "source.http", err);
}

void snapshot_image(const Platform *platform, const Digest *diff_id, ImageConfig *ret)
{
        image_config_init(ret, platform);
        digest_list_add(&ret->rootfs.diff_ids, diff_id);
}
