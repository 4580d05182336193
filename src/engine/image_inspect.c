/*
 * An image as docker inspect shows it, and its history.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/images.h"
#include "oci/limits.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "store/image_index.h"

static JsonValue *strings_or_null(const StrList *list)
{
        JsonValue *array;

        if (list->n_items == 0)
                return json_value_new_null();
        array = json_value_new_array();
        for (size_t i = 0; i < list->n_items; i++)
                json_value_append_string(array, list->items[i]);
        return array;
}

static JsonValue *set_or_null(const StrList *list)
{
        JsonValue *object;

        if (list->n_items == 0)
                return json_value_new_null();
        object = json_value_new_object();
        for (size_t i = 0; i < list->n_items; i++)
                json_value_set(object, list->items[i], json_value_new_object());
        return object;
}

static JsonValue *map_or_null(const StringMap *map)
{
        JsonValue *object;

        if (map->n_items == 0)
                return json_value_new_null();
        object = json_value_new_object();
        for (size_t i = 0; i < map->n_items; i++)
                json_value_set_string(object, map->items[i].key, map->items[i].value);
        return object;
}

static void set_text(JsonValue *object, const char *key, const char *value)
{
        json_value_set_string(object, key, value ? value : "");
}

static JsonValue *health_value(const HealthConfig *health)
{
        JsonValue *object = json_value_new_object();

        json_value_set(object, "Test", strings_or_null(&health->test));
        if (health->interval)
                json_value_set_int(object, "Interval", health->interval);
        if (health->timeout)
                json_value_set_int(object, "Timeout", health->timeout);
        if (health->start_period)
                json_value_set_int(object, "StartPeriod", health->start_period);
        if (health->start_interval)
                json_value_set_int(object, "StartInterval", health->start_interval);
        if (health->retries)
                json_value_set_int(object, "Retries", health->retries);
        return object;
}

/* The member "Config": docker's container config, with what an image does not have at its zero value. */
static JsonValue *config_value(const RunConfig *config)
{
        JsonValue *object = json_value_new_object();

        json_value_set_string(object, "Hostname", "");
        json_value_set_string(object, "Domainname", "");
        set_text(object, "User", config->user);
        json_value_set_bool(object, "AttachStdin", false);
        json_value_set_bool(object, "AttachStdout", false);
        json_value_set_bool(object, "AttachStderr", false);
        if (config->exposed_ports.n_items)
                json_value_set(object, "ExposedPorts", set_or_null(&config->exposed_ports));
        json_value_set_bool(object, "Tty", false);
        json_value_set_bool(object, "OpenStdin", false);
        json_value_set_bool(object, "StdinOnce", false);
        json_value_set(object, "Env", strings_or_null(&config->env));
        json_value_set(object, "Cmd", strings_or_null(&config->cmd));
        if (config->healthcheck)
                json_value_set(object, "Healthcheck", health_value(config->healthcheck));
        if (config->args_escaped)
                json_value_set_bool(object, "ArgsEscaped", true);
        json_value_set_string(object, "Image", "");
        json_value_set(object, "Volumes", set_or_null(&config->volumes));
        set_text(object, "WorkingDir", config->working_dir);
        json_value_set(object, "Entrypoint", strings_or_null(&config->entrypoint));
        json_value_set(object, "OnBuild", strings_or_null(&config->on_build));
        json_value_set(object, "Labels", map_or_null(&config->labels));
        if (!str_empty(config->stop_signal))
                json_value_set_string(object, "StopSignal", config->stop_signal);
        if (config->shell.n_items)
                json_value_set(object, "Shell", strings_or_null(&config->shell));
        return object;
}

static JsonValue *familiar_names(const StrList *names)
{
        JsonValue *array = json_value_new_array();

        for (size_t i = 0; i < names->n_items; i++) {
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;
                _cleanup_free_ char *text = reference_parse(names->items[i], &reference, &ignored) < 0 ? xstrdup(names->items[i])
                                                                                                       : reference_familiar(&reference);

                json_value_append_string(array, text);
        }
        return array;
}

static char *time_text(Timestamp t, char *buffer)
{
        return t ? timestamp_format(t, buffer) : strcpy(buffer, "0001-01-01T00:00:00Z");
}

static JsonValue *rootfs_value(const Image *image)
{
        JsonValue *object = json_value_new_object(), *layers = json_value_new_array();
        char digest[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < image->n_diff_ids; i++)
                json_value_append_string(layers, digest_format(&image->diff_ids[i], digest));
        json_value_set_string(object, "Type", "layers");
        json_value_set(object, "Layers", layers);
        return object;
}

static JsonValue *image_value(Store *store, const Image *image, const ImageConfig *config)
{
        JsonValue *object = json_value_new_object(), *driver = json_value_new_object(), *metadata = json_value_new_object();
        const HistoryEntry *last = config->history.n_items ? &config->history.items[config->history.n_items - 1] : NULL;
        char digest[DIGEST_TEXT_SIZE], when[TIMESTAMP_TEXT_SIZE];

        json_value_set_string(object, "Id", digest_format(&image->id, digest));
        json_value_set(object, "RepoTags", familiar_names(&image->names));
        json_value_set(object, "RepoDigests", familiar_names(&image->repo_digests));
        json_value_set_string(object, "Parent", "");
        set_text(object, "Comment", last ? last->comment : NULL);
        json_value_set_string(object, "Created", time_text(image->created, when));
        json_value_set_string(object, "DockerVersion", "");
        set_text(object, "Author", config->author);
        json_value_set(object, "Config", config_value(&config->config));
        set_text(object, "Architecture", image->architecture);
        if (!str_empty(image->variant))
                json_value_set_string(object, "Variant", image->variant);
        set_text(object, "Os", image->os);
        json_value_set_int(object, "Size", (int64_t)image->size);
        json_value_set(driver, "Data", json_value_new_null());
        json_value_set_string(driver, "Name", store_driver(store));
        json_value_set(object, "GraphDriver", driver);
        json_value_set(object, "RootFS", rootfs_value(image));
        json_value_set_string(metadata, "LastTagTime", time_text(image->last_tagged, when));
        json_value_set(object, "Metadata", metadata);
        return object;
}

