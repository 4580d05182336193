/*
 * Recording images: reading manifest and config, checking that they and the layers fit together, and writing the rows.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "oci/config.h"
#include "oci/limits.h"
#include "oci/manifest.h"
#include "store/image.h"
#include "store/internal.h"

/* image_blob.kind */
enum { IMAGE_BLOB_MANIFEST, IMAGE_BLOB_CONFIG, IMAGE_BLOB_LAYER };

struct ImagePut {
        Lease *lease;
        Digest id;
        Digest manifest_digest;
        uint64_t manifest_size;
        Manifest manifest;
        ImageConfig config;
        const char *const *names;
        size_t n_names;
        bool known; /* the record is there already */
};

void image_put_free(ImagePut *put)
{
        if (!put)
                return;
        manifest_done(&put->manifest);
        image_config_done(&put->config);
        free(put);
}

const Digest *image_put_id(const ImagePut *put)
{
        return &put->id;
}

static int read_documents(ImagePut *put, Error *err)
{
        Store *store = put->lease->store;
        _cleanup_buf_ Buf manifest = BUF_INIT(OCI_MANIFEST_SIZE_MAX), config = BUF_INIT(OCI_CONFIG_SIZE_MAX);
        int r = -1;

        if (lease_hold_blob(put->lease, &put->manifest_digest, err) == 0 && blob_read(store, &put->manifest_digest, &manifest, err) == 0 &&
            manifest_parse(manifest.data, manifest.size, &put->manifest, err) == 0)
                r = 0;
        if (r == 0 && !manifest_is_image(&put->manifest))
                r = error_set(err, ERROR_INVALID, "the manifest is not that of an image");
        put->manifest_size = manifest.size;
        if (r == 0 && (lease_hold_blob(put->lease, &put->manifest.config.digest, err) < 0 || blob_read(store, &put->manifest.config.digest, &config, err) < 0 ||
                       descriptor_verify(&put->manifest.config, "config", config.data, config.size, err) < 0 ||
                       image_config_parse(config.data, config.size, &put->config, err) < 0))
                r = -1;
        buf_done(&config);
        if (r == 0 && put->manifest.layers.n_items != put->config.rootfs.diff_ids.n_items)
                r = error_set(err, ERROR_INVALID, "the manifest has %zu layers and the config %zu", put->manifest.layers.n_items,
                              put->config.rootfs.diff_ids.n_items);
        return r;
}

