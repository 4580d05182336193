/* COPY and ADD, second phase: the key of what was selected. */
#include "build/copy_private.h"

#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"

typedef struct Collected {
        TreeNode *node;
        char *below;
} Collected;

typedef struct HashWalk {
        CopyWalk walk;
        Collected *entries;
        size_t n_entries, capacity;
} HashWalk;

/* Directories on the way to something that --parents takes count only when something is taken; their metadata is then part of the result. */
static int collect(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        HashWalk *hw = container_of(walk, HashWalk, walk);

        if (!included && *below)
                return 0;
        GROW(hw->entries, hw->capacity, hw->n_entries + 1);
        hw->entries[hw->n_entries++] = (Collected){ .node = node, .below = xstrdup(below) };
        return 0;
}

static void hash_metadata(Hash *hash, const TreeNode *node)
{
        hash_field_u64(hash, node->mode);
        hash_field_u64(hash, ((uint64_t)node->uid << 32) | node->gid);
        hash_field_str(hash, node->link);
        hash_field_u64(hash, ((uint64_t)node->dev_major << 32) | node->dev_minor);
}

/* Hard links inside of one item are part of what is made: the number of the first entry with the same inode. */
static uint64_t link_group(Map *inodes, const TreeNode *node, size_t at)
{
        uint64_t key[2] = { node->device, node->inode };
        void *first;

        if (node->n_links < 2 || !S_ISREG(node->mode))
                return 0;
        first = map_getn(inodes, key, sizeof(key));
        if (first)
                return (uint64_t)(uintptr_t)first;
        map_setn(inodes, key, sizeof(key), (void *)(uintptr_t)(at + 1));
        return at + 1;
}

static void hash_entry(Hash *hash, Map *inodes, const HashWalk *hw, size_t at)
{
        const TreeNode *node = hw->entries[at].node;
        const char *below = hw->entries[at].below;

        hash_field_str(hash, below);
        hash_metadata(hash, node);
        if (S_ISREG(node->mode)) {
                hash_field_u64(hash, node->size);
                hash_field_digest(hash, &node->digest);
                hash_field_u64(hash, link_group(inodes, node, at));
        }
        /* The directories above an entry that --parents takes are made with the source's metadata. */
        if (hw->walk.item->include)
                for (const TreeNode *up = node->parent; up && up != hw->walk.item->node->parent; up = up->parent)
                        hash_metadata(hash, up);
}

static int hash_node_item(CopyPlan *plan, CopyItem *item, Hash *hash, TreeProgress progress, void *user, Error *err)
{
        HashWalk hw = { .walk = { .plan = plan, .item = item, .visit = collect } };
        _cleanup_(map_freep) Map *inodes = map_new(NULL);
        TreeNode **nodes = NULL;
        /* Patterns may keep the walk out of directories, which then must not be read. */
        int result = item->include || plan->exclude ? 0 : source_tree_load_all(item->tree, item->node, err);

        if (result == 0)
                result = copy_walk(&hw.walk, err);
        if (result == 0) {
                nodes = NEW_ARRAY(TreeNode *, hw.n_entries + 1);
                for (size_t i = 0; i < hw.n_entries; i++)
                        nodes[i] = hw.entries[i].node;
                result = source_tree_digest(item->tree, nodes, hw.n_entries, progress, user, err);
        }
        if (result == 0) {
                hash_field_u64(hash, hw.n_entries);
                if (!S_ISDIR(item->node->mode))
                        hash_field_str(hash, item->name);
                for (size_t i = 0; i < hw.n_entries; i++)
                        hash_entry(hash, inodes, &hw, i);
        }
        for (size_t i = 0; i < hw.n_entries; i++)
                free(hw.entries[i].below);
        free(hw.entries);
        free(nodes);
        return result;
}

int copy_plan_hash(CopyPlan *plan, Hash *hash, TreeProgress progress, void *user, Error *err)
{
        hash_field_str(hash, plan->destination);
        hash_field_str(hash, plan->chown);
        hash_field_u64(hash, plan->chmod ? 1 : 0);
        if (plan->chmod) {
                hash_field_u64(hash, plan->chmod->octal);
                hash_field_u64(hash, plan->chmod->mode);
                for (size_t i = 0; i < plan->chmod->n_ops; i++) {
                        const ChmodOp *op = &plan->chmod->ops[i];

                        hash_field_u64(hash, (uint64_t)op->op << 34 | (uint64_t)op->set << 33 | (uint64_t)op->clear << 32 | op->bits);
                }
        }
        hash_field_u64(hash, plan->link);
        hash_field_u64(hash, (uint64_t)plan->epoch);
        hash_field_u64(hash, plan->n_items);
        for (size_t i = 0; i < plan->n_items; i++) {
                CopyItem *item = &plan->items[i];

                hash_field_u64(hash, (uint64_t)item->kind << 1 | item->unpack);
                if (digest_is_set(&item->identity)) {
                        hash_field_digest(hash, &item->identity);
                        continue;
                }
                if (item->kind == COPY_NODE) {
                        if (hash_node_item(plan, item, hash, progress, user, err) < 0)
                                return -1;
                        continue;
                }
                hash_field_str(hash, item->name);
                if (item->kind == COPY_BYTES)
                        hash_field(hash, item->data, item->size);
                else
                        hash_field_digest(hash, &item->digest);
                hash_field_u64(hash, item->kind == COPY_FILE && !item->expected ? (uint64_t)item->mtime_ns : 0);
        }
        return 0;
}
