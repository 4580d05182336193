/*
 * The modes of COPY/ADD --chmod: octal "0755", or symbolic "u=rwX,go=rX" as chmod(1) reads it, with a umask of 0.
 *
 * Spec: POSIX chmod; Differs: like BSD's setmode(3), which BuildKit follows ("t" works for u, g and a; "X" with "-" is "x").
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

#define CHMOD_OPS_MAX 128

typedef struct ChmodOp {
        char op;         /* '+', '-', 'X', or the class copied from: 'u', 'g', 'o' */
        bool set, clear; /* copies */
        mode_t bits;     /* bits touched; copies: which classes are written, as rwx masks */
} ChmodOp;

typedef struct Chmod {
        bool octal;
        mode_t mode; /* octal: 0..07777 */
        ChmodOp ops[CHMOD_OPS_MAX];
        size_t n_ops;
} Chmod;

/* Errors: INVALID with BuildKit's text. An empty string is refused. */
int chmod_parse(Chmod *ret, const char *text, Error *err);

/* The permission bits (07777) that an entry gets: `mode` is its present mode, of which only 07777 is looked at. */
mode_t chmod_apply(const Chmod *chmod, mode_t mode, bool is_directory);
