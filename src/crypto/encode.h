/*
 * Bytes as text: hexadecimal (lower case) and base64 (RFC 4648). Decoders are strict: one text for each value, nothing skipped, so that a
 * text can be compared instead of what it stands for.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* 2 * size digits and a NUL into `buffer`. Returns it. */
char *hex_encode_to(const void *data, size_t size, char *buffer);

/* Reads `size` digits 0-9 a-f into size / 2 bytes at `out`. 0, or -EINVAL (odd size, other characters, upper case), then `out` is undefined. */
int hex_decode_to(const char *text, size_t size, void *out);

typedef enum Base64Form {
        BASE64_STANDARD, /* + and /, padded with = to a multiple of four (RFC 4648 section 4) */
        BASE64_URL,      /* - and _, no padding (RFC 4648 section 5, as JWS and the docker API's X-Registry-Auth use it) */
} Base64Form;

/* New string, without line breaks. */
char *base64_encode(Base64Form form, const void *data, size_t size);

/*
 * Appends the decoded bytes. 0; -EINVAL: white space, characters of the other form, wrong padding, or bits that the text has but the value has
 * not; -EFBIG: beyond the maximum of `out`.
 */
int base64_decode(Base64Form form, const char *text, size_t size, Buf *out);
