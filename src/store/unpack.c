/*
 * Driver `dir`: a layer as a directory tree, layers/<hex>/fs, with whiteouts in overlayfs's own form.
 *
 * fs/ is not covered by the layer's digest and is not synced when it is made; whether it can be relied on is said by a file beside it:
 *   fs.boot    holds the id of the boot in which fs/ was made; good for that boot only
 *   fs.synced  fs/ was synced afterwards; good for ever
 * In a user namespace both also hold the ids that were there, since files were given to them, and are good as long as the ids are the same.
 * An fs/ with neither is removed and made again.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "fs/owner.h"
#include "fs/path.h"
#include "fs/userns.h"
#include "store/internal.h"
#include "tar/tar.h"

/* A boot and the longest map of ids. */
#define MARK_SIZE_MAX 16384

typedef struct DirTime {
        char *path;
        struct timespec mtime;
} DirTime;

typedef struct Unpack {
        int root_fd;
        bool user_namespace; /* user.overlay.*, and no devices */
        int file_fd;         /* of the file whose content comes, or -1; the rest of it: */
        int file_dir_fd;
        char *file_name;
        TarEntry file;
        Map *opaque; /* paths whose whiteout was seen: a directory made there later is opaque */
        DirTime *times;
        size_t n_times, capacity_times;
} Unpack;

static int set_xattr_at(int dir_fd, const char *name, const char *key, const void *value, size_t size)
{
        char path[FD_PROC_PATH_SIZE];
        _cleanup_free_ char *full = xasprintf("%s/%s", fd_proc_path(dir_fd, path), name);

        if (sys_fault(SYS_CALL_setxattr) < 0 || lsetxattr(full, key, value, size, 0) < 0)
                return -errno;
        return 0;
}

/* What this process may not do (trusted.* and some security.* in a user namespace) or the file system cannot hold is left out, and said at debug. */
static int set_xattrs(const Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                const TarXattr *xattr = &entry->xattrs[i];
                int r = owner_is_note(xattr->name) ? 0 : set_xattr_at(dir_fd, name, xattr->name, xattr->value, xattr->size);

                if (r == -EOPNOTSUPP || (r == -EPERM && (unpack->user_namespace || entry->type == TAR_SYMLINK)))
                        log_debug("cannot set '%s' on '%s': %s", xattr->name, entry->path, strerror(-r));
                else if (r < 0)
                        return error_errno(err, r, "cannot set '%s' on '%s'", xattr->name, entry->path);
        }
        return 0;
}

static int set_owner(int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        int r = owner_set(dir_fd, name, entry->uid, entry->gid);

        return r < 0 ? error_errno(err, r, "cannot set the owner of '%s'", entry->path) : 0;
}

static struct timespec entry_mtime(const TarEntry *entry)
{
        return (struct timespec){ .tv_sec = entry->mtime_sec, .tv_nsec = entry->mtime_nsec };
}

static int set_mtime(int dir_fd, const char *name, struct timespec mtime)
{
        const struct timespec times[2] = { mtime, mtime };

        return sys_utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW);
}

static int make_opaque(const Unpack *unpack, int dir_fd, const char *name, const char *path, Error *err)
{
        int r = set_xattr_at(dir_fd, name, unpack->user_namespace ? "user.overlay.opaque" : "trusted.overlay.opaque", "y", 1);

        return r < 0 ? error_errno(err, r, "cannot mark '%s' as opaque", path) : 0;
}

/* ".wh.<name>" hides what the layers below have there, whether it comes before or after an entry of that name in this layer. */
static int unpack_whiteout(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        struct stat st;

        if (entry->whiteout == TAR_WHITEOUT_OPAQUE)
                return make_opaque(unpack, dir_fd, name, entry->path, err);
        map_set(unpack->opaque, entry->path, NULL);
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                return S_ISDIR(st.st_mode) ? make_opaque(unpack, dir_fd, name, entry->path, err) : 0;
        if (sys_mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)) < 0)
                return error_errno(err, errno, "cannot make a whiteout for '%s'", entry->path);
        return 0;
}

