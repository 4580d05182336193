/*
 * Tables behind text.h. Private to this folder.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

typedef struct UnicodeRange {
        uint32_t first, last;
} UnicodeRange;

extern const UnicodeRange unicode_letters[];
extern const size_t unicode_n_letters;
extern const UnicodeRange unicode_digits[];
extern const size_t unicode_n_digits;
extern const UnicodeRange unicode_printables[];
extern const size_t unicode_n_printables;
