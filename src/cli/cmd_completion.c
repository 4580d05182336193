/*
 * mica completion bash|zsh|fish: shell functions made from the command table. Names of images, containers and volumes are asked from mica itself while
 * completing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/command_list.h"

/* What the arguments of a command are, as the shell functions know it. */
static const char *argument_kind(const Command *command)
{
        if (!command)
                return "";
        if (command->flags & COMMAND_IMAGES)
                return "images";
        if (command->flags & COMMAND_CONTAINERS)
                return "containers";
        if (command->flags & COMMAND_VOLUMES)
                return "volumes";
        if (command->flags & COMMAND_DIRECTORIES)
                return "directories";
        if (command->flags & COMMAND_FILES)
                return "files";
        return "";
}

static const char *option_kind(const Option *option)
{
        if (option->flags & OPTION_FILE)
                return "files";
        if (option->flags & OPTION_DIRECTORY)
                return "directories";
        if (option->flags & OPTION_IMAGE)
                return "images";
        return "";
}

static bool takes_value(const Option *option)
{
        return option->type != OPTION_BOOL && !option->implied;
}

/* Words of the commands directly below `group`, separated by spaces. */
static void print_words_below(FILE *to, const char *group)
{
        size_t n = 0, size = strlen(group);

        for (size_t i = 0; i < n_command_entries; i++) {
                const char *name = command_entries[i].name;

                if (size) {
                        if (strncmp(name, group, size) != 0 || name[size] != ' ')
                                continue;
                        name += size + 1;
                }
                if (strchr(name, ' ') || (command_entries[i].flags & ENTRY_HIDDEN))
                        continue;
                fprintf(to, "%s%s", n++ ? " " : "", name);
        }
}

/* "--all -a --format …" */
static void print_option_words(FILE *to, const Option *const *tables)
{
        size_t n;
        const Option **options = options_sorted(tables, &n);

        for (size_t i = 0; i < n; i++) {
                fprintf(to, "--%s ", options[i]->name);
                if (options[i]->letter)
                        fprintf(to, "-%c ", options[i]->letter);
        }
        fputs("--help", to);
        free(options);
}

/* Options that take a value: "--name" and "-n" with what may follow, for bash and zsh. */
static void print_value_cases(FILE *to, const char *path, const Option *const *tables)
{
        size_t n;
        const Option **options = options_sorted(tables, &n);

        for (size_t i = 0; i < n; i++) {
                const Option *option = options[i];
                _cleanup_free_ char *choices = option->choices ? str_replace(option->choices, "|", " ") : NULL;

                if (!takes_value(option))
                        continue;
                fprintf(to, "        '%s --%s'", path, option->name);
                if (option->letter)
                        fprintf(to, "|'%s -%c'", path, option->letter);
                fprintf(to, ") value=1 offers='%s' kind='%s' ;;\n", choices ? choices : "", option_kind(option));
        }
        free(options);
}

/*
 * The part that bash and zsh share: from a path of words to what is possible. The variable is not called `words`: zsh has one of that name, which stays special
 * even when it is made local.
 */
static void print_shell_tables(FILE *to)
{
        fputs("_mica_table() {\n    offers= options= kind=\n    case \"$1\" in\n        '') offers='", to);
        print_words_below(to, "");
        fputs("' options='", to);
        print_option_words(to, cli_global_options);
        fputs("' ;;\n", to);
        for (size_t i = 0; i < n_command_entries; i++) {
                const CommandEntry *entry = &command_entries[i];

                fprintf(to, "        '%s') offers='", entry->name);
                if (entry->flags & ENTRY_GROUP)
                        print_words_below(to, entry->name);
                fputs("' options='", to);
                if (entry->command)
                        print_option_words(to, entry->command->options);
                fprintf(to, "' kind='%s' ;;\n", argument_kind(entry->command));
        }
        fputs("        *) return 1 ;;\n    esac\n}\n\n_mica_value() {\n    value= offers= kind=\n    case \"$1\" in\n", to);
        print_value_cases(to, "", cli_global_options);
        for (size_t i = 0; i < n_command_entries; i++)
                if (command_entries[i].command)
                        print_value_cases(to, command_entries[i].name, command_entries[i].command->options);
        fputs("    esac\n}\n\n"
              "_mica_names() {\n    case \"$1\" in\n"
              "        images) mica images -f dangling=false --format '{{.Repository}}:{{.Tag}}' 2>/dev/null ;;\n"
              "        containers) mica ps -a --format '{{.Names}}' 2>/dev/null ;;\n"
              "        volumes) mica volume ls -q 2>/dev/null ;;\n"
              "    esac\n}\n\n",
              to);
}

