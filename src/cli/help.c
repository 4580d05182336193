/*
 * Help texts, laid out as docker's are: usage line, summary, aliases, options in two columns wrapped to the terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "cli/command.h"

/* The option column is never wider than this before the text is put below it. */
#define TEXT_WIDTH_MIN 24
#define TEXT_INDENT_BELOW 16
/* A last line may run over by this much rather than leave one short word alone. */
#define WRAP_SLOP 5

char *help_usage_line(const CommandEntry *entry)
{
        return xasprintf("mica %s%s%s", entry->name, *entry->command->usage ? " " : "", entry->command->usage);
}

/* Where to break `s` so that the line has at most `width` bytes; strlen(s) when it fits. A newline breaks always. */
static size_t wrap_point(const char *s, size_t width)
{
        size_t size = strlen(s), at = 0;
        const char *newline = strchr(s, '\n');

        if (newline && (size_t)(newline - s) <= width + WRAP_SLOP)
                return (size_t)(newline - s);
        if (size <= width + WRAP_SLOP)
                return size;
        for (size_t i = 0; i < width && s[i]; i++)
                if (s[i] == ' ')
                        at = i;
        return at ? at : strcspn(s, " \n");
}

/* Prints `text` from column `indent`, breaking lines at `width`. The cursor is at `indent` already. */
static void print_wrapped(FILE *to, const char *text, size_t indent, size_t width)
{
        size_t room = width > indent ? width - indent : 0;

        if (room < TEXT_WIDTH_MIN) {
                indent = TEXT_INDENT_BELOW;
                room = width > indent + TEXT_WIDTH_MIN ? width - indent : TEXT_WIDTH_MIN;
                fprintf(to, "\n%*s", (int)indent, "");
        }
        room -= WRAP_SLOP;
        while (*text) {
                size_t n = wrap_point(text, room);

                fprintf(to, "%.*s\n", (int)n, text);
                text += n;
                if (*text)
                        text++;
                if (*text)
                        fprintf(to, "%*s", (int)indent, "");
        }
}

static char *option_column(const Option *option)
{
        const char *meta = option_meta(option);
        _cleanup_free_ char *optional = NULL;

        if (option->implied)
                optional = xasprintf("[=%s]", *option->implied ? option->implied : option_meta(option));
        if (option->letter)
                return xasprintf("  -%c, --%s%s%s%s", option->letter, option->name, *meta && !optional ? " " : "", optional ? "" : meta,
                                 optional ? optional : "");
        return xasprintf("      --%s%s%s%s", option->name, *meta && !optional ? " " : "", optional ? "" : meta, optional ? optional : "");
}

static char *option_text(const Option *option)
{
        if (!option->value)
                return xstrdup(option->help);
        return option->type == OPTION_STRING ? xasprintf("%s (default \"%s\")", option->help, option->value)
                                             : xasprintf("%s (default %s)", option->help, option->value);
}

/* The option lines of the help text. */
static void print_options(FILE *to, const Option *const *tables, unsigned width)
{
        size_t n, widest = 0;
        const Option **options = options_sorted(tables, &n);

        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *column = option_column(options[i]);

                widest = MAX(widest, strlen(column));
        }
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *column = option_column(options[i]), *text = option_text(options[i]);

                fprintf(to, "%-*s   ", (int)widest, column);
                print_wrapped(to, text, widest + 3, width);
        }
        free(options);
}

void help_print_command(FILE *to, const CommandEntry *entry, unsigned width)
{
        _cleanup_free_ char *usage = help_usage_line(entry), *aliases = command_aliases(entry->command);
        size_t n;
        const Option **options = options_sorted(entry->command->options, &n);

        free(options);
        fprintf(to, "Usage:  %s\n\n%s\n", usage, entry->command->summary);
        if (aliases)
                fprintf(to, "\nAliases:\n  %s\n", aliases);
        if (n) {
                fputs("\nOptions:\n", to);
                print_options(to, entry->command->options, width);
        }
}

static const char *entry_summary(const CommandEntry *entry)
{
        return entry->command ? entry->command->summary : entry->summary;
}

/* The part of an entry's name below `group`, or NULL when it is not directly below it. */
static const char *name_below(const CommandEntry *entry, const char *group)
{
        const char *rest = entry->name;

        if (*group) {
                rest = str_after(rest, group);
                if (!rest || *rest++ != ' ')
                        return NULL;
        }
        return strchr(rest, ' ') ? NULL : rest;
}

/* Prints one section of a list of commands; rows whose flags masked are `want`. */
static void print_section(FILE *to, const char *title, const char *group, unsigned mask, unsigned want, size_t widest)
{
        bool any = false;

        for (size_t i = 0; i < n_command_entries; i++) {
                const CommandEntry *entry = &command_entries[i];
                const char *name = name_below(entry, group);

                if (!name || (entry->flags & (ENTRY_HIDDEN | ENTRY_ALIAS)) || (entry->flags & mask) != want)
                        continue;
                if (!any)
                        fprintf(to, "\n%s:\n", title);
                any = true;
                fprintf(to, "  %-*s  %s\n", (int)widest, name, entry_summary(entry));
        }
}

void help_print_group(FILE *to, const char *group, unsigned width)
{
        const CommandEntry *self = *group ? command_entry_find(group) : NULL;
        size_t widest = 0;

        for (size_t i = 0; i < n_command_entries; i++) {
                const char *name = name_below(&command_entries[i], group);

                if (name && !(command_entries[i].flags & (ENTRY_HIDDEN | ENTRY_ALIAS)))
                        widest = MAX(widest, strlen(name));
        }
        if (self) {
                fprintf(to, "Usage:  mica %s COMMAND\n\n%s\n", group, entry_summary(self));
                print_section(to, "Commands", group, 0, 0, widest);
                fprintf(to, "\nRun 'mica %s COMMAND --help' for more information on a command.\n", group);
                return;
        }
        fputs("Usage:  mica [OPTIONS] COMMAND\n\nBuild, store, run and take apart container images, without a daemon\n", to);
        print_section(to, "Common Commands", group, ENTRY_COMMON, ENTRY_COMMON, widest);
        print_section(to, "Management Commands", group, ENTRY_GROUP, ENTRY_GROUP, widest);
        print_section(to, "Commands", group, ENTRY_COMMON | ENTRY_GROUP, 0, widest);
        fputs("\nGlobal Options:\n", to);
        print_options(to, cli_global_options, width);
        fputs("\nRun 'mica COMMAND --help' for more information on a command.\n", to);
}
