#include "build/copy_private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

void copy_plan_done(CopyPlan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                free(plan->items[i].name);
                free(plan->items[i].data);
                free(plan->items[i].url);
                free(plan->items[i].version);
                free(plan->items[i].pattern);
                ignore_matcher_free(plan->items[i].include);
                if (plan->items[i].fd >= 0)
                        close(plan->items[i].fd);
        }
        free(plan->items);
        free(plan->destination);
        free(plan->chown);
        ignore_matcher_free(plan->exclude);
        *plan = (CopyPlan){ 0 };
}

CopyItem *copy_plan_add(CopyPlan *plan, CopyKind kind, const char *name)
{
        CopyItem *item;

        GROW(plan->items, plan->capacity, plan->n_items + 1);
        item = &plan->items[plan->n_items++];
        *item = (CopyItem){ .kind = kind, .name = xstrdup(name), .fd = -1 };
        return item;
}

void copy_plan_add_bytes(CopyPlan *plan, const char *name, const void *data, size_t size)
{
        CopyItem *item = copy_plan_add(plan, COPY_BYTES, name);

        item->data = xmemdup(data, size);
        item->size = size;
}

CopyItem *copy_plan_add_download(CopyPlan *plan, const char *name, const char *url, bool unpack)
{
        CopyItem *item = copy_plan_add(plan, COPY_FILE, name);

        item->url = xstrdup(url);
        item->unpack = unpack;
        return item;
}

void copy_plan_add_later(CopyPlan *plan, const char *url, const char *version, const Digest *identity)
{
        CopyItem *item = copy_plan_add(plan, COPY_NODE, "");

        item->url = xstrdup(url);
        item->version = xstrdup(version);
        item->identity = *identity;
}

/* --- walking what was selected --- */

static int walk_node(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err);

static int walk_children(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        if (source_tree_load(walk->item->tree, node, err) < 0)
                return -1;
        for (size_t i = 0; i < node->n_children; i++) {
                TreeNode *child = node->children[i];
                _cleanup_free_ char *path = *below ? xasprintf("%s/%s", below, child->name) : xstrdup(child->name);

                if (walk_node(walk, child, path, included, err) < 0)
                        return -1;
        }
        return 0;
}

/* Whether something below directory `path` can match the pattern: its components match those of the pattern as far as both go. */
static bool can_lead_to(const char *pattern, const char *path)
{
        while (*path && *pattern) {
                size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
                _cleanup_free_ char *wanted = xstrndup(pattern, n), *have = xstrndup(path, m);
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (strstr(wanted, "**"))
                        return true;
                if (path_pattern_match(wanted, have, &ignored) == 0)
                        return false;
                pattern += n + strspn(pattern + n, "/");
                path += m + strspn(path + m, "/");
        }
        return true;
}

/* An excluded directory is entered only when an exception could bring something back. */
static int walk_node(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        const IgnoreMatcher *include = walk->item->include, *exclude = walk->plan->exclude;
        bool is_dir = S_ISDIR(node->mode);

        if (!*below) {
                if (!is_dir && exclude && ignore_matcher_match(exclude, walk->item->name))
                        return 0;
        } else {
                if (include && !included)
                        included = ignore_matcher_match(include, below);
                if (exclude && ignore_matcher_match(exclude, below)) {
                        if (!is_dir || ignore_matcher_can_skip(exclude, below))
                                return 0;
                        return walk_children(walk, node, below, included, err);
                }
                if (!included && (!is_dir || !can_lead_to(walk->item->pattern, below)))
                        return 0;
        }
        if (walk->visit(walk, node, below, included, err) < 0)
                return -1;
        return is_dir ? walk_children(walk, node, below, included, err) : 0;
}

int copy_walk(CopyWalk *walk, Error *err)
{
        return walk_node(walk, walk->item->node, "", !walk->item->include, err);
}

typedef struct EachWalk {
        CopyWalk walk;
        int (*each)(void *user, const TreeNode *node, Error *err);
        void *user;
} EachWalk;

static int tell_node(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        EachWalk *each = container_of(walk, EachWalk, walk);

        return !included && *below ? 0 : each->each(each->user, node, err);
}

int copy_plan_each_file(CopyPlan *plan, int (*each)(void *user, const TreeNode *node, Error *err), void *user, Error *err)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                EachWalk walk = { .walk = { .plan = plan, .item = &plan->items[i], .visit = tell_node }, .each = each, .user = user };

                /* A repository that a known step did not need has no files here. */
                if (plan->items[i].kind == COPY_NODE && plan->items[i].node && copy_walk(&walk.walk, err) < 0)
                        return -1;
        }
        return 0;
}
