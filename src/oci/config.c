/*
 * Image configs: the tables, reading, writing, checking.
 */
#include "oci/config.h"

#include "base/mem.h"
#include "oci/limits.h"

#define ZERO_TIME_TEXT "0001-01-01T00:00:00Z"

static const JsonLimits limits = { .size = OCI_CONFIG_SIZE_MAX, .depth = OCI_DEPTH_MAX };

static int time_read(const JsonValue *value, void *field, Error *err)
{
        ConfigTime *time = field;
        const char *text = json_value_string(value);

        if (!text)
                return error_set(err, ERROR_INVALID, "must be a time, not %s", json_type_name(json_value_type(value)));
        if (streq(text, ZERO_TIME_TEXT)) {
                *time = (ConfigTime){ .set = true, .time = TIMESTAMP_ZERO };
                return 0;
        }
        if (timestamp_parse(text, &time->time) < 0) {
                _cleanup_free_ char *shown = str_printable(text, MIN(strlen(text), (size_t)64));

                return error_set(err, ERROR_INVALID, "'%s' is not a time as RFC 3339 has it, between 1678 and 2262", shown);
        }
        time->set = true;
        return 0;
}

static void time_write(const void *field, JsonWriter *writer)
{
        const ConfigTime *time = field;
        char text[TIMESTAMP_TEXT_SIZE];

        if (!time->set)
                json_writer_null(writer);
        else
                json_writer_string(writer, time->time == TIMESTAMP_ZERO ? ZERO_TIME_TEXT : timestamp_format(time->time, text));
}

static bool time_is_empty(const void *field)
{
        return !((const ConfigTime *)field)->set;
}

static void time_clear(void *field)
{
        *(ConfigTime *)field = (ConfigTime){ 0 };
}

const JsonCustom config_time_json = { time_read, time_write, time_is_empty, time_clear };

