/*
 * The push reader: a machine of four states that is fed bytes in any split.
 *
 *   HEADER  gathering a 512-byte block (without copying when the input holds all of it)
 *   META    gathering the body of 'x', 'g', 'L' or 'K'
 *   DATA    passing content on, then stepping over its padding
 *   END     after two zero blocks; the rest is ignored
 *
 * Invariants:
 *  1. What a member says of itself is gathered before ops->entry is called once; then exactly entry->size bytes go to ops->data.
 *  2. Memory is bounded by tar/limits.h, never by the content.
 *
 * Spec: POSIX.1-2017 pax, "ustar Interchange Format". Where real archives differ, Go's archive/tar decides, since layers are what docker reads.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/field.h"
#include "tar/limits.h"
#include "tar/path.h"
#include "tar/pax.h"
#include "tar/tar.h"

typedef enum State { STATE_HEADER, STATE_META, STATE_DATA, STATE_END, STATE_FAILED } State;

struct TarReader {
        TarReaderOps ops;
        void *user;
        State state;
        uint64_t offset; /* bytes taken in */
        uint64_t n_entries;

        TarHeader block; /* STATE_HEADER: the first `have` bytes are there */
        size_t have;
        bool zero_block; /* the last block was zero */

        unsigned n_chain; /* preparing headers since the last member */
        char meta;        /* STATE_META: the type flag */
        Buf *meta_body;
        uint64_t body_left, padding_left; /* STATE_META and STATE_DATA */
        bool pass_data;

        Pax local, global;
        Buf global_records; /* all global headers, one after the other, as they came */
        unsigned n_globals;
        Buf long_name, long_link;

        uint64_t header_offset;
        Buf path, link, name;
        char user_name[33], group_name[33];
        TarXattr *xattrs;
        size_t xattrs_capacity;
};

TarReader *tar_reader_new(const TarReaderOps *ops, void *user)
{
        TarReader *r = NEW(TarReader);

        r->ops = *ops;
        r->user = user;
        pax_init(&r->local);
        pax_init(&r->global);
        r->global_records = BUF_INIT(TAR_PAX_SIZE_MAX);
        r->long_name = BUF_INIT(TAR_PATH_MAX + 1);
        r->long_link = BUF_INIT(TAR_PATH_MAX + 1);
        r->path = BUF_INIT(TAR_PATH_MAX + 1);
        r->link = BUF_INIT(TAR_PATH_MAX + 1);
        r->name = BUF_INIT(TAR_PATH_MAX + 1);
        return r;
}

void tar_reader_free(TarReader *r)
{
        if (!r)
                return;
        pax_done(&r->local);
        pax_done(&r->global);
        buf_done(&r->global_records);
        buf_done(&r->long_name);
        buf_done(&r->long_link);
        buf_done(&r->path);
        buf_done(&r->link);
        buf_done(&r->name);
        free(r->xattrs);
        free(r);
}

/* --- numbers and names of a header --- */

static int read_number(const char *field, size_t size, const char *what, int64_t *ret, Error *err)
{
        if (!field_number(field, size, ret))
                return error_set(err, ERROR_CORRUPT, "the %s field is not a number", what);
        if (*ret < 0)
                return error_set(err, ERROR_CORRUPT, "the %s is negative", what);
        return 0;
}

static int read_u32(const char *field, size_t size, const char *what, uint32_t *ret, Error *err)
{
        int64_t value;

        if (read_number(field, size, what, &value, err) < 0)
                return -1;
        if (value > UINT32_MAX)
                return error_set(err, ERROR_INVALID, "the %s %" PRId64 " is beyond the 32 bits that Linux has for it", what, value);
        *ret = (uint32_t)value;
        return 0;
}

static int read_size(const TarHeader *h, uint64_t *ret, Error *err)
{
        int64_t size;

        if (read_number(h->size, sizeof(h->size), "size", &size, err) < 0)
                return -1;
        *ret = (uint64_t)size;
        return 0;
}

/*
 * Bytes of `prefix` that count. GNU keeps times there, but Go before 1.8 wrote a name's prefix into GNU headers: when the bytes are no times
 * they are that.
 */
