/*
 * Looking images up, listing and removing them.
 */
#include "store/image.h"

#include <stdio.h>

#include "oci/limits.h"
#include "oci/reference.h"
#include "store/internal.h"

void image_done(Image *image)
{
        free(image->os);
        free(image->architecture);
        free(image->variant);
        free(image->diff_ids);
        strlist_done(&image->names);
        strlist_done(&image->repo_digests);
        *image = (Image){ 0 };
}

void image_free(Image *image)
{
        if (!image)
                return;
        image_done(image);
        free(image);
}

#define IMAGE_COLUMNS "id, manifest, created, last_tagged, os, architecture, variant"

static int load_layers(Store *store, Image *image, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        size_t capacity = 0;
        int r;

        if (db_query(store->db,
                     "SELECT i.diff_id, l.content_size FROM image_layer i LEFT JOIN layer l ON l.diff_id = i.diff_id WHERE i.image = ?1 ORDER BY i.position",
                     DB_ARGS(DB_DIGEST(&image->id)), &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(image->diff_ids, capacity, image->n_diff_ids + 1);
                image->diff_ids[image->n_diff_ids++] = db_column_digest(stmt, 0);
                image->size += (uint64_t)db_column_int(stmt, 1);
        }
        return r;
}

static int load_list(Store *store, const char *sql, const Digest *id, StrList *list, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, sql, DB_ARGS(DB_DIGEST(id)), &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0)
                strlist_add(list, db_column_text(stmt, 0));
        return r;
}

static int load_is_part(Store *store, Image *image, Error *err)
{
        int64_t one;
        int r = db_query_int(store->db, "SELECT 1 FROM index_image m JOIN image_index x ON x.digest = m.idx WHERE m.image = ?1 AND x.image <> ?1 LIMIT 1",
                             DB_ARGS(DB_DIGEST(&image->id)), &one, err);

        image->is_part = r > 0;
        return r;
}

/* From a row of IMAGE_COLUMNS. */
static int load_image(Store *store, DbStmt *stmt, Image **ret, Error *err)
{
        _cleanup_(image_freep) Image *image = NEW(Image);

        image->id = db_column_digest(stmt, 0);
        image->manifest = db_column_digest(stmt, 1);
        image->created = db_column_int(stmt, 2);
        image->last_tagged = db_column_int(stmt, 3);
        image->os = xstrdup_or_null(db_column_text(stmt, 4));
        image->architecture = xstrdup_or_null(db_column_text(stmt, 5));
        image->variant = xstrdup_or_null(db_column_text(stmt, 6));
        if (load_layers(store, image, err) < 0 ||
            load_list(store, "SELECT name FROM name WHERE image = ?1 ORDER BY name", &image->id, &image->names, err) < 0 ||
            load_list(store, "SELECT name FROM repo_digest WHERE image = ?1 ORDER BY name", &image->id, &image->repo_digests, err) < 0)
                return -1;
        if (!image->names.n_items && load_is_part(store, image, err) < 0)
                return -1;
        *ret = TAKE_PTR(image);
        return 0;
}

/* The image of the one row that a query gives: 1 found, 0 none, -1. */
static int find_by(Store *store, const char *sql, const DbArg *args, size_t n_args, Image **ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r;
        return load_image(store, stmt, ret, err) < 0 ? -1 : 1;
}

static int find_id(Store *store, const Digest *id, Image **ret, Error *err)
{
        return find_by(store, "SELECT " IMAGE_COLUMNS " FROM image WHERE id = ?1", DB_ARGS(DB_DIGEST(id)), ret, err);
}

int image_get(Store *store, const Digest *id, Image **ret, Error *err)
{
        char text[DIGEST_TEXT_SIZE];
        int r = find_id(store, id, ret, err);

        return r == 0 ? error_set(err, ERROR_NOT_FOUND, "No such image: %s", digest_format(id, text)) : r < 0 ? -1 : 0;
}

