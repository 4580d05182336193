#include "build/dest.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "fs/owner.h"
#include "fs/path.h"

#define LINKS_MAX 40

struct DestNode {
        DestNode *parent;
        Map *children;  /* by name; NULL while nothing was looked up */
        TarEntry entry; /* path is not used; type, mode, ids, times, link, xattrs, size */
        DestContent content;
        uint64_t inode_key;
        bool below;   /* exists in the root below, as what `entry` says until `changed` */
        bool changed; /* goes into the layer */
        bool covers;  /* is of another kind than what is below: nothing is looked up below any more … */
        bool opaque;  /* … and that was a directory, which must not shine through a new one */
        bool gone;    /* a name that was looked up below and is not there */
        char *path;   /* during dest_write(): where it was written */
        char name[];
};

struct Dest {
        int lower_fd;
        DestNode *root;
        Map *inodes; /* during dest_write(): inode_key -> DestNode written first */
        size_t n_changes;
        uint64_t size, last_key;
};

static void node_free(void *pointer)
{
        DestNode *node = pointer;

        if (!node)
                return;
        map_free(node->children);
        free(node->entry.link);
        for (size_t i = 0; i < node->entry.n_xattrs; i++) {
                free(node->entry.xattrs[i].name);
                free(node->entry.xattrs[i].value);
        }
        free(node->entry.xattrs);
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

DestNode *dest_root(Dest *dest)
{
        return dest->root;
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

DestNode *dest_parent(const DestNode *node)
{
        return node->parent;
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

static int walk_init(Walk *walk, Dest *dest, const char *path)
{
        *walk = (Walk){ .dest = dest, .whole = path, .rest = xstrdup(path), .node = dest->root };
        walk->at = walk->rest;
        return 0;
}

/* 1: a component is in `name`; 0: at the end; -1: too long. */
static int walk_next(Walk *walk, char *name, bool *last, Error *err)
{
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
        return 1;
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

                if (streq(name, "."))
                        continue;
                if (streq(name, "..")) {
                        walk.node = walk.node->parent ? walk.node->parent : walk.node;
                        continue;
                }
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
                int found;

                if (streq(name, "."))
                        continue;
                if (streq(name, "..")) {
                        walk.node = walk.node->parent ? walk.node->parent : walk.node;
                        continue;
                }
                found = dest_child(dest, walk.node, name, &child, err);
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
                if (!found)
                        child = make_dir(dest, walk.node, name, dirs);
                if (!dest_is_dir(child)) {
                        _cleanup_free_ char *at = dest_path(child);

                        return error_set(err, ERROR_INVALID, "'%s' in the image is not a directory", at);
                }
                walk.node = child;
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
        int found;

        if (dest_locate(dest, path, dirs, &dir, &name, err) < 0)
                return -1;
        if (!*name) {
                *ret = dir;
                return 0;
        }
        found = dest_child(dest, dir, name, &child, err);
        if (found < 0)
                return -1;
        if (!found)
                child = make_dir(dest, dir, name, dirs);
        if (!dest_is_dir(child)) {
                _cleanup_free_ char *at = dest_path(child);

                return error_set(err, ERROR_INVALID, "'%s' in the image is not a directory", at);
        }
        *ret = child;
        return 0;
}

static void set_xattrs(DestNode *node, const TarXattr *xattrs, size_t n_xattrs)
{
        for (size_t i = 0; i < node->entry.n_xattrs; i++) {
                free(node->entry.xattrs[i].name);
                free(node->entry.xattrs[i].value);
        }
        free(node->entry.xattrs);
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
        set_xattrs(node, entry->xattrs, entry->n_xattrs);
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

/* --- writing --- */

typedef struct Writer {
        Dest *dest;
        LayerWriter *to;
        DestProgress progress;
        void *user;
        Buf path;
        Buf header;
} Writer;

static int write_zeros(Writer *writer, size_t size, Error *err)
{
        static const char zeros[TAR_TRAILER_SIZE];

        return size ? layer_writer_write(writer->to, zeros, size, err) : 0;
}

#define CHUNK_SIZE (8 * MIB)

static int write_range(Writer *writer, int fd, uint64_t offset, uint64_t size, Error *err)
{
        while (size) {
                uint64_t chunk = MIN(size, (uint64_t)CHUNK_SIZE);

                if (layer_writer_write_file(writer->to, fd, offset, chunk, err) < 0)
                        return -1;
                if (writer->progress && !writer->progress(writer->user, chunk))
                        return error_set(err, ERROR_CANCELLED, "the build was cancelled");
                offset += chunk;
                size -= chunk;
        }
        return 0;
}

/* security.capability of the source is known only when the file is open, and must be in the header: so opening comes first. */
static int open_content(DestNode *node, Error *err)
{
        char capability[64];
        size_t size;
        int fd;

        fd = source_tree_open_file(node->content.tree, node->content.node, err);
        if (fd < 0)
                return -1;
        size = source_tree_capability(fd, capability);
        if (size) {
                TarXattr xattr = { .name = (char[]){ "security.capability" }, .value = capability, .size = size };

                set_xattrs(node, &xattr, 1);
        }
        return fd;
}

static int write_header(Writer *writer, const DestNode *node, const TarEntry *override, Error *err)
{
        TarEntry entry = override ? *override : node->entry;

        entry.path = (char *)buf_str(&writer->path);
        buf_reset(&writer->header);
        if (tar_write_header(&entry, &writer->header, err) < 0)
                return -1;
        return layer_writer_write(writer->to, writer->header.data, writer->header.size, err);
}

static int write_link(Writer *writer, DestNode *node, const DestNode *first, Error *err)
{
        TarEntry entry = node->entry;

        entry.type = TAR_HARDLINK;
        entry.size = 0;
        entry.link = first->path;
        return write_header(writer, node, &entry, err);
}

static int write_content(Writer *writer, DestNode *node, int tree_fd, Error *err)
{
        uint64_t size = node->entry.size;

        if (tree_fd >= 0) {
                if (write_range(writer, tree_fd, 0, size, err) < 0 || source_tree_check_unchanged(node->content.tree, node->content.node, tree_fd, err) < 0)
                        return -1;
        } else if (node->content.fd >= 0) {
                if (write_range(writer, node->content.fd, node->content.offset, size, err) < 0)
                        return -1;
        } else if (size && layer_writer_write(writer->to, node->content.data, size, err) < 0) {
                return -1;
        }
        return write_zeros(writer, tar_padding(size), err);
}

static int write_file(Writer *writer, DestNode *node, Error *err)
{
        _cleanup_close_ int fd = -1;

        if (node->inode_key) {
                const DestNode *first = map_getn(writer->dest->inodes, &node->inode_key, sizeof(node->inode_key));

                if (first)
                        return write_link(writer, node, first, err);
                node->path = xstrdup(buf_str(&writer->path));
                map_setn(writer->dest->inodes, &node->inode_key, sizeof(node->inode_key), node);
        }
        if (node->content.tree) {
                fd = open_content(node, err);
                if (fd < 0)
                        return -1;
        }
        if (write_header(writer, node, NULL, err) < 0)
                return -1;
        return write_content(writer, node, fd, err);
}

static bool has_changes(const DestNode *node)
{
        const DestNode *child;

        if (node->changed)
                return true;
        if (node->children)
                for (size_t at = 0; map_next(node->children, &at, NULL, (void **)&child);)
                        if (has_changes(child))
                                return true;
        return false;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp((*(DestNode *const *)a)->name, (*(DestNode *const *)b)->name);
}

static int write_node(Writer *writer, DestNode *node, Error *err);

static int write_children(Writer *writer, DestNode *dir, Error *err)
{
        size_t n = dir->children ? map_size(dir->children) : 0, i = 0;
        _cleanup_free_ DestNode **children = n ? NEW_ARRAY(DestNode *, n) : NULL;
        DestNode *child;

        if (!n)
                return 0;
        for (size_t at = 0; map_next(dir->children, &at, NULL, (void **)&child);)
                children[i++] = child;
        qsort(children, n, sizeof(*children), compare_names);
        for (i = 0; i < n; i++) {
                size_t size = writer->path.size;
                int result;

                if (!has_changes(children[i]))
                        continue;
                if (size)
                        buf_putc(&writer->path, '/');
                buf_puts(&writer->path, children[i]->name);
                result = write_node(writer, children[i], err);
                writer->path.size = size;
                if (writer->path.data)
                        writer->path.data[size] = '\0';
                if (result < 0)
                        return -1;
        }
        return 0;
}

static int write_node(Writer *writer, DestNode *node, Error *err)
{
        if (node->entry.type == TAR_FILE)
                return write_file(writer, node, err);
        if (write_header(writer, node, NULL, err) < 0)
                return -1;
        if (node->entry.type != TAR_DIR)
                return 0;
        if (node->opaque && node->below) {
                TarEntry opaque = { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_OPAQUE };

                if (write_header(writer, node, &opaque, err) < 0)
                        return -1;
        }
        return write_children(writer, node, err);
}

int dest_write(Dest *dest, LayerWriter *to, DestProgress progress, void *user, Error *err)
{
        Writer writer = { .dest = dest, .to = to, .progress = progress, .user = user, .path = BUF_INIT(BUF_MAX_DEFAULT), .header = BUF_INIT(BUF_MAX_DEFAULT) };
        int result;

        map_free(dest->inodes);
        dest->inodes = map_new(NULL);
        /* The root itself is written only when its own metadata was changed. */
        result = dest->root->changed ? write_header(&writer, dest->root, NULL, err) : 0;
        if (result == 0)
                result = write_children(&writer, dest->root, err);
        if (result == 0)
                result = write_zeros(&writer, TAR_TRAILER_SIZE, err);
        buf_done(&writer.path);
        buf_done(&writer.header);
        return result;
}

int dest_make_layer(Dest *dest, Lease *lease, DestProgress progress, void *user, Digest *ret_diff_id, Error *err)
{
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        LayerInfo info;

        if (!dest_n_changes(dest)) {
                if (layer_empty(lease, &info, err) < 0)
                        return -1;
        } else if (layer_writer_open(lease, &writer, err) < 0 || dest_write(dest, writer, progress, user, err) < 0 ||
                   layer_writer_commit(writer, NULL, &info, err) < 0) {
                return -1;
        }
        *ret_diff_id = info.diff_id;
        return 0;
}
