/*
 * Content digests: "sha256:<64 hex>" and "sha512:<128 hex>" (OCI image-spec 1.1, descriptor.md "Digests"), and hashing as a stream.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

typedef enum DigestAlgorithm { DIGEST_NONE, DIGEST_SHA256, DIGEST_SHA512 } DigestAlgorithm;

#define DIGEST_SIZE_MAX 64
#define DIGEST_TEXT_SIZE (7 + 2 * DIGEST_SIZE_MAX + 1) /* with the terminator */

/* Plain data: copy it by assignment. Unused bytes are zero, so that memcmp() works. */
typedef struct Digest {
        uint8_t algorithm; /* DigestAlgorithm; 0 means "no digest" */
        uint8_t bytes[DIGEST_SIZE_MAX];
} Digest;

static inline bool digest_is_set(const Digest *d)
{
        return d->algorithm != DIGEST_NONE;
}

bool digest_equal(const Digest *a, const Digest *b);  /* two that are not set are */
int digest_compare(const Digest *a, const Digest *b); /* a total order */
size_t digest_size(const Digest *d);                  /* bytes: 32 or 64 */

/* "sha256:…" in lower case. `buffer` has DIGEST_TEXT_SIZE bytes. Returns it. */
char *digest_format(const Digest *d, char *buffer);

/* Only the hexadecimal part. Returns `buffer`. */
char *digest_hex(const Digest *d, char *buffer);

/* The first 12 hexadecimal digits, as docker prints ids. `buffer` has 13 bytes. */
char *digest_short(const Digest *d, char *buffer);

/* Reads "algorithm:hex". Upper-case hex, other algorithms and wrong lengths are INVALID. */
int digest_parse(const char *s, Digest *ret, Error *err);

/* Reads 64 or 128 hexadecimal digits without the algorithm. */
int digest_parse_hex(DigestAlgorithm algorithm, const char *hex, Digest *ret, Error *err);

/* Digest of bytes in memory. */
Digest digest_of(const void *data, size_t size);

/* --- streams --- */

typedef struct Hash Hash;

Hash *hash_new(DigestAlgorithm algorithm);
void hash_free(Hash *hash); /* NULL is fine */
DEFINE_CLEANUP(Hash *, hash_free)

void hash_add(Hash *hash, const void *data, size_t size);

/* Adds an 8-byte little-endian length and then the bytes, so that ("ab","c") and ("a","bc") differ. All cache keys are made with these. */
void hash_field(Hash *hash, const void *data, size_t size);
void hash_field_str(Hash *hash, const char *s); /* NULL differs from "" */
void hash_field_u64(Hash *hash, uint64_t value);
void hash_field_digest(Hash *hash, const Digest *d);

/* The digest so far; the stream can go on. */
Digest hash_digest(const Hash *hash);
