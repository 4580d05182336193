#include "store/untar.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/owner.h"
#include "fs/path.h"
#include "fs/userns.h"
#include "fs/walk.h"
#include "store/tree_tar.h"
#include "tar/tar.h"

typedef struct DirStamp {
        char *path;
        struct timespec mtime;
} DirStamp;

struct Untar {
        int root_fd;
        char *directory, *rename_to;
        bool keep_owner;
        TarReader *reader;
        int file_fd; /* of the file whose content comes, or -1 */
        struct timespec file_mtime;
        DirStamp *stamps;
        size_t n_stamps, capacity_stamps;
};

/* Where an entry goes, in the root. New string. */
static char *target_of(const Untar *untar, const char *path)
{
        const char *slash = strchr(path, '/');

        if (!untar->rename_to)
                return xasprintf("%s/%s", untar->directory, path);
        return xasprintf("%s/%s%s", untar->directory, untar->rename_to, slash ? slash : "");
}

static void close_file(Untar *untar)
{
        if (untar->file_fd < 0)
                return;
        futimens(untar->file_fd, (struct timespec[2]){ untar->file_mtime, untar->file_mtime });
        close(TAKE_FD(untar->file_fd));
}

static int set_attributes(const Untar *untar, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        char proc[FD_PROC_PATH_SIZE];
        _cleanup_free_ char *full = xasprintf("%s/%s", fd_proc_path(dir_fd, proc), name);

        int r = untar->keep_owner ? owner_set(dir_fd, name, entry->uid, entry->gid) : 0;

        if (r < 0)
                return error_errno(err, r, "cannot give '%s' its owner", entry->path);
        if (entry->type != TAR_SYMLINK && sys_fchmodat(dir_fd, name, entry->mode) < 0)
                return error_errno(err, errno, "cannot set the mode of '%s'", entry->path);
        for (size_t i = 0; i < entry->n_xattrs; i++)
                if (!owner_is_note(entry->xattrs[i].name) &&
                    (sys_fault(SYS_CALL_setxattr) < 0 || lsetxattr(full, entry->xattrs[i].name, entry->xattrs[i].value, entry->xattrs[i].size, 0) < 0))
                        log_debug("cannot set '%s' on '%s': %s", entry->xattrs[i].name, entry->path, strerror(errno));
        return 0;
}

static int make_dir(Untar *untar, int dir_fd, const char *name, const char *target, const TarEntry *entry, Error *err)
{
        struct stat st;

        if (sys_mkdirat(dir_fd, name, 0700) < 0) {
                if (errno != EEXIST)
                        return error_errno(err, errno, "cannot make directory '%s'", target);
                if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_errno(err, errno, "cannot look at '%s'", target);
                if (S_ISLNK(st.st_mode)) /* a link to a directory is as good as one: what follows goes where it leads, inside the root */
                        return 0;
                if (!S_ISDIR(st.st_mode))
                        return error_set(err, ERROR_CONFLICT, "cannot overwrite non-directory '%s' with directory", target);
        }
        GROW(untar->stamps, untar->capacity_stamps, untar->n_stamps + 1);
        untar->stamps[untar->n_stamps++] = (DirStamp){ .path = xstrdup(target), .mtime = { .tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec } };
        return set_attributes(untar, dir_fd, name, entry, err);
}

static int make_link(const Untar *untar, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        _cleanup_free_ char *from = target_of(untar, entry->link), *from_name = NULL;
        _cleanup_close_ int from_dir = inroot_open_parent(untar->root_fd, from, &from_name, err);

        if (from_dir < 0)
                return -1;
        if (sys_linkat(from_dir, from_name, dir_fd, name, 0) < 0)
                return error_errno(err, errno, "cannot link '%s' to '%s'", entry->path, entry->link);
        return 0;
}

/* Everything but directories; what was there is replaced. */
static int make_other(Untar *untar, int dir_fd, const char *name, const char *target, const TarEntry *entry, Error *err)
{
        static const mode_t types[] = { [TAR_CHAR] = S_IFCHR, [TAR_BLOCK] = S_IFBLK, [TAR_FIFO] = S_IFIFO };
        struct timespec times[2] = { { .tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec },
                                     { .tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec } };
        struct stat st;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
                if (S_ISDIR(st.st_mode))
                        return error_set(err, ERROR_CONFLICT, "cannot overwrite directory '%s' with non-directory", target);
                if (sys_unlinkat(dir_fd, name, 0) < 0)
                        return error_errno(err, errno, "cannot replace '%s'", target);
        }
        switch (entry->type) {
        case TAR_FILE:
                untar->file_fd = sys_openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
                if (untar->file_fd < 0)
                        return error_errno(err, errno, "cannot make '%s'", target);
                untar->file_mtime = times[0];
                return set_attributes(untar, dir_fd, name, entry, err);
        case TAR_SYMLINK:
                if (sys_symlinkat(entry->link, dir_fd, name) < 0)
                        return error_errno(err, errno, "cannot make '%s'", target);
                break;
        case TAR_HARDLINK:
                return make_link(untar, dir_fd, name, entry, err);
        case TAR_CHAR:
        case TAR_BLOCK:
        case TAR_FIFO:
                if (sys_mknodat(dir_fd, name, types[entry->type] | 0600, makedev(entry->dev_major, entry->dev_minor)) == 0)
                        break;
                if (errno != EPERM || entry->type == TAR_FIFO || !userns_inside())
                        return error_errno(err, errno, "cannot make '%s'", target);
                log_debug("the device '%s' is left out: making one needs root", target);
                return 0;
        case TAR_DIR:
                break;
        }
        if (set_attributes(untar, dir_fd, name, entry, err) < 0)
                return -1;
        sys_utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW);
        return 0;
}