static void print_bash(FILE *to)
{
        fputs("# bash completion for mica. Made by `mica completion bash`.\n\n", to);
        print_shell_tables(to);
        fputs("_mica() {\n"
              "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path= i word offers options kind value\n"
              "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
              "        word=${COMP_WORDS[i]}\n"
              "        if [[ $word == -* ]]; then\n"
              "            _mica_value \"$path $word\"; [[ $value ]] && ((i++))\n"
              "            continue\n"
              "        fi\n"
              "        _mica_table \"${path:+$path }$word\" && path=\"${path:+$path }$word\"\n"
              "    done\n"
              "    COMPREPLY=()\n"
              "    if [[ $previous == -* ]]; then\n"
              "        _mica_value \"$path $previous\"\n"
              "    fi\n"
              "    if [[ ! $value || $previous != -* ]]; then\n"
              "        _mica_table \"$path\"\n"
              "        if [[ $current == -* ]]; then offers=$options kind=; fi\n"
              "    fi\n"
              "    case $kind in\n"
              "        files) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
              "        directories) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$current\")) ;;\n"
              "        ?*) offers=$(_mica_names \"$kind\") ;;&\n"
              "        *) COMPREPLY=($(compgen -W \"$offers\" -- \"$current\")) ;;\n"
              "    esac\n"
              "    if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions \"$current\"; fi\n"
              "}\n\ncomplete -F _mica mica\n",
              to);
}

static void print_zsh(FILE *to)
{
        fputs("#compdef mica\n# zsh completion for mica. Made by `mica completion zsh`.\n\n", to);
        print_shell_tables(to);
        fputs("_mica() {\n"
              "    local current=${words[CURRENT]} previous=${words[CURRENT-1]} at= i word offers options kind value\n"
              "    for ((i = 2; i < CURRENT; i++)); do\n"
              "        word=${words[i]}\n"
              "        if [[ $word == -* ]]; then\n"
              "            _mica_value \"$at $word\"; [[ -n $value ]] && ((i++))\n"
              "            continue\n"
              "        fi\n"
              "        _mica_table \"${at:+$at }$word\" && at=\"${at:+$at }$word\"\n"
              "    done\n"
              "    value=\n"
              "    [[ $previous == -* ]] && _mica_value \"$at $previous\"\n"
              "    if [[ -z $value ]]; then\n"
              "        _mica_table \"$at\"\n"
              "        if [[ $current == -* ]]; then offers=$options kind=; fi\n"
              "    fi\n"
              "    case $kind in\n"
              "        files) _files ;;\n"
              "        directories) _files -/ ;;\n"
              "        ?*) compadd -- ${(f)\"$(_mica_names $kind)\"} ;;\n"
              "        *) compadd -- ${=offers} ;;\n"
              "    esac\n"
              "}\n\nif [[ ${funcstack[1]} == _mica ]]; then _mica \"$@\"; else compdef _mica mica; fi\n",
              to);
}

/* A word in single quotes, for fish. */
static void print_fish_quoted(FILE *to, const char *s)
{
        fputc('\'', to);
        for (; *s; s++) {
                if (*s == '\'' || *s == '\\')
                        fputc('\\', to);
                fputc(*s == '\n' ? ' ' : *s, to);
        }
        fputc('\'', to);
}

