/*
 * What a writable layer changed: one walk of overlayfs's upper directory, compared with the tree below it.
 *
 * Rules (as BuildKit's util/overlay and containerd's archive, so that layers come out the same):
 *  - a character device 0:0 is a whiteout; it counts only when the name exists below;
 *  - an opaque directory hides everything below: explicit whiteouts for the names below that are not in the upper (the kernel also marks new directories as
 *    opaque, where nothing is below); directories inside one are opaque as well, marked or not;
 *  - an entry that is the same as the one below is no change: a file that was moved away and back, a directory that is here for the sake of its content.
 *    For directories times do not count. A file with several names is always a change, so that its links stay together;
 *  - the directories that lead to a change are part of it, once, before it;
 *  - the root itself never is.
 *
 * Looking at the tree below by path is safe without regard to symbolic links: it is done only while every directory on the way is one below, too.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/mem.h"
#include "fs/path.h"
#include "store/internal.h"
#include "store/rootfs.h"
#include "store/tree_tar.h"

/* A directory on the way to where the walk is. */
typedef struct Level {
        char *path;
        struct stat st;
        bool below;  /* it is a directory in the lower tree, too */
        bool opaque; /* nothing of the lower tree shows through */
        bool told;
} Level;

typedef struct Change {
        ChangeKind kind;
        const char *path;
        int dir_fd; /* where it is in the upper; -1 for CHANGE_DELETED */
        const char *name;
        const struct stat *st;
} Change;

typedef struct Diff {
        int upper_fd, lower_fd; /* lower_fd -1: nothing below */
        const DiffOptions *options;
        Level *levels; /* levels[0] is the root */
        size_t n_levels, capacity;
        int (*tell)(void *user, const Change *change, Error *err);
        void *user;
} Diff;

static void pop_level(Diff *diff)
{
        free(diff->levels[--diff->n_levels].path);
}

static bool is_excluded(const Diff *diff, const char *path)
{
        for (size_t i = 0; diff->options && i < diff->options->n_exclude; i++)
                if (streq(diff->options->exclude[i], path))
                        return true;
        return false;
}

