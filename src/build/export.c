/*
 * The outputs of a build, one after the other, each from the same finished stages.
 */
#include "build/export.h"

#include <stdlib.h>

#include "base/mem.h"
#include "build/provenance.h"

static const BuildOutput output_default = { .type = BUILD_OUTPUT_IMAGE, .level = -1, .epoch = -1, .platform_split = -1 };

static void export_done(Export *export)
{
        for (size_t i = 0; i < export->n_images; i++)
                export_image_done(&export->images[i]);
        free(export->images);
        buf_done(&export->index_text);
        descriptor_done(&export->root);
}

static void export_init(Export *export, Build *build, const BuildOutput *output, Map *compressed)
{
        *export = (Export){ .build = build, .output = output, .compressed = compressed };
        export->names = output->names.n_items ? &output->names : &build->names;
        export->epoch = output->epoch >= 0 ? output->epoch : build->epoch;
        export->to_store = output->type == BUILD_OUTPUT_IMAGE || (output->type == BUILD_OUTPUT_DOCKER && !output->dest);
        export->n_images = build->n_targets;
        export->images = NEW_ARRAY(ExportImage, build->n_targets);
        for (size_t i = 0; i < build->n_targets; i++) {
                export->images[i].target = &build->targets[i];
                target_config(&build->targets[i], export->epoch, &export->images[i].config);
        }
}

static const char *title(const Export *export)
{
        if (export->to_store)
                return "exporting to image";
        switch (export->output->type) {
        case BUILD_OUTPUT_OCI:
                return "exporting to oci image format";
        case BUILD_OUTPUT_DOCKER:
                return "exporting to docker image format";
        case BUILD_OUTPUT_TAR:
                return "exporting to client tarball";
        default:
                return "exporting to client directory";
        }
}

/* --- */

static int export_image(Export *export, Error *err)
{
        Build *build = export->build;

        if (export->output->type == BUILD_OUTPUT_DOCKER && !export->to_store && (export->n_images > 1 || export_has_attestations(export)))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "docker exporter does not support exporting manifest lists: use type=oci for several platforms or attestations");
        if (export_layers(export, err) < 0)
                return -1;
        progress_status(build->progress, export->vertex, "exporting layers", 0, 0, true);
        if (export_documents(export, err) < 0)
                return -1;
        return export->to_store ? export_to_store(export, err) : export_to_layout(export, err);
}

/* What the command line tells of an image: the last output of that kind has the word, as in buildx. */
static int take_result(const Export *export, BuildResult *ret, Error *err)
{
        const ExportImage *image = &export->images[0];
        _cleanup_buf_ Buf text = BUF_INIT(MIB);

        if (json_object_text(descriptor_fields, &export->root, 0, &text, err) < 0)
                return -1;
        ret->id = export->has_index ? export->root.digest : image->id;
        ret->digest = export->root.digest;
        ret->is_index = export->has_index;
        ret->manifest = image->manifest.digest;
        ret->manifest_size = (uint64_t)image->manifest.size;
        ret->config_size = image->config_text.size;
        ret->manifest_media_type = media_type_name(descriptor_type(&image->manifest)->type);
        free(ret->descriptor);
        ret->descriptor = buf_detach(&text);
        strlist_done(&ret->names);
        strlist_copy(&ret->names, export->names);
        return 0;
}

/* Provenance for the metadata of the command line, whatever the outputs are. */
static int tell_provenance(Export *export, BuildResult *ret)
{
        const BuildOptions *options = export->build->options;

        for (size_t i = 0; i < export->n_images; i++) {
                const BuildTarget *target = export->images[i].target;
                _cleanup_json_ JsonValue *predicate = provenance_predicate(export, &export->images[i], options->metadata_provenance == 2,
                                                                           options->provenance.v02);
                _cleanup_free_ char *key = export->n_images > 1 ? xasprintf("buildx.build.provenance/%s", target->text) : xstrdup("buildx.build.provenance");

                string_map_take(&ret->provenance, key, json_value_text(predicate, JSON_WRITE_SORTED));
        }
        return 0;
}

static int export_one(Build *build, const BuildOutput *output, Map *compressed, BuildResult *ret, Error *err)
{
        _cleanup_(export_done) Export export = { 0 };
        int r;

        export_init(&export, build, output, compressed);
        if (output->type == BUILD_OUTPUT_CACHE_ONLY)
                return build->options->metadata_provenance ? tell_provenance(&export, ret) : 0;
        export.vertex = progress_vertex(build->progress, &(VertexInfo){ .name = title(&export) });
        progress_start(build->progress, export.vertex);
        r = build_output_is_image(output) ? export_image(&export, err) : export_to_files(&export, err);
        if (r == 0 && build_output_is_image(output))
                r = take_result(&export, ret, err);
        if (r == 0 && build->options->metadata_provenance)
                r = tell_provenance(&export, ret);
        if (r < 0)
                progress_fail(build->progress, export.vertex, error_message(err));
        else
                progress_done(build->progress, export.vertex);
        return r;
}

int build_export(Build *build, BuildResult *ret, Error *err)
{
        _cleanup_(map_freep) Map *compressed = export_compressed_new();
        const BuildOptions *options = build->options;

        if (!options->n_outputs)
                return export_one(build, &output_default, compressed, ret, err);
        for (size_t i = 0; i < options->n_outputs; i++)
                if (export_one(build, &options->outputs[i], compressed, ret, err) < 0)
                        return -1;
        return 0;
}
