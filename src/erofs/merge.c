/*
 * Lays indexes over each other: two sorted lists of names at a time become one. Tars are never looked at.
 *
 * With `raw` an index becomes a tree as it is, whiteouts kept; otherwise they do their work and are gone (OCI image spec, layer.md).
 */
#include <errno.h>

#include "base/mem.h"
#include "erofs/read.h"

/* A directory of the index that is laid over one of the tree. */
typedef struct Pair {
        uint32_t dir;
        uint64_t nid;
} Pair;

typedef struct Merge {
        ErofsTree *tree;
        Reader reader;
        bool raw;
        uint16_t first_device; /* what device 1 of the index becomes, less one */
        uint32_t *inode_of;    /* by slot of the index: inode of the tree + 1, for hard links; directories too, which may appear only once */
        Pair *queue;
        size_t n_queue, capacity;
} Merge;

static int add_pair(Merge *merge, uint32_t dir, uint64_t nid, Error *err)
{
        if (merge->inode_of[nid])
                return error_set(err, ERROR_CORRUPT, "not a sound image index: a directory is in two places");
        merge->inode_of[nid] = dir + 1;
        GROW(merge->queue, merge->capacity, merge->n_queue + 1);
        merge->queue[merge->n_queue++] = (Pair){ dir, nid };
        return 0;
}

/* Attributes of a directory over those of the lower one. */
static void take_attributes(Inode *to, const Inode *from)
{
        to->mode = from->mode;
        to->uid = from->uid;
        to->gid = from->gid;
        to->mtime = from->mtime;
        to->mtime_nsec = from->mtime_nsec;
        to->xattrs = from->xattrs;
        to->xattr_words = from->xattr_words;
        to->flags = from->flags;
}

static void lay_dir(const Merge *merge, uint32_t dir, const Inode *over)
{
        Inode *inode = &merge->tree->inodes[dir];

        if (over->flags & NODE_OPAQUE && !merge->raw)
                inode->first = inode->last = NONE;
        if (!(over->flags & NODE_IMPLICIT) || merge->raw)
                take_attributes(inode, over);
        if (!merge->raw)
                inode->flags &= (uint8_t)~NODE_OPAQUE;
}

/* A new inode like the one read. */
static uint32_t new_inode(Merge *merge, const Inode *from, uint32_t parent)
{
        uint32_t number = tree_new_inode(merge->tree, from->mode);
        Inode *inode = &merge->tree->inodes[number];

        *inode = *from;
        if (inode_is_dir(inode)) {
                inode->parent = parent;
                if (!merge->raw)
                        inode->flags &= (uint8_t)~NODE_OPAQUE;
        } else if (inode->device) {
                inode->device = (uint16_t)(inode->device + merge->first_device);
        }
        return number;
}

/* What one name of the index means for the directory: *ret is the name that stays, or NONE. `lower` is the same name in the tree, or NONE. */
static int lay_name(Merge *merge, uint32_t dir, uint32_t lower, const ReadName *name, uint32_t *ret, Error *err)
{
        ErofsTree *tree = merge->tree;
        ReadInode over;
        uint32_t number;

        *ret = NONE;
        if (name->nid < merge->reader.n_slots && merge->inode_of[name->nid] && !inode_is_dir(&tree->inodes[merge->inode_of[name->nid] - 1])) {
                number = merge->inode_of[name->nid] - 1;
        } else {
                if (reader_inode(&merge->reader, name->nid, &over, err) < 0)
                        return -1;
                if (inode_is_whiteout(&over.inode) && !merge->raw)
                        return merge->reader.kind == TREE_LAYER ? 0 : error_set(err, ERROR_CORRUPT, "not a sound image index: a whiteout in a merged one");
                if (inode_is_dir(&over.inode) && lower != NONE && inode_is_dir(&tree->inodes[tree->names[lower].inode])) {
                        lay_dir(merge, tree->names[lower].inode, &over.inode);
                        *ret = lower;
                        return add_pair(merge, tree->names[lower].inode, name->nid, err);
                }
                number = new_inode(merge, &over.inode, dir);
                if (inode_is_dir(&over.inode)) {
                        if (add_pair(merge, number, name->nid, err) < 0)
                                return -1;
                } else {
                        merge->inode_of[name->nid] = number + 1;
                }
        }
        if (lower == NONE)
                lower = tree_new_name(tree, dir, name->text, name->size, number, err);
        else
                tree->names[lower].inode = number;
        *ret = lower;
        return lower == NONE ? -1 : 0;
}

