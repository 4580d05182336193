/*
 * mica inspect, image inspect, volume inspect (and container inspect).
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "container/container.h"
#include "engine/images.h"
#include "engine/volumes.h"
#include "format/table.h"

typedef struct InspectOptions {
        const char *format, *type, *platform;
        bool size;
} InspectOptions;

/* What can be inspected, in the order in which docker tries. */
typedef struct InspectKind {
        const char *type, *title;
        int (*inspect)(Store *store, const char *name, const InspectOptions *options, JsonValue **ret, Error *err);
} InspectKind;

static int inspect_container(Store *store, const char *name, const InspectOptions *options, JsonValue **ret, Error *err)
{
        return container_inspect(store, name, options->size, ret, err);
}

static int inspect_image(Store *store, const char *name, const InspectOptions *options, JsonValue **ret, Error *err)
{
        return engine_image_inspect(store, name, options->platform, ret, err);
}

static int inspect_volume(Store *store, const char *name, const InspectOptions *options, JsonValue **ret, Error *err)
{
        return engine_volume_inspect(store, name, ret, err);
}

static const InspectKind kinds[] = {
        { "container", "container", inspect_container },
        { "image", "image", inspect_image },
        { "volume", "volume", inspect_volume },
};

static const InspectKind *find_kind(const char *type)
{
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
                if (streq(kinds[i].type, type))
                        return &kinds[i];
        return NULL;
}

/* Looks in `kind`, or in all of them when it is NULL. */
static int inspect_one(Store *store, const char *name, const InspectKind *kind, const InspectOptions *options, JsonValue **ret, Error *err)
{
        if (kind)
                return kind->inspect(store, name, options, ret, err);
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
                if (kinds[i].inspect(store, name, options, ret, err) == 0)
                        return 0;
                if (err->code != ERROR_NOT_FOUND && err->code != ERROR_INVALID)
                        return -1;
                error_done(err);
        }
        return error_set(err, ERROR_NOT_FOUND, "No such object: %s", name);
}

/* Prints what was found even when something else was not, as docker does: an array, or the template once per object. */
static int inspect_all(Cli *cli, const StrList *args, const InspectKind *kind, const InspectOptions *options, Error *err)
{
        const char *format = options->format;
        _cleanup_json_ JsonValue *all = json_value_new_array();
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        int status = 0;
        Store *store;

        if (cli_store(cli, &store, err) < 0)
                return -1;
        for (size_t i = 0; i < args->n_items; i++) {
                JsonValue *value = NULL;
                _cleanup_error_ Error missing = ERROR_INIT;

                if (inspect_one(store, args->items[i], kind, options, &value, &missing) < 0) {
                        cli_report(cli, &missing);
                        status = EXIT_FAILURE;
                        continue;
                }
                json_value_append(all, value);
                if (!str_empty(format) && !streq(format, "json") && format_value(format, value, &out, err) < 0) {
                        fputs(buf_str(&out), cli->out);
                        return -1;
                }
        }
        if (str_empty(format) || streq(format, "json"))
                if (format_value(format, all, &out, err) < 0)
                        return -1;
        fputs(buf_str(&out), cli->out);
        return status;
}

/* --- inspect --- */

static const Option inspect_options[] = {
        { "format", 'f', OPTION_STRING, offsetof(InspectOptions, format), .help = "Format output using a custom template: 'json' or a Go template" },
        { "size", 's', OPTION_BOOL, offsetof(InspectOptions, size), .help = "Display total file sizes if the type is container" },
        { "type", 0, OPTION_STRING, offsetof(InspectOptions, type), .help = "Only inspect objects of the given type", .choices = "container|image|volume" },
        OPTION_TABLE_END,
};

static int run_inspect(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const InspectOptions *options = data;
        const InspectKind *kind = str_empty(options->type) ? NULL : find_kind(options->type);

        if (!str_empty(options->type) && !kind)
                return error_set(err, ERROR_INVALID, "\"%s\" is not a valid value for --type: say container, image or volume", options->type);
        return inspect_all(cli, args, kind, options, err);
}

const Command command_inspect = {
        .usage = "[OPTIONS] NAME|ID [NAME|ID...]",
        .summary = "Return low-level information on images, containers and volumes",
        .options = { inspect_options },
        .options_size = sizeof(InspectOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_IMAGES,
        .run = run_inspect,
};

/* --- by kind --- */

static const Option format_options[] = {
        { "format", 'f', OPTION_STRING, offsetof(InspectOptions, format), .help = "Format output using a custom template: 'json' or a Go template" },
        OPTION_TABLE_END,
};

static const Option image_options[] = {
        { "platform", 0, OPTION_STRING, offsetof(InspectOptions, platform),
          .help = "Inspect a specific platform of the multi-platform image ('os[/arch[/variant]]')" },
        OPTION_TABLE_END,
};

static int run_image_inspect(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return inspect_all(cli, args, find_kind("image"), data, err);
}

const Command command_image_inspect = {
        .usage = "[OPTIONS] IMAGE [IMAGE...]",
        .summary = "Display detailed information on one or more images",
        .options = { format_options, image_options },
        .options_size = sizeof(InspectOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_IMAGES,
        .run = run_image_inspect,
};

static int run_volume_inspect(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return inspect_all(cli, args, find_kind("volume"), data, err);
}

const Command command_volume_inspect = {
        .usage = "[OPTIONS] VOLUME [VOLUME...]",
        .summary = "Display detailed information on one or more volumes",
        .options = { format_options },
        .options_size = sizeof(InspectOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_VOLUMES,
        .run = run_volume_inspect,
};

static const Option container_options[] = {
        { "format", 'f', OPTION_STRING, offsetof(InspectOptions, format), .help = "Format output using a custom template: 'json' or a Go template" },
        { "size", 's', OPTION_BOOL, offsetof(InspectOptions, size), .help = "Display total file sizes" },
        OPTION_TABLE_END,
};

static int run_container_inspect(Cli *cli, const void *data, const StrList *args, Error *err)
{
        return inspect_all(cli, args, find_kind("container"), data, err);
}

const Command command_container_inspect = {
        .usage = "[OPTIONS] CONTAINER [CONTAINER...]",
        .summary = "Display detailed information on one or more containers",
        .options = { container_options },
        .options_size = sizeof(InspectOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_CONTAINERS,
        .run = run_container_inspect,
};