static JsonValue *descriptor_value(const char *media_type, const Digest *digest, uint64_t size)
{
        JsonValue *descriptor = json_value_new_object();
        char text[DIGEST_TEXT_SIZE];

        json_value_set_string(descriptor, "mediaType", media_type);
        json_value_set_string(descriptor, "digest", digest_format(digest, text));
        json_value_set_int(descriptor, "size", (int64_t)size);
        return descriptor;
}

static JsonValue *platform_value(const Platform *platform)
{
        JsonValue *object = json_value_new_object();

        set_text(object, "architecture", platform->architecture);
        set_text(object, "os", platform->os);
        if (!str_empty(platform->variant))
                json_value_set_string(object, "variant", platform->variant);
        return object;
}

/* One manifest of an index, as docker's API describes it ("Manifests"). */
static JsonValue *manifest_value(const Descriptor *entry)
{
        JsonValue *object = json_value_new_object(), *data = json_value_new_object();
        const char *about = string_map_get(&entry->annotations, "vnd.docker.reference.digest");
        char text[DIGEST_TEXT_SIZE];
        bool attestation = descriptor_is_attestation(entry);

        json_value_set_string(object, "ID", digest_format(&entry->digest, text));
        json_value_set(object, "Descriptor", descriptor_value(entry->media_type, &entry->digest, (uint64_t)entry->size));
        json_value_set_bool(object, "Available", true);
        json_value_set_string(object, "Kind", attestation ? "attestation" : "image");
        if (attestation)
                set_text(data, "For", about);
        else if (entry->platform)
                json_value_set(data, "Platform", platform_value(entry->platform));
        json_value_set(object, attestation ? "AttestationData" : "ImageData", data);
        return object;
}

/* docker's later fields: what a name points to, so that a digest can be pinned, and what is in it. */
static int add_descriptor(Store *store, const char *name, const Image *image, JsonValue *object, Error *err)
{
        _cleanup_(image_index_freep) ImageIndex *index = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        _cleanup_index_ Index document = { 0 };
        JsonValue *manifests, *descriptor;
        char digest[DIGEST_TEXT_SIZE];
        int r = image_index_find(store, name, &index, err);

        if (r < 0)
                return -1;
        if (r == 0) {
                descriptor = json_value_new_object();
                json_value_set_string(descriptor, "digest", digest_format(&image->manifest, digest));
                json_value_set(object, "Descriptor", descriptor);
                return 0;
        }
        if (blob_read(store, &index->digest, &text, err) < 0 || index_parse(text.data, text.size, &document, err) < 0)
                return -1;
        json_value_set(object, "Descriptor", descriptor_value(index->media_type, &index->digest, index->size));
        manifests = json_value_new_array();
        for (size_t i = 0; i < document.manifests.n_items; i++)
                json_value_append(manifests, manifest_value(&document.manifests.items[i]));
        json_value_set(object, "Manifests", manifests);
        return 0;
}

static int find_image(Store *store, const char *name, const char *platform, Image **ret, Error *err)
{
        _cleanup_platform_ Platform want = { 0 };

        if (str_empty(platform))
                return image_find(store, name, ret, err);
        return platform_parse(platform, &want, err) < 0 ? -1 : image_find_matching(store, name, &want, ret, err);
}

int engine_image_inspect(Store *store, const char *name, const char *platform, JsonValue **ret, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_json_ JsonValue *value = NULL;

        if (find_image(store, name, platform, &image, err) < 0 || engine_image_config(store, image, &config, err) < 0)
                return -1;
        value = image_value(store, image, &config);
        if (add_descriptor(store, name, image, value, err) < 0)
                return -1;
        *ret = TAKE_PTR(value);
        return 0;
}

int engine_image_history(Store *store, const char *name, int (*row)(void *user, const HistoryRow *row, Error *err), void *user, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        size_t layer;

        if (image_find(store, name, &image, err) < 0 || engine_image_config(store, image, &config, err) < 0)
                return -1;
        layer = image->n_diff_ids;
        for (size_t i = config.history.n_items; i-- > 0;) {
                const HistoryEntry *entry = &config.history.items[i];
                HistoryRow out = { .created = entry->created.set && entry->created.time != TIMESTAMP_ZERO ? entry->created.time : 0,
                                   .created_by = entry->created_by ? entry->created_by : "",
                                   .comment = entry->comment ? entry->comment : "" };
                LayerInfo info;

                if (i + 1 == config.history.n_items)
                        out.id = image->id;
                if (!entry->empty_layer && layer > 0) {
                        if (layer_info(store, &image->diff_ids[--layer], &info, err) < 0)
                                return -1;
                        out.size = info.content_size;
                }
                if (row(user, &out, err) < 0)
                        return -1;
        }
        return 0;
}
