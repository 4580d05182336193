#include "store/tree_tar.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "fs/owner.h"
#include "fs/walk.h"
#include "store/rootfs.h"
#include "tar/tar.h"

#define COPY_SIZE (256 * KIB)
/* Linux: names of one file's attributes, and one value (limits.h XATTR_LIST_MAX, XATTR_SIZE_MAX). */
#define XATTR_NAMES_MAX 65536
#define XATTR_VALUE_MAX 65536

void tree_tar_init(TreeTar *tar, const Sink *sink, LayerWriter *writer, int64_t epoch)
{
        *tar = (TreeTar){ .sink = sink, .writer = writer, .epoch = epoch, .inodes = map_new(free), .header = BUF_INIT(16 * MIB) };
}

void tree_tar_done(TreeTar *tar)
{
        map_free(tar->inodes);
        buf_done(&tar->header);
        free(tar->buffer);
        *tar = (TreeTar){ 0 };
}

static int write_zeros(TreeTar *tar, size_t size, Error *err)
{
        static const char zeros[TAR_TRAILER_SIZE];

        return sink_write(tar->sink, zeros, size, err);
}

/* What a layer keeps of a file's attributes: capabilities, and those of users. The rest is this machine's (SELinux labels, overlayfs's own). */
static bool keeps_xattr(const TreeTar *tar, const char *name)
{
        if (owner_is_note(name))
                return false;
        if (tar->exact)
                return !str_starts(name, "security.selinux") && !str_starts(name, "trusted.overlay.") && !str_starts(name, "user.overlay.");
        return streq(name, "security.capability") || (str_starts(name, "user.") && !str_starts(name, "user.overlay."));
}

static int read_xattrs(const TreeTar *tar, int dir_fd, const char *name, TarEntry *entry, Error *err)
{
        char proc[FD_PROC_PATH_SIZE], names[4096];
        _cleanup_free_ char *path = xasprintf("%s/%s", fd_proc_path(dir_fd, proc), name), *more = NULL;
        char *list = names;
        ssize_t size = llistxattr(path, names, sizeof(names));
        size_t capacity = 0;

        if (size < 0 && errno == ERANGE) {
                list = more = xmalloc(XATTR_NAMES_MAX);
                size = llistxattr(path, more, XATTR_NAMES_MAX);
        }
        if (size < 0)
                return errno == EOPNOTSUPP ? 0 : error_errno(err, errno, "cannot list the attributes of '%s'", entry->path);
        for (const char *at = list; at < list + size; at += strlen(at) + 1) {
                TarXattr *xattr;
                ssize_t n;

                if (!keeps_xattr(tar, at))
                        continue;
                GROW(entry->xattrs, capacity, entry->n_xattrs + 1);
                xattr = &entry->xattrs[entry->n_xattrs];
                *xattr = (TarXattr){ .name = xstrdup(at), .value = xmalloc(XATTR_VALUE_MAX) };
                entry->n_xattrs++;
                n = lgetxattr(path, at, xattr->value, XATTR_VALUE_MAX);
                if (n < 0)
                        return error_errno(err, errno, "cannot read the attribute '%s' of '%s'", at, entry->path);
                xattr->size = (size_t)n;
                xattr->value = xrealloc(xattr->value, xattr->size + 1);
        }
        return 0;
}

static void entry_done(TarEntry *entry)
{
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                free(entry->xattrs[i].name);
                free(entry->xattrs[i].value);
        }
        free(entry->xattrs);
        free(entry->path);
        free(entry->link);
}

static int read_link(int dir_fd, const char *name, TarEntry *entry, Error *err)
{
        char target[PATH_MAX + 1];
        ssize_t n = readlinkat(dir_fd, name, target, sizeof(target));

        if (n < 0)
                return error_errno(err, errno, "cannot read the symbolic link '%s'", entry->path);
        entry->link = xstrndup(target, (size_t)n);
        return 0;
}

static void set_times(const TreeTar *tar, const struct stat *st, TarEntry *entry)
{
        entry->exact_time = tar->exact;
        entry->mtime_nsec = tar->exact ? (uint32_t)st->st_mtim.tv_nsec : 0;
        entry->mtime_sec = tar->epoch >= 0 && st->st_mtim.tv_sec > tar->epoch ? tar->epoch : st->st_mtim.tv_sec;
}

static int write_header(TreeTar *tar, const TarEntry *entry, Error *err)
{
        buf_reset(&tar->header);
        if (tar_write_header(entry, &tar->header, err) < 0)
                return error_wrap(err, "cannot write '%s'", entry->path);
        return sink_write(tar->sink, tar->header.data, tar->header.size, err);
}

