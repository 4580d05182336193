#include "store/image_index.h"

#include <string.h>

#include "oci/limits.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "store/internal.h"

/* index_blob.kind */
enum { INDEX_BLOB_DOCUMENT, INDEX_BLOB_LAYER };

void image_index_free(ImageIndex *index)
{
        if (!index)
                return;
        free(index->media_type);
        free(index->members);
        free(index);
}

/* --- recording --- */

typedef struct IndexBlob {
        Digest digest;
        int kind;
} IndexBlob;

typedef struct IndexPut {
        Lease *lease;
        Digest digest;
        uint64_t size;
        Index index;
        IndexBlob *blobs;
        size_t n_blobs, blobs_capacity;
        IndexMember *members;
        ImagePut **puts; /* the images themselves, new or known: one for each member */
        size_t n_members, members_capacity, puts_capacity;
        Digest image;
        const char *const *names;
        size_t n_names;
} IndexPut;

static void index_put_done(IndexPut *put)
{
        index_done(&put->index);
        for (size_t i = 0; i < put->n_members; i++)
                image_put_free(put->puts[i]);
        free(put->puts);
        free(put->blobs);
        free(put->members);
}

static void add_blob(IndexPut *put, const Digest *digest, int kind)
{
        GROW(put->blobs, put->blobs_capacity, put->n_blobs + 1);
        put->blobs[put->n_blobs++] = (IndexBlob){ *digest, kind };
}

static int read_document(IndexPut *put, const Digest *digest, Buf *text, Error *err)
{
        *text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        if (lease_hold_blob(put->lease, digest, err) < 0 || blob_read(put->lease->store, digest, text, err) < 0)
                return -1;
        add_blob(put, digest, INDEX_BLOB_DOCUMENT);
        return 0;
}

static int add_member(IndexPut *put, const Digest *manifest, Error *err)
{
        ImagePut *image;
        char text[DIGEST_TEXT_SIZE];

        if (image_put_prepare(put->lease, manifest, &image, err) < 0)
                return error_wrap(err, "its image '%s'", digest_format(manifest, text));
        GROW(put->members, put->members_capacity, put->n_members + 1);
        GROW(put->puts, put->puts_capacity, put->n_members + 1);
        put->puts[put->n_members] = image;
        put->members[put->n_members++] = (IndexMember){ *image_put_id(image), *manifest };
        return 0;
}

/* What a manifest names. Layers of an image may be missing as they travelled: the layer itself is held by the image. */
static int read_manifest(IndexPut *put, const Descriptor *entry, Error *err)
{
        _cleanup_buf_ Buf text = { 0 };
        _cleanup_manifest_ Manifest manifest = { 0 };
        bool is_image;

        if (read_document(put, &entry->digest, &text, err) < 0 || manifest_parse(text.data, text.size, &manifest, err) < 0 ||
            lease_hold_blob(put->lease, &manifest.config.digest, err) < 0)
                return -1;
        add_blob(put, &manifest.config.digest, INDEX_BLOB_DOCUMENT);
        is_image = manifest_is_image(&manifest) && !descriptor_is_attestation(entry);
        for (size_t i = 0; i < manifest.layers.n_items; i++) {
                const Digest *layer = &manifest.layers.items[i].digest;

                if (!is_image && lease_hold_blob(put->lease, layer, err) < 0)
                        return -1;
                if (!is_image || blob_exists(put->lease->store, layer))
                        add_blob(put, layer, is_image ? INDEX_BLOB_LAYER : INDEX_BLOB_DOCUMENT);
        }
        return is_image ? add_member(put, &entry->digest, err) : 0;
}

/* The image that stands for the whole: of this machine's platform, else the first. */
static void choose_image(IndexPut *put)
{
        _cleanup_platform_ Platform host = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        const Descriptor *chosen;

        platform_host(&host);
        put->image = put->members[0].image;
        if (index_select(&put->index, &host, &chosen, &ignored) < 0)
                return;
        for (size_t i = 0; i < put->n_members; i++)
                if (digest_equal(&put->members[i].manifest, &chosen->digest))
                        put->image = put->members[i].image;
}

static int read_index(IndexPut *put, Error *err)
{
        _cleanup_buf_ Buf text = { 0 };

        if (read_document(put, &put->digest, &text, err) < 0 || index_parse(text.data, text.size, &put->index, err) < 0)
                return -1;
        put->size = text.size;
        for (size_t i = 0; i < put->index.manifests.n_items; i++)
                if (read_manifest(put, &put->index.manifests.items[i], err) < 0)
                        return -1;
        if (!put->n_members)
                return error_set(err, ERROR_INVALID, "it has no image");
        choose_image(put);
        return 0;
}

