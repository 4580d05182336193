/*
 * The files of a commit as a layer: fetched as shallowly as the server lets us, checked out below the lease's directory, with submodules, and then written as a
 * layer whose times are the commit's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/git.h"
#include "build/git_run.h"
#include "build/snapshot.h"
#include "fs/path.h"

typedef struct Checkout {
        Build *build;
        const GitSource *source;
        GitRun run;
        char *remote;
} Checkout;

static int init(Checkout *c, Error *err)
{
        _cleanup_free_ char *shown = git_url_shown(&c->source->url);

        if (strlen(c->source->object) == 64 ? git_run(&c->run, NULL, err, "init", "-q", "--object-format=sha256", NULL) < 0
                                            : git_run(&c->run, NULL, err, "init", "-q", NULL) < 0)
                return -1;
        /* Relative submodules are relative to this. */
        return git_run(&c->run, NULL, err, "remote", "add", "origin", shown, NULL);
}

static bool has_object(Checkout *c)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        return git_run(&c->run, NULL, &ignored, "cat-file", "-e", c->source->object, NULL) == 0;
}

/*
 * The commit itself, when the server gives it; else the ref that named it; else everything (servers without shallow fetches, commits that are no longer at the
 * tip of a ref).
 */
static int fetch(Checkout *c, Error *err)
{
        _cleanup_error_ Error first = ERROR_INIT;

        if (git_run(&c->run, NULL, &first, "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", c->remote, c->source->object, NULL) == 0)
                return 0;
        if (first.code == ERROR_CANCELLED)
                return error_move(err, &first);
        error_done(&first);
        if (c->source->used_ref &&
            git_run(&c->run, NULL, &first, "fetch", "-q", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", c->remote, c->source->used_ref, NULL) ==
                    0 &&
            has_object(c))
                return 0;
        error_done(&first);
        if (build_check(c->build, err) < 0)
                return -1;
        if (git_run(&c->run, NULL, err, "fetch", "-q", "--tags", "--no-recurse-submodules", "--", c->remote, "+refs/heads/*:refs/remotes/origin/*", NULL) < 0)
                return -1;
        return has_object(c) ? 0 : error_set(err, ERROR_NOT_FOUND, "it does not contain the commit %s", c->source->object);
}

/* With --keep-git-dir, git describe and the like find the ref that was asked for. */
static int keep_ref(Checkout *c, Error *err)
{
        const char *ref = c->source->used_ref, *branch = ref ? str_after(ref, "refs/heads/") : NULL;
        _cleanup_free_ char *name = branch ? xasprintf("refs/remotes/origin/%s", branch) : xstrdup_or_null(ref);
        _cleanup_free_ char *fetch_head = xasprintf("%s/.git/FETCH_HEAD", c->run.dir);

        if (!c->source->keep_git_dir)
                return 0;
        if (name && git_run(&c->run, NULL, err, "update-ref", name, c->source->object, NULL) < 0)
                return -1;
        if (unlink(fetch_head) < 0 && errno != ENOENT)
                return error_errno(err, errno, "cannot remove '%s'", fetch_head);
        return git_run(&c->run, NULL, err, "reflog", "expire", "--all", "--expire=now", NULL);
}

static int check_out(Checkout *c, Error *err)
{
        _cleanup_free_ char *commit = xasprintf("%s^{commit}", c->source->object);

        if (git_run(&c->run, NULL, err, "checkout", "-q", "--detach", commit, NULL) < 0 || keep_ref(c, err) < 0)
                return -1;
        if (c->source->url.submodules == TRISTATE_FALSE)
                return 0;
        return git_run(&c->run, NULL, err, "submodule", "--quiet", "update", "--init", "--recursive", "--depth=1", NULL) < 0
                       ? error_wrap(err, "cannot fetch the submodules")
                       : 0;
}

/* LFS files are what the repository holds: pointers. Somebody who expected the files should hear of it. */
static void note_lfs(Checkout *c)
{
        static const char note[] = "files kept with git LFS are left as pointers: fetch them in a RUN that has git-lfs\n";
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (git_run(&(GitRun){ .build = c->build, .dir = c->run.dir, .env = c->run.env }, NULL, &ignored, "grep", "-q", "filter=lfs", "--",
                    ":(glob)**/.gitattributes", NULL) == 0)
                progress_log(c->build->progress, c->run.vertex, 2, note, strlen(note));
}

static int commit_time(Checkout *c, int64_t *ret, Error *err)
{
        _cleanup_buf_ Buf output = BUF_INIT(KIB);
        _cleanup_free_ char *text = NULL, *commit = xasprintf("%s^{commit}", c->source->object);

        if (git_run(&c->run, &output, err, "show", "-s", "--no-show-signature", "--format=%ct", commit, NULL) < 0)
                return -1;
        text = str_trim(buf_str(&output));
        if (str_to_i64(text, ret) < 0 || *ret < 0)
                return error_set(err, ERROR_CORRUPT, "the commit %s has no time that can be used", c->source->object);
        return 0;
}

static int write_layer(Checkout *c, const Digest *key, Digest *ret, Error *err)
{
        const char *sub_dir = c->source->url.sub_dir;
        _cleanup_close_ int root_fd = open(c->run.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        _cleanup_(source_tree_freep) SourceTree *tree = NULL;
        _cleanup_(ignore_matcher_freep) IgnoreMatcher *exclude = NULL;
        _cleanup_strlist_ StrList patterns = { 0 };
        _cleanup_free_ char *shown = git_url_shown(&c->source->url), *description = xasprintf("git snapshot for %s#%s", shown, c->source->commit);
        TreeOptions options = { .name = "git repository", .anonymous = true };
        SnapshotSpec spec = { .epoch = -1, .description = description, .kind = "source.git.checkout" };

        if (root_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", c->run.dir);
        fd = inroot_open(root_fd, sub_dir ? sub_dir : ".", O_RDONLY | O_DIRECTORY, 0, err);
        if (fd < 0)
                return error_set(err, ERROR_NOT_FOUND, "there is no directory '%s' in it", sub_dir);
        options.root_fd = fd;
        if (!c->source->url.mtime_checkout && commit_time(c, &spec.epoch, err) < 0)
                return -1;
        /* No path of a commit can have a component ".git": what has that name is git's own, also in submodules. */
        strlist_add(&patterns, "**/.git");
        if (!c->source->keep_git_dir && ignore_matcher_new(&exclude, &patterns, err) < 0)
                return -1;
        spec.exclude = exclude;
        if (source_tree_open(&options, &tree, err) < 0)
                return -1;
        spec.tree = tree;
        return snapshot_make(c->build, &spec, key, ret, err);
}

int git_snapshot(Build *build, BuildVertex *vertex, const GitSource *source, Digest *ret_diff_id, Error *err)
{
        _cleanup_free_ char *dir = NULL, *shown = git_url_shown(&source->url), *remote = git_remote(&source->url);
        Checkout c = { .build = build, .source = source, .remote = remote };
        Digest key = git_source_key(source);
        int r = snapshot_find(build, &key, ret_diff_id, err);

        if (r)
                return r < 0 ? -1 : 0;
        dir = build_make_dir(build, "git", err);
        if (!dir)
                return -1;
        r = git_run_init(&c.run, build, vertex, &source->url, err);
        c.run.dir = dir;
        if (r == 0)
                r = init(&c, err);
        if (r == 0)
                r = fetch(&c, err);
        if (r == 0)
                r = check_out(&c, err);
        if (r == 0) {
                note_lfs(&c);
                r = write_layer(&c, &key, ret_diff_id, err);
        }
        git_run_done(&c.run);
        (void)tree_remove(AT_FDCWD, dir);
        return r < 0 ? error_wrap(err, "cannot check out the git repository '%s'", shown) : 0;
}
