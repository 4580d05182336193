/*
 * What the store has made from tars, compared with what it would make of them now: the fs/ directories of the driver `dir`, and merged indexes. Both are read
 * as images at every run, and neither has a digest of its own.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/sys.h"
#include "fs/owner.h"
#include "fs/walk.h"
#include "oci/config.h"
#include "store/internal.h"
#include "store/reach.h"

#define COMPARE_SIZE (256 * KIB)
#define ATTRIBUTE_MAX ((size_t)64 << 10)

typedef struct Compare {
        int have_fd, want_fd;
        Timestamp since; /* when `want` was begun: a directory that its tar does not name, and a whiteout, have a time after this */
        Buf *text;       /* the first difference */
        char *have_data, *want_data;
} Compare;

#define DIFFERS 2 /* what a comparison returns, beside 0 and -1 */

static int differs(Compare *compare, const char *path, const char *what)
{
        buf_putf(compare->text, "'/%s' in its directory %s", path, what);
        return DIFFERS;
}

/* --- one entry --- */

static int open_entry(int root_fd, const char *path, int flags)
{
        return openat(root_fd, *path ? path : ".", flags | O_NOFOLLOW | O_CLOEXEC);
}

static int compare_target(Compare *compare, const char *path)
{
        char have[PATH_MAX], want[PATH_MAX];
        ssize_t n = readlinkat(compare->have_fd, path, have, sizeof(have)), m = readlinkat(compare->want_fd, path, want, sizeof(want));

        return n >= 0 && n == m && memcmp(have, want, (size_t)n) == 0 ? 0 : differs(compare, path, "is a link to somewhere else");
}

