/*
 * What the two halves of the archive reader share: archive_load.c takes the members in, archive_resolve.c makes images of them.
 */
#pragma once

#include "base/buf.h"
#include "base/map.h"
#include "remote/archive.h"

typedef struct Member {
        bool is_layer;
        Digest digest;  /* of the member's bytes */
        Digest diff_id; /* of a layer */
        char *link;     /* path of another member, or NULL */
} Member;

typedef struct Loader {
        Store *store;
        Lease *lease;
        const ArchiveLoad *options;
        Map *members; /* path -> Member */
        struct Current *current;
        Buf index, manifest, layout; /* index.json, manifest.json, oci-layout */
        int (*each)(void *user, const LoadedImage *image, Error *err);
        void *user;
} Loader;

/* Everything was read and is durable: records the images and their names. */
int loader_resolve(Loader *loader, Error *err);