/* "name@sha256:…": an image pulled by that digest, or one with a name in that repository whose manifest it is. */
static int find_by_digest(Store *store, const Reference *reference, Image **ret, Error *err)
{
        _cleanup_free_ char *name = reference_name(reference), *full = NULL, *from = NULL, *to = NULL;
        char text[DIGEST_TEXT_SIZE];
        int r;

        full = xasprintf("%s@%s", name, digest_format(&reference->digest, text));
        r = find_by(store, "SELECT " IMAGE_COLUMNS " FROM image WHERE id = (SELECT image FROM repo_digest WHERE name = ?1)", DB_ARGS(DB_TEXT(full)), ret, err);
        if (r != 0)
                return r;
        r = find_by(store, "SELECT " IMAGE_COLUMNS " FROM image WHERE id = (SELECT image FROM image_index WHERE digest = ?1)",
                    DB_ARGS(DB_DIGEST(&reference->digest)), ret, err);
        if (r != 0)
                return r;
        /* All tags of the repository: names from "repository:" up to "repository;", the next character. */
        from = xasprintf("%s:", name);
        to = xasprintf("%s;", name);
        return find_by(store, "SELECT " IMAGE_COLUMNS " FROM image WHERE manifest = ?1 AND id IN (SELECT image FROM name WHERE name >= ?2 AND name < ?3)",
                       DB_ARGS(DB_DIGEST(&reference->digest), DB_TEXT(from), DB_TEXT(to)), ret, err);
}

static int find_by_name(Store *store, const char *typed, Image **ret, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *full = NULL;

        if (reference_parse_tagged(typed, &reference, err) < 0)
                return -1;
        if (digest_is_set(&reference.digest))
                return find_by_digest(store, &reference, ret, err);
        full = reference_text(&reference);
        return find_by(store, "SELECT " IMAGE_COLUMNS " FROM image WHERE id = (SELECT image FROM name WHERE name = ?1)", DB_ARGS(DB_TEXT(full)), ret, err);
}

/* The id of an image for several platforms, as a build tells it, is the digest of its index. */
static int find_index_prefix(Store *store, const char *digits, const char *after, Image **ret, Error *err)
{
        return find_by(store,
                       "SELECT " IMAGE_COLUMNS " FROM image WHERE id = (SELECT image FROM image_index WHERE digest_text >= ?1 AND digest_text < ?2 LIMIT 1)",
                       DB_ARGS(DB_TEXT(digits), DB_TEXT(after)), ret, err);
}

