/*
 * The command table, and what a command gets to work with.
 *
 * Adding a command: write src/cli/cmd_<name>.c with a `const Command command_<name>`, declare it in command_list.h, and add a row for each of its names to
 * `command_entries[]` in commands.c (sorted by name). Help, completion, man pages, docs/cli and the tests follow from the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/str.h"
#include "cli/option.h"

typedef struct Cli Cli;
typedef struct Command Command;

typedef enum CommandFlags {
        COMMAND_STOP_AT_ARGUMENT = 1 << 0, /* options end at the first argument */
        COMMAND_EXIT_125 = 1 << 1,         /* mica's own failures end with 125, as docker's run, create, start and exec do */
        COMMAND_IMAGES = 1 << 2,           /* arguments complete images */
        COMMAND_CONTAINERS = 1 << 3,       /* arguments complete containers */
        COMMAND_VOLUMES = 1 << 4,          /* arguments complete volumes */
        COMMAND_FILES = 1 << 5,            /* arguments complete files */
        COMMAND_DIRECTORIES = 1 << 6,      /* arguments complete directories */
        COMMAND_NAMESPACE = 1 << 7,        /* mounts, or reads a container's files: who is not root does that in a user namespace (fs/userns.h) */
        COMMAND_NAMESPACE_TRY = 1 << 8,    /* may have to remove a container's or a layer's files; goes on without a namespace where there can be none */
} CommandFlags;

#define COMMAND_ARGS_ANY (-1)

struct Command {
        const char *usage;   /* what follows the name: "[OPTIONS] IMAGE [COMMAND] [ARG...]" */
        const char *summary; /* one sentence without a full stop */
        const char *details; /* further paragraphs for man pages and docs, or NULL */
        const char *example; /* lines of a shell session for man pages and docs, or NULL */
        const Option *options[OPTION_TABLES_MAX];
        size_t options_size; /* of the option struct that the tables fill */
        int min_args, max_args;
        unsigned flags;
        /* Returns the exit status, or -1 with *err filled. `args` has no names of commands. */
        int (*run)(Cli *cli, const void *options, const StrList *args, Error *err);
};

typedef enum EntryFlags {
        ENTRY_COMMON = 1 << 0, /* listed under "Common Commands" */
        ENTRY_GROUP = 1 << 1,  /* has commands below it; `command` may be NULL */
        ENTRY_HIDDEN = 1 << 2,
        ENTRY_ALIAS = 1 << 3, /* another name inside its group: not listed there */
} EntryFlags;

typedef struct CommandEntry {
        const char *name;       /* "image ls" */
        const Command *command; /* NULL for a group */
        unsigned flags;
        const char *summary; /* of a group */
} CommandEntry;

extern const CommandEntry command_entries[];
extern const size_t n_command_entries;

/* The entry with exactly this name, or NULL. */
const CommandEntry *command_entry_find(const char *name);
/* The entry under which a command is documented: its first name with a group, else its only one. */
const CommandEntry *command_entry_canonical(const Command *command);
/* "mica container run, mica run", or NULL when there is only one name. New string. */
char *command_aliases(const Command *command);
/* The nearest command below `group` ("" for the top), or NULL. */
const char *command_suggest(const char *group, const char *word);

/* --- the context of a running command --- */

struct Cli {
        const CommandEntry *entry;
        const OptionResult *parsed;
        const char *root; /* --root */
        bool debug;
        FILE *out;           /* standard output; flushed and checked at the end */
        struct Store *store; /* see cli_store() in cli/context.h */
};

/* True when the option was given on the command line (with whatever value). */
bool cli_given(const Cli *cli, const char *option);
/* Prints "mica: <message>" to standard error and empties the error. For commands that go on with their next argument. */
void cli_report(Cli *cli, Error *err);
/* A note or warning on standard error. */
void cli_note(Cli *cli, const char *format, ...) _printf_(2, 3);
/* Asks on standard error and reads the answer: true for "y" or "Y", as docker's prune commands. */
bool cli_confirm(Cli *cli, const char *question);

/* The whole program; `argv` as main() has it. Returns the exit status. */
int cli_main(int argc, char **argv);

/* --- help --- */

void help_print_command(FILE *to, const CommandEntry *entry, unsigned width);
void help_print_group(FILE *to, const char *name, unsigned width); /* "" for the top */
/* "mica image ls [OPTIONS] [REPOSITORY[:TAG]]"; new string. */
char *help_usage_line(const CommandEntry *entry);

extern const Option *const cli_global_options[];
