/*
 * Who uses how much: docker system df.
 */
#include "store/internal.h"
#include "store/maintain.h"

void store_usage_done(StoreUsage *usage)
{
        free(usage->images);
        *usage = (StoreUsage){ 0 };
}

static int query_size(Store *store, const char *sql, uint64_t *ret, Error *err)
{
        int64_t n = 0;

        if (db_query_int(store->db, sql, DB_NO_ARGS, &n, err) < 0)
                return -1;
        *ret = (uint64_t)n;
        return 0;
}

static int image_usages(Store *store, StoreUsage *usage, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        size_t capacity = 0;
        int r;

        /* A layer that an image has twice counts once here, as it lies on disk. */
        if (db_query(store->db,
                     "SELECT i.id, coalesce(sum(l.content_size), 0),"
                     " coalesce(sum(CASE WHEN (SELECT count(DISTINCT x.image) FROM image_layer x WHERE x.diff_id = l.diff_id) > 1 THEN l.content_size END), 0),"
                     " (SELECT count(*) FROM container c WHERE c.image = i.id)"
                     " FROM image i LEFT JOIN (SELECT DISTINCT image, diff_id FROM image_layer) il ON il.image = i.id LEFT JOIN layer l ON l.diff_id = "
                     "il.diff_id"
                     " GROUP BY i.id ORDER BY i.created DESC, i.id",
                     DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                ImageUsage *image;

                GROW(usage->images, capacity, usage->n_images + 1);
                image = &usage->images[usage->n_images++];
                *image = (ImageUsage){
                        .id = db_column_digest(stmt, 0),
                        .size = (uint64_t)db_column_int(stmt, 1),
                        .shared = (uint64_t)db_column_int(stmt, 2),
                        .n_containers = (uint64_t)db_column_int(stmt, 3),
                };
                image->unique = image->size - image->shared;
        }
        return r;
}

static int load_usage(Store *store, StoreUsage *usage, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

        if (db_begin(store->db, DB_READ, &tx, err) < 0 || image_usages(store, usage, err) < 0)
                return -1;
        if (query_size(store, "SELECT coalesce(sum(content_size), 0) FROM layer WHERE diff_id IN (SELECT diff_id FROM image_layer)", &usage->layers_size, err) <
                    0 ||
            query_size(store,
                       "SELECT coalesce(sum(content_size), 0) FROM layer WHERE diff_id IN (SELECT diff_id FROM image_layer)"
                       " AND diff_id NOT IN (SELECT diff_id FROM container_layer)",
                       &usage->images_reclaimable, err) < 0)
                return -1;
        return 0;
}

int store_usage(Store *store, StoreUsage *ret, Error *err)
{
        StoreUsage usage = { 0 };

        if (load_usage(store, &usage, err) < 0) {
                store_usage_done(&usage);
                return -1;
        }
        *ret = usage;
        return 0;
}