static size_t prefix_size(const TarHeader *h)
{
        size_t n = strnlen(h->prefix, sizeof(h->prefix));
        int64_t time;

        switch (header_format(h)) {
        case TAR_FORMAT_USTAR:
                return n;
        case TAR_FORMAT_STAR:
                return MIN(n, (size_t)131);
        case TAR_FORMAT_GNU:
                if (n == 0 || (field_number(h->prefix, 12, &time) && field_number(h->prefix + 12, 12, &time)))
                        return 0;
                for (size_t i = 0; i < n; i++)
                        if (!isascii((unsigned char)h->prefix[i]))
                                return 0;
                return n;
        case TAR_FORMAT_V7:
                break;
        }
        return 0;
}

/* The name as the archive has it, in r->name or in a longer one that came before. */
static const char *raw_name(TarReader *r, const TarHeader *h)
{
        size_t n;

        if (*buf_str(&r->long_name))
                return buf_str(&r->long_name);
        if (r->local.path)
                return r->local.path;
        buf_reset(&r->name);
        n = prefix_size(h);
        if (n) {
                buf_put(&r->name, h->prefix, n);
                buf_putc(&r->name, '/');
        }
        buf_put(&r->name, h->name, strnlen(h->name, sizeof(h->name)));
        return buf_str(&r->name);
}

static const char *raw_link(TarReader *r, const TarHeader *h, char *buffer)
{
        size_t n = strnlen(h->link, sizeof(h->link));

        if (*buf_str(&r->long_link))
                return buf_str(&r->long_link);
        if (r->local.link)
                return r->local.link;
        memcpy(buffer, h->link, n);
        buffer[n] = '\0';
        return buffer;
}

static char *owner_name(const char *local, const char *global, const TarHeader *h, const char *field, char *buffer)
{
        size_t n = header_format(h) == TAR_FORMAT_V7 ? 0 : strnlen(field, 32);

        if (local)
                return (char *)local;
        if (global)
                return (char *)global;
        memcpy(buffer, field, n);
        buffer[n] = '\0';
        return n ? buffer : NULL;
}

/* --- whiteouts --- */

#define WHITEOUT_PREFIX ".wh."
#define AUFS_PREFIX ".wh..wh."
#define OPAQUE_NAME ".wh..wh..opq"

/* True when a component before the last starts with ".wh.". */
static bool inside_reserved(const char *path)
{
        for (const char *p = path, *slash; (slash = strchr(p, '/')); p = slash + 1)
                if (str_starts(p, WHITEOUT_PREFIX))
                        return true;
        return false;
}

/* The private directories of aufs at the root, and what is in them. */
static bool is_aufs_private(const char *path)
{
        return str_starts(path, AUFS_PREFIX) && !(str_starts(path, OPAQUE_NAME) && (path[strlen(OPAQUE_NAME)] == '\0' || path[strlen(OPAQUE_NAME)] == '/'));
}

/* Turns r->path from the name of a whiteout file into the path it is about. */
static int read_whiteout(TarReader *r, TarWhiteout *ret, Error *err)
{
        char *path = r->path.data, *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
        const char *rest;

        *ret = TAR_WHITEOUT_NONE;
        if (inside_reserved(path))
                return error_set(err, ERROR_INVALID, "names that start with '.wh.' are kept for whiteouts and cannot be directories");
        if (!str_starts(base, WHITEOUT_PREFIX))
                return 0;
        if (streq(base, OPAQUE_NAME)) {
                *ret = TAR_WHITEOUT_OPAQUE;
                r->path.size = slash ? (size_t)(slash - path) : 0;
                path[r->path.size] = '\0';
                return 0;
        }
        rest = base + strlen(WHITEOUT_PREFIX);
        if (*rest == '\0' || streq(rest, ".") || streq(rest, "..") || str_starts(rest, WHITEOUT_PREFIX))
                return error_set(err, ERROR_INVALID, "this whiteout names nothing that can be removed");
        *ret = TAR_WHITEOUT_REMOVE;
        memmove(base, rest, strlen(rest) + 1);
        r->path.size -= strlen(WHITEOUT_PREFIX);
        return 0;
}

