#include "crypto/encode.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[2][65] = {
        [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

char *hex_encode_to(const void *data, size_t size, char *buffer)
{
        const uint8_t *bytes = data;

        for (size_t i = 0; i < size; i++) {
                buffer[2 * i] = hex_digits[bytes[i] >> 4];
                buffer[2 * i + 1] = hex_digits[bytes[i] & 15];
        }
        buffer[2 * size] = '\0';
        return buffer;
}

static int hex_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

int hex_decode_to(const char *text, size_t size, void *out)
{
        uint8_t *bytes = out;

        if (size % 2)
                return -EINVAL;
        for (size_t i = 0; i < size; i += 2) {
                int high = hex_value(text[i]), low = hex_value(text[i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                bytes[i / 2] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

char *base64_encode(Base64Form form, const void *data, size_t size)
{
        const char *digits = base64_digits[form];
        const uint8_t *in = data;
        char *text = xmalloc(size / 3 * 4 + 5), *p = text;

        for (size_t i = 0; i < size; i += 3) {
                size_t n = MIN(size - i, (size_t)3);
                uint32_t group = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0U);

                for (size_t k = 0; k < 4; k++) {
                        if (k <= n)
                                *p++ = digits[group >> (18 - 6 * k) & 63];
                        else if (form == BASE64_STANDARD)
                                *p++ = '=';
                }
        }
        *p = '\0';
        return text;
}

static int base64_value(Base64Form form, char c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        if (c == base64_digits[form][62])
                return 62;
        if (c == base64_digits[form][63])
                return 63;
        return -1;
}

int base64_decode(Base64Form form, const char *text, size_t size, Buf *out)
{
        uint32_t group = 0;
        unsigned n_bits = 0;
        uint8_t *bytes;
        size_t n_bytes;

        if (form == BASE64_STANDARD) {
                if (size % 4)
                        return -EINVAL;
                for (int i = 0; i < 2 && size && text[size - 1] == '='; i++)
                        size--;
        }
        if (size % 4 == 1)
                return -EINVAL;
        n_bytes = size / 4 * 3 + (size % 4 ? size % 4 - 1 : 0);
        if (n_bytes == 0)
                return 0;
        bytes = buf_reserve(out, n_bytes);
        if (!bytes)
                return -EFBIG;
        for (size_t i = 0; i < size; i++) {
                int value = base64_value(form, text[i]);

                if (value < 0)
                        return -EINVAL;
                group = group << 6 | (uint32_t)value;
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        *bytes++ = (uint8_t)(group >> n_bits);
                }
        }
        if (group & ((1U << n_bits) - 1))
                return -EINVAL;
        buf_commit(out, n_bytes);
        return 0;
}
