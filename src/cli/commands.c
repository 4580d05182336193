/*
 * The command table and looking things up in it.
 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/command_list.h"

#define GROUP(text) NULL, ENTRY_GROUP, text

/* Sorted by name. A command with several names has one row for each. */
/* clang-format off */
const CommandEntry command_entries[] = {
        { "attach", &command_attach },
        { "bootstrap", &command_bootstrap },
        { "build", &command_build, ENTRY_COMMON },
        { "builder", GROUP("Manage builds") },
        { "builder build", &command_build },
        { "builder du", &command_builder_du },
        { "builder prune", &command_builder_prune },
        { "buildx", NULL, ENTRY_GROUP | ENTRY_HIDDEN, "Manage builds" },
        { "buildx build", &command_build, ENTRY_ALIAS },
        { "buildx du", &command_builder_du, ENTRY_ALIAS },
        { "buildx prune", &command_builder_prune, ENTRY_ALIAS },
        { "commit", &command_commit },
        { "completion", &command_completion },
        { "config", GROUP("Manage settings") },
        { "config get", &command_config_get },
        { "config list", &command_config_list },
        { "config ls", &command_config_list, ENTRY_ALIAS },
        { "config set", &command_config_set },
        { "config unset", &command_config_unset },
        { "container", GROUP("Manage containers") },
        { "container attach", &command_attach },
        { "container commit", &command_commit },
        { "container cp", &command_cp },
        { "container create", &command_create },
        { "container diff", &command_diff },
        { "container exec", &command_exec },
        { "container export", &command_export },
        { "container inspect", &command_container_inspect },
        { "container kill", &command_kill },
        { "container list", &command_ps, ENTRY_ALIAS },
        { "container logs", &command_logs },
        { "container ls", &command_ps },
        { "container pause", &command_pause },
        { "container port", &command_port },
        { "container prune", &command_container_prune },
        { "container ps", &command_ps, ENTRY_ALIAS },
        { "container remove", &command_rm, ENTRY_ALIAS },
        { "container rename", &command_rename },
        { "container restart", &command_restart },
        { "container rm", &command_rm },
        { "container run", &command_run },
        { "container start", &command_start },
        { "container stop", &command_stop },
        { "container top", &command_top },
        { "container unpause", &command_unpause },
        { "container wait", &command_wait },
        { "cp", &command_cp },
        { "create", &command_create },
        { "diff", &command_diff },
        { "exec", &command_exec, ENTRY_COMMON },
        { "export", &command_export },
        { "fsck", &command_fsck },
        { "generate-docs", &command_generate_docs, ENTRY_HIDDEN },
        { "help", &command_help, ENTRY_HIDDEN },
        { "history", &command_history },
        { "image", GROUP("Manage images") },
        { "image build", &command_build },
        { "image history", &command_history },
        { "image import", &command_import },
        { "image inspect", &command_image_inspect },
        { "image list", &command_images, ENTRY_ALIAS },
        { "image load", &command_load },
        { "image ls", &command_images },
        { "image prune", &command_image_prune },
        { "image remove", &command_rmi, ENTRY_ALIAS },
        { "image rm", &command_rmi },
        { "image save", &command_save },
        { "image tag", &command_tag },
        { "images", &command_images, ENTRY_COMMON },
        { "import", &command_import },
        { "info", &command_info, ENTRY_COMMON },
        { "inspect", &command_inspect },
        { "kill", &command_kill },
        { "load", &command_load },
        { "logs", &command_logs },
        { "pause", &command_pause },
        { "port", &command_port },
        { "ps", &command_ps, ENTRY_COMMON },
        { "rename", &command_rename },
        { "restart", &command_restart },
        { "rm", &command_rm },
        { "rmi", &command_rmi },
        { "run", &command_run, ENTRY_COMMON },
        { "save", &command_save },
        { "start", &command_start },
        { "stop", &command_stop },
        { "system", GROUP("Manage mica") },
        { "system df", &command_system_df },
        { "system fsck", &command_fsck },
        { "system info", &command_info },
        { "system prune", &command_system_prune },
        { "tag", &command_tag },
        { "top", &command_top },
        { "unpause", &command_unpause },
        { "version", &command_version, ENTRY_COMMON },
        { "volume", GROUP("Manage volumes") },
        { "volume create", &command_volume_create },
        { "volume inspect", &command_volume_inspect },
        { "volume list", &command_volume_ls, ENTRY_ALIAS },
        { "volume ls", &command_volume_ls },
        { "volume prune", &command_volume_prune },
        { "volume remove", &command_volume_rm, ENTRY_ALIAS },
        { "volume rm", &command_volume_rm },
        { "wait", &command_wait },
};
/* clang-format on */
const size_t n_command_entries = ARRAY_LEN(command_entries);

const CommandEntry *command_entry_find(const char *name)
{
        size_t low = 0, high = n_command_entries;

        while (low < high) {
                size_t middle = (low + high) / 2;
                int order = strcmp(command_entries[middle].name, name);

                if (order == 0)
                        return &command_entries[middle];
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

/* Lower is nearer to the name that a command is documented under: names in a group first, aliases after. */
static unsigned entry_rank(const CommandEntry *entry)
{
        return (strchr(entry->name, ' ') ? 0 : 2) + (entry->flags & (ENTRY_ALIAS | ENTRY_HIDDEN) ? 1 : 0);
}

const CommandEntry *command_entry_canonical(const Command *command)
{
        const CommandEntry *best = NULL;

        for (size_t i = 0; i < n_command_entries; i++)
                if (command_entries[i].command == command && (!best || entry_rank(&command_entries[i]) < entry_rank(best)))
                        best = &command_entries[i];
        return best;
}

char *command_aliases(const Command *command)
{
        Buf text = BUF_INIT(KIB * 4);
        size_t n = 0;

        for (unsigned rank = 0; rank < 4; rank++)
                for (size_t i = 0; i < n_command_entries; i++)
                        if (command_entries[i].command == command && entry_rank(&command_entries[i]) == rank)
                                buf_putf(&text, "%smica %s", n++ ? ", " : "", command_entries[i].name);
        if (n > 1)
                return buf_detach(&text);
        buf_done(&text);
        return NULL;
}

const char *command_suggest(const char *group, const char *word)
{
        _cleanup_free_ const char **names = xcalloc(n_command_entries + 1, sizeof(*names));
        size_t n = 0;

        for (size_t i = 0; i < n_command_entries; i++) {
                const char *rest = command_entries[i].name;

                if (*group) {
                        rest = str_after(rest, group);
                        if (!rest || *rest++ != ' ')
                                continue;
                }
                if (!strchr(rest, ' ') && !(command_entries[i].flags & ENTRY_HIDDEN))
                        names[n++] = rest;
        }
        return str_suggest(word, names, n);
}
