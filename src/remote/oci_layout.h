/*
 * One image out of an OCI image layout directory, for builds: its layers go into the store and are held by a lease, no name and no image is recorded.
 *
 * Everything in the directory is hostile: it is opened by digest and without following links, and every blob is verified.
 * Spec: image-spec 1.1 image-layout.md.
 */
#pragma once

#include "oci/config.h"
#include "store/store.h"

/*
 * `reference` is a tag (the annotation org.opencontainers.image.ref.name) or, with `digest` set, only shown; NULL or "": "latest", or the only image there is.
 * `platform` chooses from an index; NULL: this machine's. Layers that the store has are not read.
 * Errors: NOT_FOUND (no layout, no such tag, digest, platform or blob), INVALID, CORRUPT, LIMIT, those of the store.
 */
int oci_layout_take(Lease *lease, const char *path, const char *reference, const Digest *digest, const Platform *platform, ImageConfig *ret_config,
                    Digest *ret_manifest, Error *err);
