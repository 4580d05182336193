/*
 * Digests as values: compare, print, read. Hashing is in hash.c.
 */
#include "crypto/digest.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "crypto/algorithm.h"
#include "crypto/encode.h"

static const AlgorithmInfo algorithms[] = {
        [DIGEST_SHA256] = { "sha256", 32 },
        [DIGEST_SHA512] = { "sha512", 64 },
};

const AlgorithmInfo *algorithm_info(unsigned algorithm)
{
        if (algorithm >= ARRAY_LEN(algorithms) || !algorithms[algorithm].name)
                return NULL;
        return &algorithms[algorithm];
}

bool digest_equal(const Digest *a, const Digest *b)
{
        return memcmp(a, b, sizeof(*a)) == 0;
}

int digest_compare(const Digest *a, const Digest *b)
{
        return memcmp(a, b, sizeof(*a));
}

size_t digest_size(const Digest *d)
{
        const AlgorithmInfo *info = algorithm_info(d->algorithm);

        return info ? info->size : 0;
}

char *digest_format(const Digest *d, char *buffer)
{
        const AlgorithmInfo *info = algorithm_info(d->algorithm);
        size_t n;

        if (!info) {
                buffer[0] = '\0';
                return buffer;
        }
        n = strlen(info->name);
        memcpy(buffer, info->name, n);
        buffer[n] = ':';
        hex_encode_to(d->bytes, info->size, buffer + n + 1);
        return buffer;
}

char *digest_hex(const Digest *d, char *buffer)
{
        return hex_encode_to(d->bytes, digest_size(d), buffer);
}

char *digest_short(const Digest *d, char *buffer)
{
        return hex_encode_to(d->bytes, digest_is_set(d) ? 6 : 0, buffer);
}

int digest_parse_hex(DigestAlgorithm algorithm, const char *hex, Digest *ret, Error *err)
{
        const AlgorithmInfo *info = algorithm_info(algorithm);
        size_t size = strlen(hex);
        Digest d = { .algorithm = (uint8_t)algorithm };

        if (!info)
                return error_set(err, ERROR_INVALID, "digest algorithm %d is not known; use sha256 or sha512", (int)algorithm);
        if (size != info->size * 2 || hex_decode_to(hex, size, d.bytes) < 0) {
                _cleanup_free_ char *shown = str_printable(hex, MIN(size, (size_t)160));

                return error_set(err, ERROR_INVALID, "'%s' is not a %s digest: it takes %zu digits 0-9 a-f", shown, info->name, info->size * 2);
        }
        *ret = d;
        return 0;
}

int digest_parse(const char *s, Digest *ret, Error *err)
{
        const char *colon = strchr(s, ':');

        for (size_t i = 0; colon && i < ARRAY_LEN(algorithms); i++) {
                const char *name = algorithms[i].name;

                if (name && strlen(name) == (size_t)(colon - s) && memcmp(s, name, (size_t)(colon - s)) == 0)
                        return digest_parse_hex((DigestAlgorithm)i, colon + 1, ret, err);
        }

        _cleanup_free_ char *shown = str_printable(s, strnlen(s, 160));

        if (!colon)
                return error_set(err, ERROR_INVALID, "'%s' is not a digest: it must look like 'sha256:<64 digits>'", shown);
        return error_set(err, ERROR_INVALID, "digest '%s' is of an unknown algorithm; use sha256 or sha512", shown);
}
