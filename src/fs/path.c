#include "fs/path.h"

#include <errno.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/owner.h"

/* As the kernel's own MAXSYMLINKS. */
#define LINKS_MAX 40
/* Canonical paths that we build; far beyond PATH_MAX, which images may exceed piece by piece. */
#define PATH_BYTES_MAX ((size_t)1 << 20)
/* openat2() says EAGAIN when a rename or mount races with ".."; after that many times we walk ourselves. */
#define OPENAT2_TRIES 16

static int fail(Error *err, int errnum, const char *what, const char *path)
{
        errnum = errnum < 0 ? -errnum : errnum;
        error_errno(err, errnum, "cannot %s '/%s' in the image root", what, path + strspn(path, "/"));
        if (errnum == ENOTDIR || errnum == ELOOP || errnum == EISDIR)
                err->code = ERROR_INVALID;
        else if (errnum == ENAMETOOLONG)
                err->code = ERROR_LIMIT;
        return -1;
}

/* --- the walk without openat2, which also resolves --- */

typedef struct Walk {
        int root_fd;
        int fd;           /* O_PATH of the directory `canon` less its `n_missing` last components */
        Buf canon;        /* canonical so far, without slashes at the ends */
        size_t n_missing; /* components at the end of `canon` that do not exist */
        char *rest;       /* what is still to be walked; owned */
        const char *at;   /* in `rest` */
        unsigned n_links;
} Walk;

static int open_directory_at(int dir_fd, const char *name)
{
        return openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a canonical path component by component, following nothing. The descriptor, or -errno. */
static int open_chain(int root_fd, const char *canon)
{
        _cleanup_close_ int fd = open_directory_at(root_fd, ".");
        _cleanup_free_ char *copy = xstrdup(canon);
        char *save = NULL;

        if (fd < 0)
                return -errno;
        for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
                int next = open_directory_at(fd, name);

                if (next < 0)
                        return -errno;
                close(fd);
                fd = next;
        }
        return TAKE_FD(fd);
}

static int walk_set_fd(Walk *walk, int fd)
{
        if (fd < 0)
                return fd;
        closep(&walk->fd);
        walk->fd = fd;
        return 0;
}

static int canon_push(Buf *canon, const char *name, size_t size)
{
        int r = canon->size ? buf_addc(canon, '/') : 0;

        if (r == 0)
                r = buf_add(canon, name, size);
        return r == -EFBIG ? -ENAMETOOLONG : r;
}

static void canon_pop(Buf *canon)
{
        const char *slash = canon->size ? memrchr(canon->data, '/', canon->size) : NULL;

        canon->size = slash ? (size_t)(slash - canon->data) : 0;
        if (canon->data)
                canon->data[canon->size] = '\0';
}

static int walk_up(Walk *walk)
{
        if (walk->canon.size == 0)
                return 0;
        canon_pop(&walk->canon);
        if (walk->n_missing) {
                walk->n_missing--;
                return 0;
        }
        return walk_set_fd(walk, open_chain(walk->root_fd, buf_str(&walk->canon)));
}

/* Puts the target of a symbolic link before what is still to be walked. */
static int walk_follow(Walk *walk, const char *target)
{
        char *rest;

        if (++walk->n_links > LINKS_MAX)
                return -ELOOP;
        if (strlen(target) + strlen(walk->at) > PATH_BYTES_MAX)
                return -ENAMETOOLONG;
        rest = *walk->at ? xasprintf("%s/%s", target, walk->at) : xstrdup(target); /* a slash at the end would ask for a directory */
        free(walk->rest);
        walk->rest = rest;
        walk->at = rest;
        if (*target != '/')
                return 0;
        buf_reset(&walk->canon);
        return walk_set_fd(walk, open_chain(walk->root_fd, ""));
}

/* One existing or missing component that is not "..". `more`: something follows it, a slash counts. */
static int walk_down(Walk *walk, const char *name, bool more, bool follow_last)
{
        char target[4097];
        ssize_t n;
        int fd;

        if (walk->n_missing) {
                walk->n_missing++;
                return canon_push(&walk->canon, name, strlen(name));
        }
        n = more || follow_last ? readlinkat(walk->fd, name, target, sizeof(target) - 1) : -1;
        if (n >= 0) {
                target[n] = '\0';
                return n == 0 ? -ENOENT : walk_follow(walk, target);
        }
        if (!more && !follow_last)
                return canon_push(&walk->canon, name, strlen(name));
        if (errno == ENOENT) {
                walk->n_missing = 1;
                return canon_push(&walk->canon, name, strlen(name));
        }
        if (errno != EINVAL)
                return -errno;
        if (more) {
                fd = open_directory_at(walk->fd, name);
                if (fd < 0)
                        return -errno;
                walk_set_fd(walk, fd);
        }
        return canon_push(&walk->canon, name, strlen(name));
}

