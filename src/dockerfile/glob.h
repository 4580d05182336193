/*
 * Path patterns compiled to a list of steps. Private to this folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum GlobStep {
        GLOB_LITERAL, /* bytes text[0..size) */
        GLOB_ANY,     /* '?': one character but '/' */
        GLOB_STAR,    /* '*': any run without '/' */
        GLOB_DIRS,    /* "**" + '/': nothing, or any run that ends in '/' */
        GLOB_REST,    /* "**" at the end: anything */
        GLOB_CLASS,   /* [a-z] */
} GlobStep;

typedef struct GlobRange {
        uint32_t first, last;
} GlobRange;

typedef struct GlobPart {
        GlobStep step;
        char *text; /* GLOB_LITERAL */
        size_t size;
        GlobRange *ranges; /* GLOB_CLASS */
        size_t n_ranges;
        bool negated;
} GlobPart;

typedef struct Glob {
        GlobPart *parts;
        size_t n_parts, capacity;
} Glob;

/* `double_star`: "**" crosses directories (ignore files); else it is two stars (filepath.Match). Errors: INVALID "syntax error in pattern". */
int glob_compile(Glob *ret, const char *pattern, bool double_star, Error *err);
void glob_done(Glob *glob);
bool glob_match(const Glob *glob, const char *path, size_t size);
