/*
 * OCI layouts and docker archives, their JSON.
 */
#include "oci/layout.h"

#include <stdio.h>

#include "base/mem.h"
#include "oci/limits.h"
#include "oci/reference.h"

static const JsonLimits limits = { .size = OCI_MANIFEST_SIZE_MAX, .depth = OCI_DEPTH_MAX };

int oci_layout_check(const void *text, size_t size, Error *err)
{
        _cleanup_json_ JsonValue *document = NULL;
        const char *version = NULL;

        if (json_value_parse(text, size, &limits, &document, err) < 0 || json_value_find_string(document, "imageLayoutVersion", true, &version, err) < 0)
                return error_wrap(err, "invalid 'oci-layout'");
        if (!str_starts(version, "1.")) {
                _cleanup_free_ char *shown = str_printable(version, MIN(strlen(version), (size_t)40));

                return error_set(err, ERROR_UNSUPPORTED, "OCI layout version '%s' is not supported, only 1.x is", shown);
        }
        return 0;
}

char *oci_blob_path(const Digest *digest, char *buffer)
{
        char text[DIGEST_TEXT_SIZE], *colon;

        digest_format(digest, text);
        colon = strchr(text, ':');
        snprintf(buffer, OCI_BLOB_PATH_SIZE, "blobs/%.*s/%s", (int)(colon - text), text, colon + 1);
        return buffer;
}

static bool entry_has_name(const Descriptor *entry, const char *name, const char *full, const char *familiar)
{
        static const char *const keys[] = { OCI_ANNOTATION_REF_NAME, CONTAINERD_ANNOTATION_NAME };
        char digest[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
                const char *value = string_map_get(&entry->annotations, keys[i]);

                if (value && (streq(value, name) || streq_ptr(value, full) || streq_ptr(value, familiar)))
                        return true;
        }
        return streq(digest_format(&entry->digest, digest), name);
}

const Descriptor *oci_layout_find(const Index *index, const char *name)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *full = NULL, *familiar = NULL;

        if (reference_parse_tagged(name, &reference, &ignored) >= 0) {
                full = reference_text(&reference);
                familiar = reference_familiar(&reference);
        }
        for (size_t i = 0; i < index->manifests.n_items; i++)
                if (entry_has_name(&index->manifests.items[i], name, full, familiar))
                        return &index->manifests.items[i];
        return NULL;
}

static const JsonField docker_archive_image_fields[] = {
        { "Config", JSON_FIELD_STRING, offsetof(DockerArchiveImage, config), JSON_MANDATORY },
        { "RepoTags", JSON_FIELD_STRINGS, offsetof(DockerArchiveImage, repo_tags), 0 },
        { "Layers", JSON_FIELD_STRINGS, offsetof(DockerArchiveImage, layers), 0 },
        { "", JSON_FIELD_UNKNOWN, offsetof(DockerArchiveImage, unknown) },
        JSON_FIELD_END,
};

/* manifest.json is an array; the tables describe objects. */
static const JsonField docker_archive_fields[] = {
        { "manifest", JSON_FIELD_OBJECTS, offsetof(DockerArchive, images), JSON_MANDATORY, docker_archive_image_fields, sizeof(DockerArchiveImage) },
        JSON_FIELD_END,
};

void docker_archive_done(DockerArchive *archive)
{
        json_object_done(docker_archive_fields, archive);
}

static bool path_is_clean(const char *path)
{
        _cleanup_strlist_ StrList parts = { 0 };

        strlist_split(&parts, path, '/');
        for (size_t i = 0; i < parts.n_items; i++)
                if (str_empty(parts.items[i]) || streq(parts.items[i], ".") || streq(parts.items[i], ".."))
                        return false;
        return parts.n_items > 0;
}

static int check_path(const char *path, Error *err)
{
        _cleanup_free_ char *shown = NULL;

        if (path_is_clean(path))
                return 0;
        shown = str_printable(path, MIN(strlen(path), (size_t)200));
        return error_set(err, ERROR_INVALID, "invalid 'manifest.json': '%s' is not a clean path inside the archive", shown);
}

static int check_image(const DockerArchiveImage *image, Error *err)
{
        if (image->layers.n_items > OCI_LAYERS_MAX)
                return error_set(err, ERROR_LIMIT, "invalid 'manifest.json': %zu layers, more than the %d that are supported", image->layers.n_items,
                                 OCI_LAYERS_MAX);
        if (check_path(image->config, err) < 0)
                return -1;
        for (size_t i = 0; i < image->layers.n_items; i++)
                if (check_path(image->layers.items[i], err) < 0)
                        return -1;
        return 0;
}

int docker_archive_parse(const void *text, size_t size, DockerArchive *ret, Error *err)
{
        _cleanup_docker_archive_ DockerArchive out = { 0 };
        _cleanup_buf_ Buf wrapped = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_json_ JsonValue *alone = NULL;

        if (json_value_parse(text, size, &limits, &alone, err) < 0) /* so that nothing slips out of the brackets put around it below */
                return error_wrap(err, "invalid 'manifest.json'");
        if (buf_adds(&wrapped, "{\"manifest\":") < 0 || buf_add(&wrapped, text, size) < 0 || buf_addc(&wrapped, '}') < 0)
                return error_set(err, ERROR_LIMIT, "invalid 'manifest.json': %zu bytes are more than the %zu that are supported", size, OCI_MANIFEST_SIZE_MAX);
        if (json_object_read(wrapped.data, wrapped.size, &limits, docker_archive_fields, &out, sizeof(out), err) < 0)
                return error_wrap(err, "invalid 'manifest.json'");
        for (size_t i = 0; i < out.images.n_items; i++)
                if (check_image(&out.images.items[i], err) < 0)
                        return -1;
        *ret = out;
        out = (DockerArchive){ 0 };
        return 0;
}

int docker_archive_text(const DockerArchive *archive, Buf *out, Error *err)
{
        JsonWriter writer;

        json_writer_init(&writer, out, JSON_WRITE_COMPACT);
        json_writer_begin_array(&writer);
        for (size_t i = 0; i < archive->images.n_items; i++)
                json_object_write(docker_archive_image_fields, &archive->images.items[i], 0, &writer);
        json_writer_end_array(&writer);
        return json_writer_finish(&writer, err);
}
