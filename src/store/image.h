/*
 * Images and their names.
 *
 * An image is a manifest and a config in blobs/ and a list of layers. Its id is the digest of its config, as docker's. The manifest of an image built here
 * names uncompressed layers (media type …layer.v1.tar, digest = diffID); one that was loaded or pulled keeps the manifest it came with.
 */
#pragma once

#include "store/store.h"

typedef struct Image {
        Digest id;                         /* of the config */
        Digest manifest;                   /* of the manifest */
        Timestamp created;                 /* from the config; 0 when it says nothing */
        Timestamp last_tagged;             /* 0: never */
        char *os, *architecture, *variant; /* variant may be NULL */
        Digest *diff_ids;
        size_t n_diff_ids;
        uint64_t size;        /* sum of content_size of its layers: docker's SIZE */
        StrList names;        /* normalised "docker.io/library/x:tag", sorted; empty for a dangling image */
        bool is_part;         /* it has no name of its own and is in the index of another image (image_index.h) */
        StrList repo_digests; /* "docker.io/library/x@sha256:…" that it was pulled by */
} Image;

void image_done(Image *image);
void image_free(Image *image);
DEFINE_CLEANUP(Image *, image_free)

/*
 * Records an image whose manifest, config and layers were written (or held) under `lease`; syncs first. Parses and checks them: CORRUPT/INVALID when
 * they do not fit together. Recording it again is fine. *ret_id may be NULL.
 */
int image_put(Lease *lease, const Digest *manifest, Digest *ret_id, Error *err);

/* The same, and points the (normalised) names at it, all in one transaction: how a build ends. */
int image_put_named(Lease *lease, const Digest *manifest, const char *const *names, size_t n_names, Digest *ret_id, Error *err);

/* Points a normalised name with tag at an image; whatever had the name before loses it. */
int image_tag(Store *store, const char *name, const Digest *id, Error *err);
int image_untag(Store *store, const char *name, Error *err); /* NOT_FOUND */
int image_add_repo_digest(Store *store, const char *repository_digest, const Digest *id, Error *err);

/*
 * Finds an image by what a user types: a reference in any form (familiar, with tag or digest), a full id ("sha256:…" or 64 digits) or a unique prefix of one.
 * Errors: NOT_FOUND ("No such image: x"), INVALID (ambiguous prefix, malformed). A name wins over an id prefix.
 */
int image_find(Store *store, const char *name_or_id, Image **ret, Error *err);
int image_get(Store *store, const Digest *id, Image **ret, Error *err);

/* Every image, newest first. */
int image_list(Store *store, Image ***ret, size_t *ret_n, Error *err);
void image_list_free(Image **images, size_t n);

/*
 * Removes the record (names too), with indexes of which it is the own image and images that only those name. Its blobs and layers go at the next store_gc().
 * CONFLICT when a container uses it or it is in the index of another image, and not `force`.
 */
int image_remove(Store *store, const Digest *id, bool force, Error *err);

/* The raw config JSON, verified. Appends to `buf`. */
int image_config(Store *store, const Image *image, Buf *buf, Error *err);
