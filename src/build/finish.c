/*
 * The end of a build: each target's config with its history, and the outputs.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "build/export.h"

void target_config(const BuildTarget *target, int64_t epoch, ImageConfig *ret)
{
        const BuildStage *stage = target->stage;
        const BuildOptions *options = target->build->options;
        const StrList *labels = &options->labels;

        image_config_copy(ret, &stage->stem.image);
        digest_list_done(&ret->rootfs.diff_ids);
        for (size_t i = 0; i < stage->n_layers; i++)
                digest_list_add(&ret->rootfs.diff_ids, &stage->layers[i].diff_id);
        for (size_t i = 0; i < labels->n_items; i++) {
                const char *equals = strchr(labels->items[i], '=');
                _cleanup_free_ char *key = equals ? xstrndup(labels->items[i], (size_t)(equals - labels->items[i])) : xstrdup(labels->items[i]);

                string_map_set(&ret->config.labels, key, equals ? equals + 1 : "");
        }
        if (options->platforms.n_items) {
                platform_done(&ret->platform);
                platform_copy(&ret->platform, &target->platform);
        }
        platform_normalize(&ret->platform);
        image_config_normalize_history(ret, stage->stem.n_base_history, epoch);
}

int build_finish(Build *build, BuildResult *ret, Error *err)
{
        _cleanup_image_config_ ImageConfig config = { 0 };

        target_config(&build->targets[0], build->epoch, &config);
        ret->platform = platform_format(&config.platform, false);
        ret->n_layers = build->targets[0].stage->n_layers;
        ret->n_steps = build->n_steps;
        ret->n_cached = build->n_cached;
        /* What was built stays in the cache, whatever becomes of the outputs. */
        return build_export(build, ret, err) < 0 ? -1 : lease_sync(build->lease, err);
}