static int unpack_dir(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        struct stat st;
        bool root = entry->path[0] == '\0';

        if (!root && fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) && sys_unlinkat(dir_fd, name, 0) < 0)
                return error_errno(err, errno, "cannot replace '%s'", entry->path);
        if (!root && sys_mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
                return error_errno(err, errno, "cannot make the directory '%s'", entry->path);
        if (map_has(unpack->opaque, entry->path) && make_opaque(unpack, dir_fd, name, entry->path, err) < 0)
                return -1;
        GROW(unpack->times, unpack->capacity_times, unpack->n_times + 1);
        unpack->times[unpack->n_times++] = (DirTime){ .path = xstrdup(entry->path), .mtime = entry_mtime(entry) };
        return 0;
}

static int unpack_file(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        unpack->file_fd = sys_openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        if (unpack->file_fd < 0)
                return error_errno(err, errno, "cannot make the file '%s'", entry->path);
        return 0;
}

static int unpack_hardlink(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        _cleanup_free_ char *target = NULL;
        _cleanup_close_ int target_fd = inroot_open_parent(unpack->root_fd, entry->link, &target, err);

        if (target_fd < 0)
                return -1;
        if (sys_linkat(target_fd, target, dir_fd, name, 0) < 0)
                return error_errno(err, errno, "cannot link '%s' to '%s'", entry->path, entry->link);
        return 0;
}

static int unpack_node(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        mode_t type = entry->type == TAR_CHAR ? S_IFCHR : entry->type == TAR_BLOCK ? S_IFBLK : S_IFIFO;

        if (sys_mknodat(dir_fd, name, type | 0600, makedev(entry->dev_major, entry->dev_minor)) == 0)
                return 0;
        if (errno == EPERM && unpack->user_namespace && type != S_IFIFO)
                return 1; /* devices are not for everyone */
        return error_errno(err, errno, "cannot make the device '%s'", entry->path);
}

/* Makes the entry itself. 1: it was left out. */
static int unpack_kind(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        switch (entry->type) {
        case TAR_FILE:
                return unpack_file(unpack, dir_fd, name, entry, err);
        case TAR_DIR:
                return unpack_dir(unpack, dir_fd, name, entry, err);
        case TAR_SYMLINK:
                if (sys_symlinkat(entry->link, dir_fd, name) < 0)
                        return error_errno(err, errno, "cannot make the symbolic link '%s'", entry->path);
                return 0;
        case TAR_HARDLINK:
                return unpack_hardlink(unpack, dir_fd, name, entry, err) < 0 ? -1 : 1; /* attributes are those of the target */
        case TAR_CHAR:
        case TAR_BLOCK:
        case TAR_FIFO:
                return unpack_node(unpack, dir_fd, name, entry, err);
        }
        return error_set(err, ERROR_INTERNAL, "unknown type of '%s'", entry->path);
}

/* Owner, mode, attributes and time, in this order: a change of owner clears set-id bits and capabilities, and so does writing. */
static int set_metadata(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry, Error *err)
{
        if (set_owner(dir_fd, name, entry, err) < 0)
                return -1;
        if (entry->type != TAR_SYMLINK && sys_fchmodat(dir_fd, name, entry->mode) < 0)
                return error_errno(err, errno, "cannot set the mode of '%s'", entry->path);
        if (set_xattrs(unpack, dir_fd, name, entry, err) < 0)
                return -1;
        if (entry->type != TAR_DIR && set_mtime(dir_fd, name, entry_mtime(entry)) < 0)
                return error_errno(err, errno, "cannot set the time of '%s'", entry->path);
        return 0;
}

/* Keeps what has to be done to a file after its content, since the entry belongs to the reader. */
static void keep_file(Unpack *unpack, int dir_fd, const char *name, const TarEntry *entry)
{
        unpack->file_dir_fd = dir_fd;
        unpack->file_name = xstrdup(name);
        unpack->file = *entry;
        unpack->file.path = xstrdup(entry->path);
        unpack->file.xattrs = NEW_ARRAY(TarXattr, entry->n_xattrs + 1);
        for (size_t i = 0; i < entry->n_xattrs; i++) {
                unpack->file.xattrs[i] = (TarXattr){ .name = xstrdup(entry->xattrs[i].name), .size = entry->xattrs[i].size };
                unpack->file.xattrs[i].value = xmemdup(entry->xattrs[i].value, entry->xattrs[i].size);
        }
}

