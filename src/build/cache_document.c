#include "build/cache_document.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "oci/descriptor.h"
#include "oci/mediatype.h"

void cache_links_add(CacheLinks *links, int64_t record)
{
        GROW(links->items, links->capacity, links->n_items + 1);
        links->items[links->n_items++] = record;
}

/* --- inputs: [[{"link":3},{"link":5}]], BuildKit's alternatives of each input; ours have one --- */

static int read_links(const JsonValue *value, void *field, Error *err)
{
        CacheLinks *links = field;

        if (json_value_type(value) != JSON_TYPE_ARRAY)
                return error_set(err, ERROR_INVALID, "must be an array");
        for (size_t i = 0; i < json_value_size(value); i++) {
                const JsonValue *input = json_value_at(value, i);

                for (size_t k = 0; k < json_value_size(input); k++) {
                        const JsonValue *link = json_value_get(json_value_at(input, k), "link");

                        if (json_value_type(link) != JSON_TYPE_INT)
                                return error_set(err, ERROR_INVALID, "must have the number of a record in each 'link'");
                        if (links->n_items >= JSON_ITEMS_MAX)
                                return error_set(err, ERROR_LIMIT, "has too many links");
                        cache_links_add(links, json_value_int(link, -1));
                }
        }
        return 0;
}

static void write_links(const void *field, JsonWriter *writer)
{
        const CacheLinks *links = field;

        json_writer_begin_array(writer);
        for (size_t i = 0; i < links->n_items; i++) {
                json_writer_begin_array(writer);
                json_writer_begin_object(writer);
                json_writer_member_int(writer, "link", links->items[i]);
                json_writer_end_object(writer);
                json_writer_end_array(writer);
        }
        json_writer_end_array(writer);
}

static bool no_links(const void *field)
{
        return ((const CacheLinks *)field)->n_items == 0;
}

static void free_links(void *field)
{
        free(((CacheLinks *)field)->items);
}

static const JsonCustom links_json = { .read = read_links, .write = write_links, .is_empty = no_links, .done = free_links };

/* --- tables --- */

