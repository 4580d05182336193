/*
 * Everything that a build took from outside: images, files from http, git repositories, OCI layouts, local directories. What provenance calls resolved
 * dependencies, what --pin writes down and --locked compares with.
 *
 * Threads: every function may be called from any thread; what sources_get() returns is stable once no step runs any more.
 */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "crypto/digest.h"
#include "oci/platform.h"

typedef enum SourceKind { SOURCE_IMAGE, SOURCE_HTTP, SOURCE_GIT, SOURCE_OCI_LAYOUT, SOURCE_LOCAL, SOURCE_KINDS } SourceKind;

/* "image", "http", "git", "oci-layout", "local"; static. */
const char *source_kind_name(SourceKind kind);

/* A commit in hexadecimal, SHA-1 or SHA-256, with the terminator. */
#define SOURCE_COMMIT_SIZE 65

/* Strings belong to the list; when given to sources_add() they are copied. */
typedef struct SourceRecord {
        SourceKind kind;
        const char *uri;   /* as BuildKit writes it in provenance: "pkg:docker/debian@bookworm?platform=linux%2Famd64", "https://…", "https://…/x.git#v1" */
        const char *asked; /* what was asked for: "docker.io/library/debian:bookworm", the URL, "https://…/x.git#v1:sub", a path. No passwords. */
        const char *platform;            /* of an image: "linux/amd64"; else NULL */
        Digest digest;                   /* image: its manifest; http: the content; oci-layout: the manifest; local: unset */
        char commit[SOURCE_COMMIT_SIZE]; /* git; else "" */
} SourceRecord;

typedef struct Sources Sources;

Sources *sources_new(void);
void sources_free(Sources *sources);
DEFINE_CLEANUP(Sources *, sources_free)

/* Adds one; the same kind, uri and platform again changes nothing. */
void sources_add(Sources *sources, const SourceRecord *source);

/* All of them, sorted by kind, uri and platform. Belongs to the list and is valid until the next sources_add(). */
const SourceRecord *sources_get(Sources *sources, size_t *ret_n);

/*
 * The package URL of an image reference in any form. `type` is "docker" or "oci", `platform` may be NULL. New string.
 * Spec: package-url; as BuildKit's util/purl writes it. Errors: INVALID.
 */
int source_image_uri(const char *type, const char *reference, const Platform *platform, char **ret, Error *err);