/* Indexes that no name leads to any more, while their image is reached without them. */
int indexes_settle(Db *db, Error *err)
{
        return db_exec(db, "DELETE FROM image_index WHERE digest NOT IN (SELECT idx FROM name WHERE idx IS NOT NULL) AND image IN (SELECT image FROM name)",
                       DB_NO_ARGS, err);
}

static int insert_name(Db *db, const char *name, const Digest *image, const Digest *index, Error *err)
{
        Timestamp now = clock_now();

        if (db_exec(db, "INSERT OR REPLACE INTO name (name, image, tagged, idx) VALUES (?1, ?2, ?3, ?4)",
                    DB_ARGS(DB_TEXT(name), DB_DIGEST(image), DB_INT(now), DB_DIGEST(index)), err) < 0)
                return -1;
        return db_exec(db, "UPDATE image SET last_tagged = ?2 WHERE id = ?1", DB_ARGS(DB_DIGEST(image), DB_INT(now)), err);
}

static int insert_index(void *user, Db *db, Error *err)
{
        IndexPut *put = user;
        const Digest *digest = &put->digest;
        char hex[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < put->n_members; i++)
                if (image_put_insert(put->puts[i], db, err) < 0)
                        return -1;
        if (db_exec(db, "DELETE FROM image_index WHERE digest = ?1", DB_ARGS(DB_DIGEST(digest)), err) < 0 ||
            db_exec(db, "INSERT INTO image_index (digest, digest_text, size, media_type, image, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    DB_ARGS(DB_DIGEST(digest), DB_TEXT(digest_hex(digest, hex)), DB_INT(put->size),
                            DB_TEXT(put->index.media_type ? put->index.media_type : media_type_name(MEDIA_OCI_INDEX)), DB_DIGEST(&put->image),
                            DB_INT(clock_now())),
                    err) < 0)
                return -1;
        for (size_t i = 0; i < put->n_members; i++)
                if (db_exec(db, "INSERT INTO index_image (idx, position, image, manifest) VALUES (?1, ?2, ?3, ?4)",
                            DB_ARGS(DB_DIGEST(digest), DB_INT(i), DB_DIGEST(&put->members[i].image), DB_DIGEST(&put->members[i].manifest)), err) < 0)
                        return -1;
        for (size_t i = 0; i < put->n_blobs; i++)
                if (db_exec(db, "INSERT OR IGNORE INTO index_blob (idx, digest, kind) VALUES (?1, ?2, ?3)",
                            DB_ARGS(DB_DIGEST(digest), DB_DIGEST(&put->blobs[i].digest), DB_INT(put->blobs[i].kind)), err) < 0)
                        return -1;
        for (size_t i = 0; i < put->n_names; i++)
                if (insert_name(db, put->names[i], &put->image, digest, err) < 0)
                        return -1;
        return put->n_names ? indexes_settle(db, err) : 0;
}

int image_put_index(Lease *lease, const Digest *index, const char *const *names, size_t n_names, Digest *ret_image, Error *err)
{
        _cleanup_(index_put_done) IndexPut put = { .lease = lease, .digest = *index, .names = names, .n_names = n_names };
        char text[DIGEST_TEXT_SIZE];

        if (read_index(&put, err) < 0 || lease_commit(lease, insert_index, &put, err) < 0)
                return error_wrap(err, "cannot record the index '%s'", digest_format(index, text));
        if (ret_image)
                *ret_image = put.image;
        return n_names ? layout_update(lease->store, err) : 0;
}

int image_tag_index(Store *store, const char *name, const Digest *index, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char text[DIGEST_TEXT_SIZE];
        Digest image;

        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0)
                return -1;
        {
                _cleanup_db_stmt_ DbStmt *stmt = NULL;
                int r;

                if (db_query(store->db, "SELECT image FROM image_index WHERE digest = ?1", DB_ARGS(DB_DIGEST(index)), &stmt, err) < 0)
                        return -1;
                r = db_step(stmt, err);
                if (r <= 0)
                        return r < 0 ? -1 : error_set(err, ERROR_NOT_FOUND, "no such image: %s", digest_format(index, text));
                image = db_column_digest(stmt, 0);
        }
        if (insert_name(store->db, name, &image, index, err) < 0 || indexes_settle(store->db, err) < 0 || db_commit(&tx, err) < 0)
                return -1;
        return layout_update(store, err);
}

/* --- looking --- */

