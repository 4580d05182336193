/*
 * Private to crypto/: the table of hash algorithms and the fetched OpenSSL implementations.
 */
#pragma once

#include <openssl/evp.h>
#include <stddef.h>

#include "crypto/digest.h"

typedef struct AlgorithmInfo {
        const char *name;         /* as in front of the colon */
        const char *openssl_name; /* as EVP_MD_fetch() wants it */
        size_t size;              /* bytes */
} AlgorithmInfo;

/* NULL for DIGEST_NONE and for anything that is no algorithm. */
const AlgorithmInfo *algorithm_info(unsigned algorithm);

/* The implementation, fetched once per process; never NULL for a known algorithm. Thread-safe. */
const EVP_MD *algorithm_evp(DigestAlgorithm algorithm);
