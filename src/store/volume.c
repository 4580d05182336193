/*
 * Volumes: volumes/<name>/_data and a row.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/container.h"
#include "store/internal.h"

#define VOLUME_NAME_MAX 128

void volume_record_done(VolumeRecord *record)
{
        free(record->name);
        free(record->labels);
        *record = (VolumeRecord){ 0 };
}

/* docker's rule: [a-zA-Z0-9][a-zA-Z0-9_.-]+ ; the name is that of a directory, too. */
static int check_name(const char *name, Error *err)
{
        size_t n = strlen(name);
        bool good = n >= 1 && n <= VOLUME_NAME_MAX && isalnum((unsigned char)name[0]);

        for (size_t i = 0; i < n && good; i++)
                good = isalnum((unsigned char)name[i]) || strchr("_.-", name[i]);
        if (good)
                return 0;
        return error_set(err, ERROR_INVALID,
                         "create %s: \"%s\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you "
                         "intended to pass a "
                         "host directory, use absolute path",
                         name, name);
}

static char *data_path(Store *store, const char *name)
{
        return xasprintf("%s/volumes/%s/_data", store->root, name);
}

static int make_dirs(Store *store, const char *name, Error *err)
{
        char path[STORE_NAME_SIZE];

        snprintf(path, sizeof(path), "volumes/%s", name);
        if (sys_mkdirat(store->root_fd, path, 0711) < 0 && errno != EEXIST)
                return error_errno(err, errno, "cannot make the volume '%s'", name);
        snprintf(path, sizeof(path), "volumes/%s/_data", name);
        if (sys_mkdirat(store->root_fd, path, 0755) < 0 && errno != EEXIST)
                return error_errno(err, errno, "cannot make the volume '%s'", name);
        return 0;
}

int volume_make(Store *store, const VolumeRecord *record, char **ret_path, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        int64_t one;
        int r;

        if (check_name(record->name, err) < 0)
                return -1;
        if (db_begin(store->db, DB_DURABLE, &tx, err) < 0)
                return -1;
        r = db_query_int(store->db, "SELECT 1 FROM volume WHERE name = ?1", DB_ARGS(DB_TEXT(record->name)), &one, err);
        if (r < 0 || make_dirs(store, record->name, err) < 0)
                return -1;
        if (r == 0 && (db_exec(store->db, "INSERT INTO volume (name, created, anonymous, labels) VALUES (?1, ?2, ?3, ?4)",
                               DB_ARGS(DB_TEXT(record->name), DB_INT(record->created ? record->created : clock_now()), DB_INT(record->anonymous),
                                       DB_TEXT(record->labels ? record->labels : "{}")),
                               err) < 0 ||
                       db_commit(&tx, err) < 0))
                return -1;
        if (ret_path)
                *ret_path = data_path(store, record->name);
        return r == 0;
}

static void load_volume(DbStmt *stmt, VolumeRecord *ret)
{
        *ret = (VolumeRecord){
                .name = xstrdup_or_null(db_column_text(stmt, 0)),
                .created = db_column_int(stmt, 1),
                .anonymous = db_column_int(stmt, 2) != 0,
                .labels = xstrdup_or_null(db_column_text(stmt, 3)),
        };
}

int volume_find(Store *store, const char *name, VolumeRecord *ret, char **ret_path, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT name, created, anonymous, labels FROM volume WHERE name = ?1", DB_ARGS(DB_TEXT(name)), &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r <= 0)
                return r < 0 ? -1 : error_set(err, ERROR_NOT_FOUND, "no such volume: %s", name);
        if (ret)
                load_volume(stmt, ret);
        if (ret_path)
                *ret_path = data_path(store, name);
        return 0;
}

int volume_list(Store *store, int (*each)(void *user, const VolumeRecord *record, Error *err), void *user, Error *err)
{
        DbStmt *stmt = NULL;
        VolumeRecord *records = NULL;
        size_t n = 0, capacity = 0;
        int r;

        if (db_query(store->db, "SELECT name, created, anonymous, labels FROM volume ORDER BY name", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(records, capacity, n + 1);
                load_volume(stmt, &records[n++]);
        }
        db_stmt_done(stmt);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = each(user, &records[i], err);
                volume_record_done(&records[i]);
        }
        free(records);
        return r < 0 ? -1 : 0;
}

int volume_remove(Store *store, const char *name, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char path[STORE_NAME_SIZE];
        int r;

        if (check_name(name, err) < 0 || db_begin(store->db, DB_DURABLE, &tx, err) < 0 ||
            db_exec(store->db, "DELETE FROM volume WHERE name = ?1", DB_ARGS(DB_TEXT(name)), err) < 0)
                return -1;
        if (db_changes(store->db) == 0)
                return error_set(err, ERROR_NOT_FOUND, "no such volume: %s", name);
        if (db_commit(&tx, err) < 0)
                return -1;
        snprintf(path, sizeof(path), "volumes/%s", name);
        r = tree_remove(store->root_fd, path);
        return r < 0 ? error_errno(err, r, "cannot remove '%s/%s'", store->root, path) : 0;
}
