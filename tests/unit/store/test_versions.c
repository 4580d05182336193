/* Stores of other versions of mica: a newer one is not touched, an older one is brought up with everything in it, however many come at once. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "db/db.h"

extern const DbSchema store_schema;

static void test_newer_store_is_refused(void **state)
{
        Fixture *fixture = *state;
        _cleanup_free_ char *path = xasprintf("%s/db.sqlite", fixture->root);
        const StoreOptions options = { .root = fixture->root };
        Store *store = NULL;
        uint32_t version = 0x63000000; /* 99, big-endian, at offset 60 of SQLite's header */
        int fd;
        Error err = ERROR_INIT;

        /* The version must be in the file itself, not in the WAL. */
        assert_ok(store_gc(fixture->store, false, NULL, &err));
        store_close(TAKE_PTR(fixture->store));
        {
                Db *db;

                assert_ok(db_open(path, &store_schema, 0, &db, &err));
                db_close(db);
        }
        fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, &version, 4, 60), 4);
        close(fd);
        _cleanup_free_ char *wal = xasprintf("%s-wal", path);
        (void)unlink(wal);
        assert_fails(store_open(&options, &store, &err), ERROR_UNSUPPORTED);
        assert_null(store);
}

/* What SQLite knows of tables and indexes. */
static char *schema_of(const char *path)
{
        _cleanup_(db_closep) Db *db = NULL;
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        Buf text = BUF_INIT(MIB);
        Error err = ERROR_INIT;

        assert_ok(db_open(path, &store_schema, 0, &db, &err));
        assert_ok(db_query(db, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name", DB_NO_ARGS, &stmt, &err));
        while (db_step(stmt, &err) > 0)
                buf_putf(&text, "%s\n", db_column_text(stmt, 0));
        return buf_detach(&text);
}

/* Puts a database of an old version, with rows, in the place of the store's. */
static void make_old(Fixture *fixture, size_t version)
{
        const DbSchema old = { .application_id = store_schema.application_id, .what = "store", .scripts = store_schema.scripts, .n_scripts = version };
        _cleanup_free_ char *path = xasprintf("%s/db.sqlite", fixture->root), *wal = xasprintf("%s-wal", path), *shm = xasprintf("%s-shm", path),
                            *data = xasprintf("%s/volumes/old/_data", fixture->root);
        Error err = ERROR_INIT;
        Db *db;

        store_close(TAKE_PTR(fixture->store));
        (void)unlink(path);
        (void)unlink(wal);
        (void)unlink(shm);
        assert_int_equal(dir_make(AT_FDCWD, data, 0755), 0);
        assert_ok(db_open(path, &old, DB_CREATE, &db, &err));
        assert_ok(db_exec(db, "INSERT INTO volume (name, created, anonymous, labels) VALUES ('old', 1, 0, '{\"a\":\"b\"}')", DB_NO_ARGS, &err));
        assert_ok(db_exec(db,
                          "INSERT INTO cache (key, diff_id, source_key, description, kind, size, created, last_used, n_used)"
                          " VALUES (x'01', NULL, NULL, 'RUN x', 'regular', 0, 1, 1, 0)",
                          DB_NO_ARGS, &err));
        db_close(db);
}

static void expect_whole(Fixture *fixture)
{
        _cleanup_free_ char *path = xasprintf("%s/db.sqlite", fixture->root), *fresh_path = xasprintf("%s/fresh.sqlite", fixture->dir), *have = NULL,
                            *want = NULL;
        FsckResult result;
        Error err = ERROR_INIT;
        int64_t n = 0;
        Db *db;

        fixture_reopen(fixture);
        assert_ok(store_fsck(fixture->store, false, NULL, NULL, NULL, &result, &err));
        assert_int_equal(result.n_problems, 0);
        store_close(TAKE_PTR(fixture->store));
        assert_ok(db_open(fresh_path, &store_schema, DB_CREATE, &db, &err));
        db_close(db);
        have = schema_of(path);
        want = schema_of(fresh_path);
        assert_string_equal(have, want);
        assert_ok(db_open(path, &store_schema, 0, &db, &err));
        assert_int_equal(db_query_int(db, "PRAGMA user_version", DB_NO_ARGS, &n, &err), 1);
        assert_int_equal(n, store_schema.n_scripts);
        assert_int_equal(db_query_int(db, "SELECT count(*) FROM volume WHERE name = 'old' AND labels = '{\"a\":\"b\"}'", DB_NO_ARGS, &n, &err), 1);
        assert_int_equal(n, 1);
        assert_int_equal(db_query_int(db, "SELECT count(*) FROM cache WHERE description = 'RUN x'", DB_NO_ARGS, &n, &err), 1);
        assert_int_equal(n, 1);
        db_close(db);
        fixture_reopen(fixture);
}

static void test_older_stores_are_migrated(void **state)
{
        Fixture *fixture = *state;

        assert_true(store_schema.n_scripts > 1);
        for (size_t version = 1; version < store_schema.n_scripts; version++) {
                make_old(fixture, version);
                expect_whole(fixture);
        }
}

static void test_many_processes_migrate_one_store(void **state)
{
        enum { N = 8 };
        Fixture *fixture = *state;
        pid_t pids[N];

        make_old(fixture, 1);
        for (size_t i = 0; i < N; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        const StoreOptions options = { .root = fixture->root, .driver = fixture_driver };
                        Error err = ERROR_INIT;
                        Store *store;

                        if (store_open(&options, &store, &err) < 0) {
                                fprintf(stderr, "%s\n", error_message(&err));
                                _exit(1);
                        }
                        store_close(store);
                        _exit(0);
                }
        }
        for (size_t i = 0; i < N; i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        expect_whole(fixture);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_newer_store_is_refused, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_older_stores_are_migrated, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_many_processes_migrate_one_store, fixture_setup, fixture_teardown),
        };

        fixture_driver = "dir";
        return cmocka_run_group_tests(tests, NULL, NULL);
}
