/*
 * Headers byte for byte as Go's archive/tar writes them in its PAX format, which is what BuildKit and containerd use for layers: a layer made here has
 * the digest that theirs has.
 *
 * Invariants:
 *  1. A plain ustar header when every field fits it (a path may be split into prefix and name); else a pax header "<dir>/PaxHeaders.0/<base>" and then
 *     a ustar header in which the name is cut to 100 bytes of ASCII and numbers that do not fit are zero.
 *  2. The pax header holds a record for each field that does not fit, also for a path that could have been split, and the attributes; sorted by key.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/field.h"
#include "tar/limits.h"
#include "tar/path.h"
#include "tar/tar.h"

typedef struct PaxRecord {
        char *key, *value;
        size_t value_size;
} PaxRecord;

typedef struct PaxRecords {
        PaxRecord *items;
        size_t n_items, capacity;
} PaxRecords;

static void records_done(PaxRecords *records)
{
        for (size_t i = 0; i < records->n_items; i++) {
                free(records->items[i].key);
                free(records->items[i].value);
        }
        free(records->items);
}

static void records_add(PaxRecords *records, char *key, const void *value, size_t size)
{
        GROW(records->items, records->capacity, records->n_items + 1);
        records->items[records->n_items++] = (PaxRecord){ .key = key, .value = xmemdup(value, size), .value_size = size };
}

static void records_add_number(PaxRecords *records, const char *key, int64_t value)
{
        char text[24];

        records_add(records, xstrdup(key), text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value));
}

static int compare_records(const void *a, const void *b)
{
        return strcmp(((const PaxRecord *)a)->key, ((const PaxRecord *)b)->key);
}

static size_t n_digits(size_t n)
{
        size_t digits = 1;

        while (n >= 10) {
                n /= 10;
                digits++;
        }
        return digits;
}

static void put_record(Buf *out, const PaxRecord *r)
{
        size_t rest = strlen(r->key) + r->value_size + 3, size = rest + n_digits(rest);

        /* One more digit may be needed to count itself. */
        size = rest + n_digits(size);
        buf_putf(out, "%zu %s=", size, r->key);
        buf_put(out, r->value, r->value_size);
        buf_putc(out, '\n');
}

static bool is_ascii(const char *s)
{
        for (; *s; s++)
                if (*s & 0x80)
                        return false;
        return true;
}

/* The ASCII bytes of `s`, at most the size of the field, with a NUL when there is room. */
static void set_text(char *field, size_t size, const char *s)
{
        size_t n = 0;
        bool cut = false;

        for (; *s; s++) {
                if (*s & 0x80)
                        continue;
                if (n == size) {
                        cut = true;
                        break;
                }
                field[n++] = *s;
        }
        /* Some readers take a file whose cut name ends in a slash for a directory, whatever the pax header says. */
        if (cut && field[size - 1] == '/') {
                while (n > 0 && field[n - 1] == '/')
                        n--;
                field[n] = '\0';
        }
}

/* Where to split a long path into prefix and name, or 0 when ustar cannot hold it. */
static size_t split_path(const char *path)
{
        size_t size = strlen(path), n = size;

        if (size <= 100 || !is_ascii(path))
                return 0;
        if (n > 156)
                n = 156;
        else if (path[n - 1] == '/')
                n--;
        while (n > 0 && path[n - 1] != '/')
                n--;
        if (n < 2 || n - 1 > 155 || size - n > 100 || size == n)
                return 0;
        return n - 1;
}

static void set_checksum(TarHeader *h)
{
        const uint8_t *p = (const uint8_t *)h;
        int64_t total = 0;

        memset(h->checksum, ' ', sizeof(h->checksum));
        for (size_t i = 0; i < sizeof(*h); i++)
                total += p[i];
        field_set_octal(h->checksum, 7, total);
}

static void put_header(Buf *out, TarHeader *h)
{
        memcpy(h->magic, "ustar\0", 6);
        memcpy(h->version, "00", 2);
        set_checksum(h);
        buf_put(out, h, sizeof(*h));
}

/* "<dir>/PaxHeaders.0/<base>" for the member `path`. */
static char *pax_header_name(const char *path)
{
        const char *base = str_base_name(path);
        _cleanup_free_ char *dir = xstrndup(path, (size_t)(base - path));

        if (streq(dir, "./"))
                dir[0] = '\0';
        return xasprintf("%sPaxHeaders.0%s%s", dir, *base ? "/" : "", base);
}

static int put_pax_header(Buf *out, PaxRecords *records, const char *path, Error *err)
{
        _cleanup_free_ char *name = pax_header_name(path);
        _cleanup_buf_ Buf body = BUF_INIT(BUF_MAX_DEFAULT);
        TarHeader h = { 0 };
        size_t n;

        qsort(records->items, records->n_items, sizeof(*records->items), compare_records);
        for (size_t i = 0; i < records->n_items; i++)
                put_record(&body, &records->items[i]);
        if (body.size > TAR_PAX_SIZE_MAX)
                return error_set(err, ERROR_LIMIT, "its extended attributes need %zu bytes, at most %" PRIu64 " can be read back", body.size, TAR_PAX_SIZE_MAX);
        set_text(h.name, sizeof(h.name), name);
        n = strnlen(h.name, sizeof(h.name));
        while (n > 0 && h.name[n - 1] == '/')
                h.name[--n] = '\0';
        field_set_octal(h.mode, sizeof(h.mode), 0);
        field_set_octal(h.uid, sizeof(h.uid), 0);
        field_set_octal(h.gid, sizeof(h.gid), 0);
        field_set_octal(h.size, sizeof(h.size), (int64_t)body.size);
        field_set_octal(h.mtime, sizeof(h.mtime), 0);
        h.type = 'x';
        put_header(out, &h);
        buf_put(out, body.data, body.size);
        if (buf_add_zero(out, tar_padding(body.size)) < 0)
                return error_set(err, ERROR_LIMIT, "no room for its header");
        return 0;
}

