/*
 * For fuzz targets that read tars.
 */
#include <stdint.h>
#include <string.h>

#include "tar/tar.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak)); /* not there when the corpus is replayed */

/* Puts the checksums of headers right after each change: the fuzzer would never get past them. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
        size = LLVMFuzzerMutate ? LLVMFuzzerMutate(data, size, max_size) : size;
        for (size_t at = 0; at + TAR_BLOCK_SIZE <= size; at += TAR_BLOCK_SIZE) {
                uint8_t *block = data + at;
                unsigned total = 0;

                /* Some stay wrong; what has no magic is content or V7. */
                if (seed % 16 == 0 || memcmp(block + 257, "ustar", 5) != 0)
                        continue;
                memset(block + 148, ' ', 8);
                for (size_t i = 0; i < TAR_BLOCK_SIZE; i++)
                        total += block[i];
                for (size_t i = 0; i < 6; i++)
                        block[153 - i] = (uint8_t)('0' + (total >> (3 * i) & 7));
                block[154] = '\0';
        }
        return size;
}