/* --- members --- */

static int read_type(const TarHeader *h, const char *name, TarType *ret, Error *err)
{
        static const struct {
                char flag;
                const char *why;
        } refused[] = {
                { 'S', "a sparse file: write the archive without --sparse" },
                { 'M', "the rest of a file from another volume: multi-volume archives are not taken" },
                { 'V', "a volume label: write the archive without --label" },
                { 'D', "a directory of GNU's incremental backups: write the archive without --listed-incremental" },
                { 'N', "a long name as GNU tar wrote before 1989: write the archive anew" },
                { 'A', "a Solaris access control list: write the archive with pax" },
                { 'X', "a Solaris extended header: write the archive with pax" },
        };

        switch (h->type) {
        case '\0':
                *ret = str_ends(name, "/") ? TAR_DIR : TAR_FILE;
                return 0;
        case '0':
        case '7':
                *ret = TAR_FILE;
                return 0;
        case '1':
                *ret = TAR_HARDLINK;
                return 0;
        case '2':
                *ret = TAR_SYMLINK;
                return 0;
        case '3':
                *ret = TAR_CHAR;
                return 0;
        case '4':
                *ret = TAR_BLOCK;
                return 0;
        case '5':
                *ret = TAR_DIR;
                return 0;
        case '6':
                *ret = TAR_FIFO;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_LEN(refused); i++)
                if (refused[i].flag == h->type)
                        return error_set(err, ERROR_INVALID, "it is %s", refused[i].why);
        return error_set(err, ERROR_INVALID, "its type 0x%02x is unknown", (unsigned)(uint8_t)h->type);
}

static int read_ids(const TarReader *r, const TarHeader *h, TarEntry *entry, Error *err)
{
        if (read_u32(h->uid, sizeof(h->uid), "user id", &entry->uid, err) < 0 || read_u32(h->gid, sizeof(h->gid), "group id", &entry->gid, err) < 0)
                return -1;
        if (r->local.has_uid || r->global.has_uid)
                entry->uid = r->local.has_uid ? r->local.uid : r->global.uid;
        if (r->local.has_gid || r->global.has_gid)
                entry->gid = r->local.has_gid ? r->local.gid : r->global.gid;
        return 0;
}

static int read_mtime(const TarReader *r, const TarHeader *h, TarEntry *entry, Error *err)
{
        const Pax *pax = r->local.has_mtime ? &r->local : r->global.has_mtime ? &r->global : NULL;

        if (!field_number(h->mtime, sizeof(h->mtime), &entry->mtime_sec))
                return error_set(err, ERROR_CORRUPT, "the mtime field is not a number");
        if (pax) {
                entry->mtime_sec = pax->mtime_sec;
                entry->mtime_nsec = pax->mtime_nsec;
        }
        return 0;
}

static int read_device(const TarHeader *h, TarEntry *entry, Error *err)
{
        if ((entry->type != TAR_CHAR && entry->type != TAR_BLOCK) || header_format(h) == TAR_FORMAT_V7)
                return 0;
        if (read_u32(h->dev_major, sizeof(h->dev_major), "device number", &entry->dev_major, err) < 0)
                return -1;
        return read_u32(h->dev_minor, sizeof(h->dev_minor), "device number", &entry->dev_minor, err);
}

static int read_target(TarReader *r, const TarHeader *h, TarEntry *entry, Error *err)
{
        char buffer[sizeof(h->link) + 1];
        const char *link;

        if (entry->type != TAR_SYMLINK && entry->type != TAR_HARDLINK)
                return 0;
        link = raw_link(r, h, buffer);
        if (entry->type == TAR_SYMLINK) {
                if (!*link)
                        return error_set(err, ERROR_INVALID, "it is a symbolic link to nothing");
                if (strlen(link) > TAR_PATH_MAX)
                        return error_set(err, ERROR_LIMIT, "its target is longer than 4095 bytes");
                buf_reset(&r->link);
                buf_puts(&r->link, link);
        } else {
                if (path_clean_to(link, &r->link, err) < 0)
                        return error_wrap(err, "hard link target");
                if (!r->link.size)
                        return error_set(err, ERROR_INVALID, "it is a hard link to the root directory");
                if (is_aufs_private(r->link.data))
                        return error_set(err, ERROR_INVALID,
                                         "it is a hard link into the private files of aufs ('%s'), which no layer holds; write the image anew", r->link.data);
                if (streq(r->link.data, r->path.data))
                        return error_set(err, ERROR_INVALID, "it is a hard link to itself");
        }
        entry->link = r->link.data;
        return 0;
}

