#include "tar/pax.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/limits.h"
#include "tar/path.h"

#define SCHILY_XATTR "SCHILY.xattr."
#define LIBARCHIVE_XATTR "LIBARCHIVE.xattr."

typedef struct Record {
        char *key;   /* NUL-terminated, without NULs inside */
        char *value; /* NUL-terminated too, but may hold NULs */
        size_t key_size, value_size;
} Record;

void pax_init(Pax *pax)
{
        *pax = (Pax){ .body = BUF_INIT(TAR_PAX_SIZE_MAX + 1) };
}

static void forget_values(Pax *pax)
{
        Buf body = pax->body;
        PaxXattr *xattrs = pax->xattrs;
        size_t capacity = pax->xattrs_capacity;

        *pax = (Pax){ .body = body, .xattrs = xattrs, .xattrs_capacity = capacity };
}

void pax_reset(Pax *pax)
{
        forget_values(pax);
        buf_reset(&pax->body);
}

void pax_done(Pax *pax)
{
        buf_done(&pax->body);
        free(pax->xattrs);
        pax->xattrs = NULL;
        pax->n_xattrs = pax->xattrs_capacity = 0;
}

/* overlayfs's own attributes: from a layer they would let it redirect lookups in the layers below. */
static bool is_overlay_xattr(const char *name)
{
        return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

/* --- values --- */

static int bad_value(Error *err, ErrorCode code, const Record *record, const char *why)
{
        _cleanup_free_ char *key = path_shown(record->key);
        _cleanup_free_ char *value = str_printable(record->value, MIN(record->value_size, (size_t)80));

        return error_set(err, code, "pax record '%s' with the value '%s' %s", key, value, why);
}

static int text_value(const Record *record, char **ret, Error *err)
{
        if (memchr(record->value, '\0', record->value_size))
                return bad_value(err, ERROR_CORRUPT, record, "has a NUL byte inside");
        if (record->value_size > TAR_PATH_MAX)
                return bad_value(err, ERROR_LIMIT, record, "is longer than 4095 bytes");
        *ret = record->value_size ? record->value : NULL;
        return 0;
}

static int number_value(const Record *record, bool *has, uint64_t *ret, Error *err)
{
        *has = false;
        if (record->value_size == 0)
                return 0;
        if (strlen(record->value) != record->value_size || str_to_u64(record->value, ret) < 0)
                return bad_value(err, ERROR_CORRUPT, record, "is not a number");
        *has = true;
        return 0;
}

/* Seconds with an optional sign and fraction; digits beyond nanoseconds are cut. "-0.5" is half a second before 1970: sec -1, nsec 500000000. */
static bool parse_time(const char *s, int64_t *ret_sec, uint32_t *ret_nsec)
{
        const char *dot = strchr(s, '.'), *whole = s + (*s == '-');
        size_t n = dot ? (size_t)(dot - whole) : strlen(whole);
        bool negative = *s == '-';
        uint32_t nsec = 0, unit = 100000000;
        char digits[20];
        int64_t sec = 0;

        if (n >= sizeof(digits) || n == 0)
                return false;
        memcpy(digits, whole, n);
        digits[n] = '\0';
        if (strspn(digits, "0123456789") != n || str_to_i64(digits, &sec) < 0)
                return false;
        for (const char *p = dot ? dot + 1 : ""; *p; p++, unit /= 10) {
                if (*p < '0' || *p > '9')
                        return false;
                nsec += unit * (uint32_t)(*p - '0');
        }
        *ret_sec = negative ? -sec - (nsec > 0) : sec;
        *ret_nsec = negative && nsec ? 1000000000 - nsec : nsec;
        return true;
}

static int time_value(const Record *record, Pax *pax, Error *err)
{
        pax->has_mtime = false;
        if (record->value_size == 0)
                return 0;
        if (strlen(record->value) != record->value_size || !parse_time(record->value, &pax->mtime_sec, &pax->mtime_nsec))
                return bad_value(err, ERROR_CORRUPT, record, "is not a time");
        pax->has_mtime = true;
        return 0;
}

/* --- attributes --- */

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if ((c | 32) >= 'a' && (c | 32) <= 'f')
                return (c | 32) - 'a' + 10;
        return -1;
}

static void url_decode(char *s)
{
        char *to = s;

        for (const char *p = s; *p; to++) {
                int high = *p == '%' ? hex_digit(p[1]) : -1, low = high >= 0 ? hex_digit(p[2]) : -1;

                if (low >= 0 && (high || low)) {
                        *to = (char)(high << 4 | low);
                        p += 3;
                } else {
                        *to = *p++;
                }
        }
        *to = '\0';
}

/* In place. libarchive writes no padding and other writers do; both are read. */
static bool base64_decode_in_place(char *s, size_t *size)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        uint32_t group = 0;
        unsigned n_bits = 0;
        size_t n = *size, out = 0;

        while (n > 0 && s[n - 1] == '=')
                n--;
        if (n % 4 == 1)
                return false;
        for (size_t i = 0; i < n; i++) {
                const char *at = s[i] ? strchr(digits, s[i]) : NULL;

                if (!at)
                        return false;
                group = group << 6 | (uint32_t)(at - digits);
                n_bits += 6;
                if (n_bits >= 8) {
                        n_bits -= 8;
                        s[out++] = (char)(group >> n_bits);
                }
        }
        s[out] = '\0';
        *size = out;
        return true;
}