static int write_content(TreeTar *tar, int fd, const TarEntry *entry, Error *err)
{
        uint64_t left = entry->size, offset = 0;

        if (tar->writer && layer_writer_write_file(tar->writer, fd, 0, entry->size, err) < 0)
                return error_wrap(err, "cannot write '%s'", entry->path);
        if (!tar->writer && !tar->buffer)
                tar->buffer = xmalloc(COPY_SIZE);
        while (!tar->writer && left > 0) {
                ssize_t n = fd_pread_full(fd, tar->buffer, (size_t)MIN(left, COPY_SIZE), offset);

                if (n < 0)
                        return error_errno(err, (int)n, "cannot read '%s'", entry->path);
                if (n == 0)
                        return error_set(err, ERROR_IO, "cannot read '%s': it became shorter while it was read; try again", entry->path);
                if (sink_write(tar->sink, tar->buffer, (size_t)n, err) < 0)
                        return -1;
                left -= (uint64_t)n;
                offset += (uint64_t)n;
        }
        return write_zeros(tar, tar_padding(entry->size), err);
}

static int add_file(TreeTar *tar, int dir_fd, const char *name, const struct stat *st, TarEntry *entry, Error *err)
{
        const uint64_t place[2] = { (uint64_t)st->st_dev, (uint64_t)st->st_ino };
        const char *first = st->st_nlink > 1 ? map_getn(tar->inodes, place, sizeof(place)) : NULL;
        _cleanup_close_ int fd = -1;
        struct stat now;

        if (first) {
                entry->type = TAR_HARDLINK;
                entry->link = xstrdup(first);
                return write_header(tar, entry, err);
        }
        fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &now) < 0)
                return error_errno(err, errno, "cannot read '%s'", entry->path);
        if (!S_ISREG(now.st_mode))
                return error_set(err, ERROR_IO, "cannot read '%s': it was replaced while it was read; try again", entry->path);
        if (st->st_nlink > 1)
                map_setn(tar->inodes, place, sizeof(place), xstrdup(entry->path));
        entry->type = TAR_FILE;
        entry->size = (uint64_t)now.st_size;
        if (read_xattrs(tar, dir_fd, name, entry, err) < 0 || write_header(tar, entry, err) < 0)
                return -1;
        return write_content(tar, fd, entry, err);
}

static int add_other(TreeTar *tar, int dir_fd, const char *name, const struct stat *st, TarEntry *entry, Error *err)
{
        switch (st->st_mode & S_IFMT) {
        case S_IFDIR:
                entry->type = TAR_DIR;
                if (read_xattrs(tar, dir_fd, name, entry, err) < 0)
                        return -1;
                break;
        case S_IFLNK:
                entry->type = TAR_SYMLINK;
                if (read_link(dir_fd, name, entry, err) < 0)
                        return -1;
                break;
        case S_IFCHR:
        case S_IFBLK:
                entry->type = S_ISCHR(st->st_mode) ? TAR_CHAR : TAR_BLOCK;
                entry->dev_major = major(st->st_rdev);
                entry->dev_minor = minor(st->st_rdev);
                break;
        case S_IFIFO:
                entry->type = TAR_FIFO;
                break;
        default: /* a socket is nothing without the process that listens on it */
                return 0;
        }
        return write_header(tar, entry, err);
}

int tree_tar_add(TreeTar *tar, int dir_fd, const char *name, const char *path, const struct stat *st, Error *err)
{
        _cleanup_(entry_done) TarEntry entry = { .path = xstrdup(path), .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid };

        set_times(tar, st, &entry);
        return S_ISREG(st->st_mode) ? add_file(tar, dir_fd, name, st, &entry, err) : add_other(tar, dir_fd, name, st, &entry, err);
}

int tree_tar_add_content(TreeTar *tar, int fd, const char *path, const struct stat *st, Error *err)
{
        _cleanup_(entry_done) TarEntry entry = { .type = TAR_FILE, .path = xstrdup(path), .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid };

        entry.size = (uint64_t)st->st_size;
        set_times(tar, st, &entry);
        return write_header(tar, &entry, err) < 0 ? -1 : write_content(tar, fd, &entry, err);
}

int tree_tar_add_whiteout(TreeTar *tar, const char *path, Error *err)
{
        _cleanup_(entry_done) TarEntry entry = { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_REMOVE, .path = xstrdup(path) };

        return write_header(tar, &entry, err);
}

int tree_tar_finish(TreeTar *tar, Error *err)
{
        return write_zeros(tar, TAR_TRAILER_SIZE, err);
}

/* --- docker export --- */

static int export_entry(void *user, const WalkEntry *entry, Error *err)
{
        return entry->depth == 0 ? 0 : tree_tar_add(user, entry->dir_fd, entry->name, entry->path, &entry->st, err);
}

int rootfs_export(int root_fd, const Sink *sink, Error *err)
{
        static const WalkOps ops = { .entry = export_entry };
        _cleanup_(tree_tar_done) TreeTar tar = { 0 };

        tree_tar_init(&tar, sink, NULL, -1);
        if (tree_walk(root_fd, ".", &ops, &tar, err) < 0)
                return -1;
        return tree_tar_finish(&tar, err);
}
