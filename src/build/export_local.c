#include "build/export_local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "fs/owner.h"
#include "fs/place.h"
#include "fs/walk.h"

#define PIECE_SIZE (16 * MIB)
/* Linux: all attribute names of a file, and one value. */
#define XATTR_MAX 65536

/* Descriptors of directories that are open at the same time; beyond it those further up are closed, and found again through "..". */
#define LEVEL_FDS_MAX 128

typedef struct Level {
        int fd;         /* -1: closed for now */
        struct stat st; /* of the source */
        dev_t dev;      /* of the directory itself */
        ino_t ino;
} Level;

struct LocalCopy {
        LocalCopyOptions options;
        int dest_fd;
        Level *levels; /* directories from the top to where we are; levels[0] is the top of the tree */
        size_t n_levels, capacity;
        Map *links;    /* (device, inode) -> path below `top` of what has more than one name */
        Map *seen;     /* paths of files, with `exclusive` */
        StrList names; /* what the top directory is to hold, with `mirror` */
        uint64_t done, told;
};

int local_copy_new(const LocalCopyOptions *options, LocalCopy **ret, Error *err)
{
        _cleanup_(local_copy_freep) LocalCopy *copy = NEW(LocalCopy);
        int r = dir_make(AT_FDCWD, options->dest, 0755);

        copy->options = *options;
        copy->dest_fd = -1;
        copy->links = map_new(free);
        copy->seen = map_new(NULL);
        if (r == 0)
                copy->dest_fd = open(options->dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (copy->dest_fd < 0)
                return error_errno(err, r < 0 ? r : errno, "cannot make the directory '%s'", options->dest);
        place_sweep(copy->dest_fd);
        *ret = TAKE_PTR(copy);
        return 0;
}

void local_copy_free(LocalCopy *copy)
{
        if (!copy)
                return;
        for (size_t i = 0; i < copy->n_levels; i++)
                if (copy->levels[i].fd >= 0)
                        close(copy->levels[i].fd);
        if (copy->dest_fd >= 0)
                close(copy->dest_fd);
        free(copy->levels);
        map_free(copy->links);
        map_free(copy->seen);
        strlist_done(&copy->names);
        free(copy);
}

static int fail(const char *what, const char *path, Error *err)
{
        return error_errno(err, errno, "cannot %s '%s'", what, path);
}

static struct timespec time_of(const LocalCopy *copy, const struct stat *st)
{
        return copy->options.epoch >= 0 ? (struct timespec){ .tv_sec = copy->options.epoch } : st->st_mtim;
}

static int set_time(const LocalCopy *copy, int dir_fd, const char *name, const struct stat *st, const char *path, Error *err)
{
        struct timespec times[2] = { time_of(copy, st), time_of(copy, st) };

        return sys_utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail("set the time of", path, err) : 0;
}

/* --- files --- */

/* Attributes of users and capabilities, as far as this process and file system can. */
static void copy_xattrs(int from, int to)
{
        _cleanup_free_ char *names = xmalloc(XATTR_MAX), *value = NULL;
        ssize_t size = flistxattr(from, names, XATTR_MAX);

        for (const char *at = names; size > 0 && at < names + size; at += strlen(at) + 1) {
                ssize_t n;

                if (owner_is_note(at) || (!streq(at, "security.capability") && (!str_starts(at, "user.") || str_starts(at, "user.overlay."))))
                        continue;
                if (!value)
                        value = xmalloc(XATTR_MAX);
                n = fgetxattr(from, at, value, XATTR_MAX);
                if (n >= 0 && sys_fault(SYS_CALL_setxattr) == 0)
                        (void)fsetxattr(to, at, value, (size_t)n, 0);
        }
}

static int copy_bytes(LocalCopy *copy, int from, int to, uint64_t size, const char *path, Error *err)
{
        for (uint64_t at = 0; at < size; at += PIECE_SIZE) {
                uint64_t n = MIN(size - at, (uint64_t)PIECE_SIZE);
                int r;

                if (build_check(copy->options.build, err) < 0)
                        return -1;
                r = fd_copy(from, at, to, n);
                if (r < 0)
                        return error_errno(err, r, "cannot write '%s'", path);
                copy->done += n;
                if (copy->done - copy->told >= PIECE_SIZE) {
                        copy->told = copy->done;
                        progress_status(copy->options.build->progress, copy->options.vertex, "copying files", copy->done, 0, false);
                }
        }
        return 0;
}

static int finish_new(LocalCopy *copy, int fd, mode_t mode, const struct stat *st, const char *path, Error *err)
{
        char proc[FD_PROC_PATH_SIZE];
        struct timespec times[2] = { time_of(copy, st), time_of(copy, st) };

        if (sys_fchmod(fd, mode) < 0 || sys_utimensat(AT_FDCWD, fd_proc_path(fd, proc), times, 0) < 0)
                return fail("set the mode and time of", path, err);
        return 0;
}

static int copy_file(LocalCopy *copy, int dir_fd, const WalkEntry *entry, Error *err)
{
        _cleanup_close_ int from = openat(entry->dir_fd, entry->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to = -1;
        char temporary[PLACE_NAME_SIZE];
        bool named;
        int r;

        if (from < 0)
                return fail("read", entry->path, err);
        to = place_open(dir_fd, place_temporary(temporary), &named, entry->path, err);
        if (to < 0)
                return -1;
        r = copy_bytes(copy, from, to, (uint64_t)entry->st.st_size, entry->path, err);
        if (r == 0) {
                copy_xattrs(from, to);
                r = finish_new(copy, to, entry->st.st_mode & 07777, &entry->st, entry->path, err);
        }
        if (r < 0) {
                if (named)
                        (void)sys_unlinkat(dir_fd, temporary, 0);
                return -1;
        }
        return place_file(to, dir_fd, temporary, named, entry->name, PLACE_OVER_TREES, entry->path, err);
}

/* --- links and special files --- */

/*
 * Each of these is made under its own name when that is free. Only what replaces something has a temporary name, and is renamed.
 */

/* After a temporary name, or without one, and what is still to be set: gives it its name. */
static int finish_placed(int r, int dir_fd, const char *temporary, const WalkEntry *entry, Error *err)
{
        if (r < 0 && *temporary)
                (void)sys_unlinkat(dir_fd, temporary, 0);
        if (r < 0 || !*temporary)
                return r;
        return place_rename(dir_fd, temporary, entry->name, PLACE_OVER_TREES, entry->path, err);
}

static int copy_symlink(LocalCopy *copy, int dir_fd, const WalkEntry *entry, Error *err)
{
        char temporary[PLACE_NAME_SIZE] = "";
        _cleanup_free_ char *target = xcalloc(1, 4097);

        if (readlinkat(entry->dir_fd, entry->name, target, 4096) < 0)
                return fail("read", entry->path, err);
        if (sys_symlinkat(target, dir_fd, entry->name) < 0 && (errno != EEXIST || sys_symlinkat(target, dir_fd, place_temporary(temporary)) < 0))
                return fail("write", entry->path, err);
        return finish_placed(set_time(copy, dir_fd, *temporary ? temporary : entry->name, &entry->st, entry->path, err), dir_fd, temporary, entry, err);
}

static int set_mode_and_time(LocalCopy *copy, int dir_fd, const char *name, const WalkEntry *entry, Error *err)
{
        return sys_fchmodat(dir_fd, name, entry->st.st_mode & 07777) < 0 ? fail("write", entry->path, err)
                                                                         : set_time(copy, dir_fd, name, &entry->st, entry->path, err);
}

static int copy_special(LocalCopy *copy, int dir_fd, const WalkEntry *entry, Error *err)
{
        char temporary[PLACE_NAME_SIZE] = "";
        mode_t mode = entry->st.st_mode;
        dev_t device = entry->st.st_rdev;

        if (S_ISSOCK(mode))
                return 0; /* nothing without the process that listens on it */
        if (sys_mknodat(dir_fd, entry->name, mode, device) < 0 && (errno != EEXIST || sys_mknodat(dir_fd, place_temporary(temporary), mode, device) < 0))
                return fail("make the device or fifo", entry->path, err);
        return finish_placed(set_mode_and_time(copy, dir_fd, *temporary ? temporary : entry->name, entry, err), dir_fd, temporary, entry, err);
}

/* A further name of something that was copied: 1 when it is done. */
static int copy_link(LocalCopy *copy, int dir_fd, const WalkEntry *entry, Error *err)
{
        const uint64_t place[2] = { (uint64_t)entry->st.st_dev, (uint64_t)entry->st.st_ino };
        const char *first;
        char temporary[PLACE_NAME_SIZE] = "";
        int top = copy->levels[0].fd;

        if (entry->st.st_nlink < 2)
                return 0;
        first = map_getn(copy->links, place, sizeof(place));
        if (!first) {
                map_setn(copy->links, place, sizeof(place), xstrdup(entry->path));
                return 0;
        }
        if (sys_linkat(top, first, dir_fd, entry->name, 0) < 0 && (errno != EEXIST || sys_linkat(top, first, dir_fd, place_temporary(temporary), 0) < 0))
                return fail("link", entry->path, err);
        return finish_placed(0, dir_fd, temporary, entry, err) < 0 ? -1 : 1;
}

/* --- directories --- */

/* Opens a directory below another, making it; what has its name and is none goes, and what a killed copy left in it. */
static int enter(int parent_fd, const char *name, const char *path, Error *err)
{
        bool made = false;
        int fd;

        if (sys_mkdirat(parent_fd, name, 0700) == 0)
                made = true;
        else if (errno != EEXIST)
                return fail("make the directory", path, err);
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) {
                if (!made)
                        place_sweep(fd);
                return fd;
        }
        if (errno != ENOTDIR && errno != ELOOP)
                return fail("open the directory", path, err);
        if (sys_unlinkat(parent_fd, name, 0) < 0 || sys_mkdirat(parent_fd, name, 0700) < 0)
                return fail("replace", path, err);
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? fail("open the directory", path, err) : fd;
}

static int push(LocalCopy *copy, int fd, const struct stat *st, Error *err)
{
        struct stat own;

        if (fstat(fd, &own) < 0) {
                close(fd);
                return error_errno(err, errno, "cannot look at a directory below '%s'", copy->options.dest);
        }
        GROW(copy->levels, copy->capacity, copy->n_levels + 1);
        copy->levels[copy->n_levels++] = (Level){ fd, *st, own.st_dev, own.st_ino };
        /* The first stays open: hard links are made from there. */
        if (copy->n_levels > LEVEL_FDS_MAX + 1)
                close(TAKE_FD(copy->levels[copy->n_levels - 1 - LEVEL_FDS_MAX].fd));
        return 0;
}

static void close_levels(LocalCopy *copy, size_t left)
{
        while (copy->n_levels > left)
                if (copy->levels[--copy->n_levels].fd >= 0)
                        close(copy->levels[copy->n_levels].fd);
}

/* Goes back to the directory above. */
static int pop(LocalCopy *copy, const char *path, Error *err)
{
        Level *above = &copy->levels[copy->n_levels - 2];
        struct stat st;

        if (above->fd < 0) {
                above->fd = openat(copy->levels[copy->n_levels - 1].fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (above->fd < 0 || fstat(above->fd, &st) < 0)
                        return fail("leave the directory", path, err);
                if (st.st_dev != above->dev || st.st_ino != above->ino)
                        return error_set(err, ERROR_CONFLICT, "cannot leave the directory '%s': it was moved while it was written", path);
        }
        close_levels(copy, copy->n_levels - 1);
        return 0;
}

static int on_entry(void *user, const WalkEntry *entry, Error *err)
{
        LocalCopy *copy = user;
        int dir_fd = copy->levels[copy->n_levels - 1].fd, fd, r;

        if (entry->depth == 0)
                return 0;
        if (build_check(copy->options.build, err) < 0)
                return -1;
        if (S_ISDIR(entry->st.st_mode)) {
                fd = enter(dir_fd, entry->name, entry->path, err);
                return fd < 0 ? -1 : push(copy, fd, &entry->st, err);
        }
        if (copy->options.exclusive) {
                if (map_has(copy->seen, entry->path))
                        return error_set(err, ERROR_INVALID, "cannot overwrite '%s' of one platform with that of another when platform-split is false",
                                         entry->path);
                map_set(copy->seen, entry->path, NULL);
        }
        r = copy_link(copy, dir_fd, entry, err);
        if (r)
                return r < 0 ? -1 : 0;
        if (S_ISREG(entry->st.st_mode))
                return copy_file(copy, dir_fd, entry, err);
        return S_ISLNK(entry->st.st_mode) ? copy_symlink(copy, dir_fd, entry, err) : copy_special(copy, dir_fd, entry, err);
}

/* Removes from a directory what is neither in the source (a directory, or -1) nor in the list. */
static int remove_others(int dir_fd, int source_fd, const StrList *names, const char *path, Error *err)
{
        int copied = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = copied >= 0 ? fdopendir(copied) : NULL;
        struct dirent *entry;
        struct stat st;

        if (!dir)
                return fail("read the directory", path, err);
        while (r == 0 && (entry = readdir(dir))) {
                if (streq(entry->d_name, ".") || streq(entry->d_name, "..") || strlist_has(names, entry->d_name))
                        continue;
                if (source_fd >= 0 && fstatat(source_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        continue;
                r = tree_remove(dir_fd, entry->d_name);
                if (r < 0)
                        r = error_errno(err, r, "cannot remove '%s/%s'", path, entry->d_name);
        }
        closedir(dir);
        return r;
}

static int on_leave(void *user, const WalkEntry *entry, Error *err)
{
        static const StrList none;
        LocalCopy *copy = user;
        Level *level = &copy->levels[copy->n_levels - 1];
        _cleanup_close_ int source = -1;
        struct timespec times[2];

        if (entry->depth == 0)
                return 0;
        if (copy->options.mirror) {
                source = openat(entry->dir_fd, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                if (source < 0 || remove_others(level->fd, source, &none, entry->path, err) < 0)
                        return error_is_set(err) ? -1 : fail("read", entry->path, err);
        }
        times[0] = times[1] = time_of(copy, &level->st);
        if (sys_fchmod(level->fd, level->st.st_mode & 07777) < 0 || sys_utimensat(level->fd, ".", times, 0) < 0)
                return fail("set the mode and time of", entry->path, err);
        return pop(copy, entry->path, err);
}

/* --- a whole tree --- */

/* The directory for a tree: the destination, or one in it. A new descriptor, or -1. */
static int open_top(LocalCopy *copy, const char *directory, Error *err)
{
        int fd = directory ? enter(copy->dest_fd, directory, directory, err) : fcntl(copy->dest_fd, F_DUPFD_CLOEXEC, 3);

        if (fd < 0 && !error_is_set(err))
                return fail("open the directory", copy->options.dest, err);
        if (fd >= 0 && directory && sys_fchmod(fd, 0755) < 0) {
                close(fd);
                return fail("set the mode of", directory, err);
        }
        return fd;
}

static int list_names(int fd, StrList *to, Error *err)
{
        int copied = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = copied >= 0 ? fdopendir(copied) : NULL;
        struct dirent *entry;

        if (!dir)
                return error_errno(err, errno, "cannot read the root of the result");
        while ((entry = readdir(dir)))
                strlist_add(to, entry->d_name);
        closedir(dir);
        return 0;
}

int local_copy_tree(LocalCopy *copy, int root_fd, const char *directory, Error *err)
{
        static const WalkOps ops = { .entry = on_entry, .leave = on_leave };
        int fd = open_top(copy, directory, err), r;
        struct stat st = { 0 };

        if (fd < 0)
                return -1;
        if (push(copy, fd, &st, err) < 0)
                return -1;
        map_free(copy->links);
        copy->links = map_new(free);
        r = tree_walk(root_fd, ".", &ops, copy, err);
        if (r == 0 && copy->options.mirror) {
                if (directory) {
                        _cleanup_strlist_ StrList none = { 0 };

                        strlist_add(&copy->names, directory);
                        r = remove_others(fd, root_fd, &none, directory, err);
                } else {
                        r = list_names(root_fd, &copy->names, err);
                }
        }
        if (r == 0 && directory && copy->options.epoch >= 0)
                r = set_time(copy, copy->dest_fd, directory, &st, directory, err);
        close_levels(copy, 0);
        return r;
}

int local_copy_text(LocalCopy *copy, const char *directory, const char *name, const char *text, Error *err)
{
        _cleanup_close_ int dir_fd = open_top(copy, directory, err), fd = -1;
        struct stat st = { 0 };
        char temporary[PLACE_NAME_SIZE];
        bool named;
        int r;

        if (dir_fd < 0)
                return -1;
        if (!directory && copy->options.mirror)
                strlist_add(&copy->names, name);
        clock_gettime(CLOCK_REALTIME, &st.st_mtim);
        fd = place_open(dir_fd, place_temporary(temporary), &named, name, err);
        if (fd < 0)
                return -1;
        r = fd_write_all(fd, text, strlen(text));
        if (r < 0 || finish_new(copy, fd, 0600, &st, name, err) < 0) {
                if (named)
                        (void)sys_unlinkat(dir_fd, temporary, 0);
                return r < 0 ? error_errno(err, r, "cannot write '%s'", name) : -1;
        }
        return place_file(fd, dir_fd, temporary, named, name, PLACE_OVER_TREES, name, err);
}

int local_copy_finish(LocalCopy *copy, Error *err)
{
        return copy->options.mirror ? remove_others(copy->dest_fd, -1, &copy->names, copy->options.dest, err) : 0;
}
