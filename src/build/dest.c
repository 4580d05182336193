#include "build/dest_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "fs/owner.h"
#include "fs/path.h"

#define LINKS_MAX 40

static void free_xattrs(DestNode *node)
{
        for (size_t i = 0; i < node->entry.n_xattrs; i++) {
                free(node->entry.xattrs[i].name);
                free(node->entry.xattrs[i].value);
        }
        free(node->entry.xattrs);
}

static void node_free(void *pointer)
{
        DestNode *node = pointer;

        if (!node)
                return;
        map_free(node->children);
        free(node->entry.link);
        free_xattrs(node);
        free(node->path);
        free(node);
}

static DestNode *node_new(DestNode *parent, const char *name)
{
        size_t size = strlen(name) + 1;
        DestNode *node = xcalloc(1, sizeof(*node) + size);

        memcpy(node->name, name, size);
        node->parent = parent;
        node->content.fd = -1;
        if (parent) {
                if (!parent->children)
                        parent->children = map_new(node_free);
                map_set(parent->children, name, node);
        }
        return node;
}

static void node_from_stat(DestNode *node, const struct stat *st)
{
        node->below = true;
        node->entry.type = tar_type_of_mode(st->st_mode);
        node->entry.mode = st->st_mode & 07777;
        node->entry.uid = st->st_uid;
        node->entry.gid = st->st_gid;
        node->entry.mtime_sec = st->st_mtim.tv_sec;
}

Dest *dest_new(int lower_fd)
{
        Dest *dest = NEW(Dest);
        struct stat st;

        dest->lower_fd = lower_fd;
        dest->root = node_new(NULL, "");
        dest->root->entry.type = TAR_DIR;
        dest->root->entry.mode = 0755;
        if (lower_fd >= 0 && fstat(lower_fd, &st) == 0) {
                owner_read(lower_fd, "", &st);
                node_from_stat(dest->root, &st);
        }
        return dest;
}

void dest_free(Dest *dest)
{
        if (!dest)
                return;
        node_free(dest->root);
        map_free(dest->inodes);
        free(dest);
}

bool dest_is_dir(const DestNode *node)
{
        return node->entry.type == TAR_DIR;
}

bool dest_is_new(const DestNode *node)
{
        return node->changed;
}

const char *dest_link(const DestNode *node)
{
        return node->entry.type == TAR_SYMLINK ? node->entry.link : NULL;
}

size_t dest_n_changes(const Dest *dest)
{
        return dest->n_changes;
}

uint64_t dest_size(const Dest *dest)
{
        return dest->size;
}

static void path_add(const DestNode *node, Buf *path)
{
        if (!node->parent)
                return;
        path_add(node->parent, path);
        buf_putc(path, '/');
        buf_puts(path, node->name);
}

char *dest_path(const DestNode *node)
{
        Buf path = BUF_INIT(BUF_MAX_DEFAULT);

        if (!node->parent)
                return xstrdup("/");
        path_add(node, &path);
        return buf_detach(&path);
}

static int read_below(Dest *dest, DestNode *dir, const char *name, DestNode **ret, Error *err)
{
        _cleanup_free_ char *dir_path = dest_path(dir);
        _cleanup_free_ char *path = xasprintf("%s/%s", dir_path + 1, name);
        _cleanup_error_ Error local = ERROR_INIT;
        struct stat st;
        DestNode *node;

        if (inroot_stat(dest->lower_fd, path, false, &st, &local) < 0) {
                if (local.code != ERROR_NOT_FOUND)
                        return error_move(err, &local);
                node_new(dir, name)->gone = true;
                return 0;
        }
        node = node_new(dir, name);
        node_from_stat(node, &st);
        if (S_ISLNK(st.st_mode)) {
                char target[PATH_MAX];
                char *parent_name = NULL;
                int parent = inroot_open_parent(dest->lower_fd, path, &parent_name, err);
                ssize_t size = parent < 0 ? -1 : readlinkat(parent, parent_name, target, sizeof(target) - 1);

                if (parent < 0)
                        return -1;
                close(parent);
                free(parent_name);
                if (size < 0)
                        return error_errno(err, errno, "cannot read the link '/%s' of the image", path);
                node->entry.link = xstrndup(target, (size_t)size);
        }
        *ret = node;
        return 1;
}

int dest_child(Dest *dest, DestNode *dir, const char *name, DestNode **ret, Error *err)
{
        DestNode *node = dir->children ? map_get(dir->children, name) : NULL;

        *ret = NULL;
        if (node) {
                *ret = node->gone ? NULL : node;
                return !node->gone;
        }
        if (!dir->below || dir->covers || dest->lower_fd < 0)
                return 0;
        return read_below(dest, dir, name, ret, err);
}