/* What the ustar header of `entry` named `path` cannot hold. */
static int gather_records(const TarEntry *entry, const char *path, PaxRecords *records, bool *ret_needed, Error *err)
{
        bool needed = false;
        size_t size = strlen(path);

        if (size > 100 || !is_ascii(path)) {
                records_add(records, xstrdup("path"), path, size);
                needed |= split_path(path) == 0;
        }
        if (entry->link && (strlen(entry->link) > 100 || !is_ascii(entry->link))) {
                records_add(records, xstrdup("linkpath"), entry->link, strlen(entry->link));
                needed = true;
        }
        const struct {
                const char *key;
                size_t field_size;
                int64_t value;
        } numbers[] = {
                { "uid", 8, entry->uid },
                { "gid", 8, entry->gid },
                { "size", 12, (int64_t)entry->size },
                { "mtime", 12, entry->mtime_sec },
        };

        for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
                if (field_fits_octal(numbers[i].field_size, numbers[i].value))
                        continue;
                records_add_number(records, numbers[i].key, numbers[i].value);
                needed = true;
        }
        if (entry->exact_time && entry->mtime_nsec && entry->mtime_sec >= 0 && field_fits_octal(12, entry->mtime_sec)) {
                _cleanup_free_ char *time = xasprintf("%lld.%09u", (long long)entry->mtime_sec, entry->mtime_nsec);

                records_add(records, xstrdup("mtime"), time, strlen(time));
                needed = true;
        }
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                const TarXattr *x = &entry->xattrs[i];

                if (strchr(x->name, '='))
                        return error_set(err, ERROR_UNSUPPORTED, "pax cannot name the extended attribute '%s'", x->name);
                records_add(records, xasprintf("SCHILY.xattr.%s", x->name), x->value, x->size);
                needed = true;
        }
        *ret_needed = needed;
        return 0;
}

static const char type_flags[] = {
        [TAR_FILE] = '0', [TAR_HARDLINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3', [TAR_BLOCK] = '4', [TAR_DIR] = '5', [TAR_FIFO] = '6',
};

static int put_member(Buf *out, const TarEntry *entry, const char *path, bool pax, Error *err)
{
        size_t split = pax ? 0 : split_path(path);
        bool device = entry->type == TAR_CHAR || entry->type == TAR_BLOCK;
        TarHeader h = { 0 };

        if (split) {
                memcpy(h.prefix, path, split);
                path += split + 1;
        }
        set_text(h.name, sizeof(h.name), path);
        if (entry->link)
                set_text(h.link, sizeof(h.link), entry->link);
        field_set_octal(h.mode, sizeof(h.mode), entry->mode & 07777);
        field_set_octal(h.uid, sizeof(h.uid), entry->uid);
        field_set_octal(h.gid, sizeof(h.gid), entry->gid);
        field_set_octal(h.size, sizeof(h.size), entry->type == TAR_FILE ? (int64_t)entry->size : 0);
        field_set_octal(h.mtime, sizeof(h.mtime), entry->mtime_sec);
        if (!field_set_octal(h.dev_major, sizeof(h.dev_major), device ? entry->dev_major : 0) ||
            !field_set_octal(h.dev_minor, sizeof(h.dev_minor), device ? entry->dev_minor : 0))
                return error_set(err, ERROR_UNSUPPORTED, "its device number %u:%u does not fit into a tar header", entry->dev_major, entry->dev_minor);
        h.type = type_flags[entry->type];
        put_header(out, &h);
        return 0;
}

static char *whiteout_path(const TarEntry *entry)
{
        const char *base = str_base_name(entry->path);

        if (entry->whiteout == TAR_WHITEOUT_OPAQUE)
                return xasprintf("%s%s.wh..wh..opq", entry->path, *entry->path ? "/" : "");
        return xasprintf("%.*s.wh.%s", (int)(base - entry->path), entry->path, base);
}

static int write_header(const TarEntry *entry, const char *path, Buf *out, Error *err)
{
        _cleanup_(records_done) PaxRecords records = { 0 };
        bool pax;

        if (entry->size > TAR_SIZE_MAX)
                return error_set(err, ERROR_LIMIT, "its size is more than a file can hold");
        if (gather_records(entry, path, &records, &pax, err) < 0)
                return -1;
        if (pax && put_pax_header(out, &records, path, err) < 0)
                return -1;
        return put_member(out, entry, path, pax, err);
}

int tar_write_header(const TarEntry *entry, Buf *out, Error *err)
{
        static const TarEntry whiteout = { .type = TAR_FILE };
        _cleanup_free_ char *path = NULL;
        size_t before = out->size;

        if (entry->whiteout)
                path = whiteout_path(entry);
        else if (!*entry->path)
                path = xstrdup("./");
        else
                path = xasprintf("%s%s", entry->path, entry->type == TAR_DIR ? "/" : "");
        if (write_header(entry->whiteout ? &whiteout : entry, path, out, err) < 0) {
                _cleanup_free_ char *shown = path_shown(path);

                out->size = before;
                return error_wrap(err, "cannot write '%s' into a tar", shown);
        }
        return 0;
}

TarType tar_type_of_mode(uint32_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFDIR:
                return TAR_DIR;
        case S_IFLNK:
                return TAR_SYMLINK;
        case S_IFCHR:
                return TAR_CHAR;
        case S_IFBLK:
                return TAR_BLOCK;
        case S_IFIFO:
                return TAR_FIFO;
        default:
                return TAR_FILE;
        }
}