static void print_fish_options(FILE *to, const char *path, const Option *const *tables)
{
        size_t n;
        const Option **options = options_sorted(tables, &n);

        for (size_t i = 0; i < n; i++) {
                const Option *option = options[i];
                const char *kind = option_kind(option);

                fprintf(to, "complete -c mica -n '__mica_at \"%s\"' -l %s", path, option->name);
                if (option->letter)
                        fprintf(to, " -s %c", option->letter);
                if (takes_value(option)) {
                        _cleanup_free_ char *choices = option->choices ? str_replace(option->choices, "|", " ") : NULL;

                        fputs(" -r", to);
                        if (streq(kind, "files"))
                                fputs(" -F", to);
                        else if (streq(kind, "directories"))
                                fputs(" -a '(__fish_complete_directories)'", to);
                        else if (streq(kind, "images"))
                                fputs(" -a '(__mica_names images)'", to);
                        else if (choices)
                                fprintf(to, " -a '%s'", choices);
                }
                fputs(" -d ", to);
                print_fish_quoted(to, option->help);
                fputc('\n', to);
        }
        free(options);
}

static void print_fish_entry(FILE *to, const CommandEntry *entry)
{
        const char *space = strrchr(entry->name, ' '), *kind = argument_kind(entry->command);

        fprintf(to, "complete -c mica -n '__mica_at \"%.*s\"' -a %s -d ", space ? (int)(space - entry->name) : 0, entry->name, space ? space + 1 : entry->name);
        print_fish_quoted(to, entry->command ? entry->command->summary : entry->summary);
        fputc('\n', to);
        if (!entry->command)
                return;
        print_fish_options(to, entry->name, entry->command->options);
        if (streq(kind, "files") || streq(kind, "directories"))
                fprintf(to, "complete -c mica -n '__mica_at \"%s\"' -F\n", entry->name);
        else if (*kind)
                fprintf(to, "complete -c mica -n '__mica_at \"%s\"' -a '(__mica_names %s)'\n", entry->name, kind);
}

static void print_fish(FILE *to)
{
        fputs("# fish completion for mica. Made by `mica completion fish`.\n\nset -g __mica_paths", to);
        for (size_t i = 0; i < n_command_entries; i++)
                fprintf(to, " '%s'", command_entries[i].name);
        fputs("\n\nfunction __mica_at\n"
              "    set -l path ''\n"
              "    for word in (commandline -opc)[2..-1]\n"
              "        string match -q -- '-*' $word; and continue\n"
              "        set -l longer (string trim -- \"$path $word\")\n"
              "        contains -- $longer $__mica_paths; and set path $longer\n"
              "    end\n"
              "    test \"$path\" = \"$argv[1]\"\n"
              "end\n\n"
              "function __mica_names\n"
              "    switch $argv[1]\n"
              "        case images\n            mica images -f dangling=false --format '{{.Repository}}:{{.Tag}}' 2>/dev/null\n"
              "        case containers\n            mica ps -a --format '{{.Names}}' 2>/dev/null\n"
              "        case volumes\n            mica volume ls -q 2>/dev/null\n"
              "    end\n"
              "end\n\n"
              "complete -c mica -f\n",
              to);
        print_fish_options(to, "", cli_global_options);
        for (size_t i = 0; i < n_command_entries; i++)
                if (!(command_entries[i].flags & ENTRY_HIDDEN))
                        print_fish_entry(to, &command_entries[i]);
}

static int run_completion(Cli *cli, const void *options, const StrList *args, Error *err)
{
        static const struct {
                const char *name;
                void (*print)(FILE *to);
        } shells[] = { { "bash", print_bash }, { "fish", print_fish }, { "zsh", print_zsh } };

        for (size_t i = 0; i < ARRAY_LEN(shells); i++)
                if (streq(args->items[0], shells[i].name)) {
                        shells[i].print(cli->out);
                        return 0;
                }
        return error_set(err, ERROR_INVALID, "unknown shell '%s': say bash, fish or zsh", args->items[0]);
}

static const Option no_options[] = { OPTION_TABLE_END };

const Command command_completion = {
        .usage = "bash|fish|zsh",
        .summary = "Print the completion script for a shell",
        .example = "$ mica completion bash > /etc/bash_completion.d/mica",
        .options = { no_options },
        .min_args = 1,
        .max_args = 1,
        .run = run_completion,
};