static int walk_all(Walk *walk, bool follow_last)
{
        for (;;) {
                _cleanup_free_ char *name = NULL;
                size_t n;
                int r;

                walk->at += strspn(walk->at, "/");
                n = strcspn(walk->at, "/");
                if (n == 0)
                        return 0;
                if (n > 255)
                        return -ENAMETOOLONG;
                name = xstrndup(walk->at, n);
                walk->at += n;
                if (streq(name, "."))
                        continue;
                r = streq(name, "..") ? walk_up(walk) : walk_down(walk, name, *walk->at != '\0', follow_last);
                if (r < 0)
                        return r;
        }
}

/* 0 or -errno; the canonical path in *ret. */
static int resolve(int root_fd, const char *path, bool follow_last, char **ret)
{
        Walk walk = { .root_fd = root_fd, .fd = -1, .canon = BUF_INIT(PATH_BYTES_MAX), .rest = xstrdup(path) };
        int r = walk_set_fd(&walk, open_chain(root_fd, ""));

        walk.at = walk.rest;
        if (r == 0)
                r = walk_all(&walk, follow_last);
        if (r == 0)
                *ret = xstrdup(buf_str(&walk.canon));
        closep(&walk.fd);
        buf_done(&walk.canon);
        free(walk.rest);
        return r;
}

/* Splits a canonical path in place; the name is "" for the root. */
static const char *split(char *canon, const char **ret_name)
{
        char *slash = strrchr(canon, '/');

        if (!slash) {
                *ret_name = canon;
                return "";
        }
        *slash = '\0';
        *ret_name = slash + 1;
        return canon;
}

int inroot_walk_open(int root_fd, const char *path, int flags, mode_t mode)
{
        _cleanup_free_ char *canon = NULL;
        _cleanup_close_ int dir_fd = -1;
        const char *name;
        int fd, r = resolve(root_fd, path, !(flags & O_NOFOLLOW), &canon);

        if (r < 0)
                return r;
        if (str_ends(path, "/"))
                flags |= O_DIRECTORY;
        dir_fd = open_chain(root_fd, split(canon, &name));
        if (dir_fd < 0)
                return dir_fd;
        fd = openat(dir_fd, *name ? name : ".", flags | O_NOFOLLOW | O_CLOEXEC, mode);
        return fd < 0 ? -errno : fd;
}

/* --- opening --- */

int inroot_try_open(int root_fd, const char *path, int flags, mode_t mode)
{
        static int missing; /* openat2: the kernel's answer does not change while we live */
        bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
        struct open_how how = {
                .flags = (unsigned)flags | O_CLOEXEC,
                .mode = creates ? mode & 07777 : 0,
                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
        };

        if (creates && sys_fault(SYS_CALL_open) < 0)
                return -errno;
        for (int i = 0; i < OPENAT2_TRIES && !__atomic_load_n(&missing, __ATOMIC_RELAXED); i++) {
                long fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));

                if (fd >= 0)
                        return (int)fd;
                if (errno == ENOSYS || (errno == EPERM && !creates && (flags & O_PATH)))
                        __atomic_store_n(&missing, 1, __ATOMIC_RELAXED); /* or a seccomp filter that does not know it */
                else if (errno == ENAMETOOLONG)
                        break; /* a path beyond PATH_MAX: piece by piece it may be fine */
                else if (errno != EAGAIN && errno != EINTR)
                        return -errno;
        }
        return inroot_walk_open(root_fd, path, flags, mode);
}

int inroot_open(int root_fd, const char *path, int flags, mode_t mode, Error *err)
{
        int fd = inroot_try_open(root_fd, path, flags, mode);

        return fd < 0 ? fail(err, fd, "open", path) : fd;
}

int inroot_stat(int root_fd, const char *path, bool follow, struct stat *ret, Error *err)
{
        _cleanup_close_ int fd = inroot_try_open(root_fd, path, O_PATH | (follow ? 0 : O_NOFOLLOW), 0);

        if (fd < 0)
                return fail(err, fd, "find", path);
        if (fstat(fd, ret) < 0)
                return fail(err, errno, "stat", path);
        owner_read(fd, "", ret);
        return 0;
}