static const JsonField annotation_fields[] = {
        { "mediaType", JSON_FIELD_STRING, offsetof(CacheLayer, annotations.media_type) - offsetof(CacheLayer, annotations), JSON_MANDATORY },
        { "diffID", JSON_FIELD_CUSTOM, offsetof(CacheLayer, annotations.diff_id) - offsetof(CacheLayer, annotations), JSON_MANDATORY, .custom = &digest_json },
        { "size", JSON_FIELD_INT, offsetof(CacheLayer, annotations.size) - offsetof(CacheLayer, annotations), JSON_MANDATORY },
        { "createdAt", JSON_FIELD_STRING, offsetof(CacheLayer, annotations.created) - offsetof(CacheLayer, annotations), JSON_OMIT_EMPTY },
        { "level", JSON_FIELD_INT, offsetof(CacheLayer, annotations.level) - offsetof(CacheLayer, annotations), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

static const JsonField layer_fields[] = {
        { "blob", JSON_FIELD_CUSTOM, offsetof(CacheLayer, blob), JSON_MANDATORY, .custom = &digest_json },
        { "parent", JSON_FIELD_INT, offsetof(CacheLayer, parent), 0 },
        { "annotations", JSON_FIELD_OBJECT, offsetof(CacheLayer, annotations), JSON_MANDATORY, annotation_fields },
        JSON_FIELD_END,
};

static const JsonField result_fields[] = {
        { "createdAt", JSON_FIELD_STRING, offsetof(CacheResult, created), JSON_OMIT_EMPTY },
        { "layer", JSON_FIELD_INT, offsetof(CacheResult, layer), JSON_MANDATORY },
        JSON_FIELD_END,
};

static const JsonField step_fields[] = {
        { "layers", JSON_FIELD_OBJECTS, offsetof(CacheStep, results), JSON_MANDATORY, result_fields, sizeof(CacheResult) },
        { "digest", JSON_FIELD_CUSTOM, offsetof(CacheStep, key), JSON_MANDATORY, .custom = &digest_json },
        { "inputs", JSON_FIELD_CUSTOM, offsetof(CacheStep, inputs), JSON_OMIT_EMPTY, .custom = &links_json },
        { "description", JSON_FIELD_STRING, offsetof(CacheStep, description), JSON_OMIT_EMPTY },
        { "kind", JSON_FIELD_STRING, offsetof(CacheStep, kind), JSON_OMIT_EMPTY },
        { "source", JSON_FIELD_CUSTOM, offsetof(CacheStep, source), JSON_OMIT_EMPTY, .custom = &digest_json },
        JSON_FIELD_END,
};

static const JsonField mount_fields[] = {
        { "id", JSON_FIELD_STRING, offsetof(CacheMountEntry, id), JSON_MANDATORY },
        { "layer", JSON_FIELD_INT, offsetof(CacheMountEntry, layer), JSON_MANDATORY },
        { "mode", JSON_FIELD_INT, offsetof(CacheMountEntry, mode), JSON_MANDATORY },
        { "uid", JSON_FIELD_INT, offsetof(CacheMountEntry, uid), JSON_OMIT_EMPTY },
        { "gid", JSON_FIELD_INT, offsetof(CacheMountEntry, gid), JSON_OMIT_EMPTY },
        { "stamp", JSON_FIELD_CUSTOM, offsetof(CacheMountEntry, stamp), JSON_OMIT_EMPTY, .custom = &digest_json },
        JSON_FIELD_END,
};

static const JsonField document_fields[] = {
        { "version", JSON_FIELD_INT, offsetof(CacheDocument, version), JSON_MANDATORY },
        { "layers", JSON_FIELD_OBJECTS, offsetof(CacheDocument, layers), JSON_MANDATORY, layer_fields, sizeof(CacheLayer) },
        { "records", JSON_FIELD_OBJECTS, offsetof(CacheDocument, records), JSON_MANDATORY, step_fields, sizeof(CacheStep) },
        { "mounts", JSON_FIELD_OBJECTS, offsetof(CacheDocument, mounts), JSON_OMIT_EMPTY, mount_fields, sizeof(CacheMountEntry) },
        JSON_FIELD_END,
};

void cache_document_done(CacheDocument *document)
{
        json_object_done(document_fields, document);
}

int cache_layer_codec(const CacheLayer *layer, Codec *ret)
{
        static const Codec codecs[] = { [MEDIA_PLAIN] = CODEC_NONE, [MEDIA_GZIP] = CODEC_GZIP, [MEDIA_ZSTD] = CODEC_ZSTD };
        const MediaTypeInfo *info = media_type_find(layer->annotations.media_type);

        if (info->kind != MEDIA_KIND_LAYER || info->nondistributable)
                return -1;
        *ret = codecs[info->compression];
        return 0;
}

/* --- what is in it must fit together --- */

static int check_layers(const CacheDocument *document, Error *err)
{
        for (size_t i = 0; i < document->layers.n_items; i++) {
                const CacheLayer *layer = &document->layers.items[i];
                Codec codec;

                if (cache_layer_codec(layer, &codec) < 0)
                        return error_set(err, ERROR_INVALID, "'layers[%zu]' has the type '%s', which is no layer", i, layer->annotations.media_type);
                if (layer->annotations.size < 0)
                        return error_set(err, ERROR_INVALID, "'layers[%zu].annotations.size' is negative", i);
                if (codec == CODEC_NONE && !digest_equal(&layer->blob, &layer->annotations.diff_id))
                        return error_set(err, ERROR_INVALID, "'layers[%zu]' is not compressed, but its blob and its diffID differ", i);
                if (layer->parent < -1 || layer->parent >= (int64_t)document->layers.n_items)
                        return error_set(err, ERROR_INVALID, "'layers[%zu].parent' is no layer", i);
        }
        return 0;
}

static bool is_layer(const CacheDocument *document, int64_t number)
{
        return number >= 0 && number < (int64_t)document->layers.n_items;
}

static int check_records(const CacheDocument *document, Error *err)
{
        _cleanup_(map_freep) Map *seen = map_new(NULL);

        for (size_t i = 0; i < document->records.n_items; i++) {
                const CacheStep *step = &document->records.items[i];

                if (step->results.n_items != 1 || !is_layer(document, step->results.items[0].layer))
                        return error_set(err, ERROR_INVALID, "'records[%zu].layers' must have the number of one layer", i);
                for (size_t k = 0; k < step->inputs.n_items; k++)
                        if (step->inputs.items[k] < 0 || step->inputs.items[k] >= (int64_t)document->records.n_items)
                                return error_set(err, ERROR_INVALID, "'records[%zu].inputs' has a link to no record", i);
                if (map_getn(seen, &step->key, sizeof(step->key)))
                        return error_set(err, ERROR_INVALID, "'records[%zu]' is there twice", i);
                map_setn(seen, &step->key, sizeof(step->key), seen);
        }
        return 0;
}

static int check_mounts(const CacheDocument *document, Error *err)
{
        _cleanup_(map_freep) Map *seen = map_new(NULL);

        for (size_t i = 0; i < document->mounts.n_items; i++) {
                const CacheMountEntry *mount = &document->mounts.items[i];

                if (!is_layer(document, mount->layer))
                        return error_set(err, ERROR_INVALID, "'mounts[%zu].layer' is no layer", i);
                if (mount->mode < 0 || mount->mode > 07777 || mount->uid < 0 || mount->uid > UINT32_MAX - 1 || mount->gid < 0 || mount->gid > UINT32_MAX - 1)
                        return error_set(err, ERROR_INVALID, "'mounts[%zu]' has no possible mode or owner", i);
                if (map_has(seen, mount->id))
                        return error_set(err, ERROR_INVALID, "'mounts[%zu]' is there twice", i);
                map_set(seen, mount->id, seen);
        }
        return 0;
}

int cache_document_parse(const void *text, size_t size, CacheDocument *ret, Error *err)
{
        static const JsonLimits limits = { .size = CACHE_DOCUMENT_MAX, .depth = 16 };
        CacheDocument document = { 0 };
        int r = json_object_read(text, size, &limits, document_fields, &document, sizeof(document), err);

        if (r < 0)
                return -1;
        if (document.version != 1)
                r = error_set(err, ERROR_UNSUPPORTED, "the cache has version %lld, this mica knows version 1", (long long)document.version);
        else if (document.records.n_items > CACHE_RECORDS_MAX || document.layers.n_items > CACHE_RECORDS_MAX)
                r = error_set(err, ERROR_LIMIT, "the cache has more than %d records", CACHE_RECORDS_MAX);
        if (r < 0 || check_layers(&document, err) < 0 || check_records(&document, err) < 0 || check_mounts(&document, err) < 0) {
                cache_document_done(&document);
                return -1;
        }
        *ret = document;
        return 0;
}

int cache_document_text(const CacheDocument *document, Buf *out, Error *err)
{
        return json_object_text(document_fields, document, 0, out, err);
}
