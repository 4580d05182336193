#include "store/cache_mount.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "fs/owner.h"
#include "fs/walk.h"
#include "store/internal.h"
#include "store/reach.h"

/* What identifies a mount in listings and rows. */
static Digest mount_key(const char *id)
{
        return digest_of(id, strlen(id));
}

char *cache_mount_private_id(const char *id, unsigned n)
{
        return xasprintf("%s\nprivate %u", id, n);
}

void cache_mount_done(CacheMount *mount)
{
        free(mount->id);
        free(mount->description);
        *mount = (CacheMount){ 0 };
}

/* "cache/mounts/<hash>" */
static char *mount_name(const Digest *key, char *buffer)
{
        char hash[DIGEST_TEXT_SIZE];

        snprintf(buffer, STORE_NAME_SIZE, "cache/mounts/%s", digest_hex(key, hash));
        return buffer;
}

/* --- opening --- */

/* Made complete under another name first, so that nobody sees it with the wrong owner. */
static int make_mount(Store *store, const char *name, const char *id, uint32_t mode, uint32_t uid, uint32_t gid, Error *err)
{
        char temporary[STORE_NAME_SIZE + 8];
        int r;

        snprintf(temporary, sizeof(temporary), "%s.new", name);
        r = tree_remove(store->root_fd, temporary);
        if (r < 0)
                return error_errno(err, r, "cannot remove '%s/%s'", store->root, temporary);
        if (sys_mkdirat(store->root_fd, temporary, 0700) < 0)
                return error_errno(err, errno, "cannot make the cache directory '%s/%s'", store->root, name);
        r = owner_set(store->root_fd, temporary, uid, gid);
        if (r < 0)
                return error_errno(err, r, "cannot give the cache directory '%s/%s' to %u:%u", store->root, name, uid, gid);
        if (sys_fchmodat(store->root_fd, temporary, mode & 07777) < 0 || sys_renameat(store->root_fd, temporary, store->root_fd, name) < 0)
                return error_errno(err, errno, "cannot make the cache directory '%s/%s'", store->root, name);
        snprintf(temporary, sizeof(temporary), "%s.id", name);
        r = file_write_atomic(store->root_fd, temporary, id, strlen(id), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/%s'", store->root, temporary) : 0;
}

/* True while `name` still is the directory that is open. */
static bool is_still(Store *store, const char *name, int fd)
{
        struct stat open_one, named;

        return fstat(fd, &open_one) == 0 && fstatat(store->root_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && open_one.st_ino == named.st_ino &&
               open_one.st_dev == named.st_dev;
}

/* Opens and locks what is there. -1 with NOT_FOUND when there is nothing; 0 in *ret_again when it was taken away meanwhile. */
static int open_existing(Store *store, const char *name, int operation, bool *ret_again, Error *err)
{
        _cleanup_close_ int fd = open_tree_dir(store->root_fd, name);

        *ret_again = false;
        if (fd < 0)
                return error_errno(err, errno, "cannot open the cache directory '%s/%s'", store->root, name);
        while (flock(fd, operation) < 0) {
                if (errno == EWOULDBLOCK)
                        return error_set(err, ERROR_CONFLICT, "the cache directory '%s/%s' is in use", store->root, name);
                if (errno != EINTR)
                        return error_errno(err, errno, "cannot lock the cache directory '%s/%s'", store->root, name);
        }
        if (!is_still(store, name, fd)) {
                *ret_again = true;
                return -1;
        }
        return TAKE_FD(fd);
}

typedef struct MakeMount {
        const char *id;
        uint32_t mode, uid, gid;
} MakeMount;

static int open_mount(Store *store, const Digest *key, const MakeMount *make, int operation, char **ret_path, Error *err)
{
        char name[STORE_NAME_SIZE];

        mount_name(key, name);
        for (;;) {
                bool again;
                int fd = open_existing(store, name, operation, &again, err);

                if (fd >= 0) {
                        if (ret_path)
                                *ret_path = xasprintf("%s/%s", store->root, name);
                        return fd;
                }
                if (again)
                        continue;
                if (err->code != ERROR_NOT_FOUND || !make)
                        return -1;
                error_done(err);
                {
                        _cleanup_close_ int lock = store_lock_file(store, "publish.lock", LOCK_EX, err);

                        if (lock < 0)
                                return -1;
                        if (faccessat(store->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
                            make_mount(store, name, make->id, make->mode, make->uid, make->gid, err) < 0)
                                return -1;
                }
        }
}

static int open_or_make(Store *store, const char *id, int operation, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err)
{
        MakeMount make = { .id = id, .mode = mode, .uid = uid, .gid = gid };
        Digest key = mount_key(id);

        if (strlen(id) > CACHE_MOUNT_ID_MAX)
                return error_set(err, ERROR_LIMIT, "the id of a cache mount is longer than %d bytes", CACHE_MOUNT_ID_MAX);
        return open_mount(store, &key, &make, operation, ret_path, err);
}

int cache_mount_try_open(Store *store, const char *id, bool exclusive, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err)
{
        return open_or_make(store, id, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB, mode, uid, gid, ret_path, err);
}

int cache_mount_try_open_existing(Store *store, const char *id, bool exclusive, char **ret_path, Error *err)
{
        Digest key = mount_key(id);

        return open_mount(store, &key, NULL, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB, ret_path, err);
}

int cache_mount_note(Lease *lease, const char *id, const char *description, Error *err)
{
        CacheRecord record = { .key = mount_key(id), .kind = (char *)CACHE_KIND_MOUNT, .description = (char *)description };

        record.created = record.last_used = clock_now();
        return cache_put(lease, &record, err);
}

/* --- listing --- */

static int add_size(void *user, const WalkEntry *entry, Error *err)
{
        uint64_t *size = user;

        *size += (uint64_t)entry->st.st_blocks * 512 / (S_ISDIR(entry->st.st_mode) || entry->st.st_nlink == 0 ? 1 : entry->st.st_nlink);
        return 0;
}

/* A mount that was not used since it was measured keeps its size: `size` of its row is negative from a use to the next measure. */
static int read_row(Store *store, CacheMount *mount, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT size, created, last_used, n_used, description FROM cache WHERE key = ?1 AND kind = '" CACHE_KIND_MOUNT "'",
                     DB_ARGS(DB_DIGEST(&mount->key)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r;
        mount->measured = db_column_int(stmt, 0) >= 0;
        mount->size = mount->measured ? (uint64_t)db_column_int(stmt, 0) : 0;
        mount->created = db_column_int(stmt, 1);
        mount->last_used = db_column_int(stmt, 2);
        mount->n_used = (uint64_t)db_column_int(stmt, 3);
        mount->description = xstrdup_or_null(db_column_text(stmt, 4));
        return 0;
}

static char *read_id(Store *store, const char *name)
{
        _cleanup_free_ char *path = xasprintf("%s.id", name);
        _cleanup_buf_ Buf text = BUF_INIT(CACHE_MOUNT_ID_MAX);

        return file_read(store->root_fd, path, &text) < 0 ? xstrdup("") : buf_detach(&text);
}

/* Costs a lock that nobody can have been waiting for: it is given back at once. */
static bool is_locked(int fd)
{
        bool locked = flock(fd, LOCK_EX | LOCK_NB) < 0;

        if (!locked)
                (void)flock(fd, LOCK_UN);
        return locked;
}

static int look_at(Store *store, const char *name, CacheMount *mount, bool measure, Error *err)
{
        static const WalkOps ops = { .entry = add_size, .one_file_system = true };
        _cleanup_close_ int fd = open_tree_dir(store->root_fd, name);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot open '%s/%s'", store->root, name);
        mount->id = read_id(store, name);
        if (read_row(store, mount, err) < 0)
                return -1;
        if (!mount->last_used)
                mount->created = mount->last_used = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec;
        if (!mount->description) {
                _cleanup_free_ char *shown = str_printable(mount->id, strlen(mount->id));

                mount->description = xasprintf("cached mount with id \"%s\"", shown);
        }
        mount->in_use = is_locked(fd);
        if (measure || !mount->measured) {
                mount->size = 0;
                mount->measured = !mount->in_use;
                if (tree_walk(fd, ".", &ops, &mount->size, err) < 0)
                        return -1;
                if (mount->measured && db_exec(store->db, "UPDATE cache SET size = ?2 WHERE key = ?1 AND kind = '" CACHE_KIND_MOUNT "' AND size != ?2",
                                               DB_ARGS(DB_DIGEST(&mount->key), DB_INT(mount->size)), err) < 0)
                        return -1;
        }
        return 1;
}

int cache_mount_list(Store *store, bool measure, int (*each)(void *user, const CacheMount *mount, Error *err), void *user, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (names_in(store, "cache/mounts", &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.n_items; i++) {
                _cleanup_(cache_mount_done) CacheMount mount = { 0 };
                char name[STORE_NAME_SIZE];
                int r;

                if (digest_parse_hex(DIGEST_SHA256, names.items[i], &mount.key, err) < 0)
                        return -1;
                r = look_at(store, mount_name(&mount.key, name), &mount, measure, err);
                if (r < 0 || (r > 0 && each(user, &mount, err) < 0))
                        return -1;
        }
        return 0;
}

/* --- taking away and putting in place --- */

int cache_mount_remove(Lease *lease, const Digest *key, Error *err)
{
        Store *store = lease->store;
        char name[STORE_NAME_SIZE], id[STORE_NAME_SIZE + 8];
        bool again;
        _cleanup_close_ int fd = open_existing(store, mount_name(key, name), LOCK_EX | LOCK_NB, &again, err);

        if (fd < 0) {
                if (!again && err->code != ERROR_NOT_FOUND && err->code != ERROR_CONFLICT)
                        return -1;
                error_done(err);
                return 0;
        }
        if (db_exec(store->db, "DELETE FROM cache WHERE key = ?1", DB_ARGS(DB_DIGEST(key)), err) < 0 || trash(lease, name, NULL, err) < 0)
                return -1;
        snprintf(id, sizeof(id), "%s.id", name);
        if (sys_unlinkat(store->root_fd, id, 0) < 0 && errno != ENOENT)
                return error_errno(err, errno, "cannot remove '%s/%s'", store->root, id);
        return 1;
}

bool cache_mount_has_content(Store *store, const char *id)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_close_ int fd = cache_mount_try_open_existing(store, id, true, NULL, &ignored);

        return fd < 0 ? ignored.code != ERROR_NOT_FOUND : !dir_is_empty(fd, ".");
}

int cache_mount_replace(Lease *lease, const char *id, const char *path, Error *err)
{
        Store *store = lease->store;
        _cleanup_close_ int fd = cache_mount_try_open(store, id, true, 0700, 0, 0, NULL, err);
        const char *below = str_after(path, lease->path);
        char name[STORE_NAME_SIZE];
        Digest key = mount_key(id);

        if (!below || *below != '/')
                return error_set(err, ERROR_INTERNAL, "'%s' is not below '%s'", path, lease->path);
        if (fd < 0) {
                if (err->code != ERROR_CONFLICT)
                        return -1;
                error_done(err);
                return 0;
        }
        if (!dir_is_empty(fd, "."))
                return 0;
        /*
         * rename(2) takes the place of an empty directory, and of no other. Both names are below descriptors of the same mount: in a mount namespace of our own
         * the path leads to a copy of it, and nothing can be renamed between the two.
         */
        if (sys_renameat(lease->dir_fd, below + 1, store->root_fd, mount_name(&key, name)) < 0)
                return errno == ENOTEMPTY || errno == EEXIST ? 0 : error_errno(err, errno, "cannot make the cache directory '%s/%s'", store->root, name);
        return 1;
}
