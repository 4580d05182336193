#include "build/git_add.h"

#include <stdlib.h>

#include "base/mem.h"
#include "build/git.h"

typedef struct GitTree {
        Rootfs *rootfs;
        SourceTree *tree;
} GitTree;

void git_tree_free(void *tree)
{
        GitTree *git = tree;

        if (!git)
                return;
        source_tree_free(git->tree);
        rootfs_free(git->rootfs);
        free(git);
}

static int resolve(Build *build, const Work *work, const char *url, GitSource *ret, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;

        return git_resolve(build, url, copy->keep_git_dir, copy->checksum, ret, err);
}

bool git_add_takes(const char *source)
{
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        /* For ADD a path, for contexts a repository. */
        return !str_starts(source, "github.com/") && git_url_parse(source, &url, &ignored) != 0;
}

int git_add(Build *build, Work *work, const char *source, Error *err)
{
        _cleanup_git_source_ GitSource git = { 0 };
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_free_ char *version = NULL;
        Digest key;
        int is_git;

        if (!git_add_takes(source))
                return 0;
        is_git = git_url_parse(source, &url, err);
        if (is_git <= 0)
                return is_git;
        if (resolve(build, work, source, &git, err) < 0)
                return -1;
        key = git_source_key(&git);
        version = xasprintf("commit %s", git.commit);
        copy_plan_add_later(&work->plan, source, version, &key);
        return 1;
}

static int open_tree(Build *build, const Digest *diff_id, const char *url, GitTree **ret, Error *err)
{
        _cleanup_free_ char *target = build_make_dir(build, "git", err), *shown = NULL, *name = NULL;
        _cleanup_git_url_ GitUrl parsed = { 0 };
        RootfsOptions options = { .target = target };
        GitTree *tree;
        int r;

        if (!target || git_url_parse(url, &parsed, err) < 0)
                return -1;
        shown = git_url_shown(&parsed);
        name = xasprintf("git repository '%s'", shown);
        tree = NEW(GitTree);
        r = rootfs_mount(build->lease, diff_id, 1, &options, &tree->rootfs, err);
        if (r == 0) {
                TreeOptions tree_options = { .name = name, .root_fd = rootfs_fd(tree->rootfs) };

                r = source_tree_open(&tree_options, &tree->tree, err);
        }
        if (r < 0) {
                git_tree_free(tree);
                return -1;
        }
        *ret = tree;
        return 0;
}

static int bring(Build *build, Work *work, CopyItem *item, Error *err)
{
        _cleanup_git_source_ GitSource git = { 0 };
        char key[DIGEST_TEXT_SIZE];
        GitTree *tree;
        Digest diff_id;

        digest_format(&item->identity, key);
        pthread_mutex_lock(&build->lock);
        tree = map_get(build->checkouts, key);
        pthread_mutex_unlock(&build->lock);
        if (!tree) {
                if (resolve(build, work, item->url, &git, err) < 0 || git_snapshot(build, work->vertex, &git, &diff_id, err) < 0 ||
                    open_tree(build, &diff_id, item->url, &tree, err) < 0)
                        return -1;
                pthread_mutex_lock(&build->lock);
                if (map_has(build->checkouts, key)) {
                        git_tree_free(tree);
                        tree = map_get(build->checkouts, key);
                } else {
                        map_set(build->checkouts, key, tree);
                }
                pthread_mutex_unlock(&build->lock);
        }
        item->tree = tree->tree;
        item->node = source_tree_root(tree->tree);
        return 0;
}

int git_add_missing(Build *build, Work *work, Error *err)
{
        for (size_t i = 0; i < work->plan.n_items; i++) {
                CopyItem *item = &work->plan.items[i];

                if (item->kind == COPY_NODE && !item->node && bring(build, work, item, err) < 0)
                        return -1;
        }
        return 0;
}