static int compare_content(Compare *compare, const char *path, Error *err)
{
        _cleanup_close_ int have = open_entry(compare->have_fd, path, O_RDONLY), want = open_entry(compare->want_fd, path, O_RDONLY);
        ssize_t n, m;

        if (have < 0 || want < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        do {
                n = fd_read_full(want, compare->want_data, COMPARE_SIZE);
                m = fd_read_full(have, compare->have_data, COMPARE_SIZE);
                if (n < 0)
                        return error_errno(err, (int)n, "cannot read '%s'", path);
                if (m < 0)
                        return differs(compare, path, "cannot be read");
                if (n != m || memcmp(compare->want_data, compare->have_data, (size_t)n) != 0)
                        return differs(compare, path, "has other content");
        } while (n > 0);
        return 0;
}

/* The names of the attributes of an entry, as the kernel lists them; -errno. SELinux labels new files as it likes. */
static ssize_t list_xattrs(const char *path, char *names)
{
        ssize_t n = llistxattr(path, names, ATTRIBUTE_MAX);

        return n < 0 ? (errno == ENOTSUP ? 0 : -errno) : n;
}

static size_t count_xattrs(const char *names, ssize_t size)
{
        size_t n = 0;

        for (const char *name = names; name < names + size; name += strlen(name) + 1)
                n += !streq(name, "security.selinux");
        return n;
}

static int compare_xattrs(Compare *compare, const char *path, Error *err)
{
        char have_proc[FD_PROC_PATH_SIZE], want_proc[FD_PROC_PATH_SIZE];
        _cleanup_free_ char *have = xasprintf("%s/%s", fd_proc_path(compare->have_fd, have_proc), path),
                            *want = xasprintf("%s/%s", fd_proc_path(compare->want_fd, want_proc), path);
        _cleanup_free_ char *have_names = xmalloc(ATTRIBUTE_MAX), *want_names = xmalloc(ATTRIBUTE_MAX);
        ssize_t n = list_xattrs(want, want_names), m = list_xattrs(have, have_names);

        if (n < 0 || m < 0)
                return error_errno(err, (int)MIN(n, m), "cannot list the attributes of '%s'", path);
        if (count_xattrs(want_names, n) != count_xattrs(have_names, m))
                return differs(compare, path, "has other extended attributes");
        for (const char *name = want_names; name < want_names + n; name += strlen(name) + 1) {
                ssize_t a = lgetxattr(want, name, compare->want_data, ATTRIBUTE_MAX), b = lgetxattr(have, name, compare->have_data, ATTRIBUTE_MAX);

                if (!streq(name, "security.selinux") && (a != b || a < 0 || memcmp(compare->want_data, compare->have_data, (size_t)a) != 0))
                        return differs(compare, path, "has other extended attributes");
        }
        return 0;
}

static bool is_whiteout(const struct stat *st)
{
        return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

static int compare_entry(Compare *compare, const WalkEntry *entry, Error *err)
{
        const struct stat *want = &entry->st;
        const char *path = entry->path;
        struct stat have;
        int r = 0;

        /* Safe by path: every directory on the way was found to be one */
        if (fstatat(compare->have_fd, *path ? path : ".", &have, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? differs(compare, path, "is missing") : error_errno(err, errno, "cannot look at '%s'", path);
        owner_read(compare->have_fd, path, &have);
        if ((have.st_mode & S_IFMT) != (want->st_mode & S_IFMT))
                return differs(compare, path, "is of another type");
        if (have.st_mode != want->st_mode)
                return differs(compare, path, "has another mode");
        if (have.st_uid != want->st_uid || have.st_gid != want->st_gid)
                return differs(compare, path, "has another owner");
        if (!S_ISDIR(want->st_mode) && (have.st_size != want->st_size || have.st_nlink != want->st_nlink))
                return differs(compare, path, have.st_size != want->st_size ? "has another size" : "has another number of links");
        if ((S_ISCHR(want->st_mode) || S_ISBLK(want->st_mode)) && have.st_rdev != want->st_rdev)
                return differs(compare, path, "is another device");
        if ((S_ISDIR(want->st_mode) || is_whiteout(want)) && want->st_mtim.tv_sec * NSEC_PER_SEC + want->st_mtim.tv_nsec >= compare->since)
                return compare_xattrs(compare, path, err);
        if (have.st_mtim.tv_sec != want->st_mtim.tv_sec || have.st_mtim.tv_nsec != want->st_mtim.tv_nsec)
                return differs(compare, path, "has another time");
        if (S_ISLNK(want->st_mode))
                r = compare_target(compare, path);
        else if (S_ISREG(want->st_mode))
                r = compare_content(compare, path, err);
        return r != 0 ? r : compare_xattrs(compare, path, err);
}

/* --- whole trees --- */

/* The walk stops at the first difference: as at an error, which then is none. */
static int stop(int r, Error *err)
{
        return r == DIFFERS ? error_set(err, ERROR_EXISTS, "different") : r;
}

static int on_wanted(void *user, const WalkEntry *entry, Error *err)
{
        return stop(compare_entry(user, entry, err), err);
}

static int on_had(void *user, const WalkEntry *entry, Error *err)
{
        Compare *compare = user;
        struct stat st;

        if (fstatat(compare->want_fd, *entry->path ? entry->path : ".", &st, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        return stop(differs(compare, entry->path, "is not in its tar"), err);
}

/* 0 the same, 1 not (the first difference in `text`), -1. */
static int compare_trees(int have_fd, int want_fd, Timestamp since, Buf *text, Error *err)
{
        static const WalkOps wanted = { .entry = on_wanted }, had = { .entry = on_had };
        _cleanup_free_ char *have_data = xmalloc(COMPARE_SIZE), *want_data = xmalloc(COMPARE_SIZE);
        Compare compare = { have_fd, want_fd, since, text, have_data, want_data };

        if (tree_walk(want_fd, ".", &wanted, &compare, err) == 0 && tree_walk(have_fd, ".", &had, &compare, err) == 0)
                return 0;
        if (text->size == 0)
                return -1;
        error_done(err);
        return 1;
}

int layer_verify_fs(Lease *lease, const Digest *diff_id, bool repair, Buf *text, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE], temporary[32];
        Timestamp since = clock_now() - NSEC_PER_SEC; /* the kernel's times are coarse */
        _cleanup_close_ int lock = store_lock_file(store, "unpack.lock", LOCK_EX, err), have = -1, want = -1;
        int r;

        if (lock < 0)
                return -1;
        have = open_tree_dir(store->root_fd, layer_name(diff_id, "fs", name));
        if (have < 0 || !layer_trusts_fs(store, diff_id))
                return 0; /* made when it is needed */
        if (layer_unpack(lease, diff_id, lease_new_name(lease, "fs", temporary), err) < 0)
                return error_wrap(err, "cannot unpack '%s/%s' again to compare it", store->root, name);
        want = open_tree_dir(lease->dir_fd, temporary);
        r = want < 0 ? error_errno(err, errno, "cannot open '%s/%s'", lease->path, temporary) : compare_trees(have, want, since, text, err);
        if (r > 0 && repair && (trash(lease, name, NULL, err) < 0 || layer_put_fs(lease, diff_id, temporary, err) < 0))
                return -1;
        if (r <= 0 || !repair)
                (void)tree_remove(lease->dir_fd, temporary);
        return r;
}

int chain_verify(Lease *lease, const Digest *diff_ids, size_t n, bool repair, Buf *text, Error *err)
{
        Store *store = lease->store;
        Digest chain = chain_id(diff_ids, n);
        char name[STORE_NAME_SIZE], temporary[32];
        Mapping have = { 0 }, want = { 0 };
        _cleanup_error_ Error broken = ERROR_INIT;
        bool same;

        if (chain_write(lease, diff_ids, n, lease_new_name(lease, "chain", temporary), &broken) < 0)
                /* An index that is damaged was reported with its layer */
                return broken.code == ERROR_CORRUPT || broken.code == ERROR_INVALID ? 0 : error_move(err, &broken);
        if (mapping_open(lease->dir_fd, temporary, &want, err) < 0)
                return -1;
        same = mapping_open(store->root_fd, chain_name(&chain, name), &have, &broken) == 0 && have.size <= want.size /* an old one may lack the padding */ &&
               memcmp(have.data, want.data, have.size) == 0;
        mapping_done(&have);
        mapping_done(&want);
        if (!same)
                buf_puts(text, "it is not the index of its layers");
        if (!same && repair)
                return sys_renameat(lease->dir_fd, temporary, store->root_fd, name) < 0 ? error_errno(err, errno, "cannot replace '%s/%s'", store->root, name)
                                                                                        : 1;
        (void)sys_unlinkat(lease->dir_fd, temporary, 0);
        return !same;
}
