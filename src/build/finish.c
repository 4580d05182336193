/*
 * The end of a build: each target's config with its history, and the outputs.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "build/export.h"

/* The entries of what was squashed stay, without layers; the one layer has an entry of its own, dated as the last of them. */
static void add_squashed(const BuildTarget *target, ImageConfig *config)
{
        const BuildStage *stage = target->stage;
        size_t n_squashed = stage->n_layers - stage_n_base_layers(stage);
        Timestamp created = stage->layers[stage->n_layers - 1].created;
        _cleanup_free_ char *comment = xasprintf("squashed from %zu layers", n_squashed);

        digest_list_add(&config->rootfs.diff_ids, &target->squashed);
        for (size_t i = stage->stem.n_base_history; i < config->history.n_items; i++) {
                free(TAKE_PTR(config->history.items[i].text));
                config->history.items[i].empty_layer = true;
        }
        image_config_add_history(config, &created, NULL, comment, false);
}

void target_config(const BuildTarget *target, int64_t epoch, ImageConfig *ret)
{
        const BuildStage *stage = target->stage;
        const BuildOptions *options = target->build->options;
        const StrList *labels = &options->labels;

        image_config_copy(ret, &stage->stem.image);
        digest_list_done(&ret->rootfs.diff_ids);
        for (size_t i = 0; i < (digest_is_set(&target->squashed) ? stage_n_base_layers(stage) : stage->n_layers); i++)
                digest_list_add(&ret->rootfs.diff_ids, &stage->layers[i].diff_id);
        if (digest_is_set(&target->squashed))
                add_squashed(target, ret);
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

        if (build->options->squash && build_squash(build, err) < 0)
                return -1;
        target_config(&build->targets[0], build->epoch, &config);
        ret->platform = platform_format(&config.platform, false);
        ret->n_layers = config.rootfs.diff_ids.n_items;
        ret->n_steps = build->n_steps;
        ret->n_cached = build->n_cached;
        /* What was built stays in the cache, whatever becomes of the outputs. */
        return build_export(build, ret, err) < 0 ? -1 : lease_sync(build->lease, err);
}
