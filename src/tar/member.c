/*
 * From a header, and what extended headers said before it, to an entry: names, numbers, owners, attributes, whiteouts.
 *
 * Where real archives differ from POSIX, Go's archive/tar decides, since layers are what docker reads.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/limits.h"
#include "tar/path.h"
#include "tar/reader.h"

/* --- numbers and names --- */

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

int member_read_size(const TarHeader *h, uint64_t *ret, Error *err)
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
const char *member_raw_name(TarReader *r, const TarHeader *h)
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

/* The largest 32-bit number is no id: to the kernel it is -1, "leave it as it is". */
static int set_id(uint64_t value, const char *what, uint32_t *ret, Error *err)
{
        if (value >= UINT32_MAX)
                return error_set(err, ERROR_INVALID, "the %s %" PRIu64 " is beyond the 32 bits that Linux has for ids", what, value);
        *ret = (uint32_t)value;
        return 0;
}

static int read_ids(const TarReader *r, const TarHeader *h, TarEntry *entry, Error *err)
{
        int64_t uid, gid;
        const Pax *has_uid = r->local.has_uid ? &r->local : r->global.has_uid ? &r->global : NULL;
        const Pax *has_gid = r->local.has_gid ? &r->local : r->global.has_gid ? &r->global : NULL;

        if (read_number(h->uid, sizeof(h->uid), "user id", &uid, err) < 0 || read_number(h->gid, sizeof(h->gid), "group id", &gid, err) < 0)
                return -1;
        if (set_id(has_uid ? has_uid->uid : (uint64_t)uid, "user id", &entry->uid, err) < 0)
                return -1;
        return set_id(has_gid ? has_gid->gid : (uint64_t)gid, "group id", &entry->gid, err);
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

int member_begin(TarReader *r, const TarHeader *h, const char *name, Error *err)
{
        TarEntry entry = { .data_offset = r->offset };
        bool skip;

        if (++r->n_entries > TAR_ENTRIES_MAX)
                return error_set(err, ERROR_LIMIT, "the archive has more than %" PRIu64 " members", TAR_ENTRIES_MAX);
        if (read_type(h, name, &entry.type, err) < 0 || path_clean_to(name, &r->path, err) < 0)
                return -1;
        if (member_read_size(h, &entry.size, err) < 0 || read_ids(r, h, &entry, err) < 0 || read_mtime(r, h, &entry, err) < 0 ||
            read_device(h, &entry, err) < 0)
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