static void forget_file(Unpack *unpack)
{
        if (unpack->file_fd < 0)
                return;
        close(unpack->file_fd);
        close(unpack->file_dir_fd);
        for (size_t i = 0; i < unpack->file.n_xattrs; i++) {
                free(unpack->file.xattrs[i].name);
                free(unpack->file.xattrs[i].value);
        }
        free(unpack->file.xattrs);
        free(unpack->file.path);
        free(unpack->file_name);
        unpack->file_fd = -1;
}

static int end_file(Unpack *unpack, Error *err)
{
        int r = unpack->file_fd < 0 ? 0 : set_metadata(unpack, unpack->file_dir_fd, unpack->file_name, &unpack->file, err);

        forget_file(unpack);
        return r;
}

static int on_entry(void *user, const TarEntry *entry, Error *err)
{
        static const struct timespec epoch;
        const MakeDirsOptions parents = { .mode = 0755, .uid = -1, .gid = -1, .mtime = &epoch };
        Unpack *unpack = user;
        const char *slash = strrchr(entry->path, '/'), *name = entry->path[0] == '\0' ? "." : slash ? slash + 1 : entry->path;
        _cleanup_free_ char *parent = slash ? xstrndup(entry->path, (size_t)(slash - entry->path)) : xstrdup("");
        _cleanup_close_ int dir_fd = -1;
        int r;

        if (end_file(unpack, err) < 0)
                return -1;
        dir_fd = inroot_make_dirs(unpack->root_fd, parent, &parents, err);
        if (dir_fd < 0)
                return -1;
        if (entry->whiteout != TAR_WHITEOUT_NONE)
                return unpack_whiteout(unpack, dir_fd, name, entry, err);
        if (entry->type != TAR_DIR && entry->path[0]) {
                r = tree_remove(dir_fd, name);
                if (r < 0)
                        return error_errno(err, r, "cannot replace '%s'", entry->path);
        }
        r = unpack_kind(unpack, dir_fd, name, entry, err);
        if (r != 0)
                return r < 0 ? -1 : 0;
        if (entry->type != TAR_FILE)
                return set_metadata(unpack, dir_fd, name, entry, err);
        keep_file(unpack, TAKE_FD(dir_fd), name, entry);
        return 0;
}

static int on_data(void *user, const void *data, size_t size, Error *err)
{
        Unpack *unpack = user;
        int r = fd_write_all(unpack->file_fd, data, size);

        return r < 0 ? error_errno(err, r, "cannot write a file of a layer") : 0;
}

static int set_dir_times(Unpack *unpack, Error *err)
{
        for (size_t i = unpack->n_times; i > 0; i--) {
                const DirTime *time = &unpack->times[i - 1];
                _cleanup_close_ int fd = inroot_try_open(unpack->root_fd, time->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

                if (fd >= 0 && set_mtime(fd, ".", time->mtime) < 0)
                        return error_errno(err, errno, "cannot set the time of '%s'", time->path);
        }
        return 0;
}

static int unpack_tar(Unpack *unpack, int tar_fd, Error *err)
{
        static const TarReaderOps ops = { .entry = on_entry, .data = on_data };
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, unpack);
        _cleanup_free_ char *buffer = xmalloc(256 * KIB);
        ssize_t n;

        while ((n = fd_read_full(tar_fd, buffer, 256 * KIB)) > 0)
                if (tar_reader_feed(reader, buffer, (size_t)n, err) < 0)
                        return -1;
        if (n < 0)
                return error_errno(err, (int)n, "cannot read a layer");
        if (tar_reader_finish(reader, err) < 0)
                return -1;
        if (end_file(unpack, err) < 0)
                return -1;
        return set_dir_times(unpack, err);
}

