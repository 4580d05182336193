/*
 * mica ps / container ls.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"
#include "cli/container_rows.h"
#include "cli/context.h"

typedef struct PsFlags {
        bool all, latest, no_trunc, quiet, size;
        const char *format;
        int64_t last;
        StrList filters;
} PsFlags;

static const Option ps_options[] = {
        { "all", 'a', OPTION_BOOL, offsetof(PsFlags, all), .help = "Show all containers (default shows just running)" },
        { "filter", 'f', OPTION_LIST, offsetof(PsFlags, filters), .meta = "filter", .help = "Filter output based on conditions provided",
          .flags = OPTION_FILTER },
        { "format", 0, OPTION_STRING, offsetof(PsFlags, format), .help = "Format output: 'table', 'table TEMPLATE', 'json', 'raw' or a Go template" },
        { "last", 'n', OPTION_INT, offsetof(PsFlags, last), .help = "Show n last created containers (includes all states)", .value = "-1" },
        { "latest", 'l', OPTION_BOOL, offsetof(PsFlags, latest), .help = "Show the latest created container (includes all states)" },
        { "no-trunc", 0, OPTION_BOOL, offsetof(PsFlags, no_trunc), .help = "Don't truncate output" },
        { "quiet", 'q', OPTION_BOOL, offsetof(PsFlags, quiet), .help = "Only display container IDs" },
        { "size", 's', OPTION_BOOL, offsetof(PsFlags, size), .help = "Display total file sizes" },
        OPTION_TABLE_END,
};

#define PS_TABLE "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"

const ListColumn container_columns[] = {
        { "Command", "COMMAND" },
        { "CreatedAt", "CREATED AT" },
        { "HealthStatus", "HEALTH STATUS" },
        { "ID", "CONTAINER ID" },
        { "Image", "IMAGE" },
        { "Labels", "LABELS" },
        { "LocalVolumes", "LOCAL VOLUMES" },
        { "Mounts", "MOUNTS" },
        { "Names", "NAMES" },
        { "Networks", "NETWORKS" },
        { "Platform", "PLATFORM" },
        { "Ports", "PORTS" },
        { "RunningFor", "CREATED" },
        { "Size", "SIZE" },
        { "State", "STATE" },
        { "Status", "STATUS" },
        { NULL, NULL },
};

#define COMMAND_WIDTH 20
#define MOUNT_WIDTH 15

/* In double quotes, as Go's strconv.Quote. New string. */
static char *quoted(const char *text)
{
        Buf out = BUF_INIT(MIB);

        if (json_text_quote(text, strlen(text), JSON_WRITE_NO_HTML, &out) < 0)
                buf_reset(&out);
        return buf_detach(&out);
}

/* "health: starting" inside the status -> "starting". */
static const char *health_of(const char *status)
{
        if (strstr(status, "(healthy)"))
                return "healthy";
        if (strstr(status, "(unhealthy)"))
                return "unhealthy";
        return strstr(status, "(health: starting)") ? "starting" : "";
}

static char *mounts_text(const StrList *mounts, bool no_trunc, size_t *ret_local)
{
        StrList names = { 0 };
        char *text;

        *ret_local = 0;
        for (size_t i = 0; i < mounts->n_items; i++) {
                strlist_take(&names, no_trunc ? xstrdup(mounts->items[i]) : cli_ellipsis(mounts->items[i], MOUNT_WIDTH));
                *ret_local += mounts->items[i][0] != '/';
        }
        text = strlist_join(&names, ",");
        strlist_done(&names);
        return text;
}

/* The labels as "a=b,c=d", and as an object for .Label. */
static char *labels_text(const StringMap *labels, JsonValue *object)
{
        StrList texts = { 0 };
        char *text;

        for (size_t i = 0; i < labels->n_items; i++) {
                strlist_addf(&texts, "%s=%s", labels->items[i].key, labels->items[i].value);
                json_value_set_string(object, labels->items[i].key, labels->items[i].value);
        }
        text = strlist_join(&texts, ",");
        strlist_done(&texts);
        return text;
}

