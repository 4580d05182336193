/*
 * Reading the directories of a source tree.
 *
 * A cached build of ten thousand files is little else than their stat calls, so what is known to be needed as a whole is read by several threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "build/tree_private.h"
#include "fs/owner.h"
#include "fs/path.h"

/* Deeper than any path the kernel takes in one piece; the walk is recursive for hidden directories. */
#define DEPTH_MAX 2048

static int compare_nodes(const void *a, const void *b)
{
        return strcmp((*(TreeNode *const *)a)->name, (*(TreeNode *const *)b)->name);
}

static int load(SourceTree *tree, TreeNode *node, const IgnoreState *state, unsigned depth, Error *err);

/*
 * An ignored directory is part of the tree only for the sake of what exceptions bring back below it: it is read at once, and dropped when nothing is left.
 * Returns whether the child stays.
 */
static int load_hidden(SourceTree *tree, TreeNode *child, const char *path, const IgnoreState *state, unsigned depth, Error *err)
{
        if (!S_ISDIR(child->mode) || ignore_matcher_can_skip(tree->options.ignore, path))
                return 0;
        if (load(tree, child, state, depth + 1, err) < 0)
                return -1;
        return child->n_children > 0;
}

/* Whether a new child is part of the tree: -1, 0, 1. */
static int child_stays(SourceTree *tree, TreeNode *child, const char *prefix, const IgnoreState *parent_state, unsigned depth, Error *err)
{
        _cleanup_free_ char *path = NULL;
        _cleanup_(ignore_state_done) IgnoreState state = { 0 };
        bool ignored;

        if (S_ISSOCK(child->mode))
                return 0;
        if (!tree->options.ignore)
                return 1;
        path = *prefix ? xasprintf("%s/%s", prefix, child->name) : xstrdup(child->name);
        ignored = ignore_matcher_match_in(tree->options.ignore, path, parent_state, S_ISDIR(child->mode) ? &state : NULL);
        return ignored ? load_hidden(tree, child, path, &state, depth, err) : 1;
}

static int read_link(int dir_fd, TreeNode *child, Error *err)
{
        char target[PATH_MAX];
        ssize_t size = readlinkat(dir_fd, child->name, target, sizeof(target) - 1);

        if (size < 0)
                return error_errno(err, errno, "cannot read the link '%s'", child->name);
        child->link = xstrndup(target, (size_t)size);
        return 0;
}

static int load_entries(SourceTree *tree, TreeNode *node, DIR *dir, const char *prefix, const IgnoreState *state, unsigned depth, Error *err)
{
        size_t capacity = 0;
        struct dirent *entry;

        while ((errno = 0, entry = readdir(dir))) {
                struct stat st;
                TreeNode *child;
                int stays;

                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                        if (errno == ENOENT)
                                continue;
                        return error_errno(err, errno, "cannot read '%s/%s' of the %s", prefix, entry->d_name, tree->name);
                }
                if (!tree->options.anonymous)
                        owner_read(dirfd(dir), entry->d_name, &st);
                child = tree_node_new(tree, node, entry->d_name, &st);
                stays = S_ISLNK(st.st_mode) ? read_link(dirfd(dir), child, err) : 0;
                if (stays == 0)
                        stays = child_stays(tree, child, prefix, state, depth, err);
                if (stays <= 0) {
                        tree_node_free(child);
                        if (stays < 0)
                                return -1;
                        continue;
                }
                GROW(node->children, capacity, node->n_children + 1);
                node->children[node->n_children++] = child;
        }
        return errno ? error_errno(err, errno, "cannot read the directory '%s' of the %s", prefix, tree->name) : 0;
}

