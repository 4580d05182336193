/*
 * Manifests and indexes.
 */
#include "oci/manifest.h"

#include <stdio.h>

#include "base/mem.h"
#include "oci/limits.h"

static const JsonLimits limits = { .size = OCI_MANIFEST_SIZE_MAX, .depth = OCI_DEPTH_MAX };

const JsonField manifest_fields[] = {
        { "schemaVersion", JSON_FIELD_INT, offsetof(Manifest, schema_version), JSON_MANDATORY },
        { "mediaType", JSON_FIELD_STRING, offsetof(Manifest, media_type), JSON_OMIT_EMPTY },
        { "artifactType", JSON_FIELD_STRING, offsetof(Manifest, artifact_type), JSON_OMIT_EMPTY },
        { "config", JSON_FIELD_OBJECT, offsetof(Manifest, config), JSON_MANDATORY, descriptor_fields },
        { "layers", JSON_FIELD_OBJECTS, offsetof(Manifest, layers), JSON_MANDATORY | JSON_NULL_IS_EMPTY, descriptor_fields, sizeof(Descriptor) },
        { "subject", JSON_FIELD_OBJECT_PTR, offsetof(Manifest, subject), JSON_OMIT_EMPTY, descriptor_fields, sizeof(Descriptor) },
        { "annotations", JSON_FIELD_STRING_MAP, offsetof(Manifest, annotations), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

const JsonField index_fields[] = {
        { "schemaVersion", JSON_FIELD_INT, offsetof(Index, schema_version), JSON_MANDATORY },
        { "mediaType", JSON_FIELD_STRING, offsetof(Index, media_type), JSON_OMIT_EMPTY },
        { "artifactType", JSON_FIELD_STRING, offsetof(Index, artifact_type), JSON_OMIT_EMPTY },
        { "manifests", JSON_FIELD_OBJECTS, offsetof(Index, manifests), JSON_MANDATORY, descriptor_fields, sizeof(Descriptor) },
        { "subject", JSON_FIELD_OBJECT_PTR, offsetof(Index, subject), JSON_OMIT_EMPTY, descriptor_fields, sizeof(Descriptor) },
        { "annotations", JSON_FIELD_STRING_MAP, offsetof(Index, annotations), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

void manifest_init(Manifest *manifest, bool docker)
{
        *manifest = (Manifest){ .schema_version = 2, .media_type = xstrdup(media_type_name(docker ? MEDIA_DOCKER_MANIFEST : MEDIA_OCI_MANIFEST)) };
}

void index_init(Index *index, bool docker)
{
        *index = (Index){ .schema_version = 2, .media_type = xstrdup(media_type_name(docker ? MEDIA_DOCKER_LIST : MEDIA_OCI_INDEX)) };
}

void manifest_done(Manifest *manifest)
{
        json_object_done(manifest_fields, manifest);
}

void index_done(Index *index)
{
        json_object_done(index_fields, index);
}

Descriptor *descriptor_list_add(DescriptorList *list)
{
        return json_items_add(list, sizeof(Descriptor));
}

/* From the members alone: image-spec allows OCI documents without a mediaType. */
static int sniff_members(const JsonValue *document, MediaType *ret, Error *err)
{
        bool manifest = json_value_get(document, "config") || json_value_get(document, "layers");
        bool index = json_value_get(document, "manifests");

        if (manifest && index)
                return error_set(err, ERROR_INVALID, "invalid manifest: it has 'manifests' and 'layers' or 'config', so it could be read in two ways");
        if (json_value_get(document, "fsLayers"))
                return error_set(err, ERROR_UNSUPPORTED, "docker's schema 1 manifests are not supported: push the image again with a current tool");
        if (!manifest && !index)
                return error_set(err, ERROR_INVALID, "invalid manifest: it has neither 'manifests' nor 'layers'");
        *ret = index ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
        return 0;
}

/* The media type that the outside gives must name the same kind of document. */
static int check_outside(const MediaTypeInfo *info, const char *media_type, Error *err)
{
        const MediaTypeInfo *outside = media_type_find(media_type);

        if (outside->type == MEDIA_UNKNOWN || outside->type == info->type)
                return 0;
        return error_set(err, ERROR_INVALID, "invalid manifest: announced as '%s' but it is '%s'", outside->name, info->name);
}

int manifest_sniff(const void *text, size_t size, const char *media_type, MediaType *ret, Error *err)
{
        _cleanup_json_ JsonValue *document = NULL;
        const MediaTypeInfo *info;
        const char *own = NULL;
        MediaType type = MEDIA_UNKNOWN;

        if (json_value_parse(text, size, &limits, &document, err) < 0)
                return error_wrap(err, "invalid manifest");
        if (sniff_members(document, &type, err) < 0 || json_value_find_string(document, "mediaType", false, &own, err) < 0)
                return -1;
        info = media_type_info(type);
        if (!str_empty(own)) {
                if (media_type_find(own)->kind != info->kind) {
                        _cleanup_free_ char *shown = str_printable(own, MIN(strlen(own), (size_t)100));

                        return error_set(err, ERROR_INVALID, "invalid manifest: its members do not fit its media type '%s'", shown);
                }
                info = media_type_find(own);
        } else if (media_type && media_type_find(media_type)->kind == info->kind) {
                info = media_type_find(media_type); /* docker's type may come from the outside only */
        }
        if (media_type && check_outside(info, media_type, err) < 0)
                return -1;
        *ret = info->type;
        return 0;
}

static int validate_list(const DescriptorList *list, const char *name, size_t max, Error *err)
{
        uint64_t total = 0;

        if (list->n_items > max)
                return error_set(err, ERROR_LIMIT, "invalid manifest: %zu %s, more than the %zu that are supported", list->n_items, name, max);
        for (size_t i = 0; i < list->n_items; i++) {
                char what[64];

                snprintf(what, sizeof(what), "%s[%zu]", name, i);
                if (descriptor_validate(&list->items[i], what, err) < 0)
                        return error_wrap(err, "invalid manifest");
                total += (uint64_t)list->items[i].size; /* max * OCI_BLOB_SIZE_MAX stays below 2^64 */
        }
        return total <= INT64_MAX ? 0 : error_set(err, ERROR_LIMIT, "invalid manifest: its %s are too large together", name);
}

static int check_version(int64_t version, Error *err)
{
        if (version != 2)
                return error_set(err, ERROR_UNSUPPORTED, "invalid manifest: 'schemaVersion' must be 2");
        return 0;
}

static int manifest_validate(const Manifest *manifest, Error *err)
{
        if (check_version(manifest->schema_version, err) < 0)
                return -1;
        if (descriptor_validate(&manifest->config, "config", err) < 0)
                return error_wrap(err, "invalid manifest");
        if (descriptor_type(&manifest->config)->kind == MEDIA_KIND_CONFIG && (uint64_t)manifest->config.size > OCI_CONFIG_SIZE_MAX)
                return error_set(err, ERROR_LIMIT, "invalid manifest: 'config.size' is more than %zu bytes", OCI_CONFIG_SIZE_MAX);
        if (manifest->subject && descriptor_validate(manifest->subject, "subject", err) < 0)
                return error_wrap(err, "invalid manifest");
        return validate_list(&manifest->layers, "layers", OCI_LAYERS_MAX, err);
}

/* Sniffs and refuses the other kind. */
static int expect_kind(const void *text, size_t size, MediaKind kind, Error *err)
{
        MediaType type = MEDIA_UNKNOWN;

        if (manifest_sniff(text, size, NULL, &type, err) < 0)
                return -1;
        if (media_type_info(type)->kind != kind)
                return error_set(err, ERROR_INVALID, kind == MEDIA_KIND_INDEX ? "invalid index: this is a manifest" : "invalid manifest: this is an index");
        return 0;
}

int manifest_parse(const void *text, size_t size, Manifest *ret, Error *err)
{
        _cleanup_manifest_ Manifest out = { 0 };

        if (expect_kind(text, size, MEDIA_KIND_MANIFEST, err) < 0)
                return -1;
        if (json_object_read(text, size, &limits, manifest_fields, &out, sizeof(out), err) < 0)
                return error_wrap(err, "invalid manifest");
        if (manifest_validate(&out, err) < 0)
                return -1;
        *ret = out;
        out = (Manifest){ 0 };
        return 0;
}

int index_parse(const void *text, size_t size, Index *ret, Error *err)
{
        _cleanup_index_ Index out = { 0 };

        if (expect_kind(text, size, MEDIA_KIND_INDEX, err) < 0)
                return -1;
        if (json_object_read(text, size, &limits, index_fields, &out, sizeof(out), err) < 0)
                return error_wrap(err, "invalid index");
        if (check_version(out.schema_version, err) < 0 || validate_list(&out.manifests, "manifests", OCI_INDEX_MAX, err) < 0)
                return -1;
        if (out.subject && descriptor_validate(out.subject, "subject", err) < 0)
                return error_wrap(err, "invalid index");
        *ret = out;
        out = (Index){ 0 };
        return 0;
}

int manifest_text(const Manifest *manifest, Buf *out, Error *err)
{
        return json_object_text(manifest_fields, manifest, JSON_WRITE_INDENT_2, out, err);
}

int index_text(const Index *index, Buf *out, Error *err)
{
        return json_object_text(index_fields, index, JSON_WRITE_INDENT_2, out, err);
}

bool manifest_is_image(const Manifest *manifest)
{
        if (descriptor_type(&manifest->config)->kind != MEDIA_KIND_CONFIG)
                return false;
        for (size_t i = 0; i < manifest->layers.n_items; i++)
                if (descriptor_type(&manifest->layers.items[i])->kind != MEDIA_KIND_LAYER)
                        return false; /* BuildKit's attestations have an image's config */
        return true;
}

bool descriptor_is_attestation(const Descriptor *descriptor)
{
        return string_map_get(&descriptor->annotations, "vnd.docker.reference.type") != NULL;
}

/* "there are: linux/amd64, linux/386". */
static int no_match(const Index *index, const Platform *want, Error *err)
{
        _cleanup_free_ char *wanted = platform_format(want, false), *list = NULL, *clean = NULL;
        _cleanup_strlist_ StrList names = { 0 };

        for (size_t i = 0; i < index->manifests.n_items && names.n_items < 20; i++) {
                const Descriptor *d = &index->manifests.items[i];

                if (d->platform && !descriptor_is_attestation(d))
                        strlist_take(&names, platform_format(d->platform, true));
        }
        list = strlist_join(&names, ", ");
        clean = str_printable(list, strlen(list));
        return error_set(err, ERROR_NOT_FOUND, "no match for platform in manifest: not found: '%s' (there %s: %s)", wanted, names.n_items == 1 ? "is" : "are",
                         names.n_items ? clean : "none");
}

int index_select(const Index *index, const Platform *want, const Descriptor **ret, Error *err)
{
        const Descriptor *best = NULL, *without = NULL;
        size_t n_images = 0;
        int best_rank = -1;

        for (size_t i = 0; i < index->manifests.n_items; i++) {
                const Descriptor *d = &index->manifests.items[i];
                int rank;

                if (descriptor_is_attestation(d))
                        continue;
                n_images++;
                if (!d->platform || str_empty(d->platform->architecture)) {
                        without = d;
                        continue;
                }
                rank = platform_rank(want, d->platform);
                if (rank >= 0 && (best_rank < 0 || rank < best_rank)) {
                        best = d;
                        best_rank = rank;
                }
        }
        if (!best && n_images == 1)
                best = without;
        if (!best)
                return no_match(index, want, err);
        *ret = best;
        return 0;
}
