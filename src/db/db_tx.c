/*
 * Transactions, nested by savepoints. The mutex is held from begin to commit or rollback, once per level.
 */
#include <stdio.h>
#include <unistd.h>

#include "db/db_internal.h"

static int begin_outer(Db *db, unsigned flags, Error *err)
{
        if (!(flags & DB_READ) && db_set_cheap(db, flags & DB_CHEAP, err) < 0)
                return -1;
        return db_run(db, flags & DB_READ ? "BEGIN" : "BEGIN IMMEDIATE", "begin a transaction", err);
}

/* `verb` and the savepoint of a level; with `then` a second one. */
static int run_savepoint(Db *db, const char *verb, const char *then, unsigned level, const char *doing, Error *err)
{
        char sql[64];

        if (then)
                snprintf(sql, sizeof(sql), "%s s%u; %s s%u", verb, level, then, level);
        else
                snprintf(sql, sizeof(sql), "%s s%u", verb, level);
        return db_run(db, sql, doing, err);
}

int db_begin(Db *db, unsigned flags, DbTx *tx, Error *err)
{
        int r;

        if (db_check_process(db, err) < 0)
                return -1;
        pthread_mutex_lock(&db->mutex);
        if (db->level == 0)
                r = begin_outer(db, flags, err);
        else
                r = run_savepoint(db, "SAVEPOINT", NULL, db->level, "begin a transaction", err);
        if (r < 0) {
                pthread_mutex_unlock(&db->mutex);
                return -1;
        }
        *tx = (DbTx){ .db = db, .level = db->level++ };
        return 0;
}

static void leave(DbTx *tx)
{
        Db *db = tx->db;

        db->level = tx->level;
        *tx = DB_TX_INIT;
        pthread_mutex_unlock(&db->mutex);
}

int db_commit(DbTx *tx, Error *err)
{
        Db *db = tx->db;
        int r;

        if (db_check_process(db, err) < 0)
                return -1;
        if (sqlite3_get_autocommit(db->handle)) {
                /* A full disk or a failing write has already rolled everything back; the statement that saw it has said so. */
                leave(tx);
                return error_set(err, ERROR_IO, "cannot commit: %s '%s': the transaction was rolled back after an earlier error", db->what, db->path);
        }
        r = tx->level == 0 ? db_run(db, "COMMIT", "commit", err) : run_savepoint(db, "RELEASE", NULL, tx->level, "commit", err);
        if (r < 0) {
                db_rollback(tx);
                return -1;
        }
        leave(tx);
        return 0;
}

void db_rollback(DbTx *tx)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        Db *db = tx->db;

        if (!db || db->pid != getpid())
                return;
        if (!sqlite3_get_autocommit(db->handle)) {
                if (tx->level == 0)
                        (void)db_run(db, "ROLLBACK", "roll back", &ignored);
                else
                        (void)run_savepoint(db, "ROLLBACK TO", "RELEASE", tx->level, "roll back", &ignored);
        }
        leave(tx);
}
