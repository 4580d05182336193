#include "build/inputs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/engine.h"
#include "build/named.h"
#include "dockerfile/limits.h"
#include "dockerfile/pattern.h"
#include "http/client.h"

void build_inputs_done(BuildInputs *inputs)
{
        for (size_t i = 0; i < inputs->n_trees; i++) {
                BuildInputTree *tree = &inputs->trees[i];

                free(tree->root);
                strlist_done(&tree->uses);
                strlist_done(&tree->directories);
                strlist_done(&tree->files);
                ignore_matcher_free(tree->ignore);
        }
        free(inputs->trees);
        strlist_done(&inputs->files);
        strlist_done(&inputs->elsewhere);
        *inputs = (BuildInputs){ 0 };
}

/* --- does it matter? --- */

InputMatch build_use_match(const char *use, const char *path)
{
        while (*use && *path) {
                size_t n = strcspn(use, "/"), m = strcspn(path, "/");
                _cleanup_free_ char *wanted = xstrndup(use, n), *have = xstrndup(path, m);
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (strstr(wanted, "**"))
                        return INPUT_USED;
                if (path_pattern_match(wanted, have, &ignored) != 1 && !streq(wanted, have))
                        return INPUT_NONE;
                use += n + strspn(use + n, "/");
                path += m + strspn(path + m, "/");
        }
        return *use ? INPUT_ABOVE : INPUT_USED;
}

/* What a path below the context is to all uses of a tree together; what is ignored is nothing to any. */
static InputMatch match_tree(const BuildInputTree *tree, const char *path, bool is_dir)
{
        InputMatch best = INPUT_NONE;

        if (*path && tree->ignore && ignore_matcher_match(tree->ignore, path) && (!is_dir || ignore_matcher_can_skip(tree->ignore, path)))
                return INPUT_NONE;
        for (size_t i = 0; i < tree->uses.n_items && best != INPUT_USED; i++)
                best = MAX(best, build_use_match(tree->uses.items[i], path));
        return best;
}

bool build_inputs_concern(const BuildInputs *inputs, const char *path, bool is_dir, bool attributes)
{
        if (strlist_has(&inputs->files, path))
                return !attributes || !is_dir;
        for (size_t i = 0; i < inputs->n_trees; i++) {
                const BuildInputTree *tree = &inputs->trees[i];
                const char *below = str_after(path, streq(tree->root, "/") ? "" : tree->root);
                InputMatch match;

                if (!below || (*below && *below != '/'))
                        continue;
                match = match_tree(tree, below + strspn(below, "/"), is_dir);
                if (match == INPUT_USED || (match == INPUT_ABOVE && (!attributes || tree->parents)))
                        return true;
        }
        return false;
}

/* --- what was used --- */

static void add_nodes(BuildInputTree *tree, const TreeNode *node)
{
        _cleanup_free_ char *path = source_tree_node_path(node);
        bool is_dir = S_ISDIR(node->mode);

        if (match_tree(tree, path, is_dir) == INPUT_NONE)
                return;
        strlist_add(&tree->files, path);
        if (!is_dir || !node->loaded)
                return;
        strlist_add(&tree->directories, path);
        for (size_t i = 0; i < node->n_children; i++)
                add_nodes(tree, node->children[i]);
}

/* As the kernel counts them. */
#define LINKS_MAX 40

static char *join(const char *dir, const char *name)
{
        return xasprintf("%s%s%s", dir, *dir ? "/" : "", name);
}

/*
 * Follows `path` below `root` ("": the root of this machine) through all symbolic links, as far as it is there, and adds the place of each link, and at last
 * where they lead, to `to`: paths below the root, without links in them.
 */
static void add_links(const char *root, const char *path, StrList *to)
{
        _cleanup_free_ char *left = xstrdup(path), *at = xstrdup("");

        for (unsigned n_links = 0; left[strspn(left, "/")] && n_links < LINKS_MAX;) {
                const char *name = left + strspn(left, "/");
                size_t n = strcspn(name, "/");
                _cleanup_free_ char *part = xstrndup(name, n), *rest = xstrdup(name + n), *next = join(at, part), *full = xasprintf("%s/%s", root, next);
                char target[PATH_MAX];
                ssize_t size = streq(part, "..") ? -1 : readlink(full, target, sizeof(target) - 1);

                if (size >= 0) {
                        target[size] = '\0';
                        if (!strlist_has(to, next))
                                strlist_add(to, next);
                        free(left);
                        left = xasprintf("%s%s", target, rest);
                        if (*target == '/')
                                at[0] = '\0';
                        n_links++;
                        continue;
                }
                free(left);
                left = TAKE_PTR(rest);
                if (streq(part, "..")) {
                        char *slash = strrchr(at, '/');

                        *(slash ? slash : at) = '\0';
                } else if (!streq(part, ".")) {
                        free(at);
                        at = TAKE_PTR(next);
                }
        }
        if (!strlist_has(to, at))
                strlist_add(to, at);
}