int layer_unpack(Lease *lease, const Digest *diff_id, const char *temporary, Error *err)
{
        _cleanup_close_ int tar_fd = layer_open_tar(lease->store, diff_id, NULL, err);
        Unpack unpack = { .file_fd = -1, .user_namespace = userns_inside() };
        int r;

        if (tar_fd < 0)
                return -1;
        if (sys_mkdirat(lease->dir_fd, temporary, 0755) < 0)
                return error_errno(err, errno, "cannot make '%s/%s'", lease->path, temporary);
        unpack.root_fd = open_tree_dir(lease->dir_fd, temporary);
        if (unpack.root_fd < 0 || sys_fchmod(unpack.root_fd, 0755) < 0) /* whatever the umask is: a layer need not say what its root is like */
                return error_errno(err, errno, "cannot open '%s/%s'", lease->path, temporary);
        unpack.opaque = map_new(NULL);
        r = unpack_tar(&unpack, tar_fd, err);
        close(unpack.root_fd);
        forget_file(&unpack);
        for (size_t i = 0; i < unpack.n_times; i++)
                free(unpack.times[i].path);
        free(unpack.times);
        map_free(unpack.opaque);
        return r;
}

/* What fs.boot holds: the boot, a newline, the ids. New string. */
static char *mark_text(void)
{
        _cleanup_buf_ Buf boot = BUF_INIT(64);
        _cleanup_free_ char *ids = userns_ids();

        if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot) < 0)
                buf_reset(&boot);
        return xasprintf("%s%s", buf_str(&boot), ids);
}

static const char *ids_in(const char *mark)
{
        const char *end = strchr(mark, '\n');

        return end ? end + 1 : "";
}

bool layer_trusts_fs(Store *store, const Digest *diff_id)
{
        char name[STORE_NAME_SIZE];
        _cleanup_buf_ Buf then = BUF_INIT(MARK_SIZE_MAX), synced = BUF_INIT(MARK_SIZE_MAX);
        _cleanup_free_ char *now = mark_text();

        if (faccessat(store->root_fd, layer_name(diff_id, "fs", name), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return false;
        if (file_read(store->root_fd, layer_name(diff_id, "fs.synced", name), &synced) == 0)
                return streq(ids_in(buf_str(&synced)), ids_in(now));
        return file_read(store->root_fd, layer_name(diff_id, "fs.boot", name), &then) == 0 && then.size > 0 && streq(then.data, now);
}

int layer_put_fs(Lease *lease, const Digest *diff_id, const char *temporary, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE], hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *mark = mark_text();
        _cleanup_close_ int fd = -1;

        if (sys_renameat(lease->dir_fd, temporary, store->root_fd, layer_name(diff_id, "fs", name)) < 0)
                return error_errno(err, errno, "cannot put '%s/%s' in place", store->root, name);
        fd = sys_openat(store->root_fd, layer_name(diff_id, "fs.boot", name), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || fd_write_all(fd, mark, strlen(mark)) < 0)
                return error_errno(err, errno, "cannot write '%s/%s'", store->root, name);
        pthread_mutex_lock(&lease->mutex);
        strlist_add(&lease->unpacked, digest_hex(diff_id, hex));
        lease->dirty = true;
        pthread_mutex_unlock(&lease->mutex);
        return 0;
}

int layer_need_fs(Lease *lease, const Digest *diff_id, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE], text[DIGEST_TEXT_SIZE], temporary[32];
        _cleanup_close_ int lock = -1;
        int r;

        if (layer_trusts_fs(store, diff_id))
                return 0;
        lock = store_lock_file(store, "unpack.lock", LOCK_EX, err);
        if (lock < 0)
                return -1;
        if (layer_trusts_fs(store, diff_id))
                return 0;
        /* Made for other ids, it may be marked as good */
        if (sys_unlinkat(store->root_fd, layer_name(diff_id, "fs.synced", name), 0) < 0 && errno != ENOENT)
                return error_errno(err, errno, "cannot remove '%s/%s'", store->root, name);
        r = tree_remove(store->root_fd, layer_name(diff_id, "fs", name));
        if (r < 0)
                return error_errno(err, r, "cannot remove '%s/%s'", store->root, name);
        if (layer_unpack(lease, diff_id, lease_new_name(lease, "fs", temporary), err) < 0 || layer_put_fs(lease, diff_id, temporary, err) < 0)
                return error_wrap(err, "cannot unpack the layer '%s'", digest_format(diff_id, text));
        return 0;
}
