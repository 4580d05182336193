/*
 * Entries of one tar become the tree of a single-layer index.
 *
 * A whiteout and an opaque marker speak of the layers below only, wherever in the tar they stand (OCI image spec, layer.md): beside an entry of the same
 * path, ".wh.x" makes x hide the one below, which for a directory means opaque.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "erofs/tree.h"

#define LINKS_MAX 40 /* as the kernel */
#define SYMLINK_TARGET_MAX 4095
/* Bytes of paths walked again because a link was on the way, over a whole tar: real layers have next to none, an attack has 160 KiB an entry. */
#define FOLLOWED_MAX (UINT64_C(64) << 20)
#define MAJOR_MAX 0xfff
#define MINOR_MAX 0xfffff

/* --- the table of names --- */

static uint64_t hash_name(uint32_t parent, const char *text, size_t size)
{
        uint8_t key[4 + EROFS_NAME_MAX];

        memcpy(key, &parent, 4);
        memcpy(key + 4, text, size);
        return map_hash(key, 4 + size);
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t *find_slot(ErofsTree *tree, uint32_t parent, const char *text, size_t size)
{
        uint32_t at = (uint32_t)hash_name(parent, text, size) & (tree->n_slots - 1);

        for (;; at = (at + 1) & (tree->n_slots - 1)) {
                const Name *name;

                if (tree->slots[at] == 0)
                        return &tree->slots[at];
                name = &tree->names[tree->slots[at] - 1];
                if (name->parent == parent && name->size == size && memcmp(name->text, text, size) == 0)
                        return &tree->slots[at];
        }
}

static void grow_slots(ErofsTree *tree)
{
        if (tree->n_names < tree->n_slots / 4 * 3)
                return;
        free(tree->slots);
        tree->n_slots = tree->n_slots ? tree->n_slots * 2 : 256;
        tree->slots = NEW_ARRAY(uint32_t, tree->n_slots);
        for (uint32_t i = 0; i < tree->n_names; i++)
                *find_slot(tree, tree->names[i].parent, tree->names[i].text, tree->names[i].size) = i + 1;
}

/* The number of the name, or NONE. */
static uint32_t lookup(ErofsTree *tree, uint32_t parent, const char *text, size_t size)
{
        return tree->n_slots ? *find_slot(tree, parent, text, size) - 1 : NONE;
}

static int insert(ErofsTree *tree, uint32_t parent, const char *text, size_t size, uint32_t inode, Error *err)
{
        char *copy;
        uint32_t name;

        if (size > EROFS_NAME_MAX)
                return error_set(err, ERROR_LIMIT, "a name of %zu bytes is too long (at most 255): '%.64s...'", size, text);
        copy = memcpy(tree_alloc(tree, size, 1), text, size);
        name = tree_new_name(tree, parent, copy, size, inode, err);
        if (name == NONE)
                return -1;
        tree_append_name(tree, parent, name);
        grow_slots(tree);
        *find_slot(tree, parent, text, size) = name + 1;
        return 0;
}

/* --- directories --- */

static uint32_t new_dir(ErofsTree *tree, uint32_t parent, uint8_t flags)
{
        uint32_t dir = tree_new_inode(tree, S_IFDIR | 0755);

        tree->inodes[dir].parent = parent;
        tree->inodes[dir].flags = flags;
        return dir;
}

typedef struct Walk {
        ErofsTree *tree;
        uint32_t dir;
        bool make; /* make what is missing */
        unsigned n_links;
        const char *path; /* for messages */
        char *rest;       /* of a followed link, owned */
} Walk;

/* Follows a link in the place of a directory. *at is the rest of the path behind it; it moves into memory of the walk. */
static int walk_follow(Walk *walk, const Inode *link, const char **at, const char **end, Error *err)
{
        size_t left = (size_t)(*end - *at);
        char *rest;

        if (++walk->n_links > LINKS_MAX)
                return error_set(err, ERROR_INVALID, "cannot place '%s': too many symbolic links on the way", walk->path);
        walk->tree->n_followed += link->size + left;
        if (walk->tree->n_followed > FOLLOWED_MAX)
                return error_set(err, ERROR_LIMIT, "cannot place '%s': too many entries of the layer lead through symbolic links", walk->path);
        rest = xmalloc(link->size + 1 + left);
        memcpy(rest, link->target, link->size);
        rest[link->size] = '/';
        memcpy(rest + link->size + 1, *at, left);
        if (*rest == '/')
                walk->dir = 0;
        free(walk->rest);
        walk->rest = rest;
        *at = rest;
        *end = rest + link->size + 1 + left;
        return 0;
}

/* One component. */
static int walk_into(Walk *walk, const char *text, size_t size, const char **at, const char **end, Error *err)
{
        ErofsTree *tree = walk->tree;
        uint32_t name, child;
        const Inode *inode;

        if (size == 0 || (size == 1 && *text == '.'))
                return 0;
        if (size == 2 && text[0] == '.' && text[1] == '.') {
                walk->dir = tree->inodes[walk->dir].parent;
                return 0;
        }
        name = size > EROFS_NAME_MAX ? NONE : lookup(tree, walk->dir, text, size);
        if (name == NONE) {
                if (!walk->make)
                        return error_set(err, ERROR_INVALID, "cannot follow '%s': the layer has no such file", walk->path);
                child = new_dir(tree, walk->dir, NODE_IMPLICIT);
                if (insert(tree, walk->dir, text, size, child, err) < 0)
                        return -1;
                walk->dir = child;
                return 0;
        }
        child = tree->names[name].inode;
        inode = &tree->inodes[child];
        if (S_ISLNK(inode->mode))
                return walk_follow(walk, inode, at, end, err);
        if (inode_is_whiteout(inode) && walk->make) {
                child = new_dir(tree, walk->dir, NODE_OPAQUE);
                tree->names[name].inode = child;
        } else if (!inode_is_dir(inode)) {
                return error_set(err, ERROR_INVALID, "cannot place '%s': '%.*s' on the way is not a directory", walk->path, (int)size, text);
        }
        walk->dir = child;
        return 0;
}

/* The directory that a path names, links followed inside of the tree. Its inode, or NONE. */
static uint32_t find_dir(ErofsTree *tree, const char *path, size_t size, bool make, const char *shown, Error *err)
{
        Walk walk = { .tree = tree, .make = make, .path = shown };
        const char *at = path, *end = path + size;

        while (at < end) {
                const char *slash = memchr(at, '/', (size_t)(end - at)), *text = at;
                size_t n = (size_t)((slash ? slash : end) - at);

                at = slash ? slash + 1 : end;
                if (walk_into(&walk, text, n, &at, &end, err) < 0) {
                        free(walk.rest);
                        return NONE;
                }
        }
        free(walk.rest);
        return walk.dir;
}

/* The directory that holds the path, made when it is missing. Entries come in runs of one directory, so the last answer is kept. */
static uint32_t parent_of(ErofsTree *tree, const char *path, bool make, const char **ret_name, Error *err)
{
        const char *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;

        *ret_name = slash ? slash + 1 : path;
        if (size == 0)
                return 0;
        if (tree->parent_inode != NONE && tree->parent_size == size && memcmp(tree->parent_path, path, size) == 0)
                return tree->parent_inode;
        tree->parent_inode = find_dir(tree, path, size, make, path, err);
        free(tree->parent_path);
        tree->parent_path = xstrndup(path, size);
        tree->parent_size = size;
        return tree->parent_inode;
}

/* --- entries --- */

static const uint16_t type_bits[] = {
        [TAR_FILE] = S_IFREG, [TAR_DIR] = S_IFDIR, [TAR_SYMLINK] = S_IFLNK, [TAR_CHAR] = S_IFCHR, [TAR_BLOCK] = S_IFBLK, [TAR_FIFO] = S_IFIFO,
};

static int check_entry(const TarEntry *entry, Error *err)
{
        uint64_t last = (entry->data_offset + entry->size + TAR_BLOCK_SIZE - 1) / TAR_BLOCK_SIZE;

        if (entry->mtime_nsec > 999999999)
                return error_set(err, ERROR_INVALID, "the time of '%s' has %u nanoseconds", entry->path, entry->mtime_nsec);
        switch (entry->type) {
        case TAR_FILE:
                if (entry->size && (entry->data_offset % TAR_BLOCK_SIZE || entry->data_offset + entry->size < entry->data_offset))
                        return error_set(err, ERROR_INVALID, "the content of '%s' is not at a block of the tar", entry->path);
                if (entry->size && last >= NONE)
                        return error_set(err, ERROR_LIMIT, "the content of '%s' ends beyond 2 TiB of the tar, which an index cannot address", entry->path);
                return 0;
        case TAR_SYMLINK:
                if (str_empty(entry->link))
                        return error_set(err, ERROR_INVALID, "the symbolic link '%s' has no target", entry->path);
                if (strlen(entry->link) > SYMLINK_TARGET_MAX)
                        return error_set(err, ERROR_LIMIT, "the symbolic link '%s' has a target of %zu bytes (at most 4095)", entry->path, strlen(entry->link));
                return 0;
        case TAR_CHAR:
        case TAR_BLOCK:
                if (entry->dev_major > MAJOR_MAX || entry->dev_minor > MINOR_MAX)
                        return error_set(err, ERROR_INVALID, "the device '%s' has the number %u:%u, which Linux cannot have", entry->path, entry->dev_major,
                                         entry->dev_minor);
                if (entry->type == TAR_CHAR && entry->dev_major == 0 && entry->dev_minor == 0)
                        return error_set(err, ERROR_INVALID,
                                         "the character device '%s' has the number 0:0, which overlayfs takes as a deletion; a layer cannot hold it",
                                         entry->path);
                return 0;
        default:
                return 0;
        }
}

static int fill_inode(ErofsTree *tree, uint32_t number, const TarEntry *entry, Error *err)
{
        Inode *inode = &tree->inodes[number];

        inode->mode = (uint16_t)(type_bits[entry->type] | (entry->mode & 07777));
        inode->uid = entry->uid;
        inode->gid = entry->gid;
        inode->mtime = entry->mtime_sec;
        inode->mtime_nsec = entry->mtime_nsec;
        inode->flags &= (uint8_t)~NODE_IMPLICIT;
        if (entry->type == TAR_FILE && entry->size) {
                inode->size = entry->size;
                inode->where = (uint32_t)(entry->data_offset / TAR_BLOCK_SIZE);
                inode->device = 1;
        } else if (entry->type == TAR_SYMLINK) {
                inode->size = strlen(entry->link);
                inode->target = memcpy(tree_alloc(tree, inode->size, 1), entry->link, inode->size);
        } else if (entry->type == TAR_CHAR || entry->type == TAR_BLOCK) {
                inode->where = (entry->dev_minor & 0xff) | entry->dev_major << 8 | (entry->dev_minor & ~UINT32_C(0xff)) << 12;
        }
        return tree_set_xattrs(tree, number, entry->xattrs, entry->n_xattrs, entry->path, err);
}

/* The inode that a hard link names. */
static uint32_t link_target(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        const char *name = NULL, *link = entry->link ? entry->link : "";
        uint32_t parent = parent_of(tree, link, false, &name, err), found;

        if (parent == NONE) {
                error_wrap(err, "the hard link '%s' to '%s'", entry->path, link);
                return NONE;
        }
        found = *name && strlen(name) <= EROFS_NAME_MAX ? lookup(tree, parent, name, strlen(name)) : NONE;
        if (found == NONE || inode_is_whiteout(&tree->inodes[tree->names[found].inode])) {
                error_set(err, ERROR_INVALID, "the hard link '%s' names '%s', which is not in this layer", entry->path, link);
                return NONE;
        }
        if (inode_is_dir(&tree->inodes[tree->names[found].inode])) {
                error_set(err, ERROR_INVALID, "the hard link '%s' names '%s', which is a directory", entry->path, link);
                return NONE;
        }
        return tree->names[found].inode;
}

static int add_opaque(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        uint32_t dir = find_dir(tree, entry->path, strlen(entry->path), true, entry->path, err);

        if (dir == NONE)
                return -1;
        tree->inodes[dir].flags |= NODE_OPAQUE;
        return 0;
}

static int add_whiteout(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        const char *text;
        uint32_t parent = parent_of(tree, entry->path, true, &text, err), name;

        if (parent == NONE)
                return -1;
        if (!*text)
                return error_set(err, ERROR_INVALID, "a whiteout names the root of the image");
        name = strlen(text) <= EROFS_NAME_MAX ? lookup(tree, parent, text, strlen(text)) : NONE;
        if (name != NONE) {
                Inode *inode = &tree->inodes[tree->names[name].inode];

                if (inode_is_dir(inode)) {
                        /* What is below is gone as a whole, so its attributes do not shine through either. */
                        inode->flags |= NODE_OPAQUE;
                        inode->flags &= (uint8_t)~NODE_IMPLICIT;
                }
                return 0;
        }
        if (tree->whiteout == NONE)
                tree->whiteout = tree_new_inode(tree, S_IFCHR);
        return insert(tree, parent, text, strlen(text), tree->whiteout, err);
}

static int add_root(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        if (entry->type != TAR_DIR)
                return error_set(err, ERROR_INVALID, "the root of the layer is not a directory");
        return fill_inode(tree, 0, entry, err);
}

static int add_ordinary(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        const char *text;
        uint32_t parent, name, target = NONE, number;
        bool was_dir, had;

        if (entry->type == TAR_HARDLINK && (target = link_target(tree, entry, err)) == NONE)
                return -1;
        parent = parent_of(tree, entry->path, true, &text, err);
        if (parent == NONE)
                return -1;
        name = strlen(text) <= EROFS_NAME_MAX ? lookup(tree, parent, text, strlen(text)) : NONE;
        had = name != NONE;
        was_dir = had && inode_is_dir(&tree->inodes[tree->names[name].inode]);
        if (was_dir && entry->type == TAR_DIR)
                return fill_inode(tree, tree->names[name].inode, entry, err);
        if (target != NONE) {
                number = target;
        } else if (entry->type == TAR_DIR) {
                /* Over a whiteout or a file of this layer: that one has removed what is below. */
                number = new_dir(tree, parent, had ? NODE_OPAQUE : 0);
        } else {
                number = tree_new_inode(tree, type_bits[entry->type]);
        }
        if (target == NONE && fill_inode(tree, number, entry, err) < 0)
                return -1;
        if (!had)
                return insert(tree, parent, text, strlen(text), number, err);
        tree->names[name].inode = number;
        tree->parent_inode = NONE; /* it may have led through what was just replaced */
        return 0;
}

int erofs_tree_add(ErofsTree *tree, const TarEntry *entry, Error *err)
{
        if (tree->kind == TREE_MERGED)
                return error_set(err, ERROR_INTERNAL, "a tree made of indexes takes no entries");
        tree->kind = TREE_LAYER;
        tree->n_devices = 1;
        if (entry->whiteout == TAR_WHITEOUT_OPAQUE)
                return add_opaque(tree, entry, err);
        if (entry->whiteout == TAR_WHITEOUT_REMOVE)
                return add_whiteout(tree, entry, err);
        if (check_entry(entry, err) < 0)
                return -1;
        return *entry->path ? add_ordinary(tree, entry, err) : add_root(tree, entry, err);
}
