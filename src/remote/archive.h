/*
 * Images as archives: docker-archive (docker save), oci-archive and OCI layout directories. Read and written as streams, in bounded memory.
 *
 * Reading takes the members in any order, in one pass: what looks like a layer goes straight into the store's importer, what looks like JSON is kept small and
 * looked at when everything has been seen. Everything in an archive is hostile: names are never used as paths, digests are checked.
 *
 * Specs: image-spec 1.1 image-layout.md; docker's save format with manifest.json (since 1.10) and with blobs/ and index.json beside it (since 25).
 */
#pragma once

#include <signal.h>

#include "base/sink.h"
#include "base/str.h"
#include "store/image_index.h"
#include "store/store.h"

/* --- reading --- */

/* Members of one archive, and images in it: far beyond what any tool writes. */
#define ARCHIVE_MEMBERS_MAX 200000
#define ARCHIVE_IMAGES_MAX 4096
/* manifest.json, index.json, repositories. */
#define ARCHIVE_INDEX_SIZE_MAX ((size_t)16 << 20)

typedef struct LoadedImage {
        Digest id;
        Digest index;  /* of an image for several platforms or with attestations: what the names point at; else unset */
        StrList names; /* normalised names that now point at it; empty: none */
        StrList moved; /* for each of them the id of the other image that it pointed at before, or "" */
} LoadedImage;

typedef struct ArchiveLoad {
        const char *platform;                                            /* "linux/arm64", or NULL: this machine's */
        void (*progress)(void *user, const char *member, uint64_t done); /* bytes read of the archive; may be NULL */
        void *user;
        const volatile sig_atomic_t *cancel; /* may be NULL */
} ArchiveLoad;

/*
 * Loads every image of an archive (any compression) from `fd`, or of an OCI layout when `fd` is a directory, and tags them as the archive says.
 * `each` is told of every image, in the order of the archive.
 * Errors: INVALID (no image archive), CORRUPT (digests, truncated), LIMIT, NOT_FOUND (a blob that the archive names is not in it), those of the store.
 */
int archive_load(Store *store, int fd, const ArchiveLoad *options, int (*each)(void *user, const LoadedImage *image, Error *err), void *user, Error *err);

/* --- writing --- */

typedef enum ArchiveFormat { ARCHIVE_DOCKER, ARCHIVE_OCI } ArchiveFormat;

typedef struct ArchiveItem {
        const Image *image;
        const ImageIndex *index; /* of which `image` is the own one: everything in it is written too; or NULL */
        StrList names;           /* full references to write; empty: none */
} ArchiveItem;

/*
 * Writes the images as one tar, those of an index with all its platforms and attestations. ARCHIVE_DOCKER: blobs/, index.json, oci-layout, manifest.json and
 * repositories, layers uncompressed: docker, podman and skopeo load it. ARCHIVE_OCI: the OCI layout alone; an image that came with compressed layers keeps its
 * manifest while its blobs are there. Deterministic. Every blob is verified while it is copied.
 */
int archive_save(Store *store, const ArchiveItem *items, size_t n_items, ArchiveFormat format, const Sink *to, Error *err);
