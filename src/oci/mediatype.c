/*
 * The table of media types.
 */
#include "oci/mediatype.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"
#include "base/str.h"

#define OCI "application/vnd.oci."
#define DOCKER "application/vnd.docker."

/* In the order of the enum, so that media_type_info() is an index. */
static const MediaTypeInfo table[_MEDIA_MAX] = {
        { MEDIA_UNKNOWN, "", MEDIA_KIND_OTHER, MEDIA_PLAIN, false, false, MEDIA_UNKNOWN },
        { MEDIA_OCI_MANIFEST, OCI "image.manifest.v1+json", MEDIA_KIND_MANIFEST, MEDIA_PLAIN, false, false, MEDIA_DOCKER_MANIFEST },
        { MEDIA_OCI_INDEX, OCI "image.index.v1+json", MEDIA_KIND_INDEX, MEDIA_PLAIN, false, false, MEDIA_DOCKER_LIST },
        { MEDIA_OCI_CONFIG, OCI "image.config.v1+json", MEDIA_KIND_CONFIG, MEDIA_PLAIN, false, false, MEDIA_DOCKER_CONFIG },
        { MEDIA_OCI_LAYER, OCI "image.layer.v1.tar", MEDIA_KIND_LAYER, MEDIA_PLAIN, false, false, MEDIA_DOCKER_LAYER },
        { MEDIA_OCI_LAYER_GZIP, OCI "image.layer.v1.tar+gzip", MEDIA_KIND_LAYER, MEDIA_GZIP, false, false, MEDIA_DOCKER_LAYER_GZIP },
        { MEDIA_OCI_LAYER_ZSTD, OCI "image.layer.v1.tar+zstd", MEDIA_KIND_LAYER, MEDIA_ZSTD, false, false, MEDIA_DOCKER_LAYER_ZSTD },
        { MEDIA_OCI_LAYER_NONDIST, OCI "image.layer.nondistributable.v1.tar", MEDIA_KIND_LAYER, MEDIA_PLAIN, false, true, MEDIA_UNKNOWN },
        { MEDIA_OCI_LAYER_NONDIST_GZIP, OCI "image.layer.nondistributable.v1.tar+gzip", MEDIA_KIND_LAYER, MEDIA_GZIP, false, true,
          MEDIA_DOCKER_LAYER_FOREIGN_GZIP },
        { MEDIA_OCI_LAYER_NONDIST_ZSTD, OCI "image.layer.nondistributable.v1.tar+zstd", MEDIA_KIND_LAYER, MEDIA_ZSTD, false, true, MEDIA_UNKNOWN },
        { MEDIA_OCI_EMPTY, OCI "empty.v1+json", MEDIA_KIND_OTHER, MEDIA_PLAIN, false, false, MEDIA_UNKNOWN },
        { MEDIA_DOCKER_MANIFEST, DOCKER "distribution.manifest.v2+json", MEDIA_KIND_MANIFEST, MEDIA_PLAIN, true, false, MEDIA_OCI_MANIFEST },
        { MEDIA_DOCKER_LIST, DOCKER "distribution.manifest.list.v2+json", MEDIA_KIND_INDEX, MEDIA_PLAIN, true, false, MEDIA_OCI_INDEX },
        { MEDIA_DOCKER_CONFIG, DOCKER "container.image.v1+json", MEDIA_KIND_CONFIG, MEDIA_PLAIN, true, false, MEDIA_OCI_CONFIG },
        { MEDIA_DOCKER_LAYER, DOCKER "image.rootfs.diff.tar", MEDIA_KIND_LAYER, MEDIA_PLAIN, true, false, MEDIA_OCI_LAYER },
        { MEDIA_DOCKER_LAYER_GZIP, DOCKER "image.rootfs.diff.tar.gzip", MEDIA_KIND_LAYER, MEDIA_GZIP, true, false, MEDIA_OCI_LAYER_GZIP },
        { MEDIA_DOCKER_LAYER_ZSTD, DOCKER "image.rootfs.diff.tar.zstd", MEDIA_KIND_LAYER, MEDIA_ZSTD, true, false, MEDIA_OCI_LAYER_ZSTD },
        { MEDIA_DOCKER_LAYER_FOREIGN_GZIP, DOCKER "image.rootfs.foreign.diff.tar.gzip", MEDIA_KIND_LAYER, MEDIA_GZIP, true, true,
          MEDIA_OCI_LAYER_NONDIST_GZIP },
        { MEDIA_DOCKER_SCHEMA1, DOCKER "distribution.manifest.v1+json", MEDIA_KIND_OTHER, MEDIA_PLAIN, true, false, MEDIA_UNKNOWN },
        { MEDIA_DOCKER_SCHEMA1_SIGNED, DOCKER "distribution.manifest.v1+prettyjws", MEDIA_KIND_OTHER, MEDIA_PLAIN, true, false, MEDIA_UNKNOWN },
        { MEDIA_IN_TOTO, "application/vnd.in-toto+json", MEDIA_KIND_OTHER, MEDIA_PLAIN, false, false, MEDIA_UNKNOWN },
};

const MediaTypeInfo *media_type_find(const char *name)
{
        size_t n = name ? strcspn(name, "; \t") : 0;

        for (size_t i = 1; i < ARRAY_LEN(table); i++)
                if (strlen(table[i].name) == n && strncasecmp(table[i].name, name, n) == 0)
                        return &table[i];
        return &table[0];
}

const MediaTypeInfo *media_type_info(MediaType type)
{
        return (unsigned)type < _MEDIA_MAX ? &table[type] : &table[0];
}

const char *media_type_name(MediaType type)
{
        return media_type_info(type)->name;
}

MediaType media_type_layer(MediaCompression compression, bool docker)
{
        MediaType oci = compression == MEDIA_GZIP ? MEDIA_OCI_LAYER_GZIP : compression == MEDIA_ZSTD ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER;

        return docker ? table[oci].twin : oci;
}