int inroot_open_parent(int root_fd, const char *path, char **ret_name, Error *err)
{
        _cleanup_free_ char *copy = xstrdup(path);
        const char *name, *dir;
        size_t n = strlen(copy);
        int fd, r;

        while (n > 0 && copy[n - 1] == '/')
                copy[--n] = '\0';
        dir = split(copy, &name);
        if (!*name || streq(name, ".") || streq(name, "..")) {
                freep(&copy);
                copy = NULL;
                r = resolve(root_fd, path, true, &copy);
                if (r < 0)
                        return fail(err, r, "find", path);
                dir = split(copy, &name);
        }
        fd = inroot_try_open(root_fd, dir, O_PATH | O_DIRECTORY, 0);
        if (fd < 0)
                return fail(err, fd, "find the directory of", path);
        *ret_name = xstrdup(name);
        return fd;
}

int inroot_resolve(int root_fd, const char *path, bool follow_last, char **ret, Error *err)
{
        int r = resolve(root_fd, path, follow_last, ret);

        return r < 0 ? fail(err, r, "resolve", path) : 0;
}

/* --- making directories --- */

typedef struct MakeDirs {
        const MakeDirsOptions *options;
        Buf done;       /* canonical path of `fd` */
        int fd;         /* the last directory */
        bool made_last; /* we made it */
} MakeDirs;

static int set_mtime(int fd, const MakeDirsOptions *options)
{
        struct timespec times[2];

        if (!options->mtime)
                return 0;
        times[0] = times[1] = *options->mtime;
        return sys_utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* Goes into `name`, making it when it is not there. 0 or -errno. */
static int make_one(MakeDirs *make, const char *name)
{
        const MakeDirsOptions *options = make->options;
        bool made = sys_mkdirat(make->fd, name, 0700) == 0;
        int fd, r = 0;

        if (!made && errno != EEXIST)
                return -errno;
        fd = openat(make->fd, name, (made ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        /* Making it has changed the time of its parent, which is ours only when we made that too. */
        if (made && make->made_last)
                r = set_mtime(make->fd, options);
        if (made && r == 0 && (options->uid >= 0 || options->gid >= 0))
                r = owner_set(fd, "", (uint32_t)options->uid, (uint32_t)options->gid);
        if (made && r == 0)
                r = sys_fchmod(fd, options->mode) < 0 ? -errno : 0; /* behind chown, which clears set-id bits */
        if (made && r == 0)
                r = set_mtime(fd, options);
        close(make->fd);
        make->fd = fd;
        make->made_last = made;
        return r < 0 ? r : canon_push(&make->done, name, strlen(name));
}

int inroot_make_dirs(int root_fd, const char *path, const MakeDirsOptions *options, Error *err)
{
        _cleanup_free_ char *canon = NULL;
        MakeDirs make = { .options = options, .done = BUF_INIT(PATH_BYTES_MAX), .fd = -1 };
        char *save = NULL;
        int fd = inroot_try_open(root_fd, path, O_RDONLY | O_DIRECTORY, 0), r;

        if (fd >= 0 || fd != -ENOENT)
                return fd < 0 ? fail(err, fd, "make the directory", path) : fd;
        r = resolve(root_fd, path, true, &canon);
        if (r == 0)
                r = make.fd = open_chain(root_fd, "");
        for (char *name = r < 0 ? NULL : strtok_r(canon, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
                r = make_one(&make, name);
                if (r < 0)
                        break;
                if (make.made_last && options->made && options->made(options->user, make.fd, buf_str(&make.done), err) < 0) {
                        closep(&make.fd);
                        buf_done(&make.done);
                        return -1;
                }
        }
        if (r >= 0) {
                fd = openat(make.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                r = fd < 0 ? -errno : 0;
        }
        closep(&make.fd);
        buf_done(&make.done);
        return r < 0 ? fail(err, r, "make the directory", path) : fd;
}

int inroot_read(int root_fd, const char *path, Buf *buf, Error *err)
{
        char proc[FD_PROC_PATH_SIZE];
        _cleanup_close_ int fd = -1, handle = inroot_try_open(root_fd, path, O_PATH, 0);
        struct stat st;
        int r;

        if (handle < 0)
                return fail(err, handle, "read", path);
        if (fstat(handle, &st) < 0)
                return fail(err, errno, "stat", path);
        if (!S_ISREG(st.st_mode))
                return error_set(err, ERROR_INVALID, "cannot read '/%s' in the image root: not a regular file", path + strspn(path, "/"));
        fd = open(fd_proc_path(handle, proc), O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return fail(err, errno, "read", path);
        r = fd_read_to_buf(fd, buf);
        if (r == -EFBIG)
                return error_set(err, ERROR_LIMIT, "cannot read '/%s' in the image root: larger than %zu bytes", path + strspn(path, "/"), buf->max);
        return r < 0 ? fail(err, r, "read", path) : 0;
}