/* The attributes of the member's own header, and those of global ones that it does not set itself. */
static void read_xattrs(TarReader *r, TarEntry *entry)
{
        const Pax *local = &r->local, *global = &r->global;
        size_t n = 0, a = 0, b = 0;

        GROW(r->xattrs, r->xattrs_capacity, local->n_xattrs + global->n_xattrs);
        while (a < local->n_xattrs || b < global->n_xattrs) {
                int order = a == local->n_xattrs ? 1 : b == global->n_xattrs ? -1 : strcmp(local->xattrs[a].xattr.name, global->xattrs[b].xattr.name);

                if (order == 0)
                        b++;
                r->xattrs[n++] = order <= 0 ? local->xattrs[a++].xattr : global->xattrs[b++].xattr;
        }
        entry->xattrs = r->xattrs;
        entry->n_xattrs = n;
}

static void make_whiteout(TarEntry *entry)
{
        /* aufs made its whiteouts hard links; docker takes any type. Only the path counts. */
        entry->type = TAR_FILE;
        entry->link = NULL;
        entry->size = 0;
        entry->dev_major = entry->dev_minor = 0;
        entry->xattrs = NULL;
        entry->n_xattrs = 0;
}

static int begin_member(TarReader *r, const TarHeader *h, const char *name, Error *err)
{
        TarEntry entry = { .data_offset = r->offset };
        bool skip;

        if (++r->n_entries > TAR_ENTRIES_MAX)
                return error_set(err, ERROR_LIMIT, "the archive has more than %" PRIu64 " members", TAR_ENTRIES_MAX);
        if (read_type(h, name, &entry.type, err) < 0 || path_clean_to(name, &r->path, err) < 0)
                return -1;
        if (read_size(h, &entry.size, err) < 0 || read_ids(r, h, &entry, err) < 0 || read_mtime(r, h, &entry, err) < 0 || read_device(h, &entry, err) < 0)
                return -1;
        if (r->local.has_size)
                entry.size = r->local.size;
        /* Only files have content; the size of the others is what stat(2) said when the archive was written. */
        if (entry.type != TAR_FILE)
                entry.size = 0;
        if (entry.size > TAR_SIZE_MAX || r->offset + entry.size > TAR_SIZE_MAX)
                return error_set(err, ERROR_LIMIT, "its size %" PRIu64 " is more than a file can hold", entry.size);
        int64_t mode;

        if (read_number(h->mode, sizeof(h->mode), "mode", &mode, err) < 0)
                return -1;
        entry.mode = (uint32_t)mode & 07777;
        entry.user_name = owner_name(r->local.user_name, r->global.user_name, h, h->user_name, r->user_name);
        entry.group_name = owner_name(r->local.group_name, r->global.group_name, h, h->group_name, r->group_name);

        r->body_left = entry.size;
        r->padding_left = tar_padding(entry.size);
        r->state = STATE_DATA;
        skip = is_aufs_private(r->path.data);
        r->pass_data = false;
        if (skip)
                return 0;
        if (read_whiteout(r, &entry.whiteout, err) < 0)
                return -1;
        entry.path = r->path.data;
        if (entry.whiteout) {
                make_whiteout(&entry);
        } else {
                if (!r->path.size && entry.type != TAR_DIR)
                        return error_set(err, ERROR_INVALID, "the root can only be a directory");
                if (read_target(r, h, &entry, err) < 0)
                        return -1;
                read_xattrs(r, &entry);
                r->pass_data = r->ops.data != NULL;
        }
        return r->ops.entry(r->user, &entry, err);
}

