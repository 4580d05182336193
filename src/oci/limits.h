/*
 * Every limit on documents from outside, with its reason. A document beyond one is refused with ERROR_LIMIT that names the limit.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* distribution-spec: registries should take manifests up to 4 MiB, so nothing that can be pushed anywhere is larger. */
#define OCI_MANIFEST_SIZE_MAX ((size_t)4 << 20)

/* Configs grow with history; containerd stops at 8 MiB, and none seen in the wild is above 1 MiB. */
#define OCI_CONFIG_SIZE_MAX ((size_t)8 << 20)

/* Nesting that a real document never has, low enough for recursion. */
#define OCI_DEPTH_MAX 64

/* docker stops at 127 because of overlayfs; our chains are merged, and one index may name this many tars. */
#define OCI_LAYERS_MAX 1024

/* History also counts steps without a layer. */
#define OCI_HISTORY_MAX 16384

/* Manifests in one index: platforms and their attestations; index.json of a shared layout has one per tag. */
#define OCI_INDEX_MAX 16384

/* One layer or blob: beyond what any registry takes (S3's largest object is 5 TiB), so that sums never overflow. */
#define OCI_BLOB_SIZE_MAX (INT64_C(1) << 43)

/* distribution/reference: the path, without the domain. */
#define OCI_REFERENCE_NAME_MAX 255
#define OCI_TAG_MAX 128

/* Embedded `data` of a descriptor, decoded; image-spec asks to keep it small. */
#define OCI_DESCRIPTOR_DATA_MAX ((size_t)1 << 20)
