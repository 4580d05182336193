/*
 * Records of the build cache, and the directories of RUN --mount=type=cache.
 */
#include "store/cache.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

/*
 * When a record was last used is written together with something else that is committed, or when the time on record is this far back. So a build that
 * changes nothing writes nothing, and the times are right to the hour.
 */
#define TOUCH_AFTER (3600 * NSEC_PER_SEC)

void cache_record_done(CacheRecord *record)
{
        free(record->description);
        free(record->kind);
        *record = (CacheRecord){ 0 };
}

static void copy_record(CacheRecord *to, const CacheRecord *from)
{
        *to = *from;
        to->description = xstrdup_or_null(from->description);
        to->kind = xstrdup_or_null(from->kind);
}

/* Records of this build that are not committed yet. */
static bool get_pending(Lease *lease, const Digest *key, Digest *ret_diff_id, Timestamp *ret_created)
{
        bool found = false;

        pthread_mutex_lock(&lease->mutex);
        for (size_t i = lease->n_records; i > 0 && !found; i--) {
                found = digest_equal(&lease->records[i - 1].key, key);
                if (found && ret_diff_id)
                        *ret_diff_id = lease->records[i - 1].diff_id;
                if (found && ret_created)
                        *ret_created = lease->records[i - 1].created;
        }
        pthread_mutex_unlock(&lease->mutex);
        return found;
}

static void touch(Lease *lease, const Digest *key, Timestamp last_used)
{
        pthread_mutex_lock(&lease->mutex);
        GROW(lease->touched, lease->capacity_touched, lease->n_touched + 1);
        lease->touched[lease->n_touched++] = *key;
        if (clock_now() - last_used > TOUCH_AFTER)
                lease->touch_now = true;
        pthread_mutex_unlock(&lease->mutex);
}

/* 1, 0 or -1. */
static int get_row(Store *store, const Digest *key, Digest *ret_diff_id, Timestamp *ret_last_used, Timestamp *ret_created, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT diff_id, last_used, created FROM cache WHERE key = ?1", DB_ARGS(DB_DIGEST(key)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r > 0) {
                *ret_diff_id = db_column_digest(stmt, 0);
                *ret_last_used = db_column_int(stmt, 1);
                *ret_created = db_column_int(stmt, 2);
        }
        return r;
}

int cache_get(Lease *lease, const Digest *key, Digest *ret_diff_id, Error *err)
{
        return cache_get_dated(lease, key, ret_diff_id, NULL, err);
}

int cache_get_dated(Lease *lease, const Digest *key, Digest *ret_diff_id, Timestamp *ret_created, Error *err)
{
        Digest diff_id;
        Timestamp last_used, created;
        int r;

        if (get_pending(lease, key, ret_diff_id, ret_created))
                return 1;
        r = get_row(lease->store, key, &diff_id, &last_used, &created, err);
        if (r <= 0)
                return r;
        if (digest_is_set(&diff_id) && lease_hold_layer(lease, &diff_id, err) < 0) {
                if (err->code != ERROR_NOT_FOUND)
                        return -1;
                error_done(err);
                return 0;
        }
        touch(lease, key, last_used);
        if (ret_diff_id)
                *ret_diff_id = diff_id;
        if (ret_created)
                *ret_created = created;
        return 1;
}

int cache_put(Lease *lease, const CacheRecord *record, Error *err)
{
        pthread_mutex_lock(&lease->mutex);
        GROW(lease->records, lease->capacity_records, lease->n_records + 1);
        copy_record(&lease->records[lease->n_records++], record);
        pthread_mutex_unlock(&lease->mutex);
        return 0;
}

int cache_list(Store *store, int (*each)(void *user, const CacheRecord *record, Error *err), void *user, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db,
                     "SELECT c.key, c.diff_id, c.source_key, c.description, c.kind, coalesce(l.disk_size, c.size), c.created, c.last_used, c.n_used"
                     " FROM cache c LEFT JOIN layer l ON l.diff_id = c.diff_id ORDER BY c.last_used DESC, c.key",
                     DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                _cleanup_(cache_record_done) CacheRecord record = {
                        .key = db_column_digest(stmt, 0),
                        .diff_id = db_column_digest(stmt, 1),
                        .source_key = db_column_digest(stmt, 2),
                        .description = xstrdup_or_null(db_column_text(stmt, 3)),
                        .kind = xstrdup_or_null(db_column_text(stmt, 4)),
                        .size = (uint64_t)db_column_int(stmt, 5),
                        .created = db_column_int(stmt, 6),
                        .last_used = db_column_int(stmt, 7),
                        .n_used = (uint64_t)db_column_int(stmt, 8),
                };

                if (each(user, &record, err) < 0)
                        return -1;
        }
        return r;
}

