/*
 * The metadata database: one SQLite file, opened in microseconds, with migrations, cached statements and nested transactions.
 *
 * Durability: WAL. A durable transaction (the default) is written with synchronous=FULL: it is on disk when db_commit() returns, because its rows name data
 * that was fsynced before, and whoever got the acknowledgement relies on both. NORMAL never corrupts, but a power cut may take back the last commits; that
 * is what DB_CHEAP asks for: access times, file digests, everything that can be made again. A durable commit makes all earlier cheap ones durable.
 * Readers never block writers, and one writer at a time waits up to DB_BUSY_TIMEOUT_MS for the other processes.
 *
 * Threads: one connection, shared by the threads of the process under a recursive mutex of its own. It is held from db_begin() to db_commit() or
 * rollback, and from db_query() until the statement is given back: never wait for another thread meanwhile.
 * Forks: a child must not use the parent's connection: every call there fails with INTERNAL, and db_close() only lets go of it.
 *
 * SQL is text with static storage (a string literal): statements are cached by its address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "crypto/digest.h"

#define DB_BUSY_TIMEOUT_MS 30000

typedef struct Db Db;
typedef struct DbStmt DbStmt;

/*
 * A schema: scripts[i] brings version i to version i + 1, and is never changed once released. application_id marks the file ("what is this?").
 * `what` names it in messages: "store".
 */
typedef struct DbSchema {
        uint32_t application_id;
        const char *what;
        const char *const *scripts;
        size_t n_scripts;
} DbSchema;

typedef enum DbOpenFlags {
        DB_CREATE = 1 << 0,    /* make the file when it is missing */
        DB_READ_ONLY = 1 << 1, /* no migration, no writing; an older version is CONFLICT */
} DbOpenFlags;

/*
 * Opens `path`, which must not be reached through a symbolic link that changes. An older version is migrated in one exclusive transaction.
 * Errors: NOT_FOUND, CORRUPT (not a database, or another program's), UNSUPPORTED (a newer version: "store '…' has version 7, this mica knows up to 3: use
 * a newer mica"), DENIED, CONFLICT (busy).
 */
int db_open(const char *path, const DbSchema *schema, unsigned flags, Db **ret, Error *err);
void db_close(Db *db); /* NULL is fine */
DEFINE_CLEANUP(Db *, db_close)
/* The same without tidying up the WAL: for who opens it again at once. */
void db_close_quickly(Db *db);

/* --- arguments --- */

typedef enum DbType { DB_TYPE_NULL, DB_TYPE_INT, DB_TYPE_TEXT, DB_TYPE_BLOB } DbType;

typedef struct DbArg {
        DbType type;
        int64_t number;
        const void *data;
        size_t size;
} DbArg;

#define DB_NULL ((DbArg){ .type = DB_TYPE_NULL })
#define DB_INT(n) ((DbArg){ .type = DB_TYPE_INT, .number = (int64_t)(n) })
#define DB_BLOB(p, n) ((DbArg){ .type = DB_TYPE_BLOB, .data = (p), .size = (n) })
DbArg db_arg_text(const char *s);     /* NULL binds null */
DbArg db_arg_digest(const Digest *d); /* its bytes behind one byte of algorithm; unset binds null. Points into *d */
#define DB_TEXT(s) db_arg_text(s)
#define DB_DIGEST(d) db_arg_digest(d)

/* The arguments of a statement, for ?1, ?2, …: DB_ARGS(DB_TEXT(name), DB_INT(size)), or DB_NO_ARGS. What they point to must live until the statement is given
 * back. */
#define DB_ARGS(...) ((const DbArg[]){ __VA_ARGS__ }), (sizeof((const DbArg[]){ __VA_ARGS__ }) / sizeof(DbArg))
#define DB_NO_ARGS NULL, 0

/* --- statements --- */

/* Runs a statement to its end. Errors: EXISTS (unique), CONFLICT (foreign key, check, busy), NO_SPACE, CORRUPT, IO. */
int db_exec(Db *db, const char *sql, const DbArg *args, size_t n_args, Error *err);
int64_t db_changes(Db *db); /* rows changed by the last db_exec() of this thread's transaction */

/*
 * Starts a query. Give it back with db_stmt_done() (or _cleanup_db_stmt_), before the transaction ends.
 *   _cleanup_db_stmt_ DbStmt *stmt = NULL;
 *   if (db_query(db, "SELECT name FROM tags WHERE image = ?1", DB_ARGS(DB_DIGEST(&id)), &stmt, err) < 0) return -1;
 *   while ((r = db_step(stmt, err)) > 0) …db_column_text(stmt, 0)…;
 *   if (r < 0) return -1;
 */
int db_query(Db *db, const char *sql, const DbArg *args, size_t n_args, DbStmt **ret, Error *err);
int db_step(DbStmt *stmt, Error *err); /* 1: a row is there; 0: the end */
void db_stmt_done(DbStmt *stmt);       /* NULL is fine */
DEFINE_CLEANUP(DbStmt *, db_stmt_done)
#define _cleanup_db_stmt_ _cleanup_(db_stmt_donep)

/* Columns from 0. Pointers are valid until the next step. */
int64_t db_column_int(DbStmt *stmt, int column);      /* null reads 0 */
const char *db_column_text(DbStmt *stmt, int column); /* null reads NULL */
const void *db_column_blob(DbStmt *stmt, int column, size_t *ret_size);
Digest db_column_digest(DbStmt *stmt, int column); /* null and anything malformed read as unset */

/* The first column of the first row. Return 1 when there is a row, 0 when not (*ret untouched), -1. */
int db_query_int(Db *db, const char *sql, const DbArg *args, size_t n_args, int64_t *ret, Error *err);
int db_query_text(Db *db, const char *sql, const DbArg *args, size_t n_args, char **ret, Error *err); /* new string; null gives NULL */

/* --- transactions --- */

typedef enum DbTxFlags {
        DB_DURABLE = 0,
        DB_CHEAP = 1 << 0, /* may be taken back by a power cut; inside a durable transaction it has no effect */
        DB_READ = 1 << 1,  /* one consistent view, nothing is written */
} DbTxFlags;

/* Plain data; DB_TX_INIT, and _cleanup_db_tx_ rolls back what was not committed. */
typedef struct DbTx {
        Db *db; /* NULL: not open */
        unsigned level;
} DbTx;

#define DB_TX_INIT ((DbTx){ 0 })
#define _cleanup_db_tx_ _cleanup_(db_rollback)

/*
 * Begins: takes the write lock at once (unless DB_READ), so that nothing fails half-way for being second. Inside another one: a savepoint.
 * Errors: CONFLICT "store is busy", NO_SPACE, IO.
 */
int db_begin(Db *db, unsigned flags, DbTx *tx, Error *err);
int db_commit(DbTx *tx, Error *err); /* on failure it has been rolled back */
void db_rollback(DbTx *tx);          /* nothing when not open */