/* --- headers --- */

static int begin_meta(TarReader *r, const TarHeader *h, Error *err)
{
        bool pax = h->type == 'x' || h->type == 'g';
        uint64_t size, max = pax ? TAR_PAX_SIZE_MAX : TAR_PATH_MAX + 1;

        if (++r->n_chain > TAR_HEADER_CHAIN_MAX && h->type != 'g')
                return error_set(err, ERROR_LIMIT, "more than %d extended headers before a member", TAR_HEADER_CHAIN_MAX);
        if (h->type == 'g' && ++r->n_globals > TAR_GLOBAL_HEADERS_MAX)
                return error_set(err, ERROR_LIMIT, "more than %d global headers", TAR_GLOBAL_HEADERS_MAX);
        if (read_size(h, &size, err) < 0)
                return -1;
        if (size > max)
                return error_set(err, ERROR_LIMIT, "extended header of %" PRIu64 " bytes: at most %" PRIu64 " are taken", size, max);
        switch (h->type) {
        case 'x':
                r->meta_body = &r->local.body;
                pax_reset(&r->local);
                break;
        case 'g':
                r->meta_body = &r->global_records;
                break;
        case 'L':
                r->meta_body = &r->long_name;
                buf_reset(&r->long_name);
                break;
        default:
                r->meta_body = &r->long_link;
                buf_reset(&r->long_link);
        }
        r->meta = h->type;
        r->body_left = size;
        r->padding_left = tar_padding(size);
        r->state = STATE_META;
        return 0;
}

static int end_meta(TarReader *r, Error *err)
{
        r->state = STATE_HEADER;
        if (r->meta == 'x')
                return pax_parse(&r->local, false, err);
        if (r->meta == 'g') {
                buf_reset(&r->global.body);
                buf_put(&r->global.body, r->global_records.data, r->global_records.size);
                /* A global header prepares nothing that must follow. */
                r->n_chain--;
                return pax_parse(&r->global, true, err);
        }
        return 0;
}

static void end_member(TarReader *r)
{
        pax_reset(&r->local);
        buf_reset(&r->long_name);
        buf_reset(&r->long_link);
        r->n_chain = 0;
        r->state = STATE_HEADER;
}

static int take_header(TarReader *r, const TarHeader *h, Error *err)
{
        r->header_offset = r->offset - TAR_BLOCK_SIZE;
        if (header_is_zero(h)) {
                if (r->n_chain)
                        return error_set(err, ERROR_CORRUPT, "tar header at offset %" PRIu64 ": the archive ends after an extended header", r->header_offset);
                if (r->zero_block)
                        r->state = STATE_END;
                r->zero_block = true;
                return 0;
        }
        if (r->zero_block || !header_checksum_ok(h))
                return error_set(err, ERROR_CORRUPT,
                                 r->header_offset ? "tar header at offset %" PRIu64 " is damaged"
                                                  : "tar header at offset %" PRIu64 " is damaged: this is not a tar archive",
                                 r->header_offset);
        if (memchr("xgLK", h->type, 4)) {
                if (begin_meta(r, h, err) < 0)
                        return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
                return 0;
        }

        const char *name = raw_name(r, h);

        if (begin_member(r, h, name, err) < 0) {
                _cleanup_free_ char *shown = path_shown(name);

                return error_wrap(err, "tar member '%s' at offset %" PRIu64, shown, r->header_offset);
        }
        return 0;
}

/* --- feeding --- */

/* Each of these takes some of the input and returns how much, or -1. */

static ssize_t feed_header(TarReader *r, const char *data, size_t size, Error *err)
{
        const TarHeader *h = (const TarHeader *)data;
        size_t n = MIN(size, sizeof(r->block) - r->have);

        if (n < sizeof(r->block)) {
                memcpy((char *)&r->block + r->have, data, n);
                r->have += n;
                r->offset += n;
                if (r->have < sizeof(r->block))
                        return (ssize_t)n;
                r->have = 0;
                h = &r->block;
        } else {
                r->offset += n;
        }
        return take_header(r, h, err) < 0 ? -1 : (ssize_t)n;
}

