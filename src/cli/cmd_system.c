/*
 * mica system fsck, info.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/terminal.h"
#include "format/table.h"
#include "fs/userns.h"
#include "store/container.h"
#include "store/maintain.h"

/* --- fsck --- */

typedef struct FsckOptions {
        bool repair, quiet;
} FsckOptions;

static const Option fsck_options[] = {
        { "quiet", 'q', OPTION_BOOL, offsetof(FsckOptions, quiet), .help = "Print problems only" },
        { "repair", 0, OPTION_BOOL, offsetof(FsckOptions, repair), .help = "Remove what is broken and make again what can be made" },
        OPTION_TABLE_END,
};

static void print_problem(void *user, const FsckProblem *problem)
{
        Cli *cli = user;

        fprintf(cli->out, "%s '%s': %s%s\n", problem->kind, problem->name, problem->text, problem->repaired ? " (repaired)" : "");
}

static int run_fsck(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const FsckOptions *options = data;
        _cleanup_free_ char *size = NULL;
        FsckResult result;
        Store *store;

        if (cli_store(cli, &store, err) < 0 || store_fsck(store, options->repair, print_problem, NULL, cli, &result, err) < 0)
                return -1;
        size = str_from_size(result.size);
        if (!options->quiet)
                fprintf(cli->out, "checked %llu images, %llu layers, %llu blobs, %s: %llu problems, %llu repaired\n", (unsigned long long)result.n_images,
                        (unsigned long long)result.n_layers, (unsigned long long)result.n_blobs, size, (unsigned long long)result.n_problems,
                        (unsigned long long)result.n_repaired);
        return result.n_problems > result.n_repaired ? EXIT_FAILURE : 0;
}

const Command command_fsck = {
        .usage = "[OPTIONS]",
        .summary = "Verify every layer, blob and record of the store",
        .details =
                "Every layer and blob is hashed again, every index checked against its layer, every row against its file. The exit status is 1 when problems "
                "remain.",
        .options = { fsck_options },
        .options_size = sizeof(FsckOptions),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_fsck,
};

/* --- info --- */

typedef struct InfoOptions {
        const char *format;
} InfoOptions;

static const Option info_options[] = {
        { "format", 'f', OPTION_STRING, offsetof(InfoOptions, format), .help = "Format output: 'json' or a Go template" },
        OPTION_TABLE_END,
};

typedef struct ContainerCounts {
        int64_t all, running, paused;
} ContainerCounts;

static int count_container(void *user, const ContainerRecord *record, Error *err)
{
        ContainerCounts *counts = user;
        _cleanup_json_ JsonValue *state = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *status;

        if (record->state)
                json_value_parse(record->state, strlen(record->state), NULL, &state, &ignored);
        status = json_value_string(json_value_get(state, "Status"));
        counts->all++;
        counts->running += status && streq(status, "running");
        counts->paused += status && streq(status, "paused");
        return 0;
}

