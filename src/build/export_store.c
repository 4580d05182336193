/*
 * An image in the store: blobs, layers and names in one transaction.
 */
#include <string.h>

#include "base/mem.h"
#include "build/export.h"
#include "oci/reference.h"
#include "store/image_index.h"

static int put_text(Export *export, const Buf *text, Error *err)
{
        return blob_put(export->build->lease, text->data, text->size, NULL, err);
}

/* The first container is not to wait for the merged index. When nothing ran, an earlier build has made it. */
static int merge_chain(const Export *export, const ExportImage *image, Error *err)
{
        const Build *build = export->build;
        const BuildOutput *output = export->output;
        _cleanup_free_ Digest *ids = NEW_ARRAY(Digest, image->n_layers + 1);

        if (image->n_layers < 2 || (build->n_cached == build->n_steps && !output->unpack && !output->rewrite_timestamp && !build->options->squash))
                return 0;
        for (size_t i = 0; i < image->n_layers; i++)
                ids[i] = image->layers[i].diff_id;
        return chain_merge(build->lease, ids, image->n_layers, err);
}

static int put_image(Export *export, const ExportImage *image, Error *err)
{
        if (merge_chain(export, image, err) < 0 || put_text(export, &image->config_text, err) < 0 || put_text(export, &image->manifest_text, err) < 0)
                return -1;
        if (!image->n_statements)
                return 0;
        for (size_t i = 0; i < image->n_statements; i++)
                if (blob_put(export->build->lease, image->statements[i].text, strlen(image->statements[i].text), NULL, err) < 0)
                        return -1;
        return put_text(export, &image->attestation_config, err) < 0 || put_text(export, &image->attestation_text, err) < 0 ? -1 : 0;
}

static int put_index(Export *export, const StrList *names, Digest *ret_id, Error *err)
{
        Lease *lease = export->build->lease;

        if (put_text(export, &export->index_text, err) < 0)
                return -1;
        return image_put_index(lease, &export->root.digest, (const char *const *)names->items, names->n_items, ret_id, err);
}

static int put_names(Export *export, const StrList *names, Digest *ret_id, Error *err)
{
        if (export->has_index)
                return put_index(export, names, ret_id, err);
        return image_put_named(export->build->lease, &export->root.digest, (const char *const *)names->items, names->n_items, ret_id, err);
}

/* --- names --- */

/* Names that come of the digest: dangling-name-prefix=, name-canonical=. */
static int add_digest_names(const Export *export, StrList *names, StrList *canonical, Error *err)
{
        const BuildOutput *output = export->output;
        char digest[DIGEST_TEXT_SIZE];

        digest_format(&export->root.digest, digest);
        if (output->dangling_prefix && (!output->dangling_empty_only || !names->n_items)) {
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_free_ char *typed = xasprintf("%s@%s", output->dangling_prefix, digest);

                if (reference_parse(typed, &reference, err) < 0)
                        return error_wrap(err, "dangling-name-prefix");
                strlist_take(canonical, reference_text(&reference));
        }
        for (size_t i = 0; output->name_canonical && i < names->n_items; i++) {
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_free_ char *name = NULL;

                if (reference_parse(names->items[i], &reference, err) < 0)
                        return -1;
                name = reference_name(&reference);
                strlist_addf(canonical, "%s@%s", name, digest);
        }
        return 0;
}

int export_to_store(Export *export, Error *err)
{
        Build *build = export->build;
        _cleanup_strlist_ StrList names = { 0 }, canonical = { 0 };
        char text[DIGEST_TEXT_SIZE];
        Digest id;

        if (export->output->no_store)
                return 0;
        strlist_copy(&names, export->names);
        if (add_digest_names(export, &names, &canonical, err) < 0)
                return -1;
        for (size_t i = 0; i < export->n_images; i++)
                if (put_image(export, &export->images[i], err) < 0)
                        return -1;
        if (put_names(export, &names, &id, err) < 0)
                return -1;
        for (size_t i = 0; i < canonical.n_items; i++)
                if (image_add_repo_digest(build->store, canonical.items[i], &id, err) < 0)
                        return -1;
        if (build->options->n_outputs) {
                _cleanup_free_ char *writing = xasprintf("exporting manifest %s", digest_format(&export->root.digest, text));

                progress_status(build->progress, export->vertex, writing, 0, 0, true);
        }
        return 0;
}
