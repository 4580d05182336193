/*
 * Recording an image that was made here: from its config and its layers in the store to config blob, manifest blob and row.
 */
#pragma once

#include "oci/config.h"
#include "store/image.h"

typedef struct WrittenImage {
        Digest id;                           /* of the config */
        Digest manifest;                     /* of the manifest */
        uint64_t config_size, manifest_size; /* bytes */
} WrittenImage;

/*
 * Writes the config (whose rootfs.diff_ids name the layers, bottom first) and an OCI manifest with uncompressed layers, and records the image (image_put: syncs
 * the lease). Every layer must exist and be held by the lease. Errors: INVALID (history and layers do not agree), NOT_FOUND (a layer), those of the store.
 */
int image_write(Lease *lease, const ImageConfig *config, WrittenImage *ret, Error *err);

/* The same, and points names (normalised) at it, all in one transaction. */
int image_write_named(Lease *lease, const ImageConfig *config, const char *const *names, size_t n_names, WrittenImage *ret, Error *err);