static int64_t memory_size(void)
{
        return (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* "Debian GNU/Linux 12 (bookworm)" from os-release. New string. */
static char *operating_system(void)
{
        FILE *file = fopen("/etc/os-release", "re");
        char line[512], *name = NULL;

        while (file && !name && fgets(line, sizeof(line), file)) {
                const char *value = str_after(line, "PRETTY_NAME=");

                if (value) {
                        value += *value == '"';
                        name = xstrndup(value, strcspn(value, "\"\n"));
                }
        }
        if (file)
                fclose(file);
        return name ? name : xstrdup("Linux");
}

/* As docker has it: "name=<what>,<key>=<value>". */
static void add_security(JsonValue *info)
{
        JsonValue *options = json_value_new_array();

        json_value_append_string(options, "name=seccomp,profile=builtin");
        if (user_id() != 0)
                json_value_append_string(options, userns_has_uid(1) ? "name=rootless" : "name=rootless,ids=1");
        json_value_set(info, "SecurityOptions", options);
}

static int info_value(Cli *cli, JsonValue **ret, Error *err)
{
        _cleanup_free_ char *system = operating_system();
        ContainerCounts counts = { 0 };
        struct utsname host = { 0 };
        JsonValue *info;
        Image **images;
        size_t n_images;
        Store *store;

        uname(&host);
        if (cli_store(cli, &store, err) < 0 || container_record_list(store, count_container, &counts, err) < 0 ||
            image_list(store, &images, &n_images, err) < 0)
                return -1;
        image_list_free(images, n_images);
        info = json_value_new_object();
        json_value_set_int(info, "Containers", counts.all);
        json_value_set_int(info, "ContainersRunning", counts.running);
        json_value_set_int(info, "ContainersPaused", counts.paused);
        json_value_set_int(info, "ContainersStopped", counts.all - counts.running - counts.paused);
        json_value_set_int(info, "Images", (int64_t)n_images);
        json_value_set_string(info, "Driver", store_driver(store));
        json_value_set_string(info, "DriverReason", store_driver_reason(store));
        json_value_set_string(info, "DockerRootDir", store_root(store));
        json_value_set_string(info, "LoggingDriver", "json-file");
        json_value_set_string(info, "KernelVersion", host.release);
        json_value_set_string(info, "OperatingSystem", system);
        json_value_set_string(info, "OSType", "linux");
        json_value_set_string(info, "Architecture", host.machine);
        json_value_set_int(info, "NCPU", (int64_t)cpu_count());
        json_value_set_int(info, "MemTotal", memory_size());
        json_value_set_string(info, "Name", host.nodename);
        json_value_set_string(info, "ServerVersion", MICA_VERSION);
        add_security(info);
        *ret = info;
        return 0;
}

/* "name=seccomp,profile=builtin" is a line " seccomp" and a line "  Profile: builtin". */
static void print_options(Cli *cli, const JsonValue *options)
{
        for (size_t i = 0; i < json_value_size(options); i++) {
                _cleanup_strlist_ StrList parts = { 0 };

                strlist_split(&parts, json_value_string(json_value_at(options, i)), ',');
                for (size_t k = 0; k < parts.n_items; k++) {
                        const char *name = str_after(parts.items[k], "name="), *equals = strchr(parts.items[k], '=');

                        if (name)
                                fprintf(cli->out, " %s\n", name);
                        else if (equals)
                                fprintf(cli->out, "  %c%.*s: %s\n", toupper((unsigned char)parts.items[k][0]), (int)(equals - parts.items[k]) - 1,
                                        parts.items[k] + 1, equals + 1);
                }
        }
}

static void print_info(Cli *cli, const JsonValue *info)
{
        static const struct {
                const char *label, *field;
        } lines[] = {
                { "Containers", "Containers" },
                { " Running", "ContainersRunning" },
                { " Paused", "ContainersPaused" },
                { " Stopped", "ContainersStopped" },
                { "Images", "Images" },
                { "Version", "ServerVersion" },
                { "Storage Driver", "Driver" },
                { " Reason", "DriverReason" },
                { "Logging Driver", "LoggingDriver" },
                { "Security Options", "SecurityOptions" },
                { "Kernel Version", "KernelVersion" },
                { "Operating System", "OperatingSystem" },
                { "OSType", "OSType" },
                { "Architecture", "Architecture" },
                { "CPUs", "NCPU" },
                { "Total Memory", "MemTotal" },
                { "Name", "Name" },
                { "Root Dir", "DockerRootDir" },
        };

        for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
                const JsonValue *value = json_value_get(info, lines[i].field);
                _cleanup_free_ char *size = streq(lines[i].field, "MemTotal") ? str_from_size_binary((uint64_t)json_value_int(value, 0)) : NULL;

                if (streq(lines[i].field, "SecurityOptions")) {
                        fprintf(cli->out, "%s:\n", lines[i].label);
                        print_options(cli, value);
                } else if (size) {
                        fprintf(cli->out, "%s: %s\n", lines[i].label, size);
                } else if (json_value_string(value)) {
                        fprintf(cli->out, "%s: %s\n", lines[i].label, json_value_string(value));
                } else {
                        fprintf(cli->out, "%s: %lld\n", lines[i].label, (long long)json_value_int(value, 0));
                }
        }
}

static int run_info(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const InfoOptions *options = data;
        _cleanup_json_ JsonValue *info = NULL;
        _cleanup_buf_ Buf out = BUF_INIT(MIB);

        if (info_value(cli, &info, err) < 0)
                return -1;
        if (!options->format) {
                print_info(cli, info);
                return 0;
        }
        if (format_value(options->format, info, &out, err) < 0)
                return -1;
        fputs(buf_str(&out), cli->out);
        return 0;
}

const Command command_info = {
        .usage = "[OPTIONS]",
        .summary = "Display system-wide information",
        .options = { info_options },
        .options_size = sizeof(InfoOptions),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_info,
};
