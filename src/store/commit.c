/*
 * lease_sync(): from pending to permanent. One syncfs makes all data of the lease durable, then one transaction writes all of its rows.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

static int insert_layers(Lease *lease, Db *db, Timestamp now, Error *err)
{
        for (size_t i = 0; i < lease->n_layers; i++) {
                const LayerInfo *info = &lease->layers[i].info;

                if (db_exec(db,
                            "INSERT OR REPLACE INTO layer (diff_id, tar_size, content_size, n_entries, n_whiteouts, disk_size, created) VALUES (?1, ?2, ?3, "
                            "?4, ?5, ?6, ?7)",
                            DB_ARGS(DB_DIGEST(&info->diff_id), DB_INT(info->tar_size), DB_INT(info->content_size), DB_INT(info->n_entries),
                                    DB_INT(info->n_whiteouts), DB_INT(info->disk_size), DB_INT(now)),
                            err) < 0)
                        return -1;
        }
        return 0;
}

static int insert_blobs(Lease *lease, Db *db, Timestamp now, Error *err)
{
        for (size_t i = 0; i < lease->n_blobs; i++) {
                const PendingBlob *blob = &lease->blobs[i];

                if (db_exec(db,
                            "INSERT INTO blob (digest, size, diff_id, created) VALUES (?1, ?2, ?3, ?4)"
                            " ON CONFLICT (digest) DO UPDATE SET size = excluded.size, diff_id = coalesce(excluded.diff_id, diff_id)",
                            DB_ARGS(DB_DIGEST(&blob->digest), DB_INT(blob->size), DB_DIGEST(&blob->diff_id), DB_INT(now)), err) < 0)
                        return -1;
        }
        return 0;
}

/* The keys one behind the other, each as db_arg_digest() writes it. */
static void write_parents(const CacheRecord *record, Buf *out)
{
        for (size_t i = 0; i < record->n_parents; i++) {
                DbArg arg = db_arg_digest(&record->parents[i]);

                buf_put(out, arg.data, arg.size);
        }
}

/* The size of a mount is not known until somebody walks through it (cache_mount.c). */
static int insert_records(Lease *lease, Db *db, Timestamp now, Error *err)
{
        for (size_t i = 0; i < lease->n_records; i++) {
                const CacheRecord *record = &lease->records[i];
                bool is_mount = record->kind && streq(record->kind, CACHE_KIND_MOUNT);
                _cleanup_buf_ Buf parents = BUF_INIT(MIB);

                write_parents(record, &parents);
                if (db_exec(db,
                            "INSERT INTO cache (key, diff_id, source_key, description, kind, size, created, last_used, n_used, parents) VALUES (?1, ?2, ?3, "
                            "?4, "
                            "?5, ?6, ?7, ?8, ?9, ?10)"
                            " ON CONFLICT (key) DO UPDATE SET diff_id = excluded.diff_id, source_key = excluded.source_key, size = excluded.size,"
                            " last_used = excluded.last_used, n_used = n_used + excluded.n_used, parents = excluded.parents",
                            DB_ARGS(DB_DIGEST(&record->key), DB_DIGEST(&record->diff_id), DB_DIGEST(&record->source_key),
                                    DB_TEXT(record->description ? record->description : ""), DB_TEXT(record->kind ? record->kind : "regular"),
                                    DB_INT(is_mount ? -1 : (int64_t)record->size), DB_INT(record->created ? record->created : now), DB_INT(now),
                                    DB_INT(is_mount), parents.size ? DB_BLOB(parents.data, parents.size) : DB_NULL),
                            err) < 0)
                        return -1;
        }
        for (size_t i = 0; i < lease->n_touched; i++)
                if (db_exec(db, "UPDATE cache SET last_used = ?2, n_used = n_used + 1 WHERE key = ?1", DB_ARGS(DB_DIGEST(&lease->touched[i]), DB_INT(now)),
                            err) < 0)
                        return -1;
        return 0;
}

/* fs/ trees that were unpacked under this lease are on disk now, so that they can be trusted after the next boot too. Losing this costs unpacking again. */
static void mark_unpacked(Lease *lease)
{
        for (size_t i = 0; i < lease->unpacked.n_items; i++) {
                char from[STORE_NAME_SIZE], to[STORE_NAME_SIZE];

                snprintf(from, sizeof(from), "layers/%s/fs.boot", lease->unpacked.items[i]);
                snprintf(to, sizeof(to), "layers/%s/fs.synced", lease->unpacked.items[i]);
                (void)sys_renameat(lease->store->root_fd, from, lease->store->root_fd, to);
        }
        strlist_done(&lease->unpacked);
}

static void forget_pending(Lease *lease)
{
        for (size_t i = 0; i < lease->n_records; i++)
                cache_record_done(&lease->records[i]);
        lease->n_layers = lease->n_blobs = lease->n_records = lease->n_touched = 0;
        lease->unfinished = false;
        lease->touch_now = false;
}

static int commit_locked(Lease *lease, int (*also)(void *user, Db *db, Error *err), void *user, Error *err)
{
        Store *store = lease->store;
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        Timestamp now = clock_now();
        bool rows = lease->n_layers || lease->n_blobs || lease->n_records || also;

        if (!rows && !lease->touch_now && lease->unpacked.n_items == 0)
                return 0;
        if (lease->dirty) {
                if (sys_syncfs(store->root_fd) < 0)
                        return error_errno(err, errno, "cannot sync the store '%s'", store->root);
                lease->dirty = false;
                mark_unpacked(lease);
        }
        if (db_begin(store->db, rows ? DB_DURABLE : DB_CHEAP, &tx, err) < 0)
                return -1;
        if (insert_layers(lease, store->db, now, err) < 0 || insert_blobs(lease, store->db, now, err) < 0 || insert_records(lease, store->db, now, err) < 0)
                return -1;
        if (also && also(user, store->db, err) < 0)
                return -1;
        if (db_commit(&tx, err) < 0) {
                /* Whether it was the write or only the sync that failed: the rows may be there after the next start (store_db_settle()). */
                lease->interrupted = true;
                return -1;
        }
        forget_pending(lease);
        return 0;
}

int lease_commit(Lease *lease, int (*also)(void *user, Db *db, Error *err), void *user, Error *err)
{
        int r;

        pthread_mutex_lock(&lease->mutex);
        r = commit_locked(lease, also, user, err);
        pthread_mutex_unlock(&lease->mutex);
        return r;
}

int lease_sync(Lease *lease, Error *err)
{
        return lease_commit(lease, NULL, NULL, err);
}
