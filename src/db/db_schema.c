/*
 * Versions and migrations.
 *
 *   user_version   what is done
 *   0              a new file: made WAL, then all scripts
 *   < n_scripts    the missing scripts, inside one exclusive transaction, so that a crash leaves the old version
 *   = n_scripts    nothing
 *   > n_scripts    refused: a newer mica wrote it
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/str.h"
#include "db/db_internal.h"

typedef struct FileState {
        int64_t version, application, n_tables;
} FileState;

/* In one statement, and so of one moment: another process may be making the file. */
static int read_state(Db *db, FileState *ret, Error *err)
{
        static const char sql[] = "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id), "
                                  "(SELECT count(*) FROM sqlite_schema)";
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);

        if (rc == SQLITE_OK)
                rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW)
                *ret = (FileState){ sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2) };
        else
                db_fail(db, rc, "open", err);
        sqlite3_finalize(stmt);
        return rc == SQLITE_ROW ? 0 : -1;
}

/* Whose file this is, and how old. */
static int read_version(Db *db, const DbSchema *schema, int64_t *ret, Error *err)
{
        FileState state;

        if (read_state(db, &state, err) < 0)
                return -1;
        /* A new file is nobody's yet. */
        if ((uint32_t)state.application != schema->application_id && !(state.version == 0 && state.application == 0 && state.n_tables == 0))
                return error_set(err, ERROR_CORRUPT, "'%s' is not a %s: it is another program's database", db->path, schema->what);
        if (state.version < 0 || (uint64_t)state.version > schema->n_scripts)
                return error_set(err, ERROR_UNSUPPORTED, "%s '%s' has version %" PRId64 ", this mica knows up to %zu: use a newer mica", schema->what, db->path,
                                 state.version, schema->n_scripts);
        *ret = state.version;
        return 0;
}

/*
 * Two processes that make the same file at once: the change of the journal mode does not wait for locks by itself.
 */
static int make_wal(Db *db, Error *err)
{
        const struct timespec pause = { .tv_nsec = 2000000 };
        int rc = SQLITE_BUSY;

        for (int i = 0; i < DB_BUSY_TIMEOUT_MS / 2 && (rc & 0xff) == SQLITE_BUSY; i++) {
                if (i > 0)
                        nanosleep(&pause, NULL);
                rc = sqlite3_exec(db->handle, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
        }
        return rc == SQLITE_OK ? 0 : db_fail(db, rc, "set up", err);
}

static int run_scripts(Db *db, const DbSchema *schema, Error *err)
{
        char sql[128];
        int64_t version;

        if (read_version(db, schema, &version, err) < 0) /* again, under the lock: another process may have been faster */
                return -1;
        if ((uint64_t)version == schema->n_scripts)
                return 0;
        for (size_t i = (size_t)version; i < schema->n_scripts; i++)
                if (db_run(db, schema->scripts[i], "migrate", err) < 0)
                        return error_wrap(err, "version %zu", i + 1);
        snprintf(sql, sizeof(sql), "PRAGMA application_id=%" PRId32 "; PRAGMA user_version=%zu", (int32_t)schema->application_id, schema->n_scripts);
        return db_run(db, sql, "migrate", err);
}

int db_migrate(Db *db, const DbSchema *schema, unsigned flags, Error *err)
{
        int64_t version;

        if (read_version(db, schema, &version, err) < 0)
                return -1;
        if ((uint64_t)version == schema->n_scripts && version > 0)
                return 0;
        if (flags & DB_READ_ONLY)
                return error_set(err, ERROR_CONFLICT, "%s '%s' has version %" PRId64 " and must be migrated to %zu first: run a command that may write",
                                 schema->what, db->path, version, schema->n_scripts);
        if (version == 0 && make_wal(db, err) < 0)
                return -1;
        if (db_run(db, "BEGIN EXCLUSIVE", "migrate", err) < 0)
                return -1;
        if (run_scripts(db, schema, err) < 0 || db_run(db, "COMMIT", "migrate", err) < 0) {
                sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
                return -1;
        }
        return 0;
}
