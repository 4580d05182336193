#include "build/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "fs/path.h"

/* As the kernel's own limit (MAXSYMLINKS). */
#define LINKS_MAX 40
/* Deeper than any path the kernel takes in one piece; the walk is recursive for hidden directories. */
#define DEPTH_MAX 2048

struct SourceTree {
        TreeOptions options;
        char *name;
        int root_fd;
        TreeNode *root;
        StrList uses; /* guarded by `lock` */
        bool uses_parents;
        pthread_mutex_t lock;        /* children */
        pthread_mutex_t digest_lock; /* one source_tree_digest() at a time, so that no file is hashed twice */
};

static void node_free(TreeNode *node)
{
        if (!node)
                return;
        for (size_t i = 0; i < node->n_children; i++)
                node_free(node->children[i]);
        free(node->children);
        free(node->link);
        free(node);
}

static TreeNode *node_new(const SourceTree *tree, TreeNode *parent, const char *name, const struct stat *st)
{
        size_t size = strlen(name) + 1;
        TreeNode *node = xcalloc(1, sizeof(*node) + size);

        memcpy(node->name, name, size);
        node->parent = parent;
        node->mode = st->st_mode;
        node->uid = tree->options.anonymous ? 0 : st->st_uid;
        node->gid = tree->options.anonymous ? 0 : st->st_gid;
        node->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
        node->device = st->st_dev;
        node->inode = st->st_ino;
        node->mtime_ns = st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec;
        node->ctime_ns = st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec;
        node->n_links = (uint32_t)st->st_nlink;
        if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
                node->dev_major = major(st->st_rdev);
                node->dev_minor = minor(st->st_rdev);
        }
        return node;
}

int source_tree_open(const TreeOptions *options, SourceTree **ret, Error *err)
{
        _cleanup_(source_tree_freep) SourceTree *tree = NEW(SourceTree);
        struct stat st;

        tree->options = *options;
        tree->name = xstrdup(options->name);
        pthread_mutex_init(&tree->lock, NULL);
        pthread_mutex_init(&tree->digest_lock, NULL);
        tree->root_fd = fcntl(options->root_fd, F_DUPFD_CLOEXEC, 3);
        if (tree->root_fd < 0)
                return error_errno(err, errno, "cannot open the %s", tree->name);
        if (fstat(tree->root_fd, &st) < 0)
                return error_errno(err, errno, "cannot read the %s", tree->name);
        if (!S_ISDIR(st.st_mode))
                return error_set(err, ERROR_INVALID, "the %s is not a directory", tree->name);
        tree->root = node_new(tree, NULL, "", &st);
        *ret = TAKE_PTR(tree);
        return 0;
}

void source_tree_free(SourceTree *tree)
{
        if (!tree)
                return;
        node_free(tree->root);
        if (tree->root_fd >= 0)
                close(tree->root_fd);
        pthread_mutex_destroy(&tree->lock);
        pthread_mutex_destroy(&tree->digest_lock);
        strlist_done(&tree->uses);
        free(tree->name);
        free(tree);
}

TreeNode *source_tree_root(SourceTree *tree)
{
        return tree->root;
}

int source_tree_root_fd(const SourceTree *tree)
{
        return tree->root_fd;
}

const char *source_tree_name(const SourceTree *tree)
{
        return tree->name;
}

static void path_add(const TreeNode *node, Buf *path)
{
        if (!node->parent)
                return;
        path_add(node->parent, path);
        if (path->size)
                buf_putc(path, '/');
        buf_puts(path, node->name);
}

