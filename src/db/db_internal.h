/*
 * Private to db/.
 */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "db/db.h"

struct DbStmt {
        Db *db;
        const char *sql; /* the key: compared by address */
        sqlite3_stmt *stmt;
        bool busy;
};

struct Db {
        sqlite3 *handle;
        char *path;
        const char *what;      /* the schema's, for messages */
        pthread_mutex_t mutex; /* recursive; see db.h "Threads" */
        pid_t pid;             /* who opened it */
        DbStmt **stmts;        /* the cache; a text is there twice when its query was nested in itself */
        size_t n_stmts, stmts_capacity;
        unsigned level; /* open transactions */
        bool cheap;     /* synchronous is NORMAL now */
        int wal_pages;  /* after the last commit of ours */
};

/* Fills err from a result of the library. Returns -1. */
int db_fail(Db *db, int rc, const char *doing, Error *err);

/* Refuses the connection in a forked child. */
int db_check_process(const Db *db, Error *err);

/* Runs statements that return nothing worth having. */
int db_run(Db *db, const char *sql, const char *doing, Error *err);

/* Sets synchronous; only outside of transactions. */
int db_set_cheap(Db *db, bool cheap, Error *err);

/* Brings the file to the schema's version. */
int db_migrate(Db *db, const DbSchema *schema, unsigned flags, Error *err);

/* Fault injection for the library's own system calls; nothing without MICA_FAULT. */
void db_fault_init(void);
void db_fault_attach(sqlite3 *handle);
