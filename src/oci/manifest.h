/*
 * Image manifests and indexes, OCI's and docker's (schema 2 manifest and list): the same structs, told apart by media type.
 *
 * Written as BuildKit writes them: Go's field order, two spaces of indentation, no newline at the end.
 * The bytes of a manifest that came from outside are its identity: keep them; never write a parsed one back under the same name.
 *
 * Specs: image-spec 1.1 manifest.md, image-index.md; docker "Image Manifest Version 2, Schema 2".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "oci/descriptor.h"
#include "oci/platform.h"

typedef struct Manifest {
        int64_t schema_version; /* 2 */
        char *media_type;       /* NULL is allowed for OCI */
        char *artifact_type;
        Descriptor config;
        DescriptorList layers;
        Descriptor *subject;
        StringMap annotations;
} Manifest;

typedef struct Index {
        int64_t schema_version; /* 2 */
        char *media_type;
        char *artifact_type;
        DescriptorList manifests;
        Descriptor *subject;
        StringMap annotations;
} Index;

extern const JsonField manifest_fields[];
extern const JsonField index_fields[];

/* An empty one of OCI's or docker's family. */
void manifest_init(Manifest *manifest, bool docker);
void index_init(Index *index, bool docker);
void manifest_done(Manifest *manifest);
void index_done(Index *index);
#define _cleanup_manifest_ _cleanup_(manifest_done)
#define _cleanup_index_ _cleanup_(index_done)

/* Appends an empty descriptor for the caller to fill. */
Descriptor *descriptor_list_add(DescriptorList *list);

/*
 * What a document is, from its own words: mediaType when it has one (which must agree with `media_type` from outside, unless that is NULL), else its
 * members. A document that is both (has "layers" or "config" and "manifests") is refused, as image-spec demands (CVE-2021-41190).
 * Returns the type in *ret; schema 1 and unknown types are UNSUPPORTED.
 */
int manifest_sniff(const void *text, size_t size, const char *media_type, MediaType *ret, Error *err);

/* Reads and validates. Errors: INVALID, LIMIT, UNSUPPORTED. */
int manifest_parse(const void *text, size_t size, Manifest *ret, Error *err);
int index_parse(const void *text, size_t size, Index *ret, Error *err);

/* Appends the text. */
int manifest_text(const Manifest *manifest, Buf *out, Error *err);
int index_text(const Index *index, Buf *out, Error *err);

/* True when this is an image (its config is one), not an artifact such as a signature or an attestation. */
bool manifest_is_image(const Manifest *manifest);

/* True for the entries that BuildKit adds for provenance and SBOMs (annotation vnd.docker.reference.type, platform unknown/unknown). */
bool descriptor_is_attestation(const Descriptor *descriptor);

/*
 * The entry for a platform: best platform_rank(), the first of equals, attestations left out; one without a platform counts when it is the only image.
 * Errors: NOT_FOUND "no match for platform in manifest: not found: 'linux/arm64' (there are: linux/amd64, linux/386)". *ret is borrowed.
 */
int index_select(const Index *index, const Platform *want, const Descriptor **ret, Error *err);
