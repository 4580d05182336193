#include "crypto/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "crypto/encode.h"

void random_bytes(void *data, size_t size)
{
        /* The kernel's generator and not OpenSSL's: no start-up cost, and nothing that a fork could repeat. */
        for (char *p = data; size;) {
                ssize_t n = getrandom(p, size, 0);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        abort();
                }
                p += n;
                size -= (size_t)n;
        }
}

char *random_hex(char *buffer, size_t n_digits)
{
        uint8_t bytes[64];

        for (size_t at = 0; at < n_digits; at += 2 * sizeof(bytes)) {
                size_t n = n_digits - at < 2 * sizeof(bytes) ? n_digits - at : 2 * sizeof(bytes);
                char text[2 * sizeof(bytes) + 1];

                random_bytes(bytes, (n + 1) / 2);
                hex_encode_to(bytes, (n + 1) / 2, text);
                memcpy(buffer + at, text, n);
        }
        buffer[n_digits] = '\0';
        return buffer;
}

char *random_id(char *buffer)
{
        do
                random_hex(buffer, RANDOM_ID_SIZE - 1);
        while (strspn(buffer, "0123456789") >= 12);
        return buffer;
}
