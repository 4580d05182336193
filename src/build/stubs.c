#include "build/stubs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/path.h"

typedef struct Stub {
        char *path; /* canonical, without leading slash */
        bool lent;
        ino_t inode; /* in the upper directory */
        struct timespec mtime;
        off_t size;
} Stub;

/* A directory that got a stub: its time before, and right after. */
typedef struct Parent {
        char *path; /* "." for the root */
        struct timespec before, after;
} Parent;

struct Stubs {
        int root_fd, upper_fd;
        Stub *items;
        size_t n_items, capacity;
        Parent *parents;
        size_t n_parents, parents_capacity;
};

Stubs *stubs_new(int root_fd, int upper_fd)
{
        Stubs *stubs = NEW(Stubs);

        stubs->root_fd = root_fd;
        stubs->upper_fd = upper_fd;
        return stubs;
}

void stubs_free(Stubs *stubs)
{
        if (!stubs)
                return;
        for (size_t i = 0; i < stubs->n_items; i++)
                free(stubs->items[i].path);
        for (size_t i = 0; i < stubs->n_parents; i++)
                free(stubs->parents[i].path);
        free(stubs->items);
        free(stubs->parents);
        free(stubs);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static char *parent_of(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
}

static Parent *find_parent(Stubs *stubs, const char *path)
{
        for (size_t i = 0; i < stubs->n_parents; i++)
                if (streq(stubs->parents[i].path, path))
                        return &stubs->parents[i];
        return NULL;
}

/* Before something is made in it. */
static int note_parent(Stubs *stubs, const char *path, Error *err)
{
        struct stat st;

        if (find_parent(stubs, path))
                return 0;
        if (inroot_stat(stubs->root_fd, path, true, &st, err) < 0)
                return -1;
        GROW(stubs->parents, stubs->parents_capacity, stubs->n_parents + 1);
        stubs->parents[stubs->n_parents++] = (Parent){ .path = xstrdup(path), .before = st.st_mtim, .after = st.st_mtim };
        return 0;
}

static void note_parent_after(Stubs *stubs, const char *path)
{
        Parent *parent = find_parent(stubs, path);
        struct stat st;

        if (parent && fstatat(stubs->upper_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
                parent->after = st.st_mtim;
}

static int note_stub(Stubs *stubs, const char *path, bool lent, Error *err)
{
        struct stat st;

        if (fstatat(stubs->upper_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, errno, "cannot find '/%s' in the upper directory", path);
        GROW(stubs->items, stubs->capacity, stubs->n_items + 1);
        stubs->items[stubs->n_items++] = (Stub){ .path = xstrdup(path), .lent = lent, .inode = st.st_ino, .mtime = st.st_mtim, .size = st.st_size };
        return 0;
}

/* One missing name; `path` is canonical and its parent exists. */
static int make_one(Stubs *stubs, const char *path, bool is_dir, Error *err)
{
        _cleanup_free_ char *parent = parent_of(path);
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int dir = -1;
        int r;

        if (note_parent(stubs, parent, err) < 0)
                return -1;
        dir = inroot_open_parent(stubs->root_fd, path, &name, err);
        if (dir < 0)
                return -1;
        if (is_dir) {
                r = sys_mkdirat(dir, name, 0755);
                if (r == 0)
                        r = sys_fchmodat(dir, name, 0755);
        } else {
                _cleanup_close_ int fd = sys_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);

                r = fd < 0 ? -1 : 0;
        }
        if (r < 0)
                return error_errno(err, errno, "cannot make the mount point '/%s'", path);
        note_parent_after(stubs, parent);
        return note_stub(stubs, path, false, err);
}

static int exists(Stubs *stubs, const char *path, Error *err)
{
        _cleanup_error_ Error local = ERROR_INIT;
        struct stat st;

        if (inroot_stat(stubs->root_fd, path, false, &st, &local) == 0)
                return 1;
        return local.code == ERROR_NOT_FOUND ? 0 : error_move(err, &local);
}

static int make_missing(Stubs *stubs, const char *canonical, bool is_dir, bool last_too, Error *err)
{
        for (const char *at = canonical; at;) {
                const char *slash = strchr(at, '/');
                _cleanup_free_ char *path = slash ? xstrndup(canonical, (size_t)(slash - canonical)) : xstrdup(canonical);
                int there = exists(stubs, path, err);

                if (there < 0)
                        return -1;
                if (!there && (slash || last_too) && make_one(stubs, path, slash || is_dir, err) < 0)
                        return -1;
                at = slash ? slash + 1 : NULL;
        }
        return 0;
}

int stubs_add(Stubs *stubs, const char *path, bool is_dir, Error *err)
{
        _cleanup_free_ char *canonical = NULL;

        if (inroot_resolve(stubs->root_fd, path, true, &canonical, err) < 0)
                return -1;
        return *canonical ? make_missing(stubs, canonical, is_dir, true, err) : 0;
}

int stubs_lend(Stubs *stubs, const char *path, const void *data, size_t size, Error *err)
{
        _cleanup_free_ char *canonical = NULL, *parent = NULL, *name = NULL;
        _cleanup_close_ int dir = -1, fd = -1;
        int r;

        if (inroot_resolve(stubs->root_fd, path, true, &canonical, err) < 0 || make_missing(stubs, canonical, false, false, err) < 0)
                return -1;
        parent = parent_of(canonical);
        if (note_parent(stubs, parent, err) < 0)
                return -1;
        dir = inroot_open_parent(stubs->root_fd, canonical, &name, err);
        if (dir < 0)
                return -1;
        fd = sys_openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
        r = fd < 0 ? -errno : fd_write_all(fd, data, size);
        if (r < 0)
                return error_errno(err, r, "cannot write '/%s'", canonical);
        note_parent_after(stubs, parent);
        return note_stub(stubs, canonical, true, err);
}

/* Returns whether it was taken away. */
static bool remove_stub(Stubs *stubs, const Stub *stub)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int dir = inroot_open_parent(stubs->upper_fd, stub->path, &name, &ignored);
        struct stat st;

        if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != stub->inode)
                return false;
        if (S_ISDIR(st.st_mode))
                return sys_unlinkat(dir, name, AT_REMOVEDIR) == 0;
        if (st.st_size != stub->size || (stub->lent && !same_time(&st.st_mtim, &stub->mtime)))
                return false;
        return sys_unlinkat(dir, name, 0) == 0;
}

static bool is_made(const Stubs *stubs, const char *path)
{
        for (size_t i = 0; i < stubs->n_items; i++)
                if (streq(stubs->items[i].path, path))
                        return true;
        return false;
}

int stubs_clean(Stubs *stubs, Error *err)
{
        bool *untouched = NEW_ARRAY(bool, stubs->n_parents + 1);

        /* Whether the RUN changed the directory itself must be known before it is changed back here. */
        for (size_t i = 0; i < stubs->n_parents; i++) {
                struct stat st;

                untouched[i] = fstatat(stubs->upper_fd, stubs->parents[i].path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                               same_time(&st.st_mtim, &stubs->parents[i].after);
        }
        for (size_t i = stubs->n_items; i > 0; i--)
                (void)remove_stub(stubs, &stubs->items[i - 1]);
        for (size_t i = 0; i < stubs->n_parents; i++) {
                const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, stubs->parents[i].before };

                if (untouched[i] && !is_made(stubs, stubs->parents[i].path))
                        (void)sys_utimensat(stubs->upper_fd, stubs->parents[i].path, times, AT_SYMLINK_NOFOLLOW);
        }
        free(untouched);
        return 0;
}
