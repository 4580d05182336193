/*
 * Media types: one table of all that are understood, with what they are and how they are compressed.
 * Adding one: an enum value here and a line in mediatype.c; the unit test checks that the table is unique and complete.
 */
#pragma once

#include <stdbool.h>

typedef enum MediaType {
        MEDIA_UNKNOWN,
        MEDIA_OCI_MANIFEST,
        MEDIA_OCI_INDEX,
        MEDIA_OCI_CONFIG,
        MEDIA_OCI_LAYER,
        MEDIA_OCI_LAYER_GZIP,
        MEDIA_OCI_LAYER_ZSTD,
        MEDIA_OCI_LAYER_NONDIST,
        MEDIA_OCI_LAYER_NONDIST_GZIP,
        MEDIA_OCI_LAYER_NONDIST_ZSTD,
        MEDIA_OCI_EMPTY,
        MEDIA_DOCKER_MANIFEST,
        MEDIA_DOCKER_LIST,
        MEDIA_DOCKER_CONFIG,
        MEDIA_DOCKER_LAYER,
        MEDIA_DOCKER_LAYER_GZIP,
        MEDIA_DOCKER_LAYER_ZSTD,
        MEDIA_DOCKER_LAYER_FOREIGN_GZIP,
        MEDIA_DOCKER_SCHEMA1,
        MEDIA_DOCKER_SCHEMA1_SIGNED,
        MEDIA_IN_TOTO, /* attestation statements as BuildKit stores them */
        _MEDIA_MAX,
} MediaType;

typedef enum MediaKind { MEDIA_KIND_OTHER, MEDIA_KIND_MANIFEST, MEDIA_KIND_INDEX, MEDIA_KIND_CONFIG, MEDIA_KIND_LAYER } MediaKind;
typedef enum MediaCompression { MEDIA_PLAIN, MEDIA_GZIP, MEDIA_ZSTD } MediaCompression;

typedef struct MediaTypeInfo {
        MediaType type;
        const char *name;
        MediaKind kind;
        MediaCompression compression;
        bool docker;           /* docker's own family, not OCI's */
        bool nondistributable; /* a layer that must not be pushed elsewhere */
        MediaType twin;        /* the same thing in the other family, or MEDIA_UNKNOWN */
} MediaTypeInfo;

/* Never NULL: unknown types (and NULL) give the entry of MEDIA_UNKNOWN. Parameters ("; charset=utf-8") are ignored. */
const MediaTypeInfo *media_type_find(const char *name);
const MediaTypeInfo *media_type_info(MediaType type);
const char *media_type_name(MediaType type); /* "" for MEDIA_UNKNOWN */

/* The layer type with this compression in the given family. */
MediaType media_type_layer(MediaCompression compression, bool docker);
