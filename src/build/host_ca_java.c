/*
 * Big-endian throughout; names and types are "modified UTF-8" with a 16-bit length.
 *
 *   SIZE  MEANING
 *   4     0xfeedfeed
 *   4     version, 2
 *   4     number of entries; for each:
 *   4       kind, 2 (trusted certificate)
 *   2+n     alias, unique
 *   8       date, milliseconds since 1970: 0 here, so that one bundle gives one store
 *   2+n     "X.509"
 *   4+n     the certificate, DER
 *   20    SHA-1 over the password and all of the above
 */
#include "build/host_ca_java.h"

#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/mem.h"
#include "crypto/encode.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define CERTIFICATE_SIZE_MAX ((size_t)1 << 20)
#define DIGEST_SIZE 20

static int put_number(Buf *out, uint64_t value, unsigned n_bytes)
{
        for (unsigned i = n_bytes; i-- > 0;)
                if (buf_addc(out, (char)(value >> (8 * i))) < 0)
                        return -1;
        return 0;
}

static int put_name(Buf *out, const char *name)
{
        return put_number(out, strlen(name), 2) < 0 ? -1 : buf_adds(out, name);
}

static int put_entry(Buf *out, unsigned n, const Buf *der)
{
        char alias[16];

        snprintf(alias, sizeof(alias), "host-%u", n);
        if (put_number(out, 2, 4) < 0 || put_name(out, alias) < 0 || put_number(out, 0, 8) < 0 || put_name(out, "X.509") < 0 ||
            put_number(out, der->size, 4) < 0)
                return -1;
        return buf_add(out, der->data, der->size);
}

/* The bytes of one PEM block, whose lines are between `text` and `end`. */
static int decode(const char *text, const char *end, Buf *ret)
{
        _cleanup_buf_ Buf packed = BUF_INIT(2 * CERTIFICATE_SIZE_MAX);

        for (; text < end; text++)
                if (!strchr(" \t\r\n", *text) && buf_addc(&packed, *text) < 0)
                        return -1;
        return base64_decode(BASE64_STANDARD, packed.data, packed.size, ret);
}

int host_ca_java_store(const char *pem, size_t size, Buf *out, Error *err)
{
        _cleanup_buf_ Buf entries = BUF_INIT(out->max);
        _cleanup_buf_ Buf der = BUF_INIT(CERTIFICATE_SIZE_MAX);
        const char *at = pem, *end = pem + size;
        unsigned n = 0;

        while ((at = memmem(at, (size_t)(end - at), BEGIN, strlen(BEGIN)))) {
                const char *text = at + strlen(BEGIN);
                const char *stop = memmem(text, (size_t)(end - text), END, strlen(END));

                buf_reset(&der);
                if (!stop || decode(text, stop, &der) < 0)
                        return error_set(err, ERROR_INVALID, "certificate %u of the host's CA bundle is damaged", n + 1);
                if (put_entry(&entries, n++, &der) < 0)
                        return error_set(err, ERROR_LIMIT, "the host's CA bundle is too large");
                at = stop + strlen(END);
        }
        if (put_number(out, 0xfeedfeed, 4) < 0 || put_number(out, 2, 4) < 0 || put_number(out, n, 4) < 0 || buf_add(out, entries.data, entries.size) < 0 ||
            buf_add_zero(out, DIGEST_SIZE) < 0)
                return error_set(err, ERROR_LIMIT, "the host's CA bundle is too large");
        return 0;
}
