/*
 * Which files and directories of this machine a build used: what `mica build --watch` watches.
 *
 * A use is a path as a COPY, an ADD or a bind mount names it, relative to its context, wildcards included. Together with the ignore patterns it says of any
 * path, also of one that is not there yet, whether a change there could change the build.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "dockerfile/ignore.h"

typedef struct BuildInputTree {
        char *root;            /* absolute */
        StrList uses;          /* "src", "*.go", "" for all of it */
        bool parents;          /* some use takes the metadata of directories above it, too */
        IgnoreMatcher *ignore; /* or NULL */
        StrList directories;   /* that were read; below the root, "" for itself */
        StrList files;         /* everything in them that is used, directories too */
} BuildInputTree;

typedef struct BuildInputs {
        BuildInputTree *trees;
        size_t n_trees, capacity;
        StrList files;     /* absolute: Dockerfile, ignore files, secrets, roots of contexts; some may not be there */
        StrList elsewhere; /* URLs and repositories: nothing here tells when they change */
        Timestamp started; /* of the build: what has changed since may have been read before */
} BuildInputs;

struct Build;

/* Fills `ret` (empty before), also after a build that failed. */
void build_inputs_collect(struct Build *build, BuildInputs *ret);
void build_inputs_done(BuildInputs *inputs);

typedef enum InputMatch {
        INPUT_NONE,
        INPUT_ABOVE, /* a directory on the way to something used */
        INPUT_USED,
} InputMatch;

/* What a path below a context is to one use. */
InputMatch build_use_match(const char *use, const char *path);

/*
 * Whether something that happened to an absolute path could change the build. `attributes`: only owner, mode or times changed.
 */
bool build_inputs_concern(const BuildInputs *inputs, const char *path, bool is_dir, bool attributes);
