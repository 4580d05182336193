/*
 * Descriptors, and digests as JSON.
 */
#include "oci/descriptor.h"

#include <inttypes.h>

#include "base/mem.h"
#include "crypto/encode.h"
#include "oci/limits.h"

static int digest_read(const JsonValue *value, void *field, Error *err)
{
        const char *text = json_value_string(value);

        if (!text)
                return error_set(err, ERROR_INVALID, "must be a digest, not %s", json_type_name(json_value_type(value)));
        return digest_parse(text, field, err);
}

static void digest_write(const void *field, JsonWriter *writer)
{
        char text[DIGEST_TEXT_SIZE];

        json_writer_string(writer, digest_is_set(field) ? digest_format(field, text) : "");
}

static bool digest_is_empty(const void *field)
{
        return !digest_is_set(field);
}

static void digest_clear(void *field)
{
        *(Digest *)field = (Digest){ 0 };
}

const JsonCustom digest_json = { digest_read, digest_write, digest_is_empty, digest_clear };

static int digest_list_read(const JsonValue *value, void *field, Error *err)
{
        if (json_value_type(value) != JSON_TYPE_ARRAY)
                return error_set(err, ERROR_INVALID, "must be an array of digests, not %s", json_type_name(json_value_type(value)));
        if (json_value_size(value) > OCI_LAYERS_MAX)
                return error_set(err, ERROR_LIMIT, "has %zu layers, more than the %d that are supported", json_value_size(value), OCI_LAYERS_MAX);
        for (size_t i = 0; i < json_value_size(value); i++) {
                Digest digest;

                if (digest_read(json_value_at(value, i), &digest, err) < 0)
                        return error_wrap(err, "item %zu", i);
                digest_list_add(field, &digest);
        }
        return 0;
}

static void digest_list_write(const void *field, JsonWriter *writer)
{
        const DigestList *list = field;

        json_writer_begin_array(writer);
        for (size_t i = 0; i < list->n_items; i++)
                digest_write(&list->items[i], writer);
        json_writer_end_array(writer);
}

static bool digest_list_is_empty(const void *field)
{
        return ((const DigestList *)field)->n_items == 0;
}

static void digest_list_clear(void *field)
{
        digest_list_done(field);
}

const JsonCustom digest_list_json = { digest_list_read, digest_list_write, digest_list_is_empty, digest_list_clear };

void digest_list_add(DigestList *list, const Digest *digest)
{
        *(Digest *)json_items_add(list, sizeof(Digest)) = *digest;
}

void digest_list_done(DigestList *list)
{
        free(list->items);
        *list = (DigestList){ 0 };
}

const JsonField descriptor_fields[] = {
        { "mediaType", JSON_FIELD_STRING, offsetof(Descriptor, media_type), 0 },
        { "digest", JSON_FIELD_CUSTOM, offsetof(Descriptor, digest), JSON_MANDATORY, .custom = &digest_json },
        { "size", JSON_FIELD_INT, offsetof(Descriptor, size), JSON_MANDATORY },
        { "urls", JSON_FIELD_STRINGS, offsetof(Descriptor, urls), JSON_OMIT_EMPTY },
        { "annotations", JSON_FIELD_STRING_MAP, offsetof(Descriptor, annotations), JSON_OMIT_EMPTY },
        { "data", JSON_FIELD_STRING, offsetof(Descriptor, data), JSON_OMIT_EMPTY },
        { "platform", JSON_FIELD_OBJECT_PTR, offsetof(Descriptor, platform), JSON_OMIT_EMPTY, platform_fields, sizeof(Platform) },
        { "artifactType", JSON_FIELD_STRING, offsetof(Descriptor, artifact_type), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

void descriptor_done(Descriptor *descriptor)
{
        json_object_done(descriptor_fields, descriptor);
}

void descriptor_copy(Descriptor *to, const Descriptor *from)
{
        json_object_copy(descriptor_fields, from, to);
}

void descriptor_set(Descriptor *descriptor, MediaType type, const Digest *digest, uint64_t size)
{
        free(descriptor->media_type);
        descriptor->media_type = xstrdup(media_type_name(type));
        descriptor->digest = *digest;
        descriptor->size = (int64_t)size;
}

void descriptor_of(Descriptor *descriptor, MediaType type, const void *data, size_t size)
{
        Digest digest = digest_of(data, size);

        descriptor_set(descriptor, type, &digest, size);
}

/* `data` must be what digest and size say: whoever trusts it skips the fetch. */
static int validate_data(const Descriptor *descriptor, const char *what, Error *err)
{
        _cleanup_buf_ Buf content = BUF_INIT(OCI_DESCRIPTOR_DATA_MAX);

        if (strlen(descriptor->data) > OCI_DESCRIPTOR_DATA_MAX)
                return error_set(err, ERROR_LIMIT, "'%s.data' is larger than %zu bytes", what, OCI_DESCRIPTOR_DATA_MAX);
        if (base64_decode(BASE64_STANDARD, descriptor->data, strlen(descriptor->data), &content) < 0)
                return error_set(err, ERROR_INVALID, "'%s.data' is not base64", what);
        return descriptor_verify(descriptor, what, buf_str(&content), content.size, err);
}

int descriptor_validate(const Descriptor *descriptor, const char *what, Error *err)
{
        if (descriptor->size < 0)
                return error_set(err, ERROR_INVALID, "'%s.size' is negative (%" PRId64 ")", what, descriptor->size);
        if (descriptor->size > OCI_BLOB_SIZE_MAX)
                return error_set(err, ERROR_LIMIT, "'%s.size' is %" PRId64 " bytes, more than the %" PRId64 " that are supported", what, descriptor->size,
                                 OCI_BLOB_SIZE_MAX);
        if (str_empty(descriptor->media_type))
                return error_set(err, ERROR_INVALID, "'%s.mediaType' is missing or empty", what);
        return descriptor->data ? validate_data(descriptor, what, err) : 0;
}

int descriptor_verify(const Descriptor *descriptor, const char *what, const void *data, size_t size, Error *err)
{
        char expected[DIGEST_TEXT_SIZE], got[DIGEST_TEXT_SIZE];
        _cleanup_(hash_freep) Hash *hash = NULL;
        Digest digest;

        if ((uint64_t)descriptor->size != size)
                return error_set(err, ERROR_CORRUPT, "'%s' has %zu bytes where %" PRId64 " were announced", what, size, descriptor->size);
        hash = hash_new(descriptor->digest.algorithm);
        hash_add(hash, data, size);
        digest = hash_digest(hash);
        if (digest_equal(&digest, &descriptor->digest))
                return 0;
        return error_set(err, ERROR_CORRUPT, "'%s' has the digest %s where %s was announced", what, digest_format(&digest, got),
                         digest_format(&descriptor->digest, expected));
}
