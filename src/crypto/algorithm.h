/*
 * Private to crypto/: the table of hash algorithms.
 */
#pragma once

#include <stddef.h>

#include "crypto/digest.h"

typedef struct AlgorithmInfo {
        const char *name; /* as in front of the colon */
        size_t size;      /* bytes */
} AlgorithmInfo;

/* NULL for DIGEST_NONE and for anything that is no algorithm. */
const AlgorithmInfo *algorithm_info(unsigned algorithm);