static int load_members(Store *store, ImageIndex *index, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        size_t capacity = 0;
        int r;

        if (db_query(store->db, "SELECT image, manifest FROM index_image WHERE idx = ?1 ORDER BY position", DB_ARGS(DB_DIGEST(&index->digest)), &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(index->members, capacity, index->n_members + 1);
                index->members[index->n_members++] = (IndexMember){ db_column_digest(stmt, 0), db_column_digest(stmt, 1) };
        }
        return r;
}

#define INDEX_COLUMNS "x.digest, x.size, x.media_type, x.image"

static int find_by(Store *store, const char *sql, const DbArg *args, size_t n_args, ImageIndex **ret, Error *err)
{
        _cleanup_(image_index_freep) ImageIndex *index = NEW(ImageIndex);
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r;
        index->digest = db_column_digest(stmt, 0);
        index->size = (uint64_t)db_column_int(stmt, 1);
        index->media_type = xstrdup(db_column_text(stmt, 2));
        index->image = db_column_digest(stmt, 3);
        if (load_members(store, index, err) < 0)
                return -1;
        *ret = TAKE_PTR(index);
        return 1;
}

int image_index_find(Store *store, const char *typed, ImageIndex **ret, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *digits = reference_id_prefix(typed);
        _cleanup_free_ char *full = NULL, *after = NULL;
        int r = 0;

        if (reference_parse_tagged(typed, &reference, &ignored) == 0) {
                if (digest_is_set(&reference.digest))
                        return find_by(store, "SELECT " INDEX_COLUMNS " FROM image_index x WHERE x.digest = ?1", DB_ARGS(DB_DIGEST(&reference.digest)), ret,
                                       err);
                full = reference_text(&reference);
                r = find_by(store, "SELECT " INDEX_COLUMNS " FROM name n JOIN image_index x ON x.digest = n.idx WHERE n.name = ?1", DB_ARGS(DB_TEXT(full)), ret,
                            err);
        }
        if (r != 0 || !digits)
                return r;
        after = xasprintf("%sg", digits); /* 'g' follows 'f' */
        return find_by(store, "SELECT " INDEX_COLUMNS " FROM image_index x WHERE x.digest_text >= ?1 AND x.digest_text < ?2 LIMIT 1",
                       DB_ARGS(DB_TEXT(digits), DB_TEXT(after)), ret, err);
}

int image_find_platform(Store *store, const char *typed, const Platform *platform, Image **ret, Error *err)
{
        _cleanup_(image_index_freep) ImageIndex *index = NULL;
        _cleanup_platform_ Platform host = { 0 };
        _cleanup_free_ char *wanted = NULL, *there = NULL;
        _cleanup_strlist_ StrList platforms = { 0 };
        Image *best = NULL;
        int r = image_index_find(store, typed, &index, err), best_rank = -1;

        if (r <= 0)
                return r < 0 ? -1 : image_find(store, typed, ret, err);
        platform_host(&host);
        platform = platform ? platform : &host;
        for (size_t i = 0; i < index->n_members && r >= 0; i++) {
                Image *image = NULL;
                Platform have = { 0 };
                int rank;

                r = image_get(store, &index->members[i].image, &image, err);
                if (r < 0)
                        break;
                have = (Platform){ .os = image->os, .architecture = image->architecture, .variant = image->variant };
                rank = platform_rank(platform, &have);
                strlist_take(&platforms, platform_format(&have, false));
                if (rank >= 0 && (best_rank < 0 || rank < best_rank)) {
                        image_free(best);
                        best = image;
                        best_rank = rank;
                } else {
                        image_free(image);
                }
        }
        if (r >= 0 && best) {
                *ret = best;
                return 0;
        }
        image_free(best);
        if (r < 0)
                return -1;
        wanted = platform_format(platform, false);
        there = strlist_join(&platforms, ", ");
        return error_set(err, ERROR_NOT_FOUND, "image with reference %s was found but does not provide the specified platform (%s): it is for %s", typed,
                         wanted, there);
}

int image_find_matching(Store *store, const char *typed, const Platform *platform, Image **ret, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_free_ char *wanted = NULL, *actual = NULL;
        Platform have;

        if (image_find_platform(store, typed, platform, &image, err) < 0)
                return -1;
        have = (Platform){ .os = image->os, .architecture = image->architecture, .variant = image->variant };
        if (platform_rank(platform, &have) < 0) {
                wanted = platform_format(platform, false);
                actual = platform_format(&have, false);
                return error_set(err, ERROR_NOT_FOUND, "image with reference %s was found but does not match the specified platform: wanted %s, actual: %s",
                                 typed, wanted, actual);
        }
        *ret = TAKE_PTR(image);
        return 0;
}
