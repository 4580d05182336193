/*
 * Opening, closing, and what a failure of the library means.
 *
 * Opening is cheap by leaving things out: one read of the header (user_version, application_id) is all the SQL there is; everything else is set through
 * C calls. Closing never checkpoints a small WAL, so that a command that writes three rows does not pay two more fsyncs; the next one to open reads it
 * back, which costs some microseconds per page (see WAL_PAGES_AT_CLOSE).
 */
#include "db/db.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "db/db_internal.h"

/* Pages in the WAL from which on a commit also checkpoints (the library's own default), and closing does. */
#define WAL_PAGES_AT_COMMIT 1000
#define WAL_PAGES_AT_CLOSE 32

static void init_library(void)
{
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* counters that nobody reads, under a lock */
        db_fault_init();
        sqlite3_initialize();
}

static int on_commit(void *user, sqlite3 *handle, const char *name, int n_pages)
{
        Db *db = user;

        db->wal_pages = n_pages;
        if (n_pages >= WAL_PAGES_AT_COMMIT)
                sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        return SQLITE_OK;
}

static ErrorCode code_of_errno(int errnum, ErrorCode otherwise)
{
        switch (errnum) {
        case ENOSPC:
        case EDQUOT:
                return ERROR_NO_SPACE;
        case EACCES:
        case EPERM:
        case EROFS:
                return ERROR_DENIED;
        case ENOENT:
        case ENOTDIR:
                return ERROR_NOT_FOUND;
        default:
                return otherwise;
        }
}

static ErrorCode code_of(sqlite3 *handle, int rc)
{
        switch (rc & 0xff) {
        case SQLITE_FULL:
                return ERROR_NO_SPACE;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return ERROR_CONFLICT;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return ERROR_CORRUPT;
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return ERROR_DENIED;
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
                return code_of_errno(handle ? sqlite3_system_errno(handle) : 0, ERROR_IO);
        case SQLITE_INTERRUPT:
                return ERROR_CANCELLED;
        case SQLITE_NOMEM:
        case SQLITE_TOOBIG:
                return ERROR_LIMIT;
        case SQLITE_CONSTRAINT:
                return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID ? ERROR_EXISTS : ERROR_CONFLICT;
        default:
                return ERROR_INTERNAL;
        }
}

int db_fail(Db *db, int rc, const char *doing, Error *err)
{
        int full = db->handle ? sqlite3_extended_errcode(db->handle) : rc;
        const char *why = db->handle && (full & 0xff) == (rc & 0xff) ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
        ErrorCode code = code_of(db->handle, (full & 0xff) == (rc & 0xff) ? full : rc);

        if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
                error_set(err, code, "cannot %s: %s is busy ('%s' is being written by another process)", doing, db->what, db->path);
        else
                error_set(err, code, "cannot %s: %s '%s': %s", doing, db->what, db->path, why);
        if (db->handle)
                err->errnum = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db->handle) : 0;
        return -1;
}

int db_check_process(const Db *db, Error *err)
{
        if (!db) /* it could not be opened again after a fork; who goes on in spite of that is told so */
                return error_set(err, ERROR_IO, "the database is closed: it could not be opened again");
        if (db->pid == getpid())
                return 0;
        return error_set(err, ERROR_INTERNAL, "%s '%s' was opened before this process was forked: open it again", db->what, db->path);
}

int db_run(Db *db, const char *sql, const char *doing, Error *err)
{
        int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

        return rc == SQLITE_OK ? 0 : db_fail(db, rc, doing, err);
}

int db_set_cheap(Db *db, bool cheap, Error *err)
{
        if (db->cheap == cheap)
                return 0;
        if (db_run(db, cheap ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL", "set the durability", err) < 0)
                return -1;
        db->cheap = cheap;
        return 0;
}

static Db *db_new(const char *path, const DbSchema *schema)
{
        Db *db = NEW(Db);
        pthread_mutexattr_t attributes;

        db->path = xstrdup(path);
        db->what = schema->what;
        db->pid = getpid();
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
        pthread_mutex_init(&db->mutex, &attributes);
        pthread_mutexattr_destroy(&attributes);
        return db;
}

static int open_handle(Db *db, unsigned flags, Error *err)
{
        int how = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (flags & DB_READ_ONLY ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
        int rc;

        if (flags & DB_CREATE && !(flags & DB_READ_ONLY))
                how |= SQLITE_OPEN_CREATE;
        rc = sqlite3_open_v2(db->path, &db->handle, how, NULL);
        if (rc != SQLITE_OK)
                return db_fail(db, rc, "open", err);
        sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_wal_hook(db->handle, on_commit, db);
        return 0;
}

int db_open(const char *path, const DbSchema *schema, unsigned flags, Db **ret, Error *err)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        _cleanup_(db_closep) Db *db = NULL;

        pthread_once(&once, init_library);
        db = db_new(path, schema);
        if (open_handle(db, flags, err) < 0 || db_migrate(db, schema, flags, err) < 0)
                return -1;
        db_fault_attach(db->handle);
        *ret = TAKE_PTR(db);
        return 0;
}

void db_close(Db *db)
{
        if (!db)
                return;
        if (db->pid != getpid())
                return; /* the parent's: closing here would meddle with files that it goes on using */
        for (size_t i = 0; i < db->n_stmts; i++) {
                sqlite3_finalize(db->stmts[i]->stmt);
                free(db->stmts[i]);
        }
        free(db->stmts);
        if (db->wal_pages >= WAL_PAGES_AT_CLOSE) {
                sqlite3_busy_timeout(db->handle, 0); /* not worth waiting for */
                sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        }
        sqlite3_close_v2(db->handle);
        pthread_mutex_destroy(&db->mutex);
        free(db->path);
        free(db);
}

void db_close_quickly(Db *db)
{
        if (db)
                db->wal_pages = 0;
        db_close(db);
}
