/*
 * Volumes: named directories that outlive containers.
 */
#pragma once

#include "base/str.h"
#include "store/container.h"
#include "json/json.h"
#include "json/string_map.h"

typedef struct VolumeInfo {
        const char *name, *path; /* path of its content */
        Timestamp created;
        bool anonymous, used;
        StringMap labels;
} VolumeInfo;

/* name NULL: a random one of 64 digits. Making one that exists is fine. *ret_name is a new string. Errors: INVALID (name). */
int engine_volume_create(Store *store, const char *name, const StrList *labels, char **ret_name, Error *err);

/* By name. Filters: dangling, driver, label, name. */
int engine_volumes(Store *store, const StrList *filters, int (*each)(void *user, const VolumeInfo *volume, Error *err), void *user, Error *err);

/* docker volume inspect's object. A new reference. */
int engine_volume_inspect(Store *store, const char *name, JsonValue **ret, Error *err);

/* CONFLICT while a container uses it. */
int engine_volume_remove(Store *store, const char *name, Error *err);

/* Removes unused anonymous volumes, or with `all` named ones too. */
int engine_volume_prune(Store *store, bool all, const StrList *filters, void (*removed)(void *user, const char *name), void *user, uint64_t *ret_size,
                        Error *err);

/* Bytes that the files below a directory take. Never follows links; what cannot be read counts nothing. */
uint64_t engine_tree_size(const char *path);