static int on_entry(void *user, const TarEntry *entry, Error *err)
{
        Untar *untar = user;
        _cleanup_free_ char *target = target_of(untar, entry->path), *name = NULL;
        _cleanup_close_ int dir_fd = -1;

        close_file(untar);
        if (entry->whiteout != TAR_WHITEOUT_NONE)
                return error_set(err, ERROR_INVALID, "'%s' has a name that only layers may use", entry->path);
        dir_fd = inroot_open_parent(untar->root_fd, target, &name, err);
        if (dir_fd < 0)
                return -1;
        if (!*name) /* the root itself, or the directory that the content goes into */
                return 0;
        if (entry->type == TAR_DIR)
                return make_dir(untar, dir_fd, name, target, entry, err);
        return make_other(untar, dir_fd, name, target, entry, err);
}

static int on_data(void *user, const void *data, size_t size, Error *err)
{
        Untar *untar = user;
        int r = untar->file_fd < 0 ? 0 : fd_write_all(untar->file_fd, data, size);

        return r < 0 ? error_errno(err, r, "cannot write a file") : 0;
}

Untar *untar_new(int root_fd, const char *directory, const char *rename_to, bool keep_owner)
{
        static const TarReaderOps ops = { .entry = on_entry, .data = on_data };
        Untar *untar = NEW(Untar);

        untar->root_fd = root_fd;
        untar->directory = xstrdup(directory);
        untar->rename_to = xstrdup_or_null(rename_to);
        untar->keep_owner = keep_owner;
        untar->file_fd = -1;
        untar->reader = tar_reader_new(&ops, untar);
        return untar;
}

void untar_free(Untar *untar)
{
        if (!untar)
                return;
        closep(&untar->file_fd);
        tar_reader_free(untar->reader);
        for (size_t i = 0; i < untar->n_stamps; i++)
                free(untar->stamps[i].path);
        free(untar->stamps);
        free(untar->directory);
        free(untar->rename_to);
        free(untar);
}

static int feed(void *user, const void *data, size_t size, Error *err)
{
        return tar_reader_feed(((Untar *)user)->reader, data, size, err);
}

Sink untar_sink(Untar *untar)
{
        return (Sink){ .write = feed, .user = untar };
}

int untar_finish(Untar *untar, Error *err)
{
        if (tar_reader_finish(untar->reader, err) < 0)
                return -1;
        close_file(untar);
        for (size_t i = untar->n_stamps; i-- > 0;) { /* children before parents, whose times they would change */
                _cleanup_close_ int fd = inroot_try_open(untar->root_fd, untar->stamps[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

                if (fd >= 0)
                        futimens(fd, (struct timespec[2]){ untar->stamps[i].mtime, untar->stamps[i].mtime });
        }
        return 0;
}

/* --- the other direction --- */

typedef struct TreeOut {
        TreeTar tar;
        const char *base;
} TreeOut;

static int add_entry(void *user, const WalkEntry *entry, Error *err)
{
        TreeOut *out = user;
        _cleanup_free_ char *path = xasprintf("%s%s%s", out->base, *out->base && *entry->path ? "/" : "", entry->path);

        if (!*path)
                return 0;
        return tree_tar_add(&out->tar, entry->dir_fd, entry->name, path, &entry->st, err);
}

int tar_tree(int dir_fd, const char *name, const char *base, const Sink *sink, Error *err)
{
        static const WalkOps ops = { .entry = add_entry };
        TreeOut out = { .base = base };
        struct stat st;
        int r;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, errno, "cannot look at '%s'", name);
        tree_tar_init(&out.tar, sink, NULL, -1);
        if (S_ISDIR(st.st_mode))
                r = tree_walk(dir_fd, name, &ops, &out, err);
        else
                r = tree_tar_add(&out.tar, dir_fd, name, base, &st, err);
        if (r == 0)
                r = tree_tar_finish(&out.tar, err);
        tree_tar_done(&out.tar);
        return r;
}
