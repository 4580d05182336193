/*
 * Records of the build cache, as a build looks them up and makes them. cache_items.c lists them, cache_prune.c removes them.
 */
#include "store/cache.h"

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
        free(record->parents);
        *record = (CacheRecord){ 0 };
}

static void copy_record(CacheRecord *to, const CacheRecord *from)
{
        *to = *from;
        to->description = xstrdup_or_null(from->description);
        to->kind = xstrdup_or_null(from->kind);
        to->parents = from->n_parents ? xmemdup(from->parents, from->n_parents * sizeof(*from->parents)) : NULL;
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

void cache_forget_pending(Lease *lease)
{
        pthread_mutex_lock(&lease->mutex);
        for (size_t i = 0; i < lease->n_records; i++)
                cache_record_done(&lease->records[i]);
        lease->n_records = 0;
        pthread_mutex_unlock(&lease->mutex);
}

int cache_get_source(Store *store, const Digest *key, Digest *ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        *ret = (Digest){ 0 };
        if (db_query(store->db, "SELECT source_key FROM cache WHERE key = ?1", DB_ARGS(DB_DIGEST(key)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r > 0)
                *ret = db_column_digest(stmt, 0);
        return r < 0 ? -1 : 0;
}
