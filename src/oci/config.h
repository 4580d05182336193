/*
 * Image configs: what an image runs, its layers and its history (image-spec 1.1 config.md with docker's extensions: Healthcheck, OnBuild, Shell).
 *
 * Written as BuildKit writes them: compact, the members of the document sorted by name, the members of "config" in the order of Go's structs.
 * Kept through a rewrite: history entries of the base byte for byte, and members that we do not know. Dropped on reading: "container",
 * "container_config", "docker_version", "id", "parent" (the classic builder's notes on itself, which BuildKit drops as well).
 *
 * Specs: image-spec config.md; moby/docker-image-spec specs-go/v1; moby/buildkit exporter/containerimage/writer.go.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "oci/descriptor.h"
#include "oci/platform.h"
#include "json/dispatch.h"

/* Go's zero time, "0001-01-01T00:00:00Z", which images without a date carry; it is before every real Timestamp. */
#define TIMESTAMP_ZERO INT64_MIN

typedef struct ConfigTime {
        bool set;
        Timestamp time;
} ConfigTime;

/* HEALTHCHECK. Times in nanoseconds; 0 inherits. */
typedef struct HealthConfig {
        StrList test; /* {} inherit, {"NONE"}, {"CMD", arg…}, {"CMD-SHELL", line} */
        int64_t interval, timeout, start_period, start_interval;
        int64_t retries;
} HealthConfig;

/* The member "config": how a container of the image is run by default. */
typedef struct RunConfig {
        char *user;
        StrList exposed_ports; /* a set: "80/tcp" */
        StrList env;           /* "NAME=value", in order: see strlist_env_set() */
        StrList entrypoint;
        StrList cmd;
        StrList volumes; /* a set of paths */
        char *working_dir;
        StringMap labels;
        char *stop_signal;
        bool args_escaped;
        HealthConfig *healthcheck;
        StrList on_build;
        StrList shell;
        int64_t *stop_timeout; /* seconds */
        char *mac_address;
        StringMap unknown; /* other members, as text */
} RunConfig;

typedef struct HistoryEntry {
        char *text; /* the entry as it was read; while not NULL it is what is written. Free it and set it to NULL when changing a field */
        ConfigTime created;
        char *created_by;
        char *author;
        char *comment;
        bool empty_layer;
} HistoryEntry;

typedef struct RootFs {
        char *type; /* "layers" */
        DigestList diff_ids;
} RootFs;

typedef struct ImageConfig {
        ConfigTime created;
        char *author;
        Platform platform; /* architecture, os, os.version, os.features, variant */
        RunConfig config;
        RootFs rootfs;
        JSON_ITEMS(HistoryEntry) history;
        StringMap unknown; /* other members, as text */
} ImageConfig;

extern const JsonField health_config_fields[];
extern const JsonField run_config_fields[];
extern const JsonField history_entry_fields[];
extern const JsonField image_config_fields[];
extern const JsonCustom config_time_json;

/* FROM scratch: the platform, WorkingDir "/" and the default PATH, no layers, as BuildKit starts. The struct is empty before. */
void image_config_init(ImageConfig *config, const Platform *platform);
void image_config_done(ImageConfig *config);
#define _cleanup_image_config_ _cleanup_(image_config_done)
void image_config_copy(ImageConfig *to, const ImageConfig *from); /* `to` is empty before */
void run_config_done(RunConfig *config);
void health_config_free(HealthConfig *health);

/* Reads and validates. Errors: INVALID, LIMIT. */
int image_config_parse(const void *text, size_t size, ImageConfig *ret, Error *err);

/* Appends the text; the image id is its sha256. */
int image_config_text(const ImageConfig *config, Buf *out, Error *err);

/*
 * Checks counts, and that history and layers agree: no more entries that are not empty_layer than diff_ids. Fewer are
 * fine, as in docker: some builders squash or leave the history out.
 * Errors: INVALID, LIMIT.
 */
int image_config_validate(const ImageConfig *config, Error *err);

/* Appends a history entry. NULL strings are left out; `created` may be NULL. */
HistoryEntry *image_config_add_history(ImageConfig *config, const Timestamp *created, const char *created_by, const char *comment, bool empty_layer);

/*
 * Before writing, as BuildKit's exporter does: entries without a date get the nearest one, "created" is filled from the last dated entry, and with
 * `epoch` >= 0 (seconds, SOURCE_DATE_EPOCH) later dates are set back to it, those of the first n_base entries excepted.
 */
void image_config_normalize_history(ImageConfig *config, size_t n_base, int64_t epoch);

#define IMAGE_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- chains (image-spec config.md "Layer ChainID") --- */

/* ChainID of one layer is its diffID; of more: sha256(parent " " diffID). `parent` NULL or unset: the first layer. */
Digest chain_id_next(const Digest *parent, const Digest *diff_id);
Digest chain_id(const Digest *diff_ids, size_t n); /* n 0: the unset digest */
