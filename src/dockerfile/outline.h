/*
 * What a Dockerfile offers to whoever builds it: the targets there are, and the arguments, secrets, SSH sockets and caches that a target uses.
 *
 * Spec: BuildKit's frontend.outline and frontend.targets requests (behaviour and field names).
 * Differs: BuildKit declares the field for cache mounts and leaves it empty; here it is filled.
 */
#pragma once

#include "dockerfile/lint.h"

typedef struct OutlineItem {
        char *name;
        char *value;       /* of an argument: what it has without further --build-arg; NULL: none */
        char *description; /* of an argument, from "# name text" above it; NULL: none */
        bool required;     /* of a secret or an SSH socket */
        SourceRange range;
} OutlineItem;

typedef struct OutlineList {
        OutlineItem *items;
        size_t n_items, capacity;
        Map *index; /* name -> place + 1; NULL while the list is empty */
} OutlineList;

typedef struct Outline {
        char *name, *description;               /* of the target; NULL without */
        OutlineList args, secrets, ssh, caches; /* each name once, in the order of lines */
} Outline;

#define OUTLINE_INIT ((Outline){ 0 })
void outline_done(Outline *outline);

/*
 * The outline of options->target (NULL: the last stage) and of every stage that it needs. Of the options scope, target, base_image and user count.
 * Errors: INVALID, as a build would report it; `diag` says where.
 */
int outline_make(Outline *ret, const Stages *stages, const LintOptions *options, Diagnosis *diag, Error *err);