static DestNode *make_dir(Dest *dest, DestNode *dir, const char *name, const DestDirs *dirs)
{
        DestNode *node = dir->children ? map_get(dir->children, name) : NULL;

        if (!node)
                node = node_new(dir, name);
        node->gone = false;
        node->changed = true;
        node->entry.type = TAR_DIR;
        node->entry.mode = dirs->mode;
        node->entry.uid = dirs->uid;
        node->entry.gid = dirs->gid;
        node->entry.mtime_sec = dirs->mtime_ns / NSEC_PER_SEC;
        dest->n_changes++;
        return node;
}

/* The directory `name` of `dir`, which dest_child() found as `child`, or made when that is NULL. NULL with INVALID: it is something else. */
static DestNode *enter(Dest *dest, DestNode *dir, const char *name, DestNode *child, const DestDirs *dirs, Error *err)
{
        _cleanup_free_ char *at = NULL;

        if (!child)
                return make_dir(dest, dir, name, dirs);
        if (dest_is_dir(child))
                return child;
        at = dest_path(child);
        error_set(err, ERROR_INVALID, "'%s' in the image is not a directory", at);
        return NULL;
}

/* State of one resolution: what is still to be walked, and where we are. */
typedef struct Walk {
        Dest *dest;
        const char *whole;
        char *rest; /* owned */
        const char *at;
        DestNode *node;
        unsigned n_links;
} Walk;

static void walk_done(Walk *walk)
{
        free(walk->rest);
}

static void walk_init(Walk *walk, Dest *dest, const char *path)
{
        *walk = (Walk){ .dest = dest, .whole = path, .rest = xstrdup(path), .node = dest->root };
        walk->at = walk->rest;
}

/* 1: a component is in `name`, `last` says whether it is the last one; 0: at the end; -1: too long. "." and ".." are walked here. */
static int walk_next(Walk *walk, char *name, bool *last, Error *err)
{
        for (;;) {
                size_t size;

                walk->at += strspn(walk->at, "/");
                size = strcspn(walk->at, "/");
                if (!size)
                        return 0;
                if (size > NAME_MAX)
                        return error_set(err, ERROR_LIMIT, "a name in '%s' is longer than %d bytes", walk->whole, NAME_MAX);
                memcpy(name, walk->at, size);
                name[size] = '\0';
                walk->at += size;
                *last = walk->at[strspn(walk->at, "/")] == '\0';
                if (streq(name, ".."))
                        walk->node = walk->node->parent ? walk->node->parent : walk->node;
                else if (!streq(name, "."))
                        return 1;
        }
}

static int walk_follow(Walk *walk, const DestNode *link, Error *err)
{
        char *next;

        if (++walk->n_links > LINKS_MAX)
                return error_set(err, ERROR_INVALID, "too many symbolic links in '%s'", walk->whole);
        next = xasprintf("%s/%s", link->entry.link, walk->at);
        if (link->entry.link[0] == '/')
                walk->node = walk->dest->root;
        free(walk->rest);
        walk->at = walk->rest = next;
        return 0;
}

int dest_find(Dest *dest, const char *path, DestNode **ret, Error *err)
{
        _cleanup_(walk_done) Walk walk;
        char name[NAME_MAX + 1];
        bool last;
        int more;

        *ret = NULL;
        walk_init(&walk, dest, path);
        while ((more = walk_next(&walk, name, &last, err)) > 0) {
                DestNode *child;
                int found;

                if (!dest_is_dir(walk.node))
                        return 0;
                found = dest_child(dest, walk.node, name, &child, err);
                if (found <= 0)
                        return found;
                if (dest_link(child)) {
                        if (walk_follow(&walk, child, err) < 0)
                                return -1;
                        continue;
                }
                walk.node = child;
        }
        if (more < 0)
                return -1;
        *ret = walk.node;
        return 1;
}

int dest_locate(Dest *dest, const char *path, const DestDirs *dirs, DestNode **ret_dir, char **ret_name, Error *err)
{
        _cleanup_(walk_done) Walk walk;
        char name[NAME_MAX + 1];
        bool last;
        int more;

        walk_init(&walk, dest, path);
        while ((more = walk_next(&walk, name, &last, err)) > 0) {
                DestNode *child;
                int found = dest_child(dest, walk.node, name, &child, err);

                if (found < 0)
                        return -1;
                if (found && dest_link(child)) {
                        if (walk_follow(&walk, child, err) < 0)
                                return -1;
                        continue;
                }
                if (last) {
                        *ret_dir = walk.node;
                        *ret_name = xstrdup(name);
                        return 0;
                }
                walk.node = enter(dest, walk.node, name, child, dirs, err);
                if (!walk.node)
                        return -1;
        }
        if (more < 0)
                return -1;
        *ret_dir = walk.node;
        *ret_name = xstrdup("");
        return 0;
}

