/*
 * Images for several platforms, and images with attestations: an index in blobs/ that a name can point to.
 *
 * Each platform is an image of its own, with its record; the index ties them together. One of them is the index's own image: that of this machine's platform,
 * else the first. Whoever asks for the name without a platform gets that one, and the record of the index lives as long as it does.
 * An image that has no name of its own and is in an index belongs to it: lists leave it out, and it is removed together with the index's own image.
 */
#pragma once

#include "oci/platform.h"
#include "store/image.h"

typedef struct IndexMember {
        Digest image; /* id */
        Digest manifest;
} IndexMember;

typedef struct ImageIndex {
        Digest digest;
        uint64_t size;
        char *media_type;
        Digest image; /* the index's own */
        IndexMember *members;
        size_t n_members;
} ImageIndex;

void image_index_free(ImageIndex *index);
DEFINE_CLEANUP(ImageIndex *, image_index_free)

/*
 * Records an index whose document, manifests, configs, layers and other blobs were written or held under `lease`, with its images, and points normalised names
 * at it, all in one transaction: no moment leaves images that only the index would have named. Syncs first. Everything that the index names must be there:
 * NOT_FOUND. *ret_image (may be NULL) is the index's own image.
 */
int image_put_index(Lease *lease, const Digest *index, const char *const *names, size_t n_names, Digest *ret_image, Error *err);

/* Points a normalised name with tag at a recorded index and its own image. */
int image_tag_index(Store *store, const char *name, const Digest *index, Error *err);

/* What a user's name (or digest) leads to: 1 and the index; 0 when it leads to an image without one, or to nothing; -1. */
int image_index_find(Store *store, const char *name_or_digest, ImageIndex **ret, Error *err);

/*
 * image_find() for a platform (NULL: this machine's): of an image for several platforms the one that fits best. An image for one platform is found whatever
 * its platform is: the caller checks. Errors: those of image_find(), and NOT_FOUND that lists the platforms there are.
 */
int image_find_platform(Store *store, const char *name_or_id, const Platform *platform, Image **ret, Error *err);

/* The same, and an image for one platform has to be for this one, too: NOT_FOUND in docker's words. */
int image_find_matching(Store *store, const char *name_or_id, const Platform *platform, Image **ret, Error *err);
