/*
 * Keeping the store in order: collecting what nothing names, verifying everything, and saying who uses how much.
 */
#pragma once

#include "store/image.h"
#include "store/store.h"

typedef struct GcResult {
        uint64_t n_layers, n_blobs, n_chains, n_leases, n_temporary;
        uint64_t size; /* bytes given back */
} GcResult;

/*
 * Deletes what no image, container, cache record or live lease names: leases of dead processes and their temporary files, blobs, layers, merged indexes.
 * `drop_blobs`: also compressed blobs that can be made again from a layer. Safe beside running builds.
 */
int store_gc(Store *store, bool drop_blobs, GcResult *ret, Error *err);

typedef struct FsckProblem {
        const char *kind; /* "layer", "blob", "index", "chain", "row", "file", "image", "tag" */
        const char *name; /* digest, path or name */
        const char *text; /* what is wrong */
        bool repaired;
} FsckProblem;

typedef struct FsckResult {
        uint64_t n_layers, n_blobs, n_images, size; /* checked */
        uint64_t n_problems, n_repaired;
} FsckResult;

/*
 * Re-hashes every layer and blob, checks every index, merged index and unpacked directory against what its tars make now (which takes the space of the largest
 * unpacked layer for a while), every row against its file and every file against its row.
 * With `repair`: removes what is broken (an image that lost a layer goes with its names) and makes again what can be made from a tar; unpacked directories in
 * use stay as they are.
 * `progress` may be NULL.
 */
int store_fsck(Store *store, bool repair, void (*problem)(void *user, const FsckProblem *problem), void (*progress)(void *user, uint64_t done, uint64_t total),
               void *user, FsckResult *ret, Error *err);

/* --- disk usage of images: docker system df; the build cache's is in store/cache_items.h --- */

typedef struct ImageUsage {
        Digest id;
        uint64_t size;   /* all its layers */
        uint64_t shared; /* layers that another image has too */
        uint64_t unique;
        uint64_t n_containers;
} ImageUsage;

typedef struct StoreUsage {
        ImageUsage *images; /* in the order of image_list() */
        size_t n_images;
        uint64_t layers_size; /* every layer once */
        uint64_t images_reclaimable;
} StoreUsage;

void store_usage_done(StoreUsage *usage);
int store_usage(Store *store, StoreUsage *ret, Error *err);
