/* What is removed from the build cache, and in which order. Too much costs hours of rebuilding, too little fills the disk. */
#include "fixture.h"

#include <sys/file.h>

#include "store/cache_mount.h"
#include "store/cache_prune.h"

static void test_space(void **state)
{
        static const struct {
                CacheSpace space;
                uint64_t total, free_size;
                bool limited;
                uint64_t keep;
        } cases[] = {
                { { 0 }, 100, 0, false, 0 },
                { { .max_used = 40 }, 100, 0, true, 40 },
                { { .reserved = 30 }, 100, 0, true, 30 },
                { { .max_used = 40, .reserved = 60 }, 100, 0, true, 60 },
                { { .min_free = 50 }, 100, 70, false, 0 },
                { { .min_free = 50 }, 100, 20, true, 70 },
                { { .min_free = 500 }, 100, 20, true, 0 },
                { { .min_free = 500, .reserved = 10 }, 100, 20, true, 10 },
                { { .min_free = 50, .reserved = 10 }, 100, 70, false, 0 },
                { { .max_used = 80, .min_free = 50 }, 100, 20, true, 70 },
                { { .max_used = 60, .min_free = 50 }, 100, 20, true, 60 },
                { { .max_used = 60, .min_free = 50 }, 100, 90, true, 60 },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                uint64_t keep = 0;

                if (cache_space_keep(&cases[i].space, cases[i].total, cases[i].free_size, &keep) != cases[i].limited || keep != cases[i].keep)
                        fail_msg("case %zu: keeps %llu", i, (unsigned long long)keep);
        }
}

/* Items named by letters; `layer` 0: a mount. */
typedef struct Row {
        char name, layer, parent;
        Timestamp used;
        uint64_t size;
        bool in_use, shared;
} Row;

static CacheItem items[16];
static Digest parents[16];

static CacheItems make(const Row *rows, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                items[i] = (CacheItem){ .key = digest_of(&rows[i].name, 1),
                                        .last_used = rows[i].used,
                                        .size = rows[i].size,
                                        .in_use = rows[i].in_use,
                                        .shared = rows[i].shared,
                                        .kind = (char *)"regular",
                                        .description = (char *)"x" };
                if (rows[i].layer)
                        items[i].diff_id = digest_of(&rows[i].layer, 1);
                else
                        items[i].mount_id = (char *)"id";
                if (rows[i].parent) {
                        parents[i] = digest_of(&rows[i].parent, 1);
                        items[i].parents = &parents[i];
                        items[i].n_parents = 1;
                }
        }
        return (CacheItems){ .items = items, .n_items = n };
}

static void expect(const Row *rows, size_t n, const CachePrune *prune, uint64_t free_size, const char *names, uint64_t size)
{
        CacheItems list = make(rows, n);
        size_t victims[16], n_victims;
        char got[17] = "";
        uint64_t freed;

        n_victims = cache_prune_plan(&list, prune, free_size, victims, &freed);
        for (size_t i = 0; i < n_victims; i++)
                got[i] = rows[victims[i]].name;
        assert_string_equal(got, names);
        assert_int_equal(freed, size);
}
#define EXPECT(rows, prune, free_size, names, size) expect(rows, ARRAY_LEN(rows), prune, free_size, names, size)

static void test_plan(void **state)
{
        static const Row rows[] = {
                { 'd', 'D', 'c', 400, 40, false, false }, { 'm', 0, 0, 350, 7, false, false },    { 'c', 'C', 'b', 300, 30, false, true },
                { 'b', 'B', 'a', 200, 20, true, false },  { 'a', 'A', 0, 100, 10, false, false },
        };

        /* Neither what is in use nor what an image has. */
        EXPECT(rows, (&(CachePrune){ 0 }), 0, "amd", 57);
        /* -a: what an image has, too, but that gives nothing back. */
        EXPECT(rows, (&(CachePrune){ .all = true }), 0, "acmd", 57);
        EXPECT(rows, (&(CachePrune){ .until = 350 }), 0, "a", 10);
        /* Until it fits: 77 of its own, 30 may stay; the one in use counts, and stays. */
        EXPECT(rows, (&(CachePrune){ .space.max_used = 75 }), 0, "a", 10);
        EXPECT(rows, (&(CachePrune){ .space.max_used = 30 }), 0, "amd", 57);
        EXPECT(rows, (&(CachePrune){ .space.max_used = 77 }), 0, "", 0);
        EXPECT(rows, (&(CachePrune){ .space.min_free = 100 }), 100, "", 0);
        EXPECT(rows, (&(CachePrune){ .space.min_free = 100 }), 95, "a", 10);
        /* Old enough and too much: both have to be true. */
        EXPECT(rows, (&(CachePrune){ .until = 350, .space.max_used = 1 }), 0, "a", 10);
}