char *source_tree_node_path(const TreeNode *node)
{
        Buf path = BUF_INIT(BUF_MAX_DEFAULT);

        path_add(node, &path);
        return buf_detach(&path);
}

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
                child = node_new(tree, node, entry->d_name, &st);
                stays = S_ISLNK(st.st_mode) ? read_link(dirfd(dir), child, err) : 0;
                if (stays == 0)
                        stays = child_stays(tree, child, prefix, state, depth, err);
                if (stays <= 0) {
                        node_free(child);
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

int source_tree_load(SourceTree *tree, TreeNode *node, Error *err)
{
        int result = 0;

        if (__atomic_load_n(&node->loaded, __ATOMIC_ACQUIRE))
                return 0;
        if (!S_ISDIR(node->mode)) {
                _cleanup_free_ char *path = source_tree_node_path(node);

                return error_set(err, ERROR_INVALID, "'%s' of the %s is not a directory", path, tree->name);
        }
        pthread_mutex_lock(&tree->lock);
        if (!node->loaded) {
                _cleanup_(ignore_state_done) IgnoreState state = { 0 };
                unsigned depth = 0;

                for (const TreeNode *at = node; at->parent; at = at->parent)
                        depth++;
                result = load(tree, node, node->parent ? NULL : &state, depth, err);
        }
        pthread_mutex_unlock(&tree->lock);
        return result;
}

TreeNode *source_tree_child(const TreeNode *directory, const char *name)
{
        size_t low = 0, high = directory->n_children;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(name, directory->children[middle]->name);

                if (order == 0)
                        return directory->children[middle];
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return NULL;
}

/* The next component of *path in `name` (PATH_MAX bytes); false at the end. *last: nothing but slashes behind it. */
static bool next_component(const char **path, char *name, bool *last)
{
        const char *at = *path + strspn(*path, "/");
        size_t size = strcspn(at, "/");

        if (!size || size >= PATH_MAX)
                return false;
        memcpy(name, at, size);
        name[size] = '\0';
        *path = at + size;
        *last = (*path)[strspn(*path, "/")] == '\0';
        return true;
}

int source_tree_find(SourceTree *tree, const char *path, bool follow_last, TreeNode **ret, Error *err)
{
        _cleanup_free_ char *rest = xstrdup(path);
        const char *at = rest;
        TreeNode *node = tree->root;
        char name[PATH_MAX];
        unsigned n_links = 0;
        bool last;

        *ret = NULL;
        while (next_component(&at, name, &last)) {
                TreeNode *child;

                if (streq(name, "."))
                        continue;
                if (streq(name, "..")) {
                        node = node->parent ? node->parent : node;
                        continue;
                }
                if (!S_ISDIR(node->mode))
                        return 0;
                if (source_tree_load(tree, node, err) < 0)
                        return -1;
                child = source_tree_child(node, name);
                if (!child)
                        return 0;
                if (S_ISLNK(child->mode) && (!last || follow_last)) {
                        char *next;

                        if (++n_links > LINKS_MAX)
                                return error_set(err, ERROR_INVALID, "too many symbolic links in '%s' of the %s", path, tree->name);
                        next = xasprintf("%s/%s", child->link, at);
                        node = child->link[0] == '/' ? tree->root : node;
                        free(rest);
                        at = rest = next;
                        continue;
                }
                node = child;
        }
        if (at[strspn(at, "/")])
                return 0;
        *ret = node;
        return 1;
}

static bool same_file(const TreeNode *node, const struct stat *st)
{
        return S_ISREG(st->st_mode) && node->device == st->st_dev && node->inode == st->st_ino && node->size == (uint64_t)st->st_size &&
               node->mtime_ns == st->st_mtim.tv_sec * NSEC_PER_SEC + st->st_mtim.tv_nsec &&
               node->ctime_ns == st->st_ctim.tv_sec * NSEC_PER_SEC + st->st_ctim.tv_nsec;
}

int source_tree_check_unchanged(SourceTree *tree, const TreeNode *node, int fd, Error *err)
{
        struct stat st;

        if (!tree->options.live)
                return 0;
        if (fstat(fd, &st) < 0 || !same_file(node, &st)) {
                _cleanup_free_ char *path = source_tree_node_path(node);

                return error_set(err, ERROR_CONFLICT, "'%s' of the %s changed while it was being read: build again", path, tree->name);
        }
        return 0;
}

int source_tree_open_file(SourceTree *tree, const TreeNode *node, Error *err)
{
        _cleanup_free_ char *path = source_tree_node_path(node);
        _cleanup_close_ int fd = inroot_open(tree->root_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);

        if (fd < 0)
                return error_wrap(err, "cannot read from the %s", tree->name);
        if (source_tree_check_unchanged(tree, node, fd, err) < 0)
                return -1;
        return TAKE_FD(fd);
}

size_t source_tree_capability(int fd, void *buffer)
{
        ssize_t size = fgetxattr(fd, "security.capability", buffer, 64);

        return size > 0 ? (size_t)size : 0;
}

bool source_tree_is_live(const SourceTree *tree)
{
        return tree->options.live;
}

void source_tree_note_use(SourceTree *tree, const char *path, bool parents)
{
        pthread_mutex_lock(&tree->lock);
        tree->uses_parents |= parents;
        if (!strlist_has(&tree->uses, path))
                strlist_add(&tree->uses, path);
        pthread_mutex_unlock(&tree->lock);
}

const StrList *source_tree_uses(const SourceTree *tree, bool *ret_parents)
{
        *ret_parents = tree->uses_parents;
        return &tree->uses;
}

/* --- digests --- */

#define READ_SIZE (256 * KIB)
/* Below this much work one thread is faster than starting others. */
#define PARALLEL_SIZE (2 * MIB)
#define PARALLEL_FILES 64

typedef struct DigestJob {
        SourceTree *tree;
        TreeNode *const *nodes;
        size_t n_nodes;
        atomic_size_t next;
        atomic_bool stop;
        TreeProgress progress;
        void *user;
        pthread_mutex_t lock;
        Error error;
} DigestJob;

static FileStamp stamp_of(const TreeNode *node)
{
        return (FileStamp){ .device = node->device, .inode = node->inode, .size = node->size, .mtime_ns = node->mtime_ns, .ctime_ns = node->ctime_ns };
}

static int digest_file(DigestJob *job, TreeNode *node, void *buffer, Error *err)
{
        _cleanup_close_ int fd = source_tree_open_file(job->tree, node, err);
        _cleanup_(hash_freep) Hash *hash = NULL;
        char capability[64];
        size_t capability_size;
        Digest digest;
        ssize_t n;

        if (fd < 0)
                return -1;
        hash = hash_new(DIGEST_SHA256);
        while ((n = read(fd, buffer, READ_SIZE)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        _cleanup_free_ char *path = source_tree_node_path(node);

                        return error_errno(err, errno, "cannot read '%s' of the %s", path, job->tree->name);
                }
                hash_add(hash, buffer, (size_t)n);
                if (job->progress && !job->progress(job->user, (uint64_t)n))
                        return error_set(err, ERROR_CANCELLED, "the build was cancelled");
        }
        if (source_tree_check_unchanged(job->tree, node, fd, err) < 0)
                return -1;
        digest = hash_digest(hash);
        capability_size = source_tree_capability(fd, capability);
        if (capability_size) {
                _cleanup_(hash_freep) Hash *both = hash_new(DIGEST_SHA256);

                hash_field_str(both, "capability");
                hash_field_digest(both, &digest);
                hash_field(both, capability, capability_size);
                digest = hash_digest(both);
        }
        if (job->tree->options.digests) {
                FileStamp stamp = stamp_of(node);

                file_digests_put(job->tree->options.digests, &stamp, &digest);
        }
        node->digest = digest;
        __atomic_store_n(&node->digested, true, __ATOMIC_RELEASE);
        return 0;
}

static void digest_worker(void *data)
{
        DigestJob *job = data;
        _cleanup_free_ void *buffer = xmalloc(READ_SIZE);
        _cleanup_error_ Error err = ERROR_INIT;

        for (;;) {
                size_t at = atomic_fetch_add(&job->next, 1);

                if (at >= job->n_nodes || atomic_load(&job->stop))
                        return;
                if (digest_file(job, job->nodes[at], buffer, &err) < 0)
                        break;
        }
        atomic_store(&job->stop, true);
        pthread_mutex_lock(&job->lock);
        if (!error_is_set(&job->error))
                error_move(&job->error, &err);
        pthread_mutex_unlock(&job->lock);
}

static int digest_all(DigestJob *job, uint64_t size, Error *err)
{
        size_t n_threads = size >= PARALLEL_SIZE || job->n_nodes >= PARALLEL_FILES ? MIN(cpu_count(), job->n_nodes) : 1;

        if (n_threads > 1) {
                Pool *pool = pool_new(n_threads);

                for (size_t i = 0; i < n_threads; i++)
                        pool_submit(pool, digest_worker, job);
                pool_free(pool);
        } else {
                digest_worker(job);
        }
        return error_is_set(&job->error) ? error_move(err, &job->error) : 0;
}

static int digest_missing(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        DigestJob job = { .tree = tree, .progress = progress, .user = user, .lock = PTHREAD_MUTEX_INITIALIZER };
        _cleanup_free_ TreeNode **missing = NULL;
        uint64_t size = 0;

        for (size_t i = 0; i < n_nodes; i++) {
                TreeNode *node = nodes[i];
                FileStamp stamp;

                if (!S_ISREG(node->mode) || __atomic_load_n(&node->digested, __ATOMIC_ACQUIRE))
                        continue;
                stamp = stamp_of(node);
                if (tree->options.digests && file_digests_get(tree->options.digests, &stamp, &node->digest)) {
                        __atomic_store_n(&node->digested, true, __ATOMIC_RELEASE);
                        continue;
                }
                if (!missing)
                        missing = NEW_ARRAY(TreeNode *, n_nodes);
                missing[job.n_nodes++] = node;
                size += node->size;
        }
        job.nodes = missing;
        return job.n_nodes ? digest_all(&job, size, err) : 0;
}

int source_tree_digest(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        int result;

        pthread_mutex_lock(&tree->digest_lock);
        result = digest_missing(tree, nodes, n_nodes, progress, user, err);
        pthread_mutex_unlock(&tree->digest_lock);
        return result;
}
