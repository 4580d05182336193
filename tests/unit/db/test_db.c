/*
 * The metadata database. If these fail, a user loses rows that were acknowledged, or a store that another version of mica wrote.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "db/db.h"

static const char *const scripts[] = {
        "CREATE TABLE tags (name TEXT PRIMARY KEY, image BLOB, n INTEGER NOT NULL DEFAULT 0) STRICT;",
        "CREATE TABLE parts (tag TEXT REFERENCES tags (name), part TEXT) STRICT; CREATE INDEX parts_tag ON parts (tag);",
        "ALTER TABLE tags ADD COLUMN used INTEGER;",
};
static const DbSchema schema = { .application_id = 0x6d696361, .what = "store", .scripts = scripts, .n_scripts = 3 };

typedef struct Place {
        char dir[64];
        char file[96];
} Place;

static int set_up(void **state)
{
        Place *place = NEW(Place);

        snprintf(place->dir, sizeof(place->dir), "/tmp/mica-test-db-XXXXXX");
        assert_non_null(mkdtemp(place->dir));
        snprintf(place->file, sizeof(place->file), "%s/db.sqlite", place->dir);
        *state = place;
        return 0;
}

static int tear_down(void **state)
{
        Place *place = *state;

        tree_remove(AT_FDCWD, place->dir);
        free(place);
        return 0;
}

static Db *open_or_die(const Place *place)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = NULL;

        if (db_open(place->file, &schema, DB_CREATE, &db, &err) < 0)
                fail_msg("%s", error_message(&err));
        return db;
}

static int64_t number(Db *db, const char *sql)
{
        _cleanup_error_ Error err = ERROR_INIT;
        int64_t n = -1;

        if (db_query_int(db, sql, DB_NO_ARGS, &n, &err) < 0)
                fail_msg("%s", error_message(&err));
        return n;
}

static void rows_survive_a_reopen(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = open_or_die(*state);
        Digest id = digest_of("x", 1), back, none = { 0 };
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        _cleanup_free_ char *text = NULL;

        assert_int_equal(db_exec(db, "INSERT INTO tags (name, image, n) VALUES (?1, ?2, ?3)", DB_ARGS(DB_TEXT("a"), DB_DIGEST(&id), DB_INT(-5)), &err), 0);
        assert_int_equal(db_changes(db), 1);
        assert_int_equal(db_exec(db, "INSERT INTO tags (name, image) VALUES (?1, ?2)", DB_ARGS(DB_TEXT("b"), DB_DIGEST(&none)), &err), 0);
        db_close(db);
        db = open_or_die(*state);
        assert_int_equal(db_query(db, "SELECT name, image, n, used FROM tags WHERE image = ?1", DB_ARGS(DB_DIGEST(&id)), &stmt, &err), 0);
        assert_int_equal(db_step(stmt, &err), 1);
        assert_string_equal(db_column_text(stmt, 0), "a");
        back = db_column_digest(stmt, 1);
        assert_true(digest_equal(&back, &id));
        assert_int_equal(db_column_int(stmt, 2), -5);
        assert_null(db_column_text(stmt, 3));
        assert_int_equal(db_step(stmt, &err), 0);
        db_stmt_done(TAKE_PTR(stmt));
        assert_int_equal(db_query_text(db, "SELECT name FROM tags WHERE image IS NULL", DB_NO_ARGS, &text, &err), 1);
        assert_string_equal(text, "b");
        assert_int_equal(db_query_text(db, "SELECT name FROM tags WHERE name = 'c'", DB_NO_ARGS, &text, &err), 0);
        db_close(db);
}

static void transactions_nest_and_roll_back(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = open_or_die(*state);

        {
                _cleanup_db_tx_ DbTx outer = DB_TX_INIT;

                assert_int_equal(db_begin(db, DB_DURABLE, &outer, &err), 0);
                assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('outer')", DB_NO_ARGS, &err), 0);
                {
                        _cleanup_db_tx_ DbTx inner = DB_TX_INIT;

                        assert_int_equal(db_begin(db, DB_DURABLE, &inner, &err), 0);
                        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('inner')", DB_NO_ARGS, &err), 0);
                }
                assert_int_equal(number(db, "SELECT count(*) FROM tags"), 1);
                {
                        _cleanup_db_tx_ DbTx inner = DB_TX_INIT;

                        assert_int_equal(db_begin(db, DB_CHEAP, &inner, &err), 0);
                        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('kept')", DB_NO_ARGS, &err), 0);
                        assert_int_equal(db_commit(&inner, &err), 0);
                }
                assert_int_equal(db_commit(&outer, &err), 0);
        }
        assert_int_equal(number(db, "SELECT count(*) FROM tags"), 2);
        {
                _cleanup_db_tx_ DbTx lost = DB_TX_INIT;

                assert_int_equal(db_begin(db, DB_CHEAP, &lost, &err), 0);
                assert_int_equal(db_exec(db, "DELETE FROM tags", DB_NO_ARGS, &err), 0);
        }
        assert_int_equal(number(db, "SELECT count(*) FROM tags"), 2);
        assert_int_equal(number(db, "PRAGMA synchronous"), 2); /* a statement by itself is durable again after a cheap transaction */
        db_close(db);
}

