/*
 * The documents of an image on its way out: config, manifest, attestation manifest, index.
 *
 * Specs: image-spec 1.1; BuildKit's docs/attestations/attestation-storage.md.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/export.h"
#include "oci/limits.h"
#include "json/writer.h"

#define ATTESTATION_ARTIFACT_TYPE "application/vnd.docker.attestation.manifest.v1+json"
#define EMPTY_CONFIG "{}"
#define EMPTY_CONFIG_BASE64 "e30="

void export_image_done(ExportImage *image)
{
        image_config_done(&image->config);
        for (size_t i = 0; i < image->n_layers; i++) {
                descriptor_done(&image->layers[i].descriptor);
                free(image->layers[i].file);
        }
        free(image->layers);
        for (size_t i = 0; i < image->n_statements; i++) {
                free(image->statements[i].text);
                free(image->statements[i].file_name);
        }
        free(image->statements);
        buf_done(&image->config_text);
        buf_done(&image->manifest_text);
        buf_done(&image->attestation_config);
        buf_done(&image->attestation_text);
        descriptor_done(&image->manifest);
        descriptor_done(&image->attestation);
}

/* --- annotations --- */

static void annotate(const Export *export, AnnotationPlace place, const char *platform, StringMap *to)
{
        const BuildAnnotations *lists[] = { &export->build->options->annotations, &export->output->annotations };

        for (size_t k = 0; k < ARRAY_LEN(lists); k++)
                for (size_t i = 0; i < lists[k]->n_items; i++) {
                        const BuildAnnotation *annotation = &lists[k]->items[i];

                        if (annotation->place == place && (!annotation->platform || !platform || streq(annotation->platform, platform)))
                                string_map_set(to, annotation->key, annotation->value);
                }
}

static int check_annotations(const Export *export, Error *err)
{
        const BuildAnnotations *lists[] = { &export->build->options->annotations, &export->output->annotations };

        for (size_t k = 0; k < ARRAY_LEN(lists); k++)
                for (size_t i = 0; i < lists[k]->n_items; i++) {
                        const BuildAnnotation *annotation = &lists[k]->items[i];
                        bool known = !annotation->platform;

                        for (size_t t = 0; t < export->n_images && !known; t++)
                                known = streq(export->images[t].target->text, annotation->platform);
                        if (!known)
                                return error_set(err, ERROR_INVALID, "invalid annotation '%s': this build is not for the platform '%s'", annotation->key,
                                                 annotation->platform);
                        if (export->output->docker_types)
                                return error_set(err, ERROR_INVALID, "cannot export annotations with 'oci-mediatypes=false'");
                        if (!export->has_index && (annotation->place == ANNOTATION_INDEX || annotation->place == ANNOTATION_INDEX_DESCRIPTOR))
                                return error_set(err, ERROR_INVALID,
                                                 "index annotations not supported for single platform export: '%s' has no index to be written to",
                                                 annotation->key);
                }
        return 0;
}

/* --- one image --- */

static int make_manifest(Export *export, ExportImage *image, Error *err)
{
        bool docker = export->output->docker_types;
        _cleanup_manifest_ Manifest manifest = { 0 };

        image->config_text = BUF_INIT(OCI_CONFIG_SIZE_MAX);
        image->manifest_text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        if (image_config_validate(&image->config, err) < 0 || image_config_text(&image->config, &image->config_text, err) < 0)
                return -1;
        image->id = digest_of(image->config_text.data, image->config_text.size);
        manifest_init(&manifest, docker);
        descriptor_set(&manifest.config, docker ? MEDIA_DOCKER_CONFIG : MEDIA_OCI_CONFIG, &image->id, image->config_text.size);
        for (size_t i = 0; i < image->n_layers; i++)
                descriptor_copy(descriptor_list_add(&manifest.layers), &image->layers[i].descriptor);
        annotate(export, ANNOTATION_MANIFEST, image->target->text, &manifest.annotations);
        if (manifest_text(&manifest, &image->manifest_text, err) < 0)
                return -1;
        descriptor_of(&image->manifest, docker ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST, image->manifest_text.data, image->manifest_text.size);
        image->manifest.platform = NEW(Platform);
        platform_copy(image->manifest.platform, &image->config.platform);
        annotate(export, ANNOTATION_MANIFEST_DESCRIPTOR, image->target->text, &image->manifest.annotations);
        return 0;
}

/* --- its attestations --- */

