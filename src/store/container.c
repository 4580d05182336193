/*
 * Records of containers.
 */
#include "store/container.h"

#include <errno.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/sys.h"
#include "oci/reference.h"
#include "store/reach.h"

void container_record_done(ContainerRecord *record)
{
        free(record->name);
        free(record->config);
        free(record->state);
        *record = (ContainerRecord){ 0 };
}

static int name_taken(Store *store, const char *name, Error *err)
{
        _cleanup_free_ char *owner = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (db_query_text(store->db, "SELECT id FROM container WHERE name = ?1", DB_ARGS(DB_TEXT(name)), &owner, &ignored) <= 0)
                owner = NULL;
        return error_set(err, ERROR_EXISTS,
                         "Conflict. The container name \"/%s\" is already in use by container \"%s\". You have to remove (or rename) that container to be able "
                         "to reuse that "
                         "name.",
                         name, owner ? owner : "?");
}

int container_record_put(Store *store, const ContainerRecord *record, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char text[DIGEST_TEXT_SIZE];
        int64_t one;
        int r;

        if (db_begin(store->db, record->transient ? DB_CHEAP : DB_DURABLE, &tx, err) < 0)
                return -1;
        r = db_query_int(store->db, "SELECT 1 FROM container WHERE name = ?1", DB_ARGS(DB_TEXT(record->name)), &one, err);
        if (r != 0)
                return r < 0 ? -1 : name_taken(store, record->name, err);
        if (digest_is_set(&record->image)) {
                r = db_query_int(store->db, "SELECT 1 FROM image WHERE id = ?1", DB_ARGS(DB_DIGEST(&record->image)), &one, err);
                if (r <= 0)
                        return r < 0 ? -1 : error_set(err, ERROR_NOT_FOUND, "No such image: %s", digest_format(&record->image, text));
        }
        if (db_exec(store->db, "INSERT INTO container (id, name, image, created, config, state, transient) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    DB_ARGS(DB_TEXT(record->id), DB_TEXT(record->name), DB_DIGEST(&record->image), DB_INT(record->created),
                            DB_TEXT(record->config ? record->config : "{}"), DB_TEXT(record->state ? record->state : "{}"), DB_INT(record->transient)),
                    err) < 0 ||
            db_exec(store->db, "INSERT INTO container_layer (container, position, diff_id) SELECT ?1, position, diff_id FROM image_layer WHERE image = ?2",
                    DB_ARGS(DB_TEXT(record->id), DB_DIGEST(&record->image)), err) < 0)
                return -1;
        return db_commit(&tx, err);
}

static int need_change(Store *store, const char *id, Error *err)
{
        return db_changes(store->db) > 0 ? 0 : error_set(err, ERROR_NOT_FOUND, "No such container: %s", id);
}

/* One statement that must change a row, in a transaction of its own. */
static int change_row(Store *store, const char *id, unsigned flags, const char *sql, const DbArg *args, size_t n_args, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

        if (db_begin(store->db, flags, &tx, err) < 0 || db_exec(store->db, sql, args, n_args, err) < 0 || need_change(store, id, err) < 0)
                return -1;
        return db_commit(&tx, err);
}

int container_record_set_state(Store *store, const char *id, const char *state, Error *err)
{
        return change_row(store, id, DB_CHEAP, "UPDATE container SET state = ?2 WHERE id = ?1", DB_ARGS(DB_TEXT(id), DB_TEXT(state)), err);
}

int container_record_rename(Store *store, const char *id, const char *name, Error *err)
{
        int r = change_row(store, id, DB_DURABLE, "UPDATE container SET name = ?2 WHERE id = ?1", DB_ARGS(DB_TEXT(id), DB_TEXT(name)), err);

        return r < 0 && err->code == ERROR_EXISTS ? name_taken(store, name, err) : r;
}

#define CONTAINER_COLUMNS "id, name, image, created, config, state, transient"

static void load_record(DbStmt *stmt, ContainerRecord *ret)
{
        *ret = (ContainerRecord){
                .name = xstrdup_or_null(db_column_text(stmt, 1)),
                .image = db_column_digest(stmt, 2),
                .created = db_column_int(stmt, 3),
                .config = xstrdup_or_null(db_column_text(stmt, 4)),
                .state = xstrdup_or_null(db_column_text(stmt, 5)),
                .transient = db_column_int(stmt, 6) != 0,
        };
        snprintf(ret->id, sizeof(ret->id), "%s", db_column_text(stmt, 0));
}

/* 1 found, 0 none, 2 more than one, -1. */
static int find_record(Store *store, const char *sql, const DbArg *args, size_t n_args, ContainerRecord *ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r;
        load_record(stmt, ret);
        r = db_step(stmt, err);
        if (r == 0)
                return 1;
        container_record_done(ret);
        return r < 0 ? -1 : 2;
}

int container_record_find(Store *store, const char *name_or_id, ContainerRecord *ret, Error *err)
{
        const char *name = name_or_id[0] == '/' ? name_or_id + 1 : name_or_id;
        _cleanup_free_ char *after = xasprintf("%sg", name); /* 'g' follows 'f' */
        if (!*name)
                return error_set(err, ERROR_INVALID, "container name cannot be empty");
        /* docker's order: a full id, then a name, then the beginning of an id. */
        int r = find_record(store, "SELECT " CONTAINER_COLUMNS " FROM container WHERE id = ?1", DB_ARGS(DB_TEXT(name)), ret, err);

        if (r == 0)
                r = find_record(store, "SELECT " CONTAINER_COLUMNS " FROM container WHERE name = ?1", DB_ARGS(DB_TEXT(name)), ret, err);
        if (r == 0 && name[0] && strspn(name, "0123456789abcdef") == strlen(name))
                r = find_record(store, "SELECT " CONTAINER_COLUMNS " FROM container WHERE id >= ?1 AND id < ?2 LIMIT 2", DB_ARGS(DB_TEXT(name), DB_TEXT(after)),
                                ret, err);
        if (r == 2)
                return error_set(err, ERROR_INVALID, "multiple IDs found with provided prefix: %s", name_or_id);
        return r < 0 ? -1 : r > 0 ? 0 : error_set(err, ERROR_NOT_FOUND, "No such container: %s", name_or_id);
}

/* The rows are read whole before they are shown, so that `each` may change the store. */
int container_record_list(Store *store, int (*each)(void *user, const ContainerRecord *record, Error *err), void *user, Error *err)
{
        DbStmt *stmt = NULL;
        ContainerRecord *records = NULL;
        size_t n = 0, capacity = 0;
        int r;

        if (db_query(store->db, "SELECT " CONTAINER_COLUMNS " FROM container ORDER BY created DESC, id", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(records, capacity, n + 1);
                load_record(stmt, &records[n++]);
        }
        db_stmt_done(stmt);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = each(user, &records[i], err);
                container_record_done(&records[i]);
        }
        free(records);
        return r < 0 ? -1 : 0;
}

int container_record_remove(Store *store, const char *id, bool transient, Error *err)
{
        return change_row(store, id, transient ? DB_CHEAP : DB_DURABLE, "DELETE FROM container WHERE id = ?1", DB_ARGS(DB_TEXT(id)), err);
}
