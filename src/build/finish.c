/*
 * The end of a build: the target's config with its history, the manifest, the names.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "oci/mediatype.h"
#include "store/image_write.h"

static void finish_config(Build *build, ImageConfig *image)
{
        const BuildStage *stage = build->targets[0].stage;
        const StrList *labels = &build->options->labels;

        image_config_copy(image, &stage->stem.image);
        digest_list_done(&image->rootfs.diff_ids);
        for (size_t i = 0; i < stage->n_layers; i++)
                digest_list_add(&image->rootfs.diff_ids, &stage->layers[i].diff_id);
        for (size_t i = 0; i < labels->n_items; i++) {
                const char *equals = strchr(labels->items[i], '=');
                _cleanup_free_ char *key = equals ? xstrndup(labels->items[i], (size_t)(equals - labels->items[i])) : xstrdup(labels->items[i]);

                string_map_set(&image->config.labels, key, equals ? equals + 1 : "");
        }
        if (build->options->platforms.n_items) {
                platform_done(&image->platform);
                platform_copy(&image->platform, &build->targets[0].platform);
        }
        platform_normalize(&image->platform);
        image_config_normalize_history(image, stage->stem.n_base_history, build->epoch);
}

static int write_image(Build *build, const ImageConfig *image, BuildResult *ret, Error *err)
{
        const BuildStage *stage = build->targets[0].stage;
        _cleanup_free_ Digest *ids = stage_diff_ids(stage);
        WrittenImage written;

        /* The first container is not to wait for it. When nothing ran, an earlier build has done it. */
        if (build->n_cached < build->n_steps && stage->n_layers > 1 && chain_merge(build->lease, ids, stage->n_layers, err) < 0)
                return -1;
        if (image_write_named(build->lease, image, (const char *const *)build->names.items, build->names.n_items, &written, err) < 0)
                return -1;
        ret->id = written.id;
        ret->manifest = written.manifest;
        ret->config_size = written.config_size;
        ret->manifest_size = written.manifest_size;
        ret->manifest_media_type = media_type_name(MEDIA_OCI_MANIFEST);
        strlist_copy(&ret->names, &build->names);
        return 0;
}

int build_finish(Build *build, BuildResult *ret, Error *err)
{
        _cleanup_image_config_ ImageConfig image = { 0 };
        BuildVertex *vertex;

        finish_config(build, &image);
        ret->platform = platform_format(&image.platform, false);
        ret->n_layers = build->targets[0].stage->n_layers;
        ret->n_steps = build->n_steps;
        ret->n_cached = build->n_cached;
        if (build->options->discard)
                return lease_sync(build->lease, err);
        vertex = progress_vertex(build->progress, &(VertexInfo){ .name = "exporting to image" });
        progress_start(build->progress, vertex);
        if (write_image(build, &image, ret, err) < 0) {
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_done(build->progress, vertex);
        return 0;
}
