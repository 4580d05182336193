/*
 * What compressed data from outside may ask of us.
 */
#pragma once

#include <stdint.h>

/* Memory that a decoder may take for its window. 128 MiB is `zstd --long` without an argument and twice what `xz -9` needs. */
#define CODEC_WINDOW_LOG_MAX 27
#define CODEC_MEMORY_MAX ((uint64_t)160 << 20)

/* Output that the ratio limit does not count: small archives of zeros are harmless. */
#define CODEC_RATIO_FREE ((uint64_t)64 << 20)
