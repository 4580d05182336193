#include "build/tree_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "fs/owner.h"
#include "fs/path.h"

/* As the kernel's own limit (MAXSYMLINKS). */
#define LINKS_MAX 40

void tree_node_free(TreeNode *node)
{
        if (!node)
                return;
        for (size_t i = 0; i < node->n_children; i++)
                tree_node_free(node->children[i]);
        free(node->children);
        free(node->link);
        free(node);
}

TreeNode *tree_node_new(const SourceTree *tree, TreeNode *parent, const char *name, const struct stat *st)
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
        owner_read(tree->root_fd, "", &st);
        tree->root = tree_node_new(tree, NULL, "", &st);
        *ret = TAKE_PTR(tree);
        return 0;
}

void source_tree_free(SourceTree *tree)
{
        if (!tree)
                return;
        tree_node_free(tree->root);
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

/* Of a loaded directory; or NULL. */
static TreeNode *find_child(const TreeNode *directory, const char *name)
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
                child = find_child(node, name);
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
