/*
 * mica generate-docs: man pages and Markdown pages from the command table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "cli/command_list.h"

typedef struct DocsOptions {
        const char *format;
} DocsOptions;

static const Option docs_options[] = {
        { "format", 0, OPTION_STRING, offsetof(DocsOptions, format), .help = "What to write: man or markdown", .value = "markdown", .choices = "man|markdown" },
        OPTION_TABLE_END,
};

/* --- roff --- */

/* Text for roff: backslashes, leading dots and quotes, and hyphens that must stay hyphens. */
static void roff_text(Buf *to, const char *s)
{
        bool line_start = true;

        for (; *s; s++) {
                if (line_start && (*s == '.' || *s == '\''))
                        buf_puts(to, "\\&");
                line_start = *s == '\n';
                if (*s == '\\')
                        buf_puts(to, "\\e");
                else if (*s == '-')
                        buf_puts(to, "\\-");
                else
                        buf_putc(to, *s);
        }
}

static void man_options(Buf *to, const Option *const *tables)
{
        size_t n;
        const Option **options = options_sorted(tables, &n);

        for (size_t i = 0; i < n; i++) {
                const Option *option = options[i];
                const char *meta = option_meta(option);

                buf_puts(to, ".TP\n");
                if (option->letter)
                        buf_putf(to, "\\fB\\-%c\\fR, ", option->letter);
                buf_puts(to, "\\fB\\-\\-");
                roff_text(to, option->name);
                buf_puts(to, "\\fR");
                if (option->implied)
                        buf_putf(to, "[=\\fI%s\\fR]", *meta ? meta : option->implied);
                else if (*meta)
                        buf_putf(to, " \\fI%s\\fR", meta);
                buf_putc(to, '\n');
                roff_text(to, option->help);
                if (option->value) {
                        buf_puts(to, " (default ");
                        roff_text(to, option->value);
                        buf_putc(to, ')');
                }
                buf_putc(to, '\n');
        }
        free(options);
}

static const char *summary_of(const CommandEntry *entry)
{
        return entry->command ? entry->command->summary : entry->summary;
}

/* Calls `row` for each visible command directly below `group`. */
static void each_below(const char *group, void (*row)(Buf *to, const CommandEntry *entry, const char *name), Buf *to)
{
        for (size_t i = 0; i < n_command_entries; i++) {
                const char *name = command_entries[i].name;

                if (*group) {
                        name = str_after(name, group);
                        if (!name || *name++ != ' ')
                                continue;
                }
                if (!strchr(name, ' ') && !(command_entries[i].flags & (ENTRY_HIDDEN | ENTRY_ALIAS)))
                        row(to, &command_entries[i], name);
        }
}

static void man_row(Buf *to, const CommandEntry *entry, const char *name)
{
        buf_puts(to, ".TP\n\\fB");
        roff_text(to, name);
        buf_puts(to, "\\fR\n");
        roff_text(to, summary_of(entry));
        buf_putc(to, '\n');
}

static void man_page(Buf *to, const CommandEntry *entry)
{
        _cleanup_free_ char *title = str_replace(entry ? entry->name : "", " ", "-");
        _cleanup_free_ char *upper = str_upper(title);
        const Command *command = entry ? entry->command : NULL;

        buf_putf(to, ".TH \"MICA%s%s\" 1 \"\" \"mica %s\" \"mica manual\"\n.SH NAME\nmica", *upper ? "-" : "", upper, MICA_VERSION);
        if (*title) {
                buf_puts(to, "\\-");
                roff_text(to, title);
        }
        buf_puts(to, " \\- ");
        roff_text(to, entry ? summary_of(entry) : "build, store, run and take apart container images");
        buf_puts(to, "\n.SH SYNOPSIS\n");
        if (command) {
                _cleanup_free_ char *usage = help_usage_line(entry), *aliases = command_aliases(command);

                roff_text(to, usage);
                if (aliases) {
                        buf_puts(to, "\n.SH ALIASES\n");
                        roff_text(to, aliases);
                }
                if (command->details) {
                        buf_puts(to, "\n.SH DESCRIPTION\n");
                        roff_text(to, command->details);
                }
                buf_puts(to, "\n.SH OPTIONS\n");
                man_options(to, command->options);
                if (command->example) {
                        buf_puts(to, ".SH EXAMPLES\n.nf\n");
                        roff_text(to, command->example);
                        buf_puts(to, "\n.fi\n");
                }
                return;
        }
        buf_putf(to, "mica %s%s[OPTIONS] COMMAND\n.SH COMMANDS\n", entry ? entry->name : "", entry ? " " : "");
        each_below(entry ? entry->name : "", man_row, to);
        if (!entry) {
                buf_puts(to, ".SH OPTIONS\n");
                man_options(to, cli_global_options);
        }
}

/* --- Markdown --- */