static int xattr_value(const Record *record, Pax *pax, bool libarchive, Error *err)
{
        char *name = record->key + (libarchive ? strlen(LIBARCHIVE_XATTR) : strlen(SCHILY_XATTR));
        size_t size = record->value_size;

        if (libarchive) {
                url_decode(name);
                if (!base64_decode_in_place(record->value, &size))
                        return bad_value(err, ERROR_CORRUPT, record, "is not base64");
        }
        if (is_overlay_xattr(name))
                return 0;
        if (!*name)
                return bad_value(err, ERROR_CORRUPT, record, "names no attribute");
        if (strlen(name) > TAR_XATTR_NAME_MAX)
                return bad_value(err, ERROR_LIMIT, record, "has an attribute name longer than 255 bytes");
        if (size > TAR_XATTR_VALUE_MAX)
                return bad_value(err, ERROR_LIMIT, record, "is longer than the 64 KiB that Linux has for an attribute");
        GROW(pax->xattrs, pax->xattrs_capacity, pax->n_xattrs + 1);
        pax->xattrs[pax->n_xattrs++] = (PaxXattr){ .xattr = { .name = name, .value = record->value, .size = size }, .libarchive = libarchive };
        return 0;
}

/* By name; among equals the one that counts comes last: SCHILY after LIBARCHIVE, then the later record (values lie in order of reading). */
static int compare_xattrs(const void *a, const void *b)
{
        const PaxXattr *x = a, *y = b;
        int order = strcmp(x->xattr.name, y->xattr.name);

        if (order)
                return order;
        if (x->libarchive != y->libarchive)
                return x->libarchive ? -1 : 1;
        return x->xattr.value < y->xattr.value ? -1 : 1;
}

static int sort_xattrs(Pax *pax, Error *err)
{
        size_t n = 0, total = 0;

        if (pax->n_xattrs > 1)
                qsort(pax->xattrs, pax->n_xattrs, sizeof(*pax->xattrs), compare_xattrs);
        for (size_t i = 0; i < pax->n_xattrs; i++) {
                if (i + 1 < pax->n_xattrs && streq(pax->xattrs[i].xattr.name, pax->xattrs[i + 1].xattr.name))
                        continue;
                total += strlen(pax->xattrs[i].xattr.name) + pax->xattrs[i].xattr.size;
                pax->xattrs[n++] = pax->xattrs[i];
        }
        pax->n_xattrs = n;
        if (total > TAR_XATTR_TOTAL_MAX)
                return error_set(err, ERROR_LIMIT, "extended attributes of %zu bytes are more than the %d that a layer can hold", total, TAR_XATTR_TOTAL_MAX);
        return 0;
}

/* --- records --- */

static int set_record(Pax *pax, const Record *r, bool global, Error *err)
{
        const char *key = r->key;

        if (str_starts(key, SCHILY_XATTR))
                return xattr_value(r, pax, false, err);
        if (str_starts(key, LIBARCHIVE_XATTR))
                return xattr_value(r, pax, true, err);
        if (str_starts(key, "GNU.sparse.") || streq(key, "SCHILY.realsize"))
                return error_set(err, ERROR_INVALID, "sparse members are not taken; write the archive without --sparse");
        if (global && (streq(key, "path") || streq(key, "linkpath") || streq(key, "size")))
                return bad_value(err, ERROR_INVALID, r, "in a global header would give every member the same one");
        if (streq(key, "path"))
                return text_value(r, &pax->path, err);
        if (streq(key, "linkpath"))
                return text_value(r, &pax->link, err);
        if (streq(key, "uname"))
                return text_value(r, &pax->user_name, err);
        if (streq(key, "gname"))
                return text_value(r, &pax->group_name, err);
        if (streq(key, "uid"))
                return number_value(r, &pax->has_uid, &pax->uid, err);
        if (streq(key, "gid"))
                return number_value(r, &pax->has_gid, &pax->gid, err);
        if (streq(key, "size"))
                return number_value(r, &pax->has_size, &pax->size, err);
        if (streq(key, "mtime"))
                return time_value(r, pax, err);
        /* Everything else (atime, comment, vendor keys) says nothing that a layer keeps: POSIX has unknown keys ignored. */
        return 0;
}

/* Cuts the record at the front of p..p+left out. False when it is malformed. */
static bool next_record(char *p, size_t left, Record *ret, size_t *ret_size)
{
        size_t size = 0, n = 0;
        char *equals;

        while (n < left && n < 8 && p[n] >= '0' && p[n] <= '9')
                size = size * 10 + (size_t)(p[n++] - '0');
        if (n == 0 || n >= left || p[n] != ' ' || size > left || size < n + 4 || p[size - 1] != '\n')
                return false;
        n++;
        equals = memchr(p + n, '=', size - 1 - n);
        if (!equals || equals == p + n || memchr(p + n, '\0', (size_t)(equals - p) - n))
                return false;
        *equals = '\0';
        p[size - 1] = '\0';
        *ret = (Record){ .key = p + n, .key_size = (size_t)(equals - p) - n, .value = equals + 1, .value_size = (size_t)(p + size - 1 - (equals + 1)) };
        *ret_size = size;
        return true;
}

int pax_parse(Pax *pax, bool global, Error *err)
{
        size_t at = 0, n_records = 0;

        forget_values(pax);
        while (at < pax->body.size) {
                Record record;
                size_t size;

                if (!next_record(pax->body.data + at, pax->body.size - at, &record, &size))
                        return error_set(err, ERROR_CORRUPT, "pax record %zu is malformed", n_records + 1);
                if (++n_records > TAR_PAX_RECORDS_MAX)
                        return error_set(err, ERROR_LIMIT, "pax header has more than %d records", TAR_PAX_RECORDS_MAX);
                if (set_record(pax, &record, global, err) < 0)
                        return -1;
                at += size;
        }
        return sort_xattrs(pax, err);
}