/* An image config without an image, for readers that want one in every manifest. */
static int attestation_config(const Manifest *manifest, Buf *to, Error *err)
{
        JsonWriter writer;
        char text[DIGEST_TEXT_SIZE];

        json_writer_init(&writer, to, 0);
        json_writer_begin_object(&writer);
        json_writer_member_string(&writer, "architecture", "unknown");
        json_writer_member_string(&writer, "os", "unknown");
        json_writer_key(&writer, "config");
        json_writer_raw(&writer, "{}");
        json_writer_key(&writer, "rootfs");
        json_writer_begin_object(&writer);
        json_writer_member_string(&writer, "type", "layers");
        json_writer_key(&writer, "diff_ids");
        json_writer_begin_array(&writer);
        for (size_t i = 0; i < manifest->layers.n_items; i++)
                json_writer_string(&writer, digest_format(&manifest->layers.items[i].digest, text));
        json_writer_end_array(&writer);
        json_writer_end_object(&writer);
        json_writer_end_object(&writer);
        return json_writer_finish(&writer, err);
}

static int add_attestation_config(const Export *export, ExportImage *image, Manifest *manifest, Error *err)
{
        Buf *text = &image->attestation_config;

        *text = BUF_INIT(OCI_CONFIG_SIZE_MAX);
        if (export->output->no_oci_artifact) {
                if (attestation_config(manifest, text, err) < 0)
                        return -1;
                descriptor_of(&manifest->config, MEDIA_OCI_CONFIG, text->data, text->size);
        } else {
                buf_puts(text, EMPTY_CONFIG);
                descriptor_of(&manifest->config, MEDIA_OCI_EMPTY, text->data, text->size);
                manifest->config.data = xstrdup(EMPTY_CONFIG_BASE64);
                manifest->artifact_type = xstrdup(ATTESTATION_ARTIFACT_TYPE);
                manifest->subject = NEW(Descriptor);
                descriptor_set(manifest->subject, MEDIA_OCI_MANIFEST, &image->manifest.digest, (uint64_t)image->manifest.size);
        }
        image->attestation_config_digest = manifest->config.digest;
        return 0;
}

static int make_attestation(Export *export, ExportImage *image, Error *err)
{
        _cleanup_manifest_ Manifest manifest = { 0 };
        char text[DIGEST_TEXT_SIZE];

        if (!image->n_statements)
                return 0;
        manifest_init(&manifest, false);
        for (size_t i = 0; i < image->n_statements; i++) {
                Descriptor *layer = descriptor_list_add(&manifest.layers);

                descriptor_of(layer, MEDIA_IN_TOTO, image->statements[i].text, strlen(image->statements[i].text));
                string_map_set(&layer->annotations, "in-toto.io/predicate-type", image->statements[i].predicate_type);
        }
        image->attestation_text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        if (add_attestation_config(export, image, &manifest, err) < 0 || manifest_text(&manifest, &image->attestation_text, err) < 0)
                return -1;
        descriptor_of(&image->attestation, MEDIA_OCI_MANIFEST, image->attestation_text.data, image->attestation_text.size);
        image->attestation.platform = NEW(Platform);
        image->attestation.platform->architecture = xstrdup("unknown");
        image->attestation.platform->os = xstrdup("unknown");
        string_map_set(&image->attestation.annotations, "vnd.docker.reference.digest", digest_format(&image->manifest.digest, text));
        string_map_set(&image->attestation.annotations, "vnd.docker.reference.type", "attestation-manifest");
        return 0;
}

/* --- all of them --- */

static int make_index(Export *export, Error *err)
{
        _cleanup_index_ Index index = { 0 };

        index_init(&index, export->output->docker_types);
        for (size_t i = 0; i < export->n_images; i++)
                descriptor_copy(descriptor_list_add(&index.manifests), &export->images[i].manifest);
        for (size_t i = 0; i < export->n_images; i++)
                if (export->images[i].n_statements)
                        descriptor_copy(descriptor_list_add(&index.manifests), &export->images[i].attestation);
        annotate(export, ANNOTATION_INDEX, NULL, &index.annotations);
        export->index_text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        if (index_text(&index, &export->index_text, err) < 0)
                return -1;
        descriptor_of(&export->root, export->output->docker_types ? MEDIA_DOCKER_LIST : MEDIA_OCI_INDEX, export->index_text.data, export->index_text.size);
        annotate(export, ANNOTATION_INDEX_DESCRIPTOR, NULL, &export->root.annotations);
        return 0;
}

int export_documents(Export *export, Error *err)
{
        export->has_index = export->n_images > 1 || export_has_attestations(export);
        if (check_annotations(export, err) < 0)
                return -1;
        for (size_t i = 0; i < export->n_images; i++) {
                ExportImage *image = &export->images[i];

                if (make_manifest(export, image, err) < 0 || export_attest(export, image, err) < 0 || make_attestation(export, image, err) < 0)
                        return -1;
        }
        if (export->has_index)
                return make_index(export, err);
        descriptor_copy(&export->root, &export->images[0].manifest);
        return 0;
}