static int compare_lower(const ErofsTree *tree, uint32_t lower, const ReadName *name)
{
        return lower == NONE ? 1 : name_compare(tree->names[lower].text, tree->names[lower].size, name->text, name->size);
}

static int lay_pair(Merge *merge, Pair pair, Error *err)
{
        ErofsTree *tree = merge->tree;
        uint32_t lower = tree->inodes[pair.dir].first, stays;
        ReadInode from;
        DirReader dir;
        ReadName name;
        int r;

        if (reader_inode(&merge->reader, pair.nid, &from, err) < 0)
                return -1;
        reader_dir(&from, &dir);
        tree->inodes[pair.dir].first = tree->inodes[pair.dir].last = NONE;
        while ((r = reader_next(&dir, &name, err)) > 0) {
                uint32_t same = NONE;
                int order;

                while ((order = compare_lower(tree, lower, &name)) < 0) {
                        uint32_t next = tree->names[lower].next;

                        tree_append_name(tree, pair.dir, lower);
                        lower = next;
                }
                if (order == 0) {
                        same = lower;
                        lower = tree->names[lower].next;
                }
                if (lay_name(merge, pair.dir, same, &name, &stays, err) < 0)
                        return -1;
                if (stays != NONE)
                        tree_append_name(tree, pair.dir, stays);
        }
        while (lower != NONE) {
                uint32_t next = tree->names[lower].next;

                tree_append_name(tree, pair.dir, lower);
                lower = next;
        }
        return r;
}

static int lay_index(Merge *merge, Error *err)
{
        ReadInode root;

        if (reader_inode(&merge->reader, merge->reader.root, &root, err) < 0)
                return -1;
        if (!inode_is_dir(&root.inode))
                return error_set(err, ERROR_CORRUPT, "not a sound image index: its root is not a directory");
        lay_dir(merge, 0, &root.inode);
        if (add_pair(merge, 0, merge->reader.root, err) < 0)
                return -1;
        for (size_t at = 0; at < merge->n_queue; at++)
                if (lay_pair(merge, merge->queue[at], err) < 0)
                        return -1;
        return 0;
}

static int lay(ErofsTree *tree, const void *index, size_t size, bool raw, Error *err)
{
        Merge merge = { .tree = tree, .raw = raw, .first_device = (uint16_t)tree->n_devices };
        int r;

        if (reader_open(&merge.reader, index, size, err) < 0)
                return -1;
        if (merge.reader.kind == TREE_MERGED && tree->n_devices)
                return error_set(err, ERROR_INVALID, "a merged index can only be the lowest");
        if (tree->n_devices + merge.reader.n_devices > EROFS_DEVICES_MAX)
                return error_set(err, ERROR_LIMIT, "too many layers: one image may have %d", EROFS_DEVICES_MAX);
        tree->kind = raw ? merge.reader.kind : TREE_MERGED;
        tree->n_devices += merge.reader.n_devices;
        merge.inode_of = mem_try_alloc(merge.reader.n_slots * sizeof(*merge.inode_of) + 1);
        if (!merge.inode_of)
                return error_errno(err, ENOMEM, "cannot merge image indexes");
        r = lay_index(&merge, err);
        free(merge.inode_of);
        free(merge.queue);
        return r;
}

int erofs_tree_add_index(ErofsTree *tree, const void *index, size_t size, Error *err)
{
        if (tree->kind == TREE_LAYER)
                return error_set(err, ERROR_INTERNAL, "a tree made of entries takes no indexes");
        return lay(tree, index, size, false, err);
}

int tree_load(ErofsTree *tree, const void *index, size_t size, Error *err)
{
        return lay(tree, index, size, true, err);
}