/* The tar of an uncompressed layer also gets its name in blobs/, as the same file. */
static int link_layer(Store *store, const Digest *diff_id, Error *err)
{
        char from[STORE_NAME_SIZE], to[STORE_NAME_SIZE];
        struct stat a, b;

        layer_name(diff_id, "tar", from);
        blob_name(diff_id, to);
        if (sys_linkat(store->root_fd, from, store->root_fd, to, 0) == 0)
                return 0;
        if (errno != EEXIST)
                return error_errno(err, errno, "cannot link '%s/%s'", store->root, to);
        if (fstatat(store->root_fd, from, &a, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(store->root_fd, to, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino)
                return 0;
        /* Another file of that name: left over, or a second copy. One of the two is enough. */
        if (sys_unlinkat(store->root_fd, to, 0) < 0 && errno != ENOENT)
                return error_errno(err, errno, "cannot replace '%s/%s'", store->root, to);
        if (sys_linkat(store->root_fd, from, store->root_fd, to, 0) < 0 && errno != EEXIST)
                return error_errno(err, errno, "cannot link '%s/%s'", store->root, to);
        return 0;
}

static int check_layer(ImagePut *put, size_t i, Error *err)
{
        Store *store = put->lease->store;
        const Descriptor *layer = &put->manifest.layers.items[i];
        const Digest *diff_id = &put->config.rootfs.diff_ids.items[i];
        LayerInfo info;

        if (!lease_has_pending_layer(put->lease, diff_id, &info) &&
            (lease_hold_layer(put->lease, diff_id, err) < 0 || layer_info(store, diff_id, &info, err) < 0))
                return -1;
        if (descriptor_type(layer)->compression != MEDIA_PLAIN) {
                /* The compressed bytes need not be here: the layer can be used without. */
                if (!blob_exists(store, &layer->digest))
                        return 0;
                return lease_hold_blob(put->lease, &layer->digest, err);
        }
        if (!digest_equal(&layer->digest, diff_id) || (uint64_t)layer->size != info.tar_size)
                return error_set(err, ERROR_CORRUPT, "layer %zu of the manifest is not that of the config", i + 1);
        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (lease_note_digest(put->lease, "blob", diff_id, err) < 0)
                return -1;
        pthread_mutex_lock(&put->lease->mutex);
        put->lease->unfinished = true;
        pthread_mutex_unlock(&put->lease->mutex);
        return link_layer(store, diff_id, err);
}

static int insert_blob(Db *db, const Digest *id, const Digest *digest, int kind, Error *err)
{
        return db_exec(db, "INSERT OR IGNORE INTO image_blob (image, digest, kind) VALUES (?1, ?2, ?3)",
                       DB_ARGS(DB_DIGEST(id), DB_DIGEST(digest), DB_INT(kind)), err);
}

static int insert_parts(ImagePut *put, Db *db, const Digest *id, Error *err)
{
        if (db_exec(db, "DELETE FROM image_layer WHERE image = ?1", DB_ARGS(DB_DIGEST(id)), err) < 0 ||
            db_exec(db, "DELETE FROM image_blob WHERE image = ?1", DB_ARGS(DB_DIGEST(id)), err) < 0)
                return -1;
        for (size_t i = 0; i < put->config.rootfs.diff_ids.n_items; i++)
                if (db_exec(db, "INSERT INTO image_layer (image, position, diff_id) VALUES (?1, ?2, ?3)",
                            DB_ARGS(DB_DIGEST(id), DB_INT(i), DB_DIGEST(&put->config.rootfs.diff_ids.items[i])), err) < 0)
                        return -1;
        if (insert_blob(db, id, &put->manifest_digest, IMAGE_BLOB_MANIFEST, err) < 0 || insert_blob(db, id, id, IMAGE_BLOB_CONFIG, err) < 0)
                return -1;
        for (size_t i = 0; i < put->manifest.layers.n_items; i++)
                if (insert_blob(db, id, &put->manifest.layers.items[i].digest, IMAGE_BLOB_LAYER, err) < 0)
                        return -1;
        return 0;
}

/* Points one name at an image; 1 when that changed something. */
static int insert_name(Db *db, const char *name, const Digest *id, Timestamp now, Error *err)
{
        int64_t one;
        int r = db_query_int(db, "SELECT 1 FROM name WHERE name = ?1 AND image = ?2 AND idx IS NULL", DB_ARGS(DB_TEXT(name), DB_DIGEST(id)), &one, err);

        if (r != 0)
                return r < 0 ? -1 : 0;
        if (db_exec(db, "INSERT OR REPLACE INTO name (name, image, tagged) VALUES (?1, ?2, ?3)", DB_ARGS(DB_TEXT(name), DB_DIGEST(id), DB_INT(now)), err) < 0 ||
            db_exec(db, "UPDATE image SET last_tagged = ?2 WHERE id = ?1", DB_ARGS(DB_DIGEST(id), DB_INT(now)), err) < 0)
                return -1;
        return 1;
}

int image_put_insert(void *user, Db *db, Error *err)
{
        ImagePut *put = user;
        const Digest *id = &put->id;
        const Platform *platform = &put->config.platform;
        bool dated = put->config.created.set && put->config.created.time != TIMESTAMP_ZERO;
        char hex[DIGEST_TEXT_SIZE];
        Timestamp now = clock_now();

        if (!put->known && (db_exec(db,
                                    "INSERT INTO image (id, id_text, manifest, manifest_size, manifest_type, created, last_tagged, os, architecture, variant)"
                                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9)"
                                    " ON CONFLICT (id) DO UPDATE SET manifest = excluded.manifest, manifest_size = excluded.manifest_size, manifest_type = "
                                    "excluded.manifest_type",
                                    DB_ARGS(DB_DIGEST(id), DB_TEXT(digest_hex(id, hex)), DB_DIGEST(&put->manifest_digest), DB_INT(put->manifest_size),
                                            DB_TEXT(put->manifest.media_type ? put->manifest.media_type : media_type_name(MEDIA_OCI_MANIFEST)),
                                            DB_INT(dated ? put->config.created.time : 0), DB_TEXT(platform->os ? platform->os : ""),
                                            DB_TEXT(platform->architecture ? platform->architecture : ""), DB_TEXT(platform->variant)),
                                    err) < 0 ||
                            insert_parts(put, db, id, err) < 0))
                return -1;
        for (size_t i = 0; i < put->n_names; i++)
                if (insert_name(db, put->names[i], id, now, err) < 0)
                        return -1;
        return put->n_names ? indexes_settle(db, err) : 0;
}

/* The image of a manifest that is recorded already, and whether it has all these names. 1, 0 or -1. */
static int find_known(Store *store, const Digest *manifest, const char *const *names, size_t n_names, Digest *ret_id, bool *ret_named, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT id FROM image WHERE manifest = ?1", DB_ARGS(DB_DIGEST(manifest)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r;
        *ret_id = db_column_digest(stmt, 0);
        *ret_named = true;
        for (size_t i = 0; i < n_names && *ret_named; i++) {
                int64_t one;

                r = db_query_int(store->db, "SELECT 1 FROM name WHERE name = ?1 AND image = ?2 AND idx IS NULL", DB_ARGS(DB_TEXT(names[i]), DB_DIGEST(ret_id)),
                                 &one, err);
                if (r < 0)
                        return -1;
                *ret_named = r > 0;
        }
        return 1;
}

static int prepare(ImagePut *put, Error *err)
{
        if (put->known)
                return 0;
        if (read_documents(put, err) < 0)
                return -1;
        put->id = put->manifest.config.digest;
        for (size_t i = 0; i < put->manifest.layers.n_items; i++)
                if (check_layer(put, i, err) < 0)
                        return -1;
        pthread_mutex_lock(&put->lease->mutex);
        put->lease->dirty = true; /* links in blobs/ are new */
        pthread_mutex_unlock(&put->lease->mutex);
        return 0;
}

static ImagePut *image_put_new(Lease *lease, const Digest *manifest)
{
        ImagePut *put = NEW(ImagePut);

        put->lease = lease;
        put->manifest_digest = *manifest;
        return put;
}

int image_put_prepare(Lease *lease, const Digest *manifest, ImagePut **ret, Error *err)
{
        _cleanup_(image_put_freep) ImagePut *put = image_put_new(lease, manifest);
        bool named;
        int r = find_known(lease->store, manifest, NULL, 0, &put->id, &named, err);

        if (r < 0)
                return -1;
        put->known = r > 0;
        if (prepare(put, err) < 0)
                return -1;
        *ret = TAKE_PTR(put);
        return 0;
}

int image_put_named(Lease *lease, const Digest *manifest, const char *const *names, size_t n_names, Digest *ret_id, Error *err)
{
        _cleanup_(image_put_freep) ImagePut *put = image_put_new(lease, manifest);
        char text[DIGEST_TEXT_SIZE];
        bool named = false;
        int r = find_known(lease->store, manifest, names, n_names, &put->id, &named, err);

        if (r < 0)
                return -1;
        if (r > 0 && named) {
                if (ret_id)
                        *ret_id = put->id;
                return lease_sync(lease, err);
        }
        put->known = r > 0;
        put->names = names;
        put->n_names = n_names;
        if (prepare(put, err) < 0 || lease_commit(lease, image_put_insert, put, err) < 0)
                return error_wrap(err, "cannot record the image with the manifest '%s'", digest_format(manifest, text));
        if (ret_id)
                *ret_id = put->id;
        return n_names ? layout_update(lease->store, err) : 0;
}

int image_put(Lease *lease, const Digest *manifest, Digest *ret_id, Error *err)
{
        return image_put_named(lease, manifest, NULL, 0, ret_id, err);
}

int image_tag(Store *store, const char *name, const Digest *id, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char text[DIGEST_TEXT_SIZE];
        int64_t one;
        int r;

        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0)
                return -1;
        r = db_query_int(store->db, "SELECT 1 FROM image WHERE id = ?1", DB_ARGS(DB_DIGEST(id)), &one, err);
        if (r < 0)
                return -1;
        if (r == 0)
                return error_set(err, ERROR_NOT_FOUND, "No such image: %s", digest_format(id, text));
        r = insert_name(store->db, name, id, clock_now(), err);
        if (r < 0 || indexes_settle(store->db, err) < 0 || db_commit(&tx, err) < 0)
                return -1;
        return r > 0 ? layout_update(store, err) : 0;
}
