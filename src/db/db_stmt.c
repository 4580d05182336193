/*
 * Statements: the cache, arguments, rows.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "db/db_internal.h"

DbArg db_arg_text(const char *s)
{
        return s ? (DbArg){ .type = DB_TYPE_TEXT, .data = s, .size = strlen(s) } : DB_NULL;
}

/* The struct is one byte of algorithm and then the bytes, which is just what is stored. */
DbArg db_arg_digest(const Digest *d)
{
        _Static_assert(offsetof(Digest, bytes) == 1, "Digest has no padding");
        return digest_is_set(d) ? DB_BLOB(d, 1 + digest_size(d)) : DB_NULL;
}

/* An idle statement for the text, from the cache or new. NULL with err. */
static DbStmt *stmt_take(Db *db, const char *sql, Error *err)
{
        DbStmt *stmt;
        sqlite3_stmt *prepared;
        int rc;

        for (size_t i = 0; i < db->n_stmts; i++)
                if (db->stmts[i]->sql == sql && !db->stmts[i]->busy)
                        return db->stmts[i];
        rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, NULL);
        if (rc != SQLITE_OK) {
                db_fail(db, rc, "query", err);
                return NULL;
        }
        stmt = NEW(DbStmt);
        *stmt = (DbStmt){ .db = db, .sql = sql, .stmt = prepared };
        GROW(db->stmts, db->stmts_capacity, db->n_stmts + 1);
        db->stmts[db->n_stmts++] = stmt;
        return stmt;
}

static int bind(DbStmt *stmt, int at, const DbArg *arg)
{
        switch (arg->type) {
        case DB_TYPE_NULL:
                return sqlite3_bind_null(stmt->stmt, at);
        case DB_TYPE_INT:
                return sqlite3_bind_int64(stmt->stmt, at, arg->number);
        case DB_TYPE_TEXT:
                return sqlite3_bind_text64(stmt->stmt, at, arg->data, arg->size, SQLITE_STATIC, SQLITE_UTF8);
        case DB_TYPE_BLOB:
                return arg->size ? sqlite3_bind_blob64(stmt->stmt, at, arg->data, arg->size, SQLITE_STATIC) : sqlite3_bind_zeroblob(stmt->stmt, at, 0);
        }
        return SQLITE_MISUSE;
}

int db_query(Db *db, const char *sql, const DbArg *args, size_t n_args, DbStmt **ret, Error *err)
{
        DbStmt *stmt = NULL;

        if (db_check_process(db, err) < 0)
                return -1;
        pthread_mutex_lock(&db->mutex);
        /* Outside of transactions a statement commits by itself, and then for good. */
        if (db->level == 0 && db->cheap && sqlite3_get_autocommit(db->handle) && db_set_cheap(db, false, err) < 0)
                goto failed;
        stmt = stmt_take(db, sql, err);
        if (!stmt)
                goto failed;
        stmt->busy = true;
        for (size_t i = 0; i < n_args; i++) {
                int rc = bind(stmt, (int)i + 1, &args[i]);

                if (rc != SQLITE_OK) {
                        db_fail(db, rc, "query", err);
                        db_stmt_done(stmt);
                        return -1;
                }
        }
        *ret = stmt;
        return 0;
failed:
        pthread_mutex_unlock(&db->mutex);
        return -1;
}

int db_step(DbStmt *stmt, Error *err)
{
        int rc = sqlite3_step(stmt->stmt);

        if (rc == SQLITE_ROW)
                return 1;
        return rc == SQLITE_DONE ? 0 : db_fail(stmt->db, rc, sqlite3_stmt_readonly(stmt->stmt) ? "read" : "write", err);
}

void db_stmt_done(DbStmt *stmt)
{
        if (!stmt || stmt->db->pid != getpid())
                return;
        sqlite3_reset(stmt->stmt);
        sqlite3_clear_bindings(stmt->stmt);
        stmt->busy = false;
        pthread_mutex_unlock(&stmt->db->mutex);
}

int db_exec(Db *db, const char *sql, const DbArg *args, size_t n_args, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        do
                r = db_step(stmt, err);
        while (r > 0);
        return r;
}

int64_t db_changes(Db *db)
{
        return sqlite3_changes64(db->handle);
}

int64_t db_column_int(DbStmt *stmt, int column)
{
        return sqlite3_column_int64(stmt->stmt, column);
}

const char *db_column_text(DbStmt *stmt, int column)
{
        return (const char *)sqlite3_column_text(stmt->stmt, column);
}

const void *db_column_blob(DbStmt *stmt, int column, size_t *ret_size)
{
        const void *data = sqlite3_column_blob(stmt->stmt, column);

        *ret_size = (size_t)sqlite3_column_bytes(stmt->stmt, column);
        return data;
}

Digest db_column_digest(DbStmt *stmt, int column)
{
        size_t size;
        const unsigned char *data = db_column_blob(stmt, column, &size);
        Digest digest = { 0 };

        if (!data || size < 2 || size > sizeof(digest))
                return digest;
        memcpy(&digest, data, size);
        if ((digest.algorithm != DIGEST_SHA256 && digest.algorithm != DIGEST_SHA512) || 1 + digest_size(&digest) != size)
                digest = (Digest){ 0 };
        return digest;
}

int db_query_int(Db *db, const char *sql, const DbArg *args, size_t n_args, int64_t *ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r > 0)
                *ret = db_column_int(stmt, 0);
        return r;
}

int db_query_text(Db *db, const char *sql, const DbArg *args, size_t n_args, char **ret, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(db, sql, args, n_args, &stmt, err) < 0)
                return -1;
        r = db_step(stmt, err);
        if (r > 0)
                *ret = xstrdup_or_null(db_column_text(stmt, 0));
        return r;
}
