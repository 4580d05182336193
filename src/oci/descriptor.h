/*
 * Descriptors: type, digest and size of some content (image-spec 1.1 descriptor.md).
 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/str.h"
#include "crypto/digest.h"
#include "oci/mediatype.h"
#include "oci/platform.h"
#include "json/dispatch.h"

typedef struct Descriptor {
        char *media_type;
        Digest digest;
        int64_t size; /* bytes, 0 .. OCI_BLOB_SIZE_MAX */
        StrList urls;
        StringMap annotations;
        char *data;         /* the content itself in base64, or NULL */
        Platform *platform; /* NULL when there is none */
        char *artifact_type;
} Descriptor;

typedef JSON_ITEMS(Descriptor) DescriptorList;

extern const JsonField descriptor_fields[];
extern const JsonCustom digest_json;      /* Digest <-> "sha256:…" */
extern const JsonCustom digest_list_json; /* DigestList <-> ["sha256:…", …] */

typedef JSON_ITEMS(Digest) DigestList;
void digest_list_add(DigestList *list, const Digest *digest);
void digest_list_done(DigestList *list);

void descriptor_done(Descriptor *descriptor);
#define _cleanup_descriptor_ _cleanup_(descriptor_done)
void descriptor_copy(Descriptor *to, const Descriptor *from); /* `to` is empty before */

/* Sets type, digest and size of an empty descriptor. */
void descriptor_set(Descriptor *descriptor, MediaType type, const Digest *digest, uint64_t size);

/* Describes bytes in memory (sha256). */
void descriptor_of(Descriptor *descriptor, MediaType type, const void *data, size_t size);

static inline const MediaTypeInfo *descriptor_type(const Descriptor *descriptor)
{
        return media_type_find(descriptor->media_type);
}

/* Checks size, media type and `data`. `what` is the path for messages: "'layers[3]' …". INVALID, LIMIT. */
int descriptor_validate(const Descriptor *descriptor, const char *what, Error *err);

/* Checks that content is what the descriptor says. CORRUPT, naming `what`, expected and got. */
int descriptor_verify(const Descriptor *descriptor, const char *what, const void *data, size_t size, Error *err);