static void failures_have_their_codes(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = open_or_die(*state);

        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('a')", DB_NO_ARGS, &err), 0);
        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('a')", DB_NO_ARGS, &err), -1);
        assert_int_equal(err.code, ERROR_EXISTS);
        assert_int_equal(db_exec(db, "INSERT INTO parts (tag) VALUES ('missing')", DB_NO_ARGS, &err), -1);
        assert_int_equal(err.code, ERROR_CONFLICT);
        assert_int_equal(db_exec(db, "SELECT nonsense", DB_NO_ARGS, &err), -1);
        assert_int_equal(err.code, ERROR_INTERNAL);
        db_close(db);
        assert_int_equal(db_open("/nonexistent/db.sqlite", &schema, DB_CREATE, &db, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void a_newer_store_is_refused_and_an_older_one_migrated(void **state)
{
        static const DbSchema old = { .application_id = 0x6d696361, .what = "store", .scripts = scripts, .n_scripts = 1 };
        const Place *place = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = NULL;

        assert_int_equal(db_open(place->file, &old, DB_CREATE, &db, &err), 0);
        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('old')", DB_NO_ARGS, &err), 0);
        db_close(db);
        assert_int_equal(db_open(place->file, &schema, DB_READ_ONLY, &db, &err), -1);
        assert_int_equal(err.code, ERROR_CONFLICT);
        db = open_or_die(place);
        assert_int_equal(number(db, "SELECT count(*) FROM tags WHERE used IS NULL"), 1);
        assert_int_equal(number(db, "PRAGMA user_version"), 3);
        db_close(db);
        assert_int_equal(db_open(place->file, &old, 0, &db, &err), -1);
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_non_null(strstr(error_message(&err), "use a newer mica"));
}

static void a_failing_migration_leaves_the_old_version(void **state)
{
        static const char *const broken_scripts[] = { "CREATE TABLE tags (name TEXT)", "CREATE TABLE more (x TEXT); INSERT INTO nowhere VALUES (1)" };
        static const DbSchema old = { .application_id = 1, .what = "store", .scripts = broken_scripts, .n_scripts = 1 };
        static const DbSchema broken = { .application_id = 1, .what = "store", .scripts = broken_scripts, .n_scripts = 2 };
        const Place *place = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = NULL;

        assert_int_equal(db_open(place->file, &old, DB_CREATE, &db, &err), 0);
        db_close(db);
        assert_int_equal(db_open(place->file, &broken, 0, &db, &err), -1);
        assert_int_equal(db_open(place->file, &old, 0, &db, &err), 0);
        assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'more'"), 0);
        db_close(db);
}

static void other_files_are_not_taken_for_a_store(void **state)
{
        static const DbSchema other = { .application_id = 99, .what = "store", .scripts = scripts, .n_scripts = 1 };
        const Place *place = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        char junk[4096];
        Db *db = NULL;

        assert_int_equal(db_open(place->file, &schema, 0, &db, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        assert_int_equal(db_open(place->file, &other, DB_CREATE, &db, &err), 0);
        db_close(db);
        assert_int_equal(db_open(place->file, &schema, 0, &db, &err), -1);
        assert_int_equal(err.code, ERROR_CORRUPT);
        memset(junk, 'x', sizeof(junk));
        tree_remove(AT_FDCWD, place->dir);
        assert_int_equal(mkdir(place->dir, 0700), 0);
        assert_int_equal(file_write_atomic(AT_FDCWD, place->file, junk, sizeof(junk), 0600, false), 0);
        assert_int_equal(db_open(place->file, &schema, 0, &db, &err), -1);
        assert_int_equal(err.code, ERROR_CORRUPT);
}

/* A statement that is stepped while the same text is run again below it. */
static void a_query_can_be_nested_in_itself(void **state)
{
        static const char sql[] = "SELECT name FROM tags WHERE name >= ?1 ORDER BY name";
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = open_or_die(*state);
        DbStmt *outer = NULL, *inner = NULL;

        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('a'), ('b')", DB_NO_ARGS, &err), 0);
        assert_int_equal(db_query(db, sql, DB_ARGS(DB_TEXT("a")), &outer, &err), 0);
        assert_int_equal(db_step(outer, &err), 1);
        assert_int_equal(db_query(db, sql, DB_ARGS(DB_TEXT("b")), &inner, &err), 0);
        assert_int_equal(db_step(inner, &err), 1);
        assert_string_equal(db_column_text(inner, 0), "b");
        assert_int_equal(db_step(inner, &err), 0);
        db_stmt_done(inner);
        assert_int_equal(db_step(outer, &err), 1);
        assert_string_equal(db_column_text(outer, 0), "b");
        db_stmt_done(outer);
        db_close(db);
}

/* Parallel `mica build`s: each process adds its rows, creating the file together, and nobody loses one or fails. */
static void processes_write_at_the_same_time(void **state)
{
        enum { N_PROCESSES = 6, N_ROWS = 20 };
        pid_t children[N_PROCESSES];
        Db *db;

        for (int i = 0; i < N_PROCESSES; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0) {
                        _cleanup_error_ Error err = ERROR_INIT;

                        db = open_or_die(*state);
                        for (int j = 0; j < N_ROWS; j++) {
                                _cleanup_free_ char *name = xasprintf("%d-%d", i, j);

                                if (db_exec(db, "INSERT INTO tags (name) VALUES (?1)", DB_ARGS(DB_TEXT(name)), &err) < 0)
                                        _exit(1);
                        }
                        db_close(db);
                        _exit(0);
                }
        }
        for (int i = 0; i < N_PROCESSES; i++) {
                int status;

                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        db = open_or_die(*state);
        assert_int_equal(number(db, "SELECT count(*) FROM tags"), N_PROCESSES * N_ROWS);
        assert_int_equal(number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
        db_close(db);
}

static void *add_rows(void *user)
{
        _cleanup_error_ Error err = ERROR_INIT;

        for (int i = 0; i < 100; i++) {
                _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

                assert_int_equal(db_begin(user, DB_CHEAP, &tx, &err), 0);
                assert_int_equal(db_exec(user, "UPDATE tags SET n = n + 1", DB_NO_ARGS, &err), 0);
                assert_int_equal(db_commit(&tx, &err), 0);
        }
        return NULL;
}

static void threads_share_the_connection(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Db *db = open_or_die(*state);
        pthread_t threads[4];

        assert_int_equal(db_exec(db, "INSERT INTO tags (name) VALUES ('a')", DB_NO_ARGS, &err), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
                assert_int_equal(pthread_create(&threads[i], NULL, add_rows, db), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(number(db, "SELECT n FROM tags"), 400);
        db_close(db);
}

static void a_forked_child_is_refused(void **state)
{
        Db *db = open_or_die(*state);
        pid_t child = fork();
        int status;

        if (child == 0) {
                Error err = ERROR_INIT;
                int r = db_exec(db, "INSERT INTO tags (name) VALUES ('child')", DB_NO_ARGS, &err);

                db_close(db);
                _exit(r == -1 && err.code == ERROR_INTERNAL ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(number(db, "SELECT count(*) FROM tags"), 0);
        db_close(db);
}

static void a_kill_leaves_what_was_committed(void **state)
{
        pid_t child = fork();
        int status;
        Db *db;

        if (child == 0) {
                Error err = ERROR_INIT;
                DbTx tx = DB_TX_INIT;

                db = open_or_die(*state);
                if (db_exec(db, "INSERT INTO tags (name) VALUES ('committed')", DB_NO_ARGS, &err) < 0 || db_begin(db, DB_DURABLE, &tx, &err) < 0 ||
                    db_exec(db, "INSERT INTO tags (name) VALUES ('open')", DB_NO_ARGS, &err) < 0)
                        _exit(1);
                raise(SIGKILL);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        db = open_or_die(*state);
        assert_int_equal(number(db, "SELECT count(*) FROM tags"), 1);
        assert_int_equal(number(db, "SELECT count(*) FROM tags WHERE name = 'committed'"), 1);
        db_close(db);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(rows_survive_a_reopen, set_up, tear_down),
                cmocka_unit_test_setup_teardown(transactions_nest_and_roll_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(failures_have_their_codes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_newer_store_is_refused_and_an_older_one_migrated, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_failing_migration_leaves_the_old_version, set_up, tear_down),
                cmocka_unit_test_setup_teardown(other_files_are_not_taken_for_a_store, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_query_can_be_nested_in_itself, set_up, tear_down),
                cmocka_unit_test_setup_teardown(processes_write_at_the_same_time, set_up, tear_down),
                cmocka_unit_test_setup_teardown(threads_share_the_connection, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_forked_child_is_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_kill_leaves_what_was_committed, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
