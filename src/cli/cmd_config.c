/*
 * mica config: settings that outlive a command.
 */
#include "base/mem.h"
#include "cli/command_list.h"
#include "engine/config.h"
#include "format/table.h"

static const Option get_options[] = { OPTION_TABLE_END };

typedef struct ChangeFlags {
        bool system;
} ChangeFlags;

static const Option change_options[] = {
        { "system", 0, OPTION_BOOL, offsetof(ChangeFlags, system), .help = "Change the settings of this machine (/etc/mica/config.json), not your own" },
        OPTION_TABLE_END,
};

static int run_get(Cli *cli, const void *data, const StrList *args, Error *err)
{
        _cleanup_(config_freep) Config *config = NULL;

        if (!config_key_find(args->items[0], err) || config_load(&config, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", config_text(config, args->items[0], NULL));
        return 0;
}

const Command command_config_get = {
        .usage = "KEY",
        .summary = "Print the value of a setting",
        .options = { get_options },
        .min_args = 1,
        .max_args = 1,
        .run = run_get,
};

static int run_set(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ChangeFlags *flags = data;

        return config_change(flags->system ? CONFIG_SYSTEM : CONFIG_USER, args->items[0], args->items[1], err);
}

const Command command_config_set = {
        .usage = "[OPTIONS] KEY VALUE",
        .summary = "Change a setting",
        .example = "mica config set builder.gc.max-used-space 20GB",
        .options = { change_options },
        .options_size = sizeof(ChangeFlags),
        .min_args = 2,
        .max_args = 2,
        .run = run_set,
};

static int run_unset(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ChangeFlags *flags = data;

        return config_change(flags->system ? CONFIG_SYSTEM : CONFIG_USER, args->items[0], NULL, err);
}

const Command command_config_unset = {
        .usage = "[OPTIONS] KEY",
        .summary = "Give a setting its default again",
        .options = { change_options },
        .options_size = sizeof(ChangeFlags),
        .min_args = 1,
        .max_args = 1,
        .run = run_unset,
};

typedef struct ListFlags {
        const char *format;
} ListFlags;

static const Option list_options[] = {
        { "format", 0, OPTION_STRING, offsetof(ListFlags, format), .help = "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
        OPTION_TABLE_END,
};

static const ListColumn list_columns[] = {
        { "Default", "DEFAULT" }, { "Description", "DESCRIPTION" }, { "Key", "KEY" }, { "Source", "SOURCE" }, { "Value", "VALUE" }, { NULL, NULL },
};

static int run_list(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ListFlags *flags = data;
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_(list_freep) List *list = NULL;

        if (list_new(flags->format, "{{.Key}}\t{{.Value}}\t{{.Source}}\t{{.Description}}", NULL, list_columns, &list, err) < 0 || config_load(&config, err) < 0)
                return -1;
        for (size_t i = 0; i < n_config_keys; i++) {
                JsonValue *row = json_value_new_object();
                ConfigScope scope;

                json_value_set_string(row, "Key", config_keys[i].name);
                json_value_set_string(row, "Value", config_text(config, config_keys[i].name, &scope));
                json_value_set_string(row, "Source", config_scope_name(scope));
                json_value_set_string(row, "Default", config_keys[i].value);
                json_value_set_string(row, "Description", config_keys[i].help);
                if (list_add(list, row, NULL, err) < 0)
                        return -1;
        }
        return list_print(list, cli->out, err);
}

const Command command_config_list = {
        .usage = "[OPTIONS]",
        .summary = "List all settings with their values",
        .options = { list_options },
        .options_size = sizeof(ListFlags),
        .run = run_list,
};