/* A file of this machine, and all links on the way to it. */
static void add_file(BuildInputs *inputs, const char *path)
{
        char cwd[PATH_MAX];
        _cleanup_free_ char *absolute = *path == '/' ? xstrdup(path) : getcwd(cwd, sizeof(cwd)) ? xasprintf("%s/%s", cwd, path) : NULL;
        _cleanup_strlist_ StrList found = { 0 };

        if (!absolute || http_is_url(path))
                return;
        add_links("", absolute, &found);
        for (size_t i = 0; i < found.n_items; i++) {
                _cleanup_free_ char *full = xasprintf("/%s", found.items[i]);

                if (!strlist_has(&inputs->files, full))
                        strlist_add(&inputs->files, full);
        }
}

static void read_ignore(BuildInputs *inputs, const char *root, StrList *patterns)
{
        _cleanup_free_ char *path = xasprintf("%s/.dockerignore", root);
        _cleanup_buf_ Buf text = BUF_INIT(LIMIT_IGNORE_FILE_SIZE);
        _cleanup_error_ Error ignored = ERROR_INIT;

        add_file(inputs, path);
        if (file_read(AT_FDCWD, path, &text) == 0)
                (void)ignore_file_read(patterns, buf_str(&text), text.size, &ignored);
}

/* `ignore` (may be NULL): patterns; otherwise those of its own .dockerignore. */
static void add_tree(BuildInputs *inputs, SourceTree *from, const StrList *ignore)
{
        _cleanup_strlist_ StrList own = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        char *root = source_tree_is_live(from) ? fd_path(source_tree_root_fd(from)) : NULL;
        const StrList *uses;
        BuildInputTree *tree;

        if (!root)
                return;
        GROW(inputs->trees, inputs->capacity, inputs->n_trees + 1);
        tree = &inputs->trees[inputs->n_trees++];
        *tree = (BuildInputTree){ .root = root };
        uses = source_tree_uses(from, &tree->parents);
        strlist_copy(&tree->uses, uses);
        for (size_t i = 0; i < uses->n_items; i++)
                if (!path_pattern_has_wildcards(uses->items[i]))
                        add_links(root, uses->items[i], &tree->uses);
        if (!ignore)
                read_ignore(inputs, root, &own);
        ignore = ignore ? ignore : &own;
        if (ignore->n_items)
                (void)ignore_matcher_new(&tree->ignore, ignore, &ignored);
        add_nodes(tree, source_tree_root(from));
        strlist_add(&inputs->files, root);
}

static void add_dockerfile(BuildInputs *inputs, const BuildOptions *options)
{
        _cleanup_free_ char *first = xasprintf("%s/Dockerfile", options->context ? options->context : ".");
        const char *path = options->dockerfile ? options->dockerfile : first;
        _cleanup_free_ char *ignore = xasprintf("%s.dockerignore", path);

        if (options->dockerfile_text)
                return;
        add_file(inputs, path);
        add_file(inputs, ignore);
        if (!options->dockerfile) {
                _cleanup_free_ char *second = xasprintf("%s/dockerfile", options->context ? options->context : ".");

                add_file(inputs, second);
        }
}

/* What no directory of this machine holds: asked again by each build, but nothing tells when it changes. */
static void add_elsewhere(Build *build, StrList *to)
{
        size_t n;
        const SourceRecord *sources = sources_get(build->sources, &n);

        for (size_t i = 0; i < n; i++)
                if (sources[i].kind == SOURCE_HTTP || sources[i].kind == SOURCE_GIT)
                        strlist_add(to, sources[i].uri);
}

void build_inputs_collect(Build *build, BuildInputs *ret)
{
        const BuildOptions *options = build->options;
        const char *name;
        void *tree;

        ret->started = build->started;
        add_elsewhere(build, &ret->elsewhere);
        add_dockerfile(ret, options);
        if (options->context) {
                _cleanup_free_ char *ignore = xasprintf("%s/.dockerignore", options->context);

                add_file(ret, ignore);
                add_file(ret, options->context);
        }
        for (size_t i = 0; i < options->n_secrets; i++) {
                const BuildSecret *secret = &options->secrets[i];

                if (secret->file || (!secret->env && !getenv(secret->id)))
                        add_file(ret, secret->file ? secret->file : secret->id);
        }
        if (build->context)
                add_tree(ret, build->context, &build->ignore_patterns);
        for (size_t at = 0; map_next(build->named, &at, &name, &tree);)
                add_tree(ret, ((NamedTree *)tree)->tree, NULL);
}