/* The names and order of moby/docker-image-spec's HealthcheckConfig. */
const JsonField health_config_fields[] = {
        { "Test", JSON_FIELD_STRINGS, offsetof(HealthConfig, test), JSON_OMIT_EMPTY },
        { "Interval", JSON_FIELD_INT, offsetof(HealthConfig, interval), JSON_OMIT_EMPTY },
        { "Timeout", JSON_FIELD_INT, offsetof(HealthConfig, timeout), JSON_OMIT_EMPTY },
        { "StartPeriod", JSON_FIELD_INT, offsetof(HealthConfig, start_period), JSON_OMIT_EMPTY },
        { "StartInterval", JSON_FIELD_INT, offsetof(HealthConfig, start_interval), JSON_OMIT_EMPTY },
        { "Retries", JSON_FIELD_INT, offsetof(HealthConfig, retries), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

/* image-spec's ImageConfig, then docker's extension, then what only docker's container config has. */
const JsonField run_config_fields[] = {
        { "User", JSON_FIELD_STRING, offsetof(RunConfig, user), JSON_OMIT_EMPTY },
        { "ExposedPorts", JSON_FIELD_SET, offsetof(RunConfig, exposed_ports), JSON_OMIT_EMPTY },
        { "Env", JSON_FIELD_STRINGS, offsetof(RunConfig, env), JSON_OMIT_EMPTY },
        { "Entrypoint", JSON_FIELD_STRINGS, offsetof(RunConfig, entrypoint), JSON_OMIT_EMPTY },
        { "Cmd", JSON_FIELD_STRINGS, offsetof(RunConfig, cmd), JSON_OMIT_EMPTY },
        { "Volumes", JSON_FIELD_SET, offsetof(RunConfig, volumes), JSON_OMIT_EMPTY },
        { "WorkingDir", JSON_FIELD_STRING, offsetof(RunConfig, working_dir), JSON_OMIT_EMPTY },
        { "Labels", JSON_FIELD_STRING_MAP, offsetof(RunConfig, labels), JSON_OMIT_EMPTY },
        { "StopSignal", JSON_FIELD_STRING, offsetof(RunConfig, stop_signal), JSON_OMIT_EMPTY },
        { "ArgsEscaped", JSON_FIELD_BOOL, offsetof(RunConfig, args_escaped), JSON_OMIT_EMPTY },
        { "Healthcheck", JSON_FIELD_OBJECT_PTR, offsetof(RunConfig, healthcheck), JSON_OMIT_EMPTY, health_config_fields, sizeof(HealthConfig) },
        { "OnBuild", JSON_FIELD_STRINGS, offsetof(RunConfig, on_build), JSON_OMIT_EMPTY },
        { "Shell", JSON_FIELD_STRINGS, offsetof(RunConfig, shell), JSON_OMIT_EMPTY },
        { "StopTimeout", JSON_FIELD_INT_PTR, offsetof(RunConfig, stop_timeout), JSON_OMIT_EMPTY },
        { "MacAddress", JSON_FIELD_STRING, offsetof(RunConfig, mac_address), JSON_OMIT_EMPTY },
        /* What the classic builder wrote about the container that it built in. */
        { "Hostname", .flags = JSON_IGNORE },
        { "Domainname", .flags = JSON_IGNORE },
        { "AttachStdin", .flags = JSON_IGNORE },
        { "AttachStdout", .flags = JSON_IGNORE },
        { "AttachStderr", .flags = JSON_IGNORE },
        { "Tty", .flags = JSON_IGNORE },
        { "OpenStdin", .flags = JSON_IGNORE },
        { "StdinOnce", .flags = JSON_IGNORE },
        { "Image", .flags = JSON_IGNORE },
        { "", JSON_FIELD_UNKNOWN, offsetof(RunConfig, unknown) },
        JSON_FIELD_END,
};

const JsonField history_entry_fields[] = {
        { "created", JSON_FIELD_CUSTOM, offsetof(HistoryEntry, created), JSON_OMIT_EMPTY, .custom = &config_time_json },
        { "created_by", JSON_FIELD_STRING, offsetof(HistoryEntry, created_by), JSON_OMIT_EMPTY },
        { "author", JSON_FIELD_STRING, offsetof(HistoryEntry, author), JSON_OMIT_EMPTY },
        { "comment", JSON_FIELD_STRING, offsetof(HistoryEntry, comment), JSON_OMIT_EMPTY },
        { "empty_layer", JSON_FIELD_BOOL, offsetof(HistoryEntry, empty_layer), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

/* An image without layers has [] here: image-spec's schema refuses the null that Go writes for a nil slice. */
static const JsonField rootfs_fields[] = {
        { "type", JSON_FIELD_STRING, offsetof(RootFs, type), JSON_MANDATORY },
        { "diff_ids", JSON_FIELD_CUSTOM, offsetof(RootFs, diff_ids), 0, .custom = &digest_list_json },
        JSON_FIELD_END,
};

const JsonField image_config_fields[] = {
        { "architecture", JSON_FIELD_STRING, offsetof(ImageConfig, platform.architecture), JSON_MANDATORY },
        { "author", JSON_FIELD_STRING, offsetof(ImageConfig, author), JSON_OMIT_EMPTY },
        { "config", JSON_FIELD_OBJECT, offsetof(ImageConfig, config), 0, run_config_fields },
        { "created", JSON_FIELD_CUSTOM, offsetof(ImageConfig, created), JSON_OMIT_EMPTY, .custom = &config_time_json },
        { "history", JSON_FIELD_OBJECTS, offsetof(ImageConfig, history), JSON_KEEP_TEXT, history_entry_fields, sizeof(HistoryEntry) },
        { "os", JSON_FIELD_STRING, offsetof(ImageConfig, platform.os), JSON_MANDATORY },
        { "os.features", JSON_FIELD_STRINGS, offsetof(ImageConfig, platform.os_features), JSON_OMIT_EMPTY },
        { "os.version", JSON_FIELD_STRING, offsetof(ImageConfig, platform.os_version), JSON_OMIT_EMPTY },
        { "rootfs", JSON_FIELD_OBJECT, offsetof(ImageConfig, rootfs), JSON_MANDATORY, rootfs_fields },
        { "variant", JSON_FIELD_STRING, offsetof(ImageConfig, platform.variant), JSON_OMIT_EMPTY },
        { "container", .flags = JSON_IGNORE },
        { "container_config", .flags = JSON_IGNORE },
        { "docker_version", .flags = JSON_IGNORE },
        { "id", .flags = JSON_IGNORE },
        { "parent", .flags = JSON_IGNORE },
        { "", JSON_FIELD_UNKNOWN, offsetof(ImageConfig, unknown) },
        JSON_FIELD_END,
};

_Static_assert(offsetof(HistoryEntry, text) == 0, "JSON_KEEP_TEXT wants the text first");

void image_config_init(ImageConfig *config, const Platform *platform)
{
        *config = (ImageConfig){ .rootfs.type = xstrdup("layers"), .config.working_dir = xstrdup("/") };
        platform_copy(&config->platform, platform);
        strlist_add(&config->config.env, "PATH=" IMAGE_DEFAULT_PATH);
}

void image_config_done(ImageConfig *config)
{
        json_object_done(image_config_fields, config);
}

void image_config_copy(ImageConfig *to, const ImageConfig *from)
{
        json_object_copy(image_config_fields, from, to);
}

void run_config_done(RunConfig *config)
{
        json_object_done(run_config_fields, config);
}

void health_config_free(HealthConfig *health)
{
        if (health)
                json_object_done(health_config_fields, health);
        free(health);
}

int image_config_validate(const ImageConfig *config, Error *err)
{
        size_t n_layers = 0;

        if (!streq_ptr(config->rootfs.type, "layers"))
                return error_set(err, ERROR_INVALID, "invalid image config: 'rootfs.type' must be 'layers'");
        if (config->rootfs.diff_ids.n_items > OCI_LAYERS_MAX)
                return error_set(err, ERROR_LIMIT, "invalid image config: %zu layers, more than the %d that are supported", config->rootfs.diff_ids.n_items,
                                 OCI_LAYERS_MAX);
        if (config->history.n_items > OCI_HISTORY_MAX)
                return error_set(err, ERROR_LIMIT, "invalid image config: %zu history entries, more than the %d that are supported", config->history.n_items,
                                 OCI_HISTORY_MAX);
        for (size_t i = 0; i < config->history.n_items; i++)
                n_layers += !config->history.items[i].empty_layer;
        if (n_layers > config->rootfs.diff_ids.n_items)
                return error_set(err, ERROR_INVALID, "invalid image config: its history has %zu layers, 'rootfs.diff_ids' only %zu", n_layers,
                                 config->rootfs.diff_ids.n_items);
        return 0;
}

int image_config_parse(const void *text, size_t size, ImageConfig *ret, Error *err)
{
        _cleanup_image_config_ ImageConfig out = { 0 };

        if (json_object_read(text, size, &limits, image_config_fields, &out, sizeof(out), err) < 0)
                return error_wrap(err, "invalid image config");
        if (image_config_validate(&out, err) < 0)
                return -1;
        *ret = out;
        out = (ImageConfig){ 0 };
        return 0;
}

int image_config_text(const ImageConfig *config, Buf *out, Error *err)
{
        return json_object_text(image_config_fields, config, JSON_WRITE_SORTED, out, err);
}