int cache_remove(Store *store, const Digest *key, Error *err)
{
        char text[DIGEST_TEXT_SIZE];

        if (db_exec(store->db, "DELETE FROM cache WHERE key = ?1", DB_ARGS(DB_DIGEST(key)), err) < 0)
                return -1;
        if (db_changes(store->db) == 0)
                return error_set(err, ERROR_NOT_FOUND, "no such cache record: %s", digest_format(key, text));
        return 0;
}

/* --- RUN --mount=type=cache --- */

/*
 * cache/mounts/<hash of id>, made complete under another name first, so that nobody sees it with the wrong owner. Beside it <hash>.id holds the id, for people
 * and for cache listings.
 */
static int make_mount(Store *store, const char *hash, const char *id, uint32_t mode, uint32_t uid, uint32_t gid, Error *err)
{
        char name[STORE_NAME_SIZE], temporary[STORE_NAME_SIZE];
        int r;

        snprintf(name, sizeof(name), "cache/mounts/%s", hash);
        snprintf(temporary, sizeof(temporary), "cache/mounts/%s.new", hash);
        r = tree_remove(store->root_fd, temporary);
        if (r < 0)
                return error_errno(err, r, "cannot remove '%s/%s'", store->root, temporary);
        if (sys_mkdirat(store->root_fd, temporary, 0700) < 0 || sys_fchownat(store->root_fd, temporary, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            sys_fchmodat(store->root_fd, temporary, mode & 07777) < 0 || sys_renameat(store->root_fd, temporary, store->root_fd, name) < 0)
                return error_errno(err, errno, "cannot make the cache directory '%s/%s'", store->root, name);
        snprintf(name, sizeof(name), "cache/mounts/%s.id", hash);
        r = file_write_atomic(store->root_fd, name, id, strlen(id), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/%s'", store->root, name) : 0;
}

static int open_cache_mount(Store *store, const char *id, int operation, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err)
{
        Digest digest = digest_of(id, strlen(id));
        char hash[DIGEST_TEXT_SIZE], name[STORE_NAME_SIZE];
        _cleanup_close_ int fd = -1;

        snprintf(name, sizeof(name), "cache/mounts/%s", digest_hex(&digest, hash));
        fd = open_tree_dir(store->root_fd, name);
        if (fd < 0 && errno == ENOENT) {
                _cleanup_close_ int lock = store_lock_file(store, "publish.lock", LOCK_EX, err);

                if (lock < 0)
                        return -1;
                if (faccessat(store->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && make_mount(store, hash, id, mode, uid, gid, err) < 0)
                        return -1;
                fd = open_tree_dir(store->root_fd, name);
        }
        if (fd < 0)
                return error_errno(err, errno, "cannot open the cache directory '%s/%s'", store->root, name);
        while (flock(fd, operation) < 0) {
                if (errno == EWOULDBLOCK)
                        return error_set(err, ERROR_CONFLICT, "the cache directory '%s/%s' is in use", store->root, name);
                if (errno != EINTR)
                        return error_errno(err, errno, "cannot lock the cache directory '%s/%s'", store->root, name);
        }
        if (ret_path)
                *ret_path = xasprintf("%s/%s", store->root, name);
        return TAKE_FD(fd);
}

int cache_mount_open(Store *store, const char *id, bool exclusive, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err)
{
        return open_cache_mount(store, id, exclusive ? LOCK_EX : LOCK_SH, mode, uid, gid, ret_path, err);
}

int cache_mount_try_open(Store *store, const char *id, bool exclusive, uint32_t mode, uint32_t uid, uint32_t gid, char **ret_path, Error *err)
{
        return open_cache_mount(store, id, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB, mode, uid, gid, ret_path, err);
}