static void test_order(void **state)
{
        /* Used by the same build: the last step goes first, so that what is left of the chain is of use. */
        static const Row chain[] = { { 'a', 'A', 0, 100, 10, false, false },
                                     { 'c', 'C', 'b', 100, 10, false, false },
                                     { 'b', 'B', 'a', 100, 10, false, false } };
        /* Two keys of one layer: it goes with the second. */
        static const Row twice[] = { { 'x', 'L', 0, 200, 10, false, false }, { 'y', 'L', 0, 100, 10, false, false } };
        /* A ring, as only a damaged table has it. */
        static const Row ring[] = { { 'p', 'P', 'q', 100, 1, false, false }, { 'q', 'Q', 'p', 100, 1, false, false } };
        CacheItems list = make(ring, 2);
        size_t victims[4];

        assert_int_equal(cache_prune_plan(&list, &(CachePrune){ 0 }, 0, victims, NULL), 2);
        EXPECT(chain, (&(CachePrune){ .space.max_used = 15 }), 0, "cb", 20);
        EXPECT(twice, (&(CachePrune){ .space.max_used = 9 }), 0, "yx", 10);
        list = make(twice, 2);
        assert_int_equal(cache_items_totals(&list).total, 10);
}

/* --- mounts in a store --- */

static void count(void *user, const CacheItem *item)
{
        ++*(int *)user;
}

static int prune_all(Store *store)
{
        int n = 0;
        Error err = ERROR_INIT;

        assert_ok(cache_prune(store, &(CachePrune){ .all = true }, true, count, &n, NULL, &err));
        return n;
}

static void test_mounts(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        _cleanup_free_ char *path = NULL, *file = NULL;
        CacheItems list;
        Lease *lease;
        int fd, again;
        Error err = ERROR_INIT;

        fd = cache_mount_try_open(store, "go-build", false, 0755, getuid(), getgid(), &path, &err);
        assert_ok(fd);
        file = xasprintf("%s/object", path);
        assert_int_equal(file_write_atomic(AT_FDCWD, file, path, strlen(path), 0644, false), 0);
        assert_ok(lease_new(store, "build", &lease, &err));
        assert_ok(cache_mount_note(lease, "go-build", "cached mount /go", &err));
        assert_ok(lease_sync(lease, &err));
        lease_free(lease);

        assert_ok(cache_items_read(store, false, &list, &err));
        assert_int_equal(list.n_items, 1);
        assert_string_equal(list.items[0].mount_id, "go-build");
        assert_string_equal(list.items[0].description, "cached mount /go");
        assert_true(list.items[0].in_use && list.items[0].size > 0);
        cache_items_done(&list);
        /* A build has it locked: it stays. */
        assert_int_equal(prune_all(store), 0);
        assert_int_equal(access(file, F_OK), 0);
        close(fd);
        assert_int_equal(prune_all(store), 1);
        assert_int_equal(access(path, F_OK), -1);
        assert_ok(cache_items_read(store, false, &list, &err));
        assert_int_equal(list.n_items, 0);
        cache_items_done(&list);

        /* The next build gets a new one. */
        again = cache_mount_try_open(store, "go-build", true, 0755, getuid(), getgid(), NULL, &err);
        assert_ok(again);
        close(again);
        assert_fails(cache_mount_try_open_existing(store, "other", true, NULL, &err), ERROR_NOT_FOUND);
}

static void test_replace(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        _cleanup_free_ char *full = NULL, *file = NULL;
        Lease *lease;
        int fd;
        Error err = ERROR_INIT;

        assert_ok(lease_new(store, "import", &lease, &err));
        full = xasprintf("%s/new", lease_tmp_path(lease, &err));
        file = xasprintf("%s/object", full);
        assert_int_equal(dir_make(AT_FDCWD, full, 0755), 0);
        assert_int_equal(file_write_atomic(AT_FDCWD, file, "x", 1, 0644, false), 0);
        /* Somebody uses the (empty) one: it is left to him. */
        fd = cache_mount_try_open(store, "m", false, 0755, getuid(), getgid(), NULL, &err);
        assert_ok(fd);
        assert_true(cache_mount_has_content(store, "m"));
        assert_int_equal(cache_mount_replace(lease, "m", full, &err), 0);
        close(fd);
        assert_false(cache_mount_has_content(store, "m"));
        assert_int_equal(cache_mount_replace(lease, "m", full, &err), 1);
        assert_true(cache_mount_has_content(store, "m"));
        /* What has content is not replaced. */
        assert_int_equal(dir_make(AT_FDCWD, full, 0755), 0);
        assert_int_equal(cache_mount_replace(lease, "m", full, &err), 0);
        lease_free(lease);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_space),
                cmocka_unit_test(test_plan),
                cmocka_unit_test(test_order),
                cmocka_unit_test_setup_teardown(test_mounts, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_replace, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