static char *size_text(const ContainerInfo *info)
{
        _cleanup_free_ char *rw = cli_size(info->size_rw), *all = cli_size(info->size_rootfs);

        return info->size_rootfs ? xasprintf("%s (virtual %s)", rw, all) : xstrdup(rw);
}

int container_row_add(List *list, const ContainerInfo *info, bool no_trunc, Error *err)
{
        JsonValue *row = json_value_new_object();
        _cleanup_json_ JsonValue *labels = json_value_new_object();
        _cleanup_free_ char *command = no_trunc ? quoted(info->command) : NULL, *created = cli_time(info->created), *since = cli_ago(info->created),
                            *size = size_text(info), *label_text = labels_text(&info->labels, labels), *mounts, *local;
        size_t n_local;

        if (!command) {
                _cleanup_free_ char *cut = cli_ellipsis(info->command, COMMAND_WIDTH);

                command = quoted(cut);
        }
        mounts = mounts_text(&info->mounts, no_trunc, &n_local);
        local = xasprintf("%zu", n_local);
        json_value_set_string(row, "Command", command);
        json_value_set_string(row, "CreatedAt", created);
        json_value_set_string(row, "HealthStatus", health_of(info->status));
        if (no_trunc) {
                json_value_set_string(row, "ID", info->id);
        } else {
                char id[13];

                memcpy(id, info->id, 12);
                id[12] = '\0';
                json_value_set_string(row, "ID", id);
        }
        json_value_set_string(row, "Image", str_empty(info->image) ? "<no image>" : info->image);
        json_value_set_string(row, "Labels", label_text);
        json_value_set_string(row, "LocalVolumes", local);
        json_value_set_string(row, "Mounts", mounts);
        json_value_set_string(row, "Names", info->name);
        json_value_set_string(row, "Networks", info->networks ? info->networks : "");
        json_value_set_string(row, "Platform", "");
        json_value_set_string(row, "Ports", info->ports ? info->ports : "");
        json_value_set_string(row, "RunningFor", since);
        json_value_set_string(row, "Size", size);
        json_value_set_string(row, "State", info->state);
        json_value_set_string(row, "Status", info->status);
        return list_add(list, row, labels, err);
}

typedef struct PsRows {
        List *list;
        bool no_trunc;
} PsRows;

static int add_row(void *user, const ContainerInfo *info, Error *err)
{
        const PsRows *rows = user;

        return container_row_add(rows->list, info, rows->no_trunc, err);
}

#define PS_RAW \
        "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate:{{if .State}} {{.State}}{{end}}\n" \
        "status:{{if .Status}} {{.Status}}{{end}}\nnames: {{.Names}}\nlabels:{{if .Labels}} {{.Labels}}{{end}}\nports:{{if .Ports}} {{.Ports}}{{end}}\n"

/* docker's 'raw': a line for each field. */
static const char *raw_format(const PsFlags *flags)
{
        if (!flags->format || !streq(flags->format, "raw"))
                return flags->format;
        return flags->quiet ? "container_id: {{.ID}}" : flags->size ? PS_RAW "size: {{.Size}}\n" : PS_RAW;
}

static int run_ps(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const PsFlags *flags = data;
        _cleanup_(list_freep) List *list = NULL;
        PsRows rows = { .no_trunc = flags->no_trunc };
        ListOptions options = { .all = flags->all, .last = flags->latest && flags->last == -1 ? 1 : flags->last, .filters = &flags->filters };
        Store *store;

        if (list_new(raw_format(flags), flags->size ? PS_TABLE "\t{{.Size}}" : PS_TABLE, flags->quiet ? "ID" : NULL, container_columns, &list, err) < 0)
                return -1;
        rows.list = list;
        /* Sizes cost a walk per container: only when they are shown. */
        options.size = flags->size || (flags->format && !streq(flags->format, "json") && list_wants(list, "Size"));
        if (cli_store(cli, &store, err) < 0 || container_list(store, &options, add_row, &rows, err) < 0)
                return -1;
        return list_print(list, cli->out, err);
}

const Command command_ps = {
        .usage = "[OPTIONS]",
        .summary = "List containers",
        .options = { ps_options },
        .options_size = sizeof(PsFlags),
        .run = run_ps,
};
