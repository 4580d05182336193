/*
 * mica version, mica help.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/terminal.h"
#include "format/table.h"

typedef struct VersionOptions {
        const char *format;
} VersionOptions;

static const Option version_options[] = {
        { "format", 'f', OPTION_STRING, offsetof(VersionOptions, format), .help = "Format output using a custom template: 'json' or a Go template" },
        OPTION_TABLE_END,
};

/* GOARCH's name of this machine, as docker prints it. */
static const char *architecture_name(void)
{
#if defined(__x86_64__)
        return "amd64";
#elif defined(__aarch64__)
        return "arm64";
#elif defined(__riscv)
        return "riscv64";
#elif defined(__powerpc64__)
        return "ppc64le";
#elif defined(__s390x__)
        return "s390x";
#elif defined(__arm__)
        return "arm";
#else
        return "386";
#endif
}

/* docker's object; there is no server of its own, so both halves are this program. */
static JsonValue *version_value(const struct utsname *host)
{
        static const char *const halves[] = { "Client", "Server" };
        JsonValue *value = json_value_new_object();

        for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
                JsonValue *half = json_value_new_object();

                json_value_set_string(half, "Version", MICA_VERSION);
                json_value_set_string(half, "Os", "linux");
                json_value_set_string(half, "Arch", architecture_name());
                json_value_set_string(half, "KernelVersion", host->release);
                json_value_set(value, halves[i], half);
        }
        return value;
}

static int run_version(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const VersionOptions *options = data;
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_buf_ Buf out = BUF_INIT(MIB);
        struct utsname host = { 0 };

        uname(&host);
        if (options->format) {
                value = version_value(&host);
                if (format_value(options->format, value, &out, err) < 0)
                        return -1;
                fputs(buf_str(&out), cli->out);
                return 0;
        }
        fprintf(cli->out, "Client: mica\n Version:           %s\n OS/Arch:           linux/%s\n Kernel:            %s\n", MICA_VERSION, architecture_name(),
                host.release);
        return 0;
}

const Command command_version = {
        .usage = "[OPTIONS]",
        .summary = "Show the mica version information",
        .options = { version_options },
        .options_size = sizeof(VersionOptions),
        .run = run_version,
};

static int run_help(Cli *cli, const void *data, const StrList *args, Error *err)
{
        _cleanup_free_ char *name = strlist_join(args, " ");
        const CommandEntry *entry = *name ? command_entry_find(name) : NULL;
        unsigned width = terminal_width(STDOUT_FILENO) - 1;

        if (*name && !entry)
                return error_set(err, ERROR_INVALID, "unknown help topic: %s", name);
        if (entry && entry->command)
                help_print_command(cli->out, entry, width);
        else
                help_print_group(cli->out, name, width);
        return 0;
}

static const Option no_options[] = { OPTION_TABLE_END };

const Command command_help = {
        .usage = "[COMMAND...]",
        .summary = "Help about the command",
        .options = { no_options },
        .max_args = COMMAND_ARGS_ANY,
        .run = run_help,
};
