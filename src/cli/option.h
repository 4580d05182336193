/*
 * Options of commands as tables: one row per option says its names, its type, where its value goes and its help. The same rows make the parser, the help
 * text, the man pages, docs/cli and the shell completions.
 *
 * Adding an option: one row in the command's table, in the order of long names, and one member in the command's option struct (or the struct of a table that
 * several commands share). The struct is all zero before parsing; a default that is not zero is written in `value` and parsed first.
 *
 * What is accepted is what docker accepts (pflag): --name value, --name=value, -n value, -nvalue, -n=value, bundled -it, --bool, --bool=false, "--" ends the
 * options. Strings point into argv or into the tables.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

typedef enum OptionType {
        OPTION_END,      /* ends a table */
        OPTION_BOOL,     /* bool */
        OPTION_STRING,   /* const char *; NULL when not given */
        OPTION_INT,      /* int64_t */
        OPTION_SIZE,     /* int64_t: bytes as docker reads them; "-1" is allowed */
        OPTION_DURATION, /* int64_t nanoseconds: Go's durations, or whole seconds */
        OPTION_DECIMAL,  /* int64_t: a decimal number in units of 1e-9, as --cpus takes */
        OPTION_LIST,     /* StrList: repeatable, order kept */
        OPTION_CSV,      /* StrList: repeatable, and each value is split at commas */
        _OPTION_TYPE_MAX,
} OptionType;

typedef enum OptionFlags {
        OPTION_HIDDEN = 1 << 0,
        OPTION_FILE = 1 << 1,      /* completes file names */
        OPTION_DIRECTORY = 1 << 2, /* completes directory names */
        OPTION_IMAGE = 1 << 3,     /* completes images */
        OPTION_FILTER = 1 << 4,    /* OPTION_LIST: each value is "name=value" */
} OptionFlags;

typedef struct Option {
        const char *name; /* long name */
        char letter;      /* short name, or 0 */
        OptionType type;
        size_t offset;       /* of the member in the command's option struct */
        const char *meta;    /* what the value is called in help ("list", "bytes"); NULL: after the type */
        const char *help;    /* one sentence without a full stop at the end */
        const char *value;   /* default, as text; NULL: none. Shown in help */
        const char *implied; /* makes the value optional: "--name" alone means this */
        const char *choices; /* "a|b|c": offered by completion; the command checks */
        unsigned flags;
} Option;

#define OPTION_TABLE_END \
        { \
                .type = OPTION_END \
        }

/* A command's tables: several when it shares some with others. NULL-terminated. */
#define OPTION_TABLES_MAX 4

/* The word that help shows for the value: "string", "bytes", "list"... "" for bool. */
const char *option_meta(const Option *option);

typedef struct OptionResult {
        StrList args;  /* what is not an option */
        StrList given; /* long names of the options that were given */
        bool help;     /* --help or -h came */
} OptionResult;

void option_result_done(OptionResult *result);

/*
 * Parses argv[0..n) (no program name). `stop_at_argument`: the first argument ends the options, as `run` and `exec` want it.
 * Errors: INVALID, with docker's words. What was parsed until then stays in the struct.
 */
int options_parse(const Option *const *tables, void *options, bool stop_at_argument, int n_args, char *const *args, OptionResult *result, Error *err);

/* Frees the lists of an option struct. */
void options_done(const Option *const *tables, void *options);

/* Every visible option of the tables, sorted by name. Returns a heap array; *ret_n items. */
const Option **options_sorted(const Option *const *tables, size_t *ret_n);