static size_t step_over_padding(TarReader *r, size_t size)
{
        size_t n = (size_t)MIN(r->padding_left, (uint64_t)size);

        r->padding_left -= n;
        r->offset += n;
        return n;
}

static ssize_t feed_meta(TarReader *r, const char *data, size_t size, Error *err)
{
        size_t n = (size_t)MIN(r->body_left, (uint64_t)size);

        if (n && buf_add(r->meta_body, data, n) < 0)
                return error_set(err, ERROR_LIMIT, "tar header at offset %" PRIu64 ": global headers of more than %" PRIu64 " bytes in all", r->header_offset,
                                 TAR_PAX_SIZE_MAX);
        r->body_left -= n;
        r->offset += n;
        if (!r->body_left) {
                n += step_over_padding(r, size - n);
                if (!r->padding_left && end_meta(r, err) < 0)
                        return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
        }
        return (ssize_t)n;
}

static ssize_t feed_data(TarReader *r, const char *data, size_t size, Error *err)
{
        size_t n = (size_t)MIN(r->body_left, (uint64_t)size);

        if (n && r->pass_data && r->ops.data(r->user, data, n, err) < 0)
                return -1;
        r->body_left -= n;
        r->offset += n;
        if (!r->body_left)
                n += step_over_padding(r, size - n);
        return (ssize_t)n;
}

/* Ends what has nothing left to come. A member without content ends at once, so that finish() right after it is not "inside". */
static int settle(TarReader *r, Error *err)
{
        if (r->body_left || r->padding_left)
                return 0;
        if (r->state == STATE_DATA)
                end_member(r);
        else if (r->state == STATE_META && end_meta(r, err) < 0)
                return error_wrap(err, "tar header at offset %" PRIu64, r->header_offset);
        return 0;
}

int tar_reader_feed(TarReader *r, const void *data, size_t size, Error *err)
{
        const char *p = data;

        while (size > 0) {
                ssize_t n = -1;

                switch (r->state) {
                case STATE_HEADER:
                        n = feed_header(r, p, size, err);
                        break;
                case STATE_META:
                        n = feed_meta(r, p, size, err);
                        break;
                case STATE_DATA:
                        n = feed_data(r, p, size, err);
                        break;
                case STATE_END:
                        r->offset += size;
                        return 0;
                case STATE_FAILED:
                        return error_set(err, ERROR_CORRUPT, "the archive was given up after an earlier error");
                }
                if (n < 0 || settle(r, err) < 0) {
                        r->state = STATE_FAILED;
                        return -1;
                }
                p += n;
                size -= (size_t)n;
        }
        return 0;
}

uint64_t tar_reader_skippable(const TarReader *r)
{
        if (r->state != STATE_DATA)
                return 0;
        if (r->pass_data)
                return r->body_left ? 0 : r->padding_left;
        return r->body_left + r->padding_left;
}

void tar_reader_skip(TarReader *r, uint64_t size)
{
        uint64_t n = MIN(size, r->body_left);

        if (size == 0)
                return;
        if (size > tar_reader_skippable(r))
                abort(); /* a bug of the caller: the rest would be read as headers */
        r->body_left -= n;
        r->padding_left -= size - n;
        r->offset += size;
        if (!r->body_left && !r->padding_left)
                end_member(r);
}

bool tar_reader_at_end(const TarReader *r)
{
        return r->state == STATE_END;
}

int tar_reader_finish(TarReader *r, Error *err)
{
        if (r->state == STATE_FAILED)
                return error_set(err, ERROR_CORRUPT, "the archive was given up after an earlier error");
        if (r->state == STATE_META || r->state == STATE_DATA)
                return error_set(err, ERROR_CORRUPT, "the archive ends at offset %" PRIu64 ", inside the member that starts at offset %" PRIu64, r->offset,
                                 r->header_offset);
        if (r->have)
                return error_set(err, ERROR_CORRUPT, "the archive ends at offset %" PRIu64 ", inside a header", r->offset);
        if (r->n_chain)
                return error_set(err, ERROR_CORRUPT, "the archive ends after an extended header");
        return 0;
}
