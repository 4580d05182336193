/*
 * What users do with images in the store: list with filters, describe, remove, prune, import. Nothing here prints or knows argv.
 */
#pragma once

#include <signal.h>

#include "base/str.h"
#include "oci/config.h"
#include "store/image.h"
#include "store/maintain.h"
#include "json/json.h"

/*
 * Images, newest first (with `all` also those that are only one platform of another), that all `filters` ("dangling=true", "label=a=b", "before=x", "since=x",
 * "reference=a*", "until=24h") and `reference` (NULL, or a name or pattern) select. In the result `names` holds only the names that `reference` filters select.
 * Errors: INVALID "invalid filter 'x'", NOT_FOUND (before, since). Free with image_list_free().
 */
int engine_images(Store *store, bool all, const StrList *filters, const char *reference, Image ***ret, size_t *ret_n, Error *err);

/* docker inspect's object of an image; `platform` (or NULL) chooses of several, and is NOT_FOUND when the image is for another one. A new reference. */
int engine_image_inspect(Store *store, const char *name, const char *platform, JsonValue **ret, Error *err);

/* The parsed config of an image. */
int engine_image_config(Store *store, const Image *image, ImageConfig *ret, Error *err);

typedef struct HistoryRow {
        Digest id;                        /* of the image for its newest row, else none ("<missing>") */
        Timestamp created;                /* 0: unknown */
        const char *created_by, *comment; /* "" when there is none */
        uint64_t size;
} HistoryRow;

/* docker history: newest first. */
int engine_image_history(Store *store, const char *name, int (*row)(void *user, const HistoryRow *row, Error *err), void *user, Error *err);

/* What a removal did, in docker's order. */
typedef enum RemovalKind { REMOVAL_UNTAGGED, REMOVAL_DELETED } RemovalKind;
typedef void (*RemovalReport)(void *user, RemovalKind kind, const char *name);

/*
 * docker rmi: a name is untagged, and with its last name the image goes; an id removes the image with all its names.
 * Errors: NOT_FOUND, CONFLICT with docker's reasons (several repositories, containers). Layers and blobs go with the next store_gc().
 */
int engine_image_remove(Store *store, const char *name, bool force, RemovalReport report, void *user, Error *err);

/* docker image prune: dangling images, or with `all` every image that no container uses. Filters: until, label, label!, dangling. Collects garbage too. */
int engine_image_prune(Store *store, bool all, const StrList *filters, RemovalReport report, void *user, uint64_t *ret_size, Error *err);

/* Points a new name at an image, with all its platforms and attestations when it has an index: docker tag. */
int engine_image_tag(Store *store, const char *source, const char *target, Error *err);

typedef struct ImportOptions {
        StrList changes; /* Dockerfile instructions for the config: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR
                          */
        const char *message;   /* NULL: "Imported from <source>" */
        const char *source;    /* for the message */
        const char *url;       /* fetch it from here, `fd` is not used; or NULL */
        const char *reference; /* name for the image, or NULL */
        const char *platform;  /* NULL: this machine's */
        int64_t epoch;         /* SOURCE_DATE_EPOCH, or -1 */
        const volatile sig_atomic_t *cancel;
} ImportOptions;

/* docker import: a root file system as a tar, in any compression, from `fd`. */
int engine_import(Store *store, int fd, const ImportOptions *options, Digest *ret_id, Error *err);

/* Applies --change lines to a config. */
int engine_apply_changes(ImageConfig *config, const StrList *changes, Error *err);
