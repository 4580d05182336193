/* Extended attributes as EROFS has them inline, behind the inode: the name space is a number, then the rest of the name and the value. */
#include "base/mem.h"
#include "base/str.h"
#include "erofs/tree.h"

#define VALUE_MAX 65535 /* 16 bits on disk; Linux itself allows one byte more */
#define NAME_MAX_BYTES 255
#define TOTAL_MAX ((size_t)65534 * 4) /* i_xattr_icount is 16 bits and counts the header as one */

const uint8_t xattr_opaque[XATTR_OPAQUE_SIZE] = { 14, 4, 1, 0, 'o', 'v', 'e', 'r', 'l', 'a', 'y', '.', 'o', 'p', 'a', 'q', 'u', 'e', 'y', 0 };

static const struct {
        const char *prefix;
        uint8_t index;
        bool whole; /* the prefix is the whole name */
} spaces[] = {
        { "user.", 1, false },     { "system.posix_acl_access", 2, true }, { "system.posix_acl_default", 3, true }, { "trusted.", 4, false },
        { "security.", 6, false },
};

typedef struct Encoded {
        const TarXattr *from;
        const char *name; /* behind the prefix */
        size_t order;     /* position in the entry: of two with one name the later one counts */
        uint8_t name_size, index;
} Encoded;

static int by_name(const void *a, const void *b)
{
        const Encoded *x = a, *y = b;
        int r = (int)x->index - (int)y->index;

        if (r == 0)
                r = name_compare(x->name, x->name_size, y->name, y->name_size);
        return r ? r : (x->order > y->order) - (x->order < y->order);
}

/* 1: taken; 0: a name space that EROFS has no number for, or overlayfs's own. */
static int take(const TarXattr *xattr, size_t order, Encoded *ret, const char *path, Error *err)
{
        if (str_starts(xattr->name, "trusted.overlay.") || str_starts(xattr->name, "user.overlay."))
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
                const char *rest = str_after(xattr->name, spaces[i].prefix);

                if (!rest || (spaces[i].whole ? *rest != '\0' : *rest == '\0'))
                        continue;
                if (strlen(rest) > NAME_MAX_BYTES)
                        return error_set(err, ERROR_LIMIT, "an extended attribute of '%s' has a name of %zu bytes (at most 255)", path, strlen(rest));
                if (xattr->size > VALUE_MAX)
                        return error_set(err, ERROR_LIMIT, "the extended attribute '%s' of '%s' has %zu bytes (at most 65535)", xattr->name, path, xattr->size);
                *ret = (Encoded){ .from = xattr, .name = rest, .order = order, .name_size = (uint8_t)strlen(rest), .index = spaces[i].index };
                return 1;
        }
        return 0;
}

static size_t entry_size(const Encoded *e)
{
        return (XATTR_ENTRY + e->name_size + e->from->size + 3) & ~(size_t)3;
}

/* The attributes of the entry before, again: whole trees carry one SELinux label. */
static bool reuse_last(ErofsTree *tree, uint32_t inode, const uint8_t *bytes, size_t size)
{
        for (uint32_t back = 1; back <= 4 && back <= inode; back++) {
                const Inode *other = &tree->inodes[inode - back];

                if (other->xattr_words * (size_t)4 != size || memcmp(other->xattrs, bytes, size) != 0)
                        continue;
                tree->inodes[inode].xattrs = other->xattrs;
                tree->inodes[inode].xattr_words = other->xattr_words;
                return true;
        }
        return false;
}

int tree_set_xattrs(ErofsTree *tree, uint32_t inode, const TarXattr *xattrs, size_t n_xattrs, const char *path, Error *err)
{
        _cleanup_free_ Encoded *list = n_xattrs ? NEW_ARRAY(Encoded, n_xattrs) : NULL;
        _cleanup_free_ uint8_t *bytes = NULL;
        size_t n = 0, kept = 0, size = 0, at = 0;

        tree->inodes[inode].xattrs = NULL;
        tree->inodes[inode].xattr_words = 0;
        for (size_t i = 0; i < n_xattrs; i++) {
                int r = take(&xattrs[i], i, &list[n], path, err);

                if (r < 0)
                        return -1;
                n += (size_t)r;
                tree->n_dropped_xattrs += r == 0;
        }
        if (n == 0)
                return 0;
        qsort(list, n, sizeof(*list), by_name);
        for (size_t i = 0; i < n; i++) {
                bool again = i + 1 < n && list[i].index == list[i + 1].index &&
                             name_compare(list[i].name, list[i].name_size, list[i + 1].name, list[i + 1].name_size) == 0;

                if (!again) {
                        list[kept] = list[i];
                        size += entry_size(&list[kept++]);
                }
        }
        if (size > TOTAL_MAX - XATTR_OPAQUE_SIZE)
                return error_set(err, ERROR_LIMIT, "the extended attributes of '%s' have %zu bytes together (at most %zu)", path, size,
                                 TOTAL_MAX - XATTR_OPAQUE_SIZE);
        bytes = xcalloc(1, size);
        for (size_t i = 0; i < kept; i++) {
                bytes[at] = list[i].name_size;
                bytes[at + 1] = list[i].index;
                put16(bytes + at + 2, (uint16_t)list[i].from->size);
                memcpy(bytes + at + XATTR_ENTRY, list[i].name, list[i].name_size);
                if (list[i].from->size)
                        memcpy(bytes + at + XATTR_ENTRY + list[i].name_size, list[i].from->value, list[i].from->size);
                at += entry_size(&list[i]);
        }
        if (!reuse_last(tree, inode, bytes, size)) {
                tree->inodes[inode].xattrs = memcpy(tree_alloc(tree, size, 4), bytes, size);
                tree->inodes[inode].xattr_words = (uint16_t)(size / 4);
        }
        return 0;
}