static int find_by_id_prefix(Store *store, const char *typed, const char *digits, Image **ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        _cleanup_free_ char *after = xasprintf("%sg", digits); /* 'g' follows 'f' */
        Digest id;
        int r;

        if (db_query(store->db, "SELECT id FROM image WHERE id_text >= ?1 AND id_text < ?2 LIMIT 2", DB_ARGS(DB_TEXT(digits), DB_TEXT(after)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r < 0 ? -1 : find_index_prefix(store, digits, after, ret, err);
        id = db_column_digest(stmt, 0);
        r = db_step(stmt, err);
        if (r < 0)
                return -1;
        if (r > 0)
                return error_set(err, ERROR_INVALID, "multiple images match the id '%s'; give more of it", typed);
        return find_id(store, &id, ret, err);
}

/* With the tag that was looked for, as docker says it. */
static int no_such_image(const char *typed, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *name = reference_parse_tagged(typed, &reference, &ignored) < 0 ? xstrdup(typed) : reference_familiar(&reference);

        return error_set(err, ERROR_NOT_FOUND, "No such image: %s", name);
}

int image_find(Store *store, const char *name_or_id, Image **ret, Error *err)
{
        const char *digits = reference_id_prefix(name_or_id);
        _cleanup_error_ Error name_error = ERROR_INIT;
        int r = find_by_name(store, name_or_id, ret, &name_error);

        if (r > 0)
                return 0;
        if (r < 0 && (!digits || name_error.code != ERROR_INVALID))
                return error_move(err, &name_error);
        if (digits) {
                r = find_by_id_prefix(store, name_or_id, digits, ret, err);
                if (r != 0)
                        return r < 0 ? -1 : 0;
        }
        return no_such_image(name_or_id, err);
}

int image_list(Store *store, Image ***ret, size_t *ret_n, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        Image **images = NULL;
        size_t n = 0, capacity = 0;
        int r;

        if (db_begin(store->db, DB_READ, &tx, err) < 0)
                return -1;
        if (db_query(store->db, "SELECT " IMAGE_COLUMNS " FROM image ORDER BY created DESC, id", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(images, capacity, n + 1);
                images[n] = NULL;
                r = load_image(store, stmt, &images[n], err);
                if (r < 0)
                        break;
                n++;
        }
        if (r < 0) {
                image_list_free(images, n);
                return -1;
        }
        *ret = images;
        *ret_n = n;
        return 0;
}

void image_list_free(Image **images, size_t n)
{
        for (size_t i = 0; i < n; i++)
                image_free(images[i]);
        free(images);
}

int image_untag(Store *store, const char *name, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0 || db_exec(store->db, "DELETE FROM name WHERE name = ?1", DB_ARGS(DB_TEXT(name)), err) < 0)
                return -1;
        if (db_changes(store->db) == 0)
                return error_set(err, ERROR_NOT_FOUND, "No such image: %s", name);
        if (indexes_settle(store->db, err) < 0 || db_commit(&tx, err) < 0)
                return -1;
        return layout_update(store, err);
}

int image_add_repo_digest(Store *store, const char *repository_digest, const Digest *id, Error *err)
{
        return db_exec(store->db, "INSERT OR REPLACE INTO repo_digest (name, image) VALUES (?1, ?2)", DB_ARGS(DB_TEXT(repository_digest), DB_DIGEST(id)), err);
}

/* In the index of another image: CONFLICT, or with `force` that index goes; its names stay with its own image. */
static int leave_indexes(Store *store, const Digest *id, bool force, Error *err)
{
        _cleanup_free_ char *other = NULL;
        char brief[13];
        int r = db_query_text(
                store->db,
                "SELECT substr(x.digest_text, 1, 12) FROM index_image m JOIN image_index x ON x.digest = m.idx WHERE m.image = ?1 AND x.image <> ?1 LIMIT 1",
                DB_ARGS(DB_DIGEST(id)), &other, err);

        if (r <= 0)
                return r;
        if (!force)
                return error_set(err, ERROR_CONFLICT, "image '%s' is one platform of the image with the index '%s'; remove that, or use force",
                                 digest_short(id, brief), other);
        return db_exec(store->db, "DELETE FROM image_index WHERE digest IN (SELECT idx FROM index_image WHERE image = ?1)", DB_ARGS(DB_DIGEST(id)), err);
}

/* Images that were in an index of this one and that nobody names otherwise. To be asked before the row goes. */
static int list_parts(Store *store, const Digest *id, Digest **ret, size_t *ret_n, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        size_t capacity = 0;
        int r;

        if (db_query(store->db,
                     "SELECT DISTINCT m.image FROM index_image m JOIN image_index x ON x.digest = m.idx WHERE x.image = ?1 AND m.image <> ?1"
                     " AND m.image NOT IN (SELECT image FROM name) AND m.image NOT IN (SELECT image FROM repo_digest)"
                     " AND m.image NOT IN (SELECT image FROM container WHERE image IS NOT NULL)"
                     " AND m.image NOT IN (SELECT o.image FROM index_image o JOIN image_index y ON y.digest = o.idx WHERE y.image <> ?1)",
                     DB_ARGS(DB_DIGEST(id)), &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(*ret, capacity, *ret_n + 1);
                (*ret)[(*ret_n)++] = db_column_digest(stmt, 0);
        }
        return r;
}

static int delete_rows(Store *store, const Digest *id, Error *err)
{
        _cleanup_free_ Digest *parts = NULL;
        char text[DIGEST_TEXT_SIZE];
        size_t n_parts = 0;

        if (list_parts(store, id, &parts, &n_parts, err) < 0)
                return -1;
        /* Layers, blobs, names and indexes of the record go with it (ON DELETE CASCADE). */
        if (db_exec(store->db, "DELETE FROM image WHERE id = ?1", DB_ARGS(DB_DIGEST(id)), err) < 0)
                return -1;
        if (db_changes(store->db) == 0)
                return error_set(err, ERROR_NOT_FOUND, "no such image: %s", digest_format(id, text));
        for (size_t i = 0; i < n_parts; i++)
                if (db_exec(store->db, "DELETE FROM image WHERE id = ?1", DB_ARGS(DB_DIGEST(&parts[i])), err) < 0)
                        return -1;
        return 0;
}

int image_remove(Store *store, const Digest *id, bool force, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        _cleanup_free_ char *container = NULL;
        char brief[13];
        int r;

        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0)
                return -1;
        r = force ? 0 : db_query_text(store->db, "SELECT substr(id, 1, 12) FROM container WHERE image = ?1 LIMIT 1", DB_ARGS(DB_DIGEST(id)), &container, err);
        if (r < 0)
                return -1;
        if (r > 0)
                return error_set(err, ERROR_CONFLICT, "image '%s' is used by the container '%s'; remove the container first, or use force",
                                 digest_short(id, brief), container);
        if (leave_indexes(store, id, force, err) < 0 || delete_rows(store, id, err) < 0 || db_commit(&tx, err) < 0)
                return -1;
        return layout_update(store, err);
}

int image_config(Store *store, const Image *image, Buf *buf, Error *err)
{
        char brief[13];

        return blob_read(store, &image->id, buf, err) < 0 ? error_wrap(err, "cannot read the config of the image '%s'", digest_short(&image->id, brief)) : 0;
}
