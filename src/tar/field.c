#include "tar/field.h"

#include <string.h>

#include "base/macros.h"
#include "tar/tar.h"

TarFormat header_format(const TarHeader *header)
{
        if (memcmp(header->magic, "ustar\0", 6) == 0)
                return memcmp(header->padding + 8, "tar\0", 4) == 0 ? TAR_FORMAT_STAR : TAR_FORMAT_USTAR;
        if (memcmp(header->magic, "ustar  \0", 8) == 0)
                return TAR_FORMAT_GNU;
        return TAR_FORMAT_V7;
}

bool header_is_zero(const TarHeader *header)
{
        const char *p = (const char *)header;

        return p[0] == 0 && memcmp(p, p + 1, sizeof(*header) - 1) == 0;
}

bool header_checksum_ok(const TarHeader *header)
{
        const uint8_t *p = (const uint8_t *)header;
        int64_t stored;
        int64_t total = 0, high = 0;

        if (!field_number(header->checksum, sizeof(header->checksum), &stored))
                return false;
        for (size_t i = 0; i < sizeof(*header); i++) {
                total += p[i];
                high += p[i] >> 7;
        }
        for (size_t i = 0; i < sizeof(header->checksum); i++) {
                uint8_t c = (uint8_t)header->checksum[i];

                total += ' ' - c;
                high -= c >> 7;
        }
        return stored == total || stored == total - 256 * high;
}

bool tar_looks_like_header(const void *block)
{
        return header_checksum_ok(block);
}

static bool base256(const uint8_t *p, size_t size, int64_t *ret)
{
        /* Two's complement, big endian; bit 7 of the first byte marks the form and bit 6 is the sign. */
        uint8_t invert = p[0] & 0x40 ? 0xff : 0;
        uint64_t value = 0;

        for (size_t i = 0; i < size; i++) {
                uint8_t c = p[i] ^ invert;

                if (i == 0)
                        c &= 0x7f;
                if (value >> 56)
                        return false;
                value = value << 8 | c;
        }
        if (value >> 63)
                return false;
        *ret = invert ? (int64_t)~value : (int64_t)value;
        return true;
}

bool field_number(const char *field, size_t size, int64_t *ret)
{
        size_t start = 0, end = size;
        uint64_t value = 0;

        if (field[0] & 0x80)
                return base256((const uint8_t *)field, size, ret);
        while (start < end && (field[start] == ' ' || field[start] == '\0'))
                start++;
        while (end > start && (field[end - 1] == ' ' || field[end - 1] == '\0'))
                end--;
        /* At most 12 digits of three bits: no overflow. What follows an inner NUL is left-over bytes of the writer's buffer. */
        for (; start < end && field[start]; start++) {
                if (field[start] < '0' || field[start] > '7')
                        return false;
                value = value << 3 | (uint64_t)(field[start] - '0');
        }
        *ret = (int64_t)value;
        return true;
}

bool field_fits_octal(size_t size, int64_t value)
{
        return value >= 0 && value >> (3 * (size - 1)) == 0;
}

bool field_set_octal(char *field, size_t size, int64_t value)
{
        bool fits = field_fits_octal(size, value);
        uint64_t rest = fits ? (uint64_t)value : 0;

        field[size - 1] = '\0';
        for (size_t i = size - 1; i-- > 0; rest >>= 3)
                field[i] = (char)('0' + (rest & 7));
        return fits;
}
