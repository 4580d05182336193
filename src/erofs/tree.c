/* Memory of the tree: inodes, names, the table that finds names, and what the tree owns of their bytes. */
#include "erofs/tree.h"

#include "base/map.h"
#include "base/mem.h"

#define ARENA_SIZE ((size_t)64 << 10)

struct ArenaChunk {
        ArenaChunk *next;
        size_t size, used;
        uint8_t data[];
};

void *tree_alloc(ErofsTree *tree, size_t size, size_t align)
{
        ArenaChunk *chunk = tree->arena;
        size_t at = chunk ? (chunk->used + align - 1) & ~(align - 1) : 0;

        if (!chunk || at + size > chunk->size) {
                size_t room = size > ARENA_SIZE ? size : ARENA_SIZE;

                chunk = xmalloc(sizeof(*chunk) + room);
                *chunk = (ArenaChunk){ .next = tree->arena, .size = room };
                tree->arena = chunk;
                at = 0;
        }
        chunk->used = at + size;
        return chunk->data + at;
}

ErofsTree *erofs_tree_new(void)
{
        ErofsTree *tree = NEW(ErofsTree);

        tree->whiteout = NONE;
        tree->parent_inode = NONE;
        tree_new_inode(tree, S_IFDIR | 0755);
        tree->inodes[0].flags = NODE_IMPLICIT;
        return tree;
}

void erofs_tree_free(ErofsTree *tree)
{
        if (!tree)
                return;
        while (tree->arena) {
                ArenaChunk *next = tree->arena->next;

                free(tree->arena);
                tree->arena = next;
        }
        free(tree->inodes);
        free(tree->names);
        free(tree->slots);
        free(tree->parent_path);
        free(tree);
}

uint32_t tree_new_inode(ErofsTree *tree, uint16_t mode)
{
        Inode *inode;

        GROW(tree->inodes, tree->inodes_capacity, tree->n_inodes + 1);
        inode = &tree->inodes[tree->n_inodes];
        *inode = (Inode){ .mode = mode };
        if (S_ISDIR(mode))
                inode->first = inode->last = NONE;
        return tree->n_inodes++;
}

uint32_t tree_new_name(ErofsTree *tree, uint32_t parent, const char *text, size_t size, uint32_t inode, Error *err)
{
        if (tree->n_names >= TREE_NAMES_MAX) {
                error_set(err, ERROR_LIMIT, "too many entries: one image may have %u", TREE_NAMES_MAX);
                return NONE;
        }
        GROW(tree->names, tree->names_capacity, tree->n_names + 1);
        tree->names[tree->n_names] = (Name){ .text = text, .parent = parent, .inode = inode, .next = NONE, .size = (uint8_t)size };
        return tree->n_names++;
}

void tree_append_name(ErofsTree *tree, uint32_t dir, uint32_t name)
{
        Inode *inode = &tree->inodes[dir];

        if (inode->first == NONE)
                inode->first = name;
        else
                tree->names[inode->last].next = name;
        inode->last = name;
        tree->names[name].next = NONE;
}

static int compare_names(const void *a, const void *b, void *names)
{
        const Name *x = (const Name *)names + *(const uint32_t *)a, *y = (const Name *)names + *(const uint32_t *)b;

        return name_compare(x->text, x->size, y->text, y->size);
}

void tree_sort_names(ErofsTree *tree, uint32_t dir)
{
        Inode *inode = &tree->inodes[dir];
        _cleanup_free_ uint32_t *order = NULL;
        size_t n = 0;
        bool sorted = true;

        for (uint32_t i = inode->first; i != NONE; i = tree->names[i].next, n++) {
                const Name *name = &tree->names[i], *next = name->next == NONE ? NULL : &tree->names[name->next];

                sorted = sorted && (!next || name_compare(name->text, name->size, next->text, next->size) < 0);
        }
        if (sorted)
                return;
        order = NEW_ARRAY(uint32_t, n);
        n = 0;
        for (uint32_t i = inode->first; i != NONE; i = tree->names[i].next)
                order[n++] = i;
        qsort_r(order, n, sizeof(*order), compare_names, tree->names);
        inode->first = inode->last = NONE;
        for (size_t i = 0; i < n; i++)
                tree_append_name(tree, dir, order[i]);
}

void erofs_tree_stats(const ErofsTree *tree, ErofsStats *ret)
{
        _cleanup_free_ uint32_t *queue = NEW_ARRAY(uint32_t, tree->n_inodes);
        _cleanup_free_ uint8_t *seen = NEW_ARRAY(uint8_t, tree->n_inodes);
        size_t n_queue = 1;

        *ret = (ErofsStats){ .n_dropped_xattrs = tree->n_dropped_xattrs };
        for (size_t at = 0; at < n_queue; at++) {
                const Inode *dir = &tree->inodes[queue[at]];

                ret->n_implicit += at > 0 && (dir->flags & NODE_IMPLICIT);
                for (uint32_t i = dir->first; i != NONE; i = tree->names[i].next) {
                        uint32_t number = tree->names[i].inode;
                        const Inode *inode = &tree->inodes[number];

                        ret->n_entries++;
                        ret->n_whiteouts += inode_is_whiteout(inode);
                        if (inode_is_dir(inode))
                                queue[n_queue++] = number;
                        if (S_ISREG(inode->mode) && !seen[number]) {
                                ret->n_files++;
                                ret->content_size += inode->size;
                        }
                        seen[number] = 1;
                }
        }
}
