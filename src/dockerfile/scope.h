/*
 * Which variables are set where: platform ARGs, --build-arg, global ARGs, and the environment of a stage as its instructions go by.
 *
 * Rules (research: BuildKit's buildMetaArgs and dispatchArg):
 *  1. Global scope: BUILDPLATFORM, BUILDOS, …, TARGETPLATFORM, …, TARGETSTAGE (each can be overridden by --build-arg), then the ARGs before the first FROM.
 *     Only FROM sees it.
 *  2. `ARG x` in a stage: the build argument, else its default (expanded in the stage), else the value of the global scope, else x stays unset.
 *  3. An ARG sets the variable for all that follows; a later ENV of that name wins and persists; a later ARG of that name wins again for RUN.
 *  4. A stage that starts from another stage inherits its variables and its ARGs.
 *  5. The proxy variables (HTTP_PROXY, …) are set by --build-arg without ARG for RUN only; they never enter the environment here.
 */
#pragma once

#include "dockerfile/stage.h"

typedef struct DfPlatform {
        const char *os, *arch, *variant, *os_version; /* NULL is "" */
} DfPlatform;

typedef struct ScopeOptions {
        const StrList *build_args; /* "NAME=value"; may be NULL. The last one of a name wins */
        DfPlatform build, target;
        const char *target_stage; /* the value of TARGETSTAGE; NULL: the name of the last stage, or "default" */
} ScopeOptions;

typedef struct GlobalScope GlobalScope;

/* Errors: INVALID (expansion of a default), LIMIT. Ownership: free with global_scope_free(), before `stages`; `options` is copied. */
int global_scope_new(GlobalScope **ret, const Stages *stages, const ScopeOptions *options, Diagnosis *diag, Error *err);
void global_scope_free(GlobalScope *scope);
DEFINE_CLEANUP(GlobalScope *, global_scope_free)

const char *global_scope_get(const GlobalScope *scope, const char *name); /* or NULL */
void global_scope_names(const GlobalScope *scope, StrList *names);        /* appends all that are set */
/* " (did you mean X?)" for the first of the names that is nearly one that is set, or NULL. New string. */
char *global_scope_suggest(const GlobalScope *scope, const StrList *names);
ExpandEnv global_scope_env(const GlobalScope *scope);
const char *global_scope_build_arg(const GlobalScope *scope, const char *name); /* --build-arg, or NULL */

/*
 * The image or stage name and the platform of a FROM, expanded. *ret_platform is NULL without --platform.
 * Errors: INVALID `base name (${x}) should not be blank`, `empty platform value from expression …`.
 * Ownership: heap strings. The uses (may be NULL) collect names.
 */
int global_scope_from(const GlobalScope *scope, const Instruction *from, char **ret_image, char **ret_platform, ExpandUse *image_use, ExpandUse *platform_use,
                      Diagnosis *diag, Error *err);

typedef struct ScopeArg {
        char *name;
        char *value; /* NULL: not set */
} ScopeArg;

/* The variables of one stage while its instructions go by. */
typedef struct StageScope {
        const GlobalScope *global;
        StrList env;    /* what RUN sees: base image, ENV and ARG, in order of first setting */
        Map *values;    /* the same by name */
        ScopeArg *args; /* every ARG so far in order; for the history entry of RUN ("|2 A=1 B=2 …") */
        size_t n_args, args_capacity;
        size_t env_size;
} StageScope;

/* Starts from the environment of the base image ("NAME=value" strings), or from a finished stage. PATH is not added here. */
void stage_scope_init(StageScope *scope, const GlobalScope *global, const StrList *base_env);
void stage_scope_init_from(StageScope *scope, const StageScope *base);
void stage_scope_done(StageScope *scope);

/* The variables as expand_word() asks for them; valid while the scope is not changed. */
ExpandEnv stage_scope_env(const StageScope *scope);
const char *stage_scope_get(const StageScope *scope, const char *name);

/* ENV of expanded pairs. Errors: LIMIT. */
int stage_scope_set(StageScope *scope, const char *name, const char *value, Error *err);

/*
 * ARG: rule 2 for each pair, in order. `*ret_text` (may be NULL) gets "NAME=value NAME2" for the history entry.
 * Errors: INVALID (expansion of a default that is used), LIMIT.
 */
int stage_scope_arg(StageScope *scope, const Instruction *arg, char **ret_text, ExpandUse *use, Diagnosis *diag, Error *err);

/* HTTP_PROXY, https_proxy, NO_PROXY, … : take effect without ARG, are not part of the cache key nor of history. */
bool scope_is_proxy_arg(const char *name);
