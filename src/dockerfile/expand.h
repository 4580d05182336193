/*
 * Variable expansion of one word, and splitting into words: BuildKit's shell.Lex.
 *
 * Forms: $v ${v} ${v-w} ${v:-w} ${v+w} ${v:+w} ${v?m} ${v:?m} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}; '…' "…" and the escape character.
 * In patterns `*` is any run and `?` any one character, neither of them a newline. The special parameters $@ $* $# $? $- $$ $! $0…$9 are looked up like any
 * other name and so are empty.
 *
 * Differs: bytes that are not UTF-8 pass unchanged (BuildKit writes U+FFFD); text in front of a nested ${v:-w} is kept when splitting into words
 * (BuildKit loses it); results and nesting have a limit (limits.h).
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/map.h"
#include "base/str.h"

/* Where names are looked up. `get` returns the value or NULL when the name is not set; the string must live until the call ends. */
typedef struct ExpandEnv {
        const char *(*get)(const void *user, const char *name);
        const void *user;
} ExpandEnv;

ExpandEnv expand_env_list(const StrList *env); /* "NAME=value" strings; the last one of a name wins */
ExpandEnv expand_env_map(const Map *map);      /* values are `char *` */
ExpandEnv expand_env_empty(void);

typedef struct ExpandOptions {
        char escape;        /* '\\' or '`'; 0 means '\\' */
        bool raw_quotes;    /* keep the quotes */
        bool raw_escapes;   /* keep the escape characters */
        bool ignore_quotes; /* quotes are ordinary characters (bodies of heredocs) */
        bool skip_unset;    /* leave ${unset} as written */
} ExpandOptions;

/* Names met while expanding; each once per word, in order of first use. */
typedef struct ExpandUse {
        StrList used;      /* were set */
        StrList undefined; /* were not set */
} ExpandUse;

#define EXPAND_USE_INIT ((ExpandUse){ 0 })
#define _cleanup_expand_use_ _cleanup_(expand_use_done)
void expand_use_done(ExpandUse *use);

/*
 * Expands one word; white space stays. `use` may be NULL; it is added to, also on failure.
 * Errors: INVALID in BuildKit's words: `failed to process "${a": syntax error: missing '}'`, `a: is not allowed to be unset`; LIMIT.
 * Ownership: *ret is a heap string.
 */
int expand_word(char **ret, const char *word, const ExpandEnv *env, const ExpandOptions *options, ExpandUse *use, Error *err);

/* Expands, then splits at white space that is not quoted. Appends to `words`. */
int expand_words(StrList *words, const char *word, const ExpandEnv *env, const ExpandOptions *options, ExpandUse *use, Error *err);