/* Text for a cell of a table. */
static void markdown_cell(Buf *to, const char *s)
{
        for (; *s; s++) {
                if (*s == '|')
                        buf_puts(to, "\\|");
                else if (*s == '<')
                        buf_puts(to, "&lt;");
                else if (*s == '\n')
                        buf_puts(to, "<br>");
                else
                        buf_putc(to, *s);
        }
}

static void markdown_options(Buf *to, const Option *const *tables)
{
        size_t n;
        const Option **options = options_sorted(tables, &n);

        if (n)
                buf_puts(to, "\n## Options\n\n| Name | Type | Default | Description |\n|:--|:--|:--|:--|\n");
        for (size_t i = 0; i < n; i++) {
                const Option *option = options[i];
                const char *meta = option_meta(option);

                buf_puts(to, "| ");
                if (option->letter)
                        buf_putf(to, "`-%c`, ", option->letter);
                buf_putf(to, "`--%s` | %s | ", option->name, *meta ? meta : "bool");
                if (option->value)
                        buf_putf(to, "`%s`", option->value);
                buf_puts(to, " | ");
                markdown_cell(to, option->help);
                buf_puts(to, " |\n");
        }
        free(options);
}

static void markdown_row(Buf *to, const CommandEntry *entry, const char *name)
{
        const CommandEntry *page = entry->command ? command_entry_canonical(entry->command) : entry;
        _cleanup_free_ char *file = str_replace(page->name, " ", "_");

        buf_putf(to, "| [`%s`](%s.md) | ", name, file);
        markdown_cell(to, summary_of(entry));
        buf_puts(to, " |\n");
}

static void markdown_page(Buf *to, const CommandEntry *entry)
{
        const Command *command = entry ? entry->command : NULL;

        buf_putf(to, "# mica%s%s\n\n%s\n", entry ? " " : "", entry ? entry->name : "",
                 entry ? summary_of(entry) : "Build, store, run and take apart container images, without a daemon");
        if (command) {
                _cleanup_free_ char *usage = help_usage_line(entry), *aliases = command_aliases(command);

                buf_putf(to, "\n```\n%s\n```\n", usage);
                if (aliases) {
                        _cleanup_free_ char *list = str_replace(aliases, ", ", "`, `");

                        buf_putf(to, "\nAliases: `%s`\n", list);
                }
                if (command->details)
                        buf_putf(to, "\n%s\n", command->details);
                markdown_options(to, command->options);
                if (command->example)
                        buf_putf(to, "\n## Examples\n\n```console\n%s\n```\n", command->example);
                return;
        }
        buf_puts(to, "\n## Commands\n\n| Name | Description |\n|:--|:--|\n");
        each_below(entry ? entry->name : "", markdown_row, to);
        if (!entry)
                markdown_options(to, cli_global_options);
}

static int write_page(int dir_fd, const char *dir, const char *file, const Buf *page, Error *err)
{
        int r = file_write_atomic(dir_fd, file, page->data, page->size, 0644, false);

        return r < 0 ? error_errno(err, r, "cannot write '%s/%s'", dir, file) : 0;
}

/* One page; `entry` is NULL for the program's own. */
static int write_entry(int dir_fd, const char *dir, bool man, const CommandEntry *entry, Error *err)
{
        _cleanup_buf_ Buf page = BUF_INIT(MIB);
        _cleanup_free_ char *name = str_replace(entry ? entry->name : "", " ", man ? "-" : "_"), *file = NULL;

        if (man) {
                man_page(&page, entry);
                file = xasprintf("mica%s%s.1", entry ? "-" : "", name);
        } else {
                markdown_page(&page, entry);
                file = xasprintf("%s.md", entry ? name : "mica");
        }
        return write_page(dir_fd, dir, file, &page, err);
}

static int run_generate_docs(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const DocsOptions *options = data;
        const char *dir = args->items[0];
        bool man = streq(options->format, "man");
        _cleanup_close_ int dir_fd = -1;
        int r;

        if (!man && !streq(options->format, "markdown"))
                return error_set(err, ERROR_INVALID, "unknown format '%s': say man or markdown", options->format);
        r = dir_make(AT_FDCWD, dir, 0755);
        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", dir);
        dir_fd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
        if (dir_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", dir);
        if (write_entry(dir_fd, dir, man, NULL, err) < 0)
                return -1;
        for (size_t i = 0; i < n_command_entries; i++) {
                const CommandEntry *entry = &command_entries[i];

                if ((entry->flags & ENTRY_HIDDEN) || (entry->command && command_entry_canonical(entry->command) != entry))
                        continue;
                if (write_entry(dir_fd, dir, man, entry, err) < 0)
                        return -1;
        }
        return 0;
}

const Command command_generate_docs = {
        .usage = "[OPTIONS] DIR",
        .summary = "Write man pages or Markdown pages of every command",
        .options = { docs_options },
        .options_size = sizeof(DocsOptions),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_DIRECTORIES,
        .run = run_generate_docs,
};