static int load(SourceTree *tree, TreeNode *node, const IgnoreState *state, unsigned depth, Error *err)
{
        _cleanup_free_ char *path = source_tree_node_path(node);
        int fd, result;
        DIR *dir;

        if (depth > DEPTH_MAX)
                return error_set(err, ERROR_LIMIT, "the directory '%s' of the %s is nested deeper than %d levels", path, tree->name, DEPTH_MAX);
        fd = inroot_open(tree->root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
        if (fd < 0)
                return error_wrap(err, "cannot read the %s", tree->name);
        dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return error_errno(err, errno, "cannot read the directory '%s' of the %s", path, tree->name);
        }
        result = load_entries(tree, node, dir, path, state, depth, err);
        closedir(dir);
        if (result < 0)
                return -1;
        if (node->n_children)
                qsort(node->children, node->n_children, sizeof(TreeNode *), compare_nodes);
        __atomic_store_n(&node->loaded, true, __ATOMIC_RELEASE);
        return 0;
}

/* With the lock held. */
static int load_node(SourceTree *tree, TreeNode *node, Error *err)
{
        _cleanup_(ignore_state_done) IgnoreState state = { 0 };
        unsigned depth = 0;

        if (node->loaded)
                return 0;
        for (const TreeNode *at = node; at->parent; at = at->parent)
                depth++;
        return load(tree, node, node->parent ? NULL : &state, depth, err);
}

int source_tree_load(SourceTree *tree, TreeNode *node, Error *err)
{
        int result;

        if (__atomic_load_n(&node->loaded, __ATOMIC_ACQUIRE))
                return 0;
        if (!S_ISDIR(node->mode)) {
                _cleanup_free_ char *path = source_tree_node_path(node);

                return error_set(err, ERROR_INVALID, "'%s' of the %s is not a directory", path, tree->name);
        }
        pthread_mutex_lock(&tree->lock);
        result = load_node(tree, node, err);
        pthread_mutex_unlock(&tree->lock);
        return result;
}

/* --- whole trees --- */

/* So few directories are read before other threads could start. */
#define ALONE 8

/* The directories still to read. The caller of source_tree_load_all() holds the tree's lock for all of its threads; each reads nodes of its own. */
typedef struct LoadJob {
        SourceTree *tree;
        pthread_mutex_t lock; /* the fields below */
        pthread_cond_t changed;
        TreeNode **queue;
        size_t n_queue, capacity, next, limit; /* next: the first not taken yet; limit: stop there */
        size_t n_busy;
        bool failed;
        Error error;
} LoadJob;

static void add_directories(LoadJob *job, const TreeNode *node)
{
        for (size_t i = 0; i < node->n_children; i++) {
                if (!S_ISDIR(node->children[i]->mode))
                        continue;
                GROW(job->queue, job->capacity, job->n_queue + 1);
                job->queue[job->n_queue++] = node->children[i];
        }
}

static void load_worker(void *data)
{
        LoadJob *job = data;

        pthread_mutex_lock(&job->lock);
        for (;;) {
                _cleanup_error_ Error err = ERROR_INIT;
                TreeNode *node;
                int result;

                while (job->next == job->n_queue && job->n_busy && !job->failed)
                        pthread_cond_wait(&job->changed, &job->lock);
                if (job->next == MIN(job->n_queue, job->limit) || job->failed)
                        break;
                node = job->queue[job->next++];
                job->n_busy++;
                pthread_mutex_unlock(&job->lock);
                result = load_node(job->tree, node, &err);
                pthread_mutex_lock(&job->lock);
                job->n_busy--;
                if (result == 0) {
                        add_directories(job, node);
                } else if (!job->failed) {
                        job->failed = true;
                        error_move(&job->error, &err);
                }
                pthread_cond_broadcast(&job->changed);
        }
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->lock);
}

int source_tree_load_all(SourceTree *tree, TreeNode *node, Error *err)
{
        LoadJob job = { .tree = tree, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .limit = ALONE };

        if (!S_ISDIR(node->mode))
                return 0;
        GROW(job.queue, job.capacity, 1);
        job.queue[job.n_queue++] = node;
        pthread_mutex_lock(&tree->lock);
        load_worker(&job);
        job.limit = SIZE_MAX;
        if (job.next < job.n_queue && !job.failed)
                pool_run(cpu_count(), load_worker, &job);
        pthread_mutex_unlock(&tree->lock);
        free(job.queue);
        return job.failed ? error_move(err, &job.error) : 0;
}
