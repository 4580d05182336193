/*
 * The files of an OCI image layout (image-layout.md) and of a docker archive (`docker save`): their JSON only, no I/O.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "oci/manifest.h"

#define OCI_LAYOUT_FILE "oci-layout"
#define OCI_LAYOUT_INDEX "index.json"
#define OCI_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

/* Annotations on the entries of index.json. */
#define OCI_ANNOTATION_REF_NAME "org.opencontainers.image.ref.name" /* the tag, or a full reference */
#define CONTAINERD_ANNOTATION_NAME "io.containerd.image.name"       /* the full reference */
#define OCI_ANNOTATION_CREATED "org.opencontainers.image.created"

/* Reads the file oci-layout; other major versions are UNSUPPORTED. */
int oci_layout_check(const void *text, size_t size, Error *err);

/* "blobs/sha256/<hex>" of a digest. `buffer` has OCI_BLOB_PATH_SIZE bytes; returns it. */
#define OCI_BLOB_PATH_SIZE (sizeof("blobs/sha512/") + 2 * DIGEST_SIZE_MAX)
char *oci_blob_path(const Digest *digest, char *buffer);

/* The entry of index.json with this name: its annotation is `name`, or the full or familiar reference of it, or its digest. NULL when there is none. */
const Descriptor *oci_layout_find(const Index *index, const char *name);

/* --- docker archive: manifest.json --- */

#define DOCKER_ARCHIVE_MANIFEST "manifest.json"

typedef struct DockerArchiveImage {
        char *config;      /* path of the config inside the archive */
        StrList repo_tags; /* familiar references; may be empty */
        StrList layers;    /* paths of the layers' tars, lowest first */
        StringMap unknown; /* Parent, LayerSources */
} DockerArchiveImage;

typedef struct DockerArchive {
        JSON_ITEMS(DockerArchiveImage) images;
} DockerArchive;

void docker_archive_done(DockerArchive *archive);
#define _cleanup_docker_archive_ _cleanup_(docker_archive_done)

/* Paths are checked to be relative and clean ("a/b.tar"). Errors: INVALID, LIMIT. */
int docker_archive_parse(const void *text, size_t size, DockerArchive *ret, Error *err);
int docker_archive_text(const DockerArchive *archive, Buf *out, Error *err);