/* Tells the directories on the way that were not told yet. */
static int tell_parents(Diff *diff, Error *err)
{
        for (size_t i = 1; i < diff->n_levels; i++) {
                Level *level = &diff->levels[i];
                Change change = { .kind = CHANGE_MODIFIED, .path = level->path, .name = ".", .st = &level->st };
                _cleanup_close_ int fd = -1;

                if (level->told)
                        continue;
                fd = inroot_open(diff->upper_fd, level->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
                if (fd < 0)
                        return -1;
                change.dir_fd = fd;
                level->told = true;
                if (diff->tell(diff->user, &change, err) < 0)
                        return -1;
        }
        return 0;
}

static int tell(Diff *diff, const Change *change, Error *err)
{
        return tell_parents(diff, err) < 0 ? -1 : diff->tell(diff->user, change, err);
}

/* Attribute of an entry; its size, 0 when there is none. */
static ssize_t get_xattr(int dir_fd, const char *name, const char *key, void *value, size_t size)
{
        char proc[FD_PROC_PATH_SIZE];
        _cleanup_free_ char *path = xasprintf("%s/%s", fd_proc_path(dir_fd, proc), name);
        ssize_t n = lgetxattr(path, key, value, size);

        return n < 0 ? 0 : n;
}

static bool is_opaque(int dir_fd, const char *name)
{
        char value[4];

        return (get_xattr(dir_fd, name, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y') ||
               (get_xattr(dir_fd, name, "user.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y');
}

/* The entry below at this path: 1 and *ret, 0 when there is none. */
static int stat_below(Diff *diff, const Level *parent, const char *path, struct stat *ret, Error *err)
{
        if (diff->lower_fd < 0 || !parent->below)
                return 0;
        if (inroot_stat(diff->lower_fd, path, false, ret, err) == 0)
                return !(S_ISCHR(ret->st_mode) && ret->st_rdev == makedev(0, 0));
        if (err->code != ERROR_NOT_FOUND)
                return -1;
        error_done(err);
        return 0;
}

static int same_bytes(int a, int b, uint64_t size, const char *path, Error *err)
{
        _cleanup_free_ char *buffer = xmalloc(2 * 64 * KIB);

        for (uint64_t at = 0; at < size; at += 64 * KIB) {
                ssize_t n = fd_pread_full(a, buffer, 64 * KIB, at), m = fd_pread_full(b, buffer + 64 * KIB, 64 * KIB, at);

                if (n < 0 || m < 0)
                        return error_errno(err, n < 0 ? (int)n : (int)m, "cannot compare '%s'", path);
                if (n != m || memcmp(buffer, buffer + 64 * KIB, (size_t)n) != 0)
                        return 0;
        }
        return 1;
}

static int same_content(Diff *diff, const WalkEntry *entry, Error *err)
{
        _cleanup_close_ int upper = openat(entry->dir_fd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_close_ int lower = upper < 0 ? -1 : inroot_open(diff->lower_fd, entry->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, err);

        if (upper < 0)
                return error_errno(err, errno, "cannot read '%s'", entry->path);
        return lower < 0 ? -1 : same_bytes(upper, lower, (uint64_t)entry->st.st_size, entry->path, err);
}

static int same_link(Diff *diff, const WalkEntry *entry, Error *err)
{
        char a[PATH_MAX], b[PATH_MAX];
        _cleanup_close_ int lower = inroot_open(diff->lower_fd, entry->path, O_PATH | O_NOFOLLOW, 0, err);
        ssize_t n, m;

        if (lower < 0)
                return -1;
        n = readlinkat(entry->dir_fd, entry->name, a, sizeof(a));
        m = readlinkat(lower, "", b, sizeof(b));
        return n >= 0 && n == m && memcmp(a, b, (size_t)n) == 0;
}

static int same_capability(Diff *diff, const WalkEntry *entry, Error *err)
{
        char a[256], b[256], proc[FD_PROC_PATH_SIZE];
        _cleanup_close_ int lower = inroot_open(diff->lower_fd, entry->path, O_PATH | O_NOFOLLOW, 0, err);
        ssize_t n, m;

        if (lower < 0)
                return -1;
        n = get_xattr(entry->dir_fd, entry->name, "security.capability", a, sizeof(a));
        m = getxattr(fd_proc_path(lower, proc), "security.capability", b, sizeof(b));
        m = m < 0 ? 0 : m;
        return n == m && memcmp(a, b, (size_t)n) == 0;
}

/* Whether the entry is as it is below. */
static int is_same(Diff *diff, const WalkEntry *entry, const struct stat *below, Error *err)
{
        const struct stat *st = &entry->st;
        int r;

        if (st->st_mode != below->st_mode || st->st_uid != below->st_uid || st->st_gid != below->st_gid || st->st_rdev != below->st_rdev)
                return 0;
        if (S_ISLNK(st->st_mode))
                return st->st_mtim.tv_sec == below->st_mtim.tv_sec && st->st_mtim.tv_nsec == below->st_mtim.tv_nsec ? same_link(diff, entry, err) : 0;
        if (!S_ISDIR(st->st_mode) &&
            (st->st_nlink > 1 || st->st_size != below->st_size || st->st_mtim.tv_sec != below->st_mtim.tv_sec || st->st_mtim.tv_nsec != below->st_mtim.tv_nsec))
                return 0;
        r = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ? same_capability(diff, entry, err) : 1;
        /* Times from a tar have no fraction, so equal ones do not say much. */
        if (r > 0 && S_ISREG(st->st_mode) && st->st_mtim.tv_nsec == 0)
                r = same_content(diff, entry, err);
        return r;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Tells what an opaque directory hides: the names below that the upper does not have. */
static int tell_hidden(Diff *diff, const WalkEntry *entry, Error *err)
{
        _cleanup_close_ int upper = openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int lower = inroot_open(diff->lower_fd, entry->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err), r = 0;
        DIR *dir = lower >= 0 ? fdopendir(lower) : NULL;
        _cleanup_strlist_ StrList names = { 0 };
        struct dirent *item;

        if (lower < 0)
                return -1;
        while (dir && (item = readdir(dir))) {
                struct stat st;

                if (streq(item->d_name, ".") || streq(item->d_name, "..") || fstatat(upper, item->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        continue;
                strlist_add(&names, item->d_name);
        }
        if (dir)
                closedir(dir);
        if (names.n_items)
                qsort(names.items, names.n_items, sizeof(char *), compare_names);
        for (size_t i = 0; i < names.n_items && r == 0; i++) {
                _cleanup_free_ char *path = xasprintf("%s/%s", entry->path, names.items[i]);
                Change change = { .kind = CHANGE_DELETED, .path = path, .dir_fd = -1 };

                if (!is_excluded(diff, path))
                        r = tell(diff, &change, err);
        }
        return r;
}

static int enter(Diff *diff, const WalkEntry *entry, bool below, bool opaque, bool told)
{
        GROW(diff->levels, diff->capacity, diff->n_levels + 1);
        diff->levels[diff->n_levels++] = (Level){ .path = xstrdup(entry->path), .st = entry->st, .below = below, .opaque = opaque, .told = told };
        return 0;
}

static int diff_entry(void *user, const WalkEntry *entry, Error *err)
{
        Diff *diff = user;
        Change change = { .kind = CHANGE_ADDED, .path = entry->path, .dir_fd = entry->dir_fd, .name = entry->name, .st = &entry->st };
        const Level *parent;
        struct stat below;
        bool opaque;
        int r, same;

        if (entry->depth == 0)
                return enter(diff, entry, diff->lower_fd >= 0, false, true);
        if (is_excluded(diff, entry->path))
                return WALK_SKIP;
        parent = &diff->levels[diff->n_levels - 1];
        opaque = parent->opaque;
        r = stat_below(diff, parent, entry->path, &below, err);
        if (r < 0)
                return -1;
        if (S_ISCHR(entry->st.st_mode) && entry->st.st_rdev == makedev(0, 0)) {
                change.kind = CHANGE_DELETED;
                return r ? tell(diff, &change, err) : 0;
        }
        if (S_ISSOCK(entry->st.st_mode))
                return 0;
        same = r ? is_same(diff, entry, &below, err) : 0;
        if (same < 0)
                return -1;
        if (r)
                change.kind = CHANGE_MODIFIED;
        if (!same && tell(diff, &change, err) < 0)
                return -1;
        if (!S_ISDIR(entry->st.st_mode))
                return 0;
        opaque = opaque || is_opaque(entry->dir_fd, entry->name);
        enter(diff, entry, r && S_ISDIR(below.st_mode), opaque, !same);
        return opaque && r && S_ISDIR(below.st_mode) ? tell_hidden(diff, entry, err) : 0;
}

static int diff_leave(void *user, const WalkEntry *entry, Error *err)
{
        pop_level(user);
        return 0;
}

static int diff_walk(Diff *diff, Error *err)
{
        static const WalkOps ops = { .entry = diff_entry, .leave = diff_leave };
        int r = tree_walk(diff->upper_fd, ".", &ops, diff, err);

        while (diff->n_levels > 0)
                pop_level(diff);
        free(diff->levels);
        return r;
}

/* --- as a layer --- */

static int write_change(void *user, const Change *change, Error *err)
{
        TreeTar *tar = user;

        if (change->kind == CHANGE_DELETED)
                return tree_tar_add_whiteout(tar, change->path, err);
        return tree_tar_add(tar, change->dir_fd, change->name, change->path, change->st, err);
}

int rootfs_diff_write(int upper_fd, int lower_fd, const DiffOptions *options, LayerWriter *to, Error *err)
{
        _cleanup_(tree_tar_done) TreeTar tar = { 0 };
        Diff diff = { .upper_fd = upper_fd, .lower_fd = lower_fd, .options = options, .tell = write_change, .user = &tar };
        Sink sink = layer_writer_sink(to);

        tree_tar_init(&tar, &sink, to, options ? options->epoch : -1);
        if (diff_walk(&diff, err) < 0)
                return error_wrap(err, "cannot write the changes as a layer");
        return tree_tar_finish(&tar, err);
}

/* --- as a list --- */

typedef struct ListItem {
        char *path;
        ChangeKind kind;
} ListItem;

typedef struct ChangeList {
        ListItem *items;
        size_t n_items, capacity;
} ChangeList;

static int list_change(void *user, const Change *change, Error *err)
{
        ChangeList *list = user;

        GROW(list->items, list->capacity, list->n_items + 1);
        list->items[list->n_items++] = (ListItem){ .path = xasprintf("/%s", change->path), .kind = change->kind };
        return 0;
}

static int compare_items(const void *a, const void *b)
{
        return strcmp(((const ListItem *)a)->path, ((const ListItem *)b)->path);
}

int rootfs_diff_list(int upper_fd, int lower_fd, const DiffOptions *options, int (*change)(void *user, ChangeKind kind, const char *path, Error *err),
                     void *user, Error *err)
{
        ChangeList list = { 0 };
        Diff diff = { .upper_fd = upper_fd, .lower_fd = lower_fd, .options = options, .tell = list_change, .user = &list };
        int r = diff_walk(&diff, err);

        if (r == 0 && list.n_items)
                qsort(list.items, list.n_items, sizeof(ListItem), compare_items);
        for (size_t i = 0; i < list.n_items; i++) {
                if (r == 0)
                        r = change(user, list.items[i].kind, list.items[i].path, err);
                free(list.items[i].path);
        }
        free(list.items);
        return r < 0 ? -1 : 0;
}
