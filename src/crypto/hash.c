/*
 * Hashing over OpenSSL's block functions (SHA-NI where the processor has it: 1.7 GB/s), linked from its static library.
 *
 * Why not EVP from the shared library: its 5,000 symbols are bound at every start of the program, 1 to 1.5 ms of the 10 that a cached build may take, and
 * the first fetch of a digest costs 0.35 ms more. These functions are some kilobytes, need no set-up and cannot fail.
 *
 * Threads: a Hash belongs to one thread at a time; different ones are independent.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* OpenSSL 3 would rather see EVP used */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/algorithm.h"
#include "crypto/digest.h"

struct Hash {
        DigestAlgorithm algorithm;
        union {
                SHA256_CTX sha256;
                SHA512_CTX sha512;
        };
};

Digest digest_of(const void *data, size_t size)
{
        Digest d = { .algorithm = DIGEST_SHA256 };
        SHA256_CTX context;

        SHA256_Init(&context); /* SHA256(), which does all three, drags EVP in */
        SHA256_Update(&context, data, size);
        SHA256_Final(d.bytes, &context);
        return d;
}

Hash *hash_new(DigestAlgorithm algorithm)
{
        Hash *hash = NEW(Hash);

        hash->algorithm = algorithm;
        switch (algorithm) {
        case DIGEST_SHA256:
                SHA256_Init(&hash->sha256);
                return hash;
        case DIGEST_SHA512:
                SHA512_Init(&hash->sha512);
                return hash;
        case DIGEST_NONE:
                break;
        }
        abort(); /* a caller's mistake; there is no digest to go on with */
}

void hash_free(Hash *hash)
{
        free(hash);
}

void hash_add(Hash *hash, const void *data, size_t size)
{
        if (hash->algorithm == DIGEST_SHA512)
                SHA512_Update(&hash->sha512, data, size);
        else
                SHA256_Update(&hash->sha256, data, size);
}

static void add_u64(Hash *hash, uint64_t value)
{
        uint8_t bytes[8];

        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(value >> (8 * i));
        hash_add(hash, bytes, sizeof(bytes));
}

void hash_field(Hash *hash, const void *data, size_t size)
{
        add_u64(hash, size);
        hash_add(hash, data, size);
}

void hash_field_str(Hash *hash, const char *s)
{
        if (s)
                hash_field(hash, s, strlen(s));
        else
                add_u64(hash, UINT64_MAX); /* no string is that long */
}

void hash_field_u64(Hash *hash, uint64_t value)
{
        add_u64(hash, sizeof(value));
        add_u64(hash, value);
}

void hash_field_digest(Hash *hash, const Digest *d)
{
        /* The algorithm is part of it, and an unset digest is one zero byte. */
        hash_field(hash, d, 1 + digest_size(d));
}

Digest hash_digest(const Hash *hash)
{
        Digest d = { .algorithm = (uint8_t)hash->algorithm };
        Hash copy = *hash; /* so that the stream can go on */

        if (copy.algorithm == DIGEST_SHA512)
                SHA512_Final(d.bytes, &copy.sha512);
        else
                SHA256_Final(d.bytes, &copy.sha256);
        return d;
}
