/* COPY and ADD, first phase: from the words of an instruction to the nodes of a tree. */
#include "build/copy_private.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

/* "../a//b/." -> "a/b": cleaned, with ".." stopping at the root. */
static char *clean_source(const char *source)
{
        _cleanup_free_ char *rooted = xasprintf("/%s", source);
        _cleanup_free_ char *clean = path_clean(rooted);

        return xstrdup(clean + 1);
}

/* What is named directly is followed when it is a symbolic link. */
static int add_node(CopyPlan *plan, SourceTree *tree, const char *path, bool unpack, bool must_exist, CopyItem **ret, Error *err)
{
        TreeNode *node;
        int found = source_tree_find(tree, path, true, &node, err);
        CopyItem *item;

        if (found < 0)
                return -1;
        if (found && source_tree_is_live(tree)) { /* where symbolic links lead */
                _cleanup_free_ char *real = source_tree_node_path(node);

                if (!streq(real, path))
                        source_tree_note_use(tree, real, false);
        }
        if (!found)
                return must_exist ? error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s", path, source_tree_name(tree)) : 0;
        item = copy_plan_add(plan, COPY_NODE, str_base_name(path));
        item->tree = tree;
        item->node = node;
        item->unpack = unpack;
        if (ret)
                *ret = item;
        return 1;
}

/* Paths below `node` that match `pattern` component by component; symbolic links are not entered. */
static int match_below(SourceTree *tree, TreeNode *node, const char *prefix, const char *pattern, StrList *paths, Error *err)
{
        size_t size = strcspn(pattern, "/");
        _cleanup_free_ char *component = xstrndup(pattern, size);
        const char *rest = pattern + size + strspn(pattern + size, "/");

        if (!S_ISDIR(node->mode))
                return 0;
        if (source_tree_load(tree, node, err) < 0)
                return -1;
        for (size_t i = 0; i < node->n_children; i++) {
                TreeNode *child = node->children[i];
                _cleanup_free_ char *path = NULL;
                int match = path_pattern_match(component, child->name, err);

                if (match < 0)
                        return -1;
                if (!match)
                        continue;
                path = *prefix ? xasprintf("%s/%s", prefix, child->name) : xstrdup(child->name);
                if (!*rest)
                        strlist_add(paths, path);
                else if (match_below(tree, child, path, rest, paths, err) < 0)
                        return -1;
        }
        return 0;
}

/* Resolves wildcards: the part before the first component with one is followed and must be there, the rest is matched. Without wildcards the path itself. */
static int expand_wildcards(SourceTree *tree, const char *path, StrList *paths, Error *err)
{
        const char *at = path;
        size_t fixed = 0;

        while (*at) {
                size_t size = strcspn(at, "/");
                _cleanup_free_ char *component = xstrndup(at, size);

                if (path_pattern_has_wildcards(component))
                        break;
                at += size + strspn(at + size, "/");
                fixed = (size_t)(at - path);
        }
        if (!*at) {
                strlist_add(paths, path);
                return 0;
        }
        {
                _cleanup_free_ char *prefix = xstrndup(path, fixed ? fixed - 1 : 0);
                TreeNode *node;
                int found = source_tree_find(tree, prefix, true, &node, err);

                if (found == 0)
                        return error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s", prefix, source_tree_name(tree));
                return found > 0 ? match_below(tree, node, prefix, at, paths, err) : -1;
        }
}

/* With --parents a path is what it says: below a symbolic link there is nothing to keep the names of. */
static int require_parents(SourceTree *tree, const char *path, Error *err)
{
        _cleanup_free_ char *real = NULL;
        TreeNode *node;
        int found = source_tree_find(tree, path, false, &node, err);

        if (found < 0)
                return -1;
        if (!found)
                return error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s", path, source_tree_name(tree));
        real = source_tree_node_path(node);
        if (streq(real, path))
                return 0;
        return error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s: a symbolic link leads to '/%s', which --parents does not follow", path,
                         source_tree_name(tree), real);
}

static int add_parents(CopyPlan *plan, SourceTree *tree, const char *source, Error *err)
{
        const char *pivot = strstr(source, "/./");
        _cleanup_free_ char *parent_text = pivot ? xstrndup(source, (size_t)(pivot - source)) : xstrdup("");
        _cleanup_free_ char *parent = clean_source(parent_text);
        _cleanup_free_ char *pattern = clean_source(pivot ? pivot + 3 : source);
        bool wild = path_pattern_has_wildcards(parent) || path_pattern_has_wildcards(pattern);
        _cleanup_strlist_ StrList paths = { 0 };

        if (expand_wildcards(tree, parent, &paths, err) < 0)
                return -1;
        for (size_t i = 0; i < paths.n_items; i++) {
                _cleanup_strlist_ StrList patterns = { 0 };
                CopyItem *item = NULL;
                int added = add_node(plan, tree, paths.items[i], false, !wild, &item, err);

                if (added < 0)
                        return -1;
                if (!added || !*pattern)
                        continue;
                if (!wild) {
                        _cleanup_free_ char *required = *parent ? xasprintf("%s/%s", parent, pattern) : xstrdup(pattern);

                        if (require_parents(tree, required, err) < 0)
                                return -1;
                }
                strlist_add(&patterns, pattern);
                item->pattern = xstrdup(pattern);
                if (ignore_matcher_new(&item->include, &patterns, err) < 0)
                        return -1;
        }
        return 0;
}

int copy_plan_add_path(CopyPlan *plan, SourceTree *tree, const char *path, Error *err)
{
        _cleanup_free_ char *clean = clean_source(path);

        if (source_tree_is_live(tree))
                source_tree_note_use(tree, clean, false);
        return add_node(plan, tree, clean, false, true, NULL, err) < 0 ? -1 : 0;
}

int copy_plan_add_source(CopyPlan *plan, SourceTree *tree, const char *source, bool parents, bool unpack, Error *err)
{
        _cleanup_free_ char *path = clean_source(source);
        _cleanup_strlist_ StrList paths = { 0 };
        bool wild = path_pattern_has_wildcards(path);

        if (source_tree_is_live(tree))
                source_tree_note_use(tree, path, parents);
        if (parents)
                return add_parents(plan, tree, source, err);
        if (expand_wildcards(tree, path, &paths, err) < 0)
                return error_wrap(err, "'%s'", source);
        for (size_t i = 0; i < paths.n_items; i++) {
                if (plan->exclude && wild && ignore_matcher_match(plan->exclude, paths.items[i]))
                        continue;
                if (add_node(plan, tree, paths.items[i], unpack, true, NULL, err) < 0)
                        return -1;
        }
        return 0;
}
