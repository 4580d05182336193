/*
 * Settings that outlive a command: a table of keys, and the files that hold values for them (docs/formats/config.md).
 *
 *   /etc/mica/config.json                      of the machine
 *   $XDG_CONFIG_HOME/mica/config.json          of the user (~/.config/mica/config.json); has precedence, key by key
 *
 * Adding a key: a row in config_keys[] of config.c, sorted by name; `mica config list`, the check of the files and the documentation test follow from it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

typedef enum ConfigType {
        CONFIG_BOOL,     /* true, false */
        CONFIG_SIZE,     /* bytes, as docker reads sizes, or a part of the file system of the store ("75%"); 0: not limited */
        CONFIG_DURATION, /* Go's durations, "48h" */
} ConfigType;

typedef struct ConfigKey {
        const char *name;
        ConfigType type;
        const char *value; /* default */
        const char *help;  /* one sentence without a full stop */
} ConfigKey;

extern const ConfigKey config_keys[];
extern const size_t n_config_keys;

/* INVALID when there is none, with the nearest one. */
const ConfigKey *config_key_find(const char *name, Error *err);

typedef enum ConfigScope { CONFIG_DEFAULT, CONFIG_SYSTEM, CONFIG_USER } ConfigScope;
const char *config_scope_name(ConfigScope scope); /* "default", "system", "user" */

typedef struct Config Config;

/* Reads both files. Errors: INVALID (syntax, an unknown key, a value of the wrong type) that name the file and the key. */
int config_load(Config **ret, Error *err);
void config_free(Config *config);
DEFINE_CLEANUP(Config *, config_free)

/* The value as text, and where it comes from (`ret_scope` may be NULL). `name` is a key of the table. */
const char *config_text(const Config *config, const char *name, ConfigScope *ret_scope);
bool config_bool(const Config *config, const char *name);
uint64_t config_size(const Config *config, const char *name, uint64_t whole); /* `whole`: bytes that 100% are */
int64_t config_duration(const Config *config, const char *name);              /* nanoseconds */

/*
 * Changes one key in a file, which is made when it is missing and replaced atomically. `value` NULL takes the key out: NOT_FOUND when it was not there.
 * Errors: INVALID (no such key, or not a value for it), DENIED, IO.
 */
int config_change(ConfigScope scope, const char *name, const char *value, Error *err);

/* The file of a scope. New string; NULL when there is no home directory. */
char *config_path(ConfigScope scope);