int dest_make_dirs(Dest *dest, const char *path, const DestDirs *dirs, DestNode **ret, Error *err)
{
        _cleanup_free_ char *name = NULL;
        DestNode *dir, *child;

        if (dest_locate(dest, path, dirs, &dir, &name, err) < 0)
                return -1;
        if (!*name) {
                *ret = dir;
                return 0;
        }
        if (dest_child(dest, dir, name, &child, err) < 0)
                return -1;
        *ret = enter(dest, dir, name, child, dirs, err);
        return *ret ? 0 : -1;
}

void dest_node_set_xattrs(DestNode *node, const TarXattr *xattrs, size_t n_xattrs)
{
        free_xattrs(node);
        node->entry.xattrs = n_xattrs ? NEW_ARRAY(TarXattr, n_xattrs) : NULL;
        node->entry.n_xattrs = n_xattrs;
        for (size_t i = 0; i < n_xattrs; i++)
                node->entry.xattrs[i] = (TarXattr){
                        .name = xstrdup(xattrs[i].name),
                        .value = xmemdup(xattrs[i].value, xattrs[i].size),
                        .size = xattrs[i].size,
                };
}

static int64_t whole_seconds(int64_t mtime_ns)
{
        return mtime_ns / NSEC_PER_SEC - (mtime_ns % NSEC_PER_SEC < 0);
}

void dest_set_time(Dest *dest, DestNode *dir, int64_t mtime_ns)
{
        int64_t seconds = whole_seconds(mtime_ns);

        if (dir->entry.mtime_sec == seconds || !dir->parent)
                return;
        if (!dir->changed)
                dest->n_changes++;
        dir->changed = true;
        dir->entry.mtime_sec = seconds;
}

static void set_entry(Dest *dest, DestNode *node, const DestEntry *entry)
{
        if (!node->changed)
                dest->n_changes++;
        dest->size -= node->changed ? node->entry.size : 0;
        node->gone = false;
        node->changed = true;
        node->entry.type = entry->type;
        node->entry.mode = entry->mode & 07777;
        node->entry.uid = entry->uid;
        node->entry.gid = entry->gid;
        node->entry.mtime_sec = whole_seconds(entry->mtime_ns);
        node->entry.size = entry->type == TAR_FILE ? entry->size : 0;
        node->entry.dev_major = entry->dev_major;
        node->entry.dev_minor = entry->dev_minor;
        free(node->entry.link);
        node->entry.link = xstrdup_or_null(entry->link);
        dest_node_set_xattrs(node, entry->xattrs, entry->n_xattrs);
        node->content = entry->content;
        node->inode_key = entry->inode_key;
        dest->size += node->entry.size;
}

int dest_put(Dest *dest, DestNode *dir, const char *name, const DestEntry *entry, bool force, DestNode **ret, Error *err)
{
        DestNode *node;
        int found;

        if (str_starts(name, ".wh."))
                return error_set(err, ERROR_INVALID, "cannot put '%s' into a layer: names that begin with '.wh.' mark deleted files there", name);
        found = dest_child(dest, dir, name, &node, err);
        if (found < 0)
                return -1;
        if (!found && dir->children)
                node = map_get(dir->children, name); /* a name known not to be there */
        if (found && dest_is_dir(node) != (entry->type == TAR_DIR)) {
                _cleanup_free_ char *at = dest_path(node);

                if (!force && dest_is_dir(node))
                        return error_set(err, ERROR_INVALID, "cannot replace the directory '%s' with a file", at);
                if (!force)
                        return error_set(err, ERROR_INVALID, "cannot copy a directory over '%s', which is not a directory", at);
                map_free(TAKE_PTR(node->children));
                node->covers = true;
                node->opaque |= dest_is_dir(node);
        }
        if (!node)
                node = node_new(dir, name);
        set_entry(dest, node, entry);
        if (ret)
                *ret = node;
        return 0;
}

uint64_t dest_new_key(Dest *dest)
{
        return ++dest->last_key;
}

void dest_entry_of(Dest *dest, DestNode *node, DestEntry *ret)
{
        if (!node->inode_key)
                node->inode_key = dest_new_key(dest);
        *ret = (DestEntry){
                .type = node->entry.type,
                .mode = node->entry.mode,
                .uid = node->entry.uid,
                .gid = node->entry.gid,
                .mtime_ns = node->entry.mtime_sec * NSEC_PER_SEC,
                .size = node->entry.size,
                .link = node->entry.link,
                .xattrs = node->entry.xattrs,
                .n_xattrs = node->entry.n_xattrs,
                .content = node->content,
                .inode_key = node->inode_key,
        };
}
