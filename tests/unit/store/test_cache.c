/* What the builder remembers: a wrong answer is a stale image, a lost one only time. */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "store/cache.h"
#include "store/cache_mount.h"
#include "store/cache_prune.h"
#include "store/container.h"

/* Removes one item, or all. Returns how many went. */
static bool has_key(void *user, const CacheItem *item)
{
        return digest_equal(user, &item->key);
}

static void count_items(void *user, const CacheItem *item)
{
        ++*(int *)user;
}

static int prune_item(Store *store, const Digest *key)
{
        CachePrune prune = { .all = true, .selected = has_key, .user = (void *)key };
        int n = 0;
        Error err = ERROR_INIT;

        assert_ok(cache_prune(store, &prune, true, count_items, &n, NULL, &err));
        return n;
}

static void test_records(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease, *other;
        CacheRecord record = { .kind = (char *)"regular", .description = (char *)"RUN make" }, empty = { .description = (char *)"RUN true" };
        _cleanup_buf_ Buf tar = BUF_INIT(MIB);
        Digest found;
        CacheItems items;
        Error err = ERROR_INIT;

        record.key = digest_of("a", 1);
        empty.key = digest_of("b", 1);
        assert_ok(lease_new(store, "one", &lease, &err));
        assert_ok(lease_new(store, "two", &other, &err));
        tar_put_file(&tar, "x", "x");
        record.diff_id = fixture_layer(lease, &tar).diff_id;
        assert_int_equal(cache_get(lease, &record.key, &found, &err), 0);
        assert_ok(cache_put(lease, &record, &err));
        assert_ok(cache_put(lease, &empty, &err));
        /* Ours at once, the others' when it is on disk. */
        assert_int_equal(cache_get(lease, &record.key, &found, &err), 1);
        assert_true(digest_equal(&found, &record.diff_id));
        assert_int_equal(cache_get(other, &record.key, &found, &err), 0);
        assert_ok(lease_sync(lease, &err));
        assert_int_equal(cache_get(other, &record.key, &found, &err), 1);
        assert_int_equal(cache_get(other, &empty.key, &found, &err), 1);
        assert_false(digest_is_set(&found));
        lease_free(lease);
        lease_free(other);
        assert_ok(cache_items_read(store, true, &items, &err));
        assert_int_equal(items.n_items, 2);
        cache_items_done(&items);

        /* A record whose layer has gone is no answer. */
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *path = xasprintf("%s/layers/%s", fixture->root, digest_hex(&record.diff_id, hex));

        assert_int_equal(tree_remove(AT_FDCWD, path), 0);
        assert_ok(lease_new(store, "three", &lease, &err));
        assert_int_equal(cache_get(lease, &record.key, &found, &err), 0);
        lease_free(lease);
        assert_int_equal(prune_item(store, &record.key), 1);
        assert_int_equal(prune_item(store, &record.key), 0);
}

static void test_cache_mounts(void **state)
{
        Fixture *fixture = *state;
        _cleanup_free_ char *path = NULL;
        struct stat st;
        int one, two, third;
        Error err = ERROR_INIT;

        one = cache_mount_try_open(fixture->store, "pip", false, 0750, getuid(), getgid(), &path, &err);
        assert_ok(one);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        two = cache_mount_try_open(fixture->store, "pip", false, 0700, 0, 0, NULL, &err);
        assert_ok(two);
        third = open(path, O_RDONLY | O_DIRECTORY);
        assert_int_equal(flock(third, LOCK_EX | LOCK_NB), -1);
        close(one);
        close(two);
        assert_int_equal(flock(third, LOCK_EX | LOCK_NB), 0);
        close(third);
        /* An id is only a name: never a path. */
        free(TAKE_PTR(path));
        one = cache_mount_try_open(fixture->store, "../../../etc", true, 0755, getuid(), getgid(), &path, &err);
        assert_ok(one);
        close(one);
        assert_true(str_starts(path, fixture->root));
        assert_null(strstr(path, ".."));
}

static void test_file_digests(void **state)
{
        Fixture *fixture = *state;
        FileDigests *digests;
        FileStamp old = { .device = 1, .inode = 2, .size = 3, .mtime_ns = 1000000001, .ctime_ns = 1000000002 }, changed = old, fresh = old;
        Digest digest = digest_of("x", 1), found;
        Error err = ERROR_INIT;

        changed.ctime_ns++;
        fresh.inode = 7;
        fresh.ctime_ns = clock_now();
        assert_ok(file_digests_open(fixture->store, "/context", &digests, &err));
        assert_false(file_digests_get(digests, &old, &found));
        file_digests_put(digests, &old, &digest);
        file_digests_put(digests, &fresh, &digest);
        assert_true(file_digests_get(digests, &old, &found));
        assert_false(file_digests_get(digests, &fresh, &found));
        for (uint64_t i = 100; i < 5000; i++)
                file_digests_put(digests, &(FileStamp){ .device = i % 3, .inode = i * 7919 % 10007, .size = i, .mtime_ns = 5, .ctime_ns = 5 }, &digest);
        assert_ok(file_digests_save(digests, &err));
        file_digests_free(digests);

        assert_ok(file_digests_open(fixture->store, "/context", &digests, &err));
        assert_true(file_digests_get(digests, &old, &found));
        assert_true(digest_equal(&found, &digest));
        assert_false(file_digests_get(digests, &changed, &found));
        assert_false(file_digests_get(digests, &fresh, &found));
        for (uint64_t i = 100; i < 5000; i++)
                assert_true(
                        file_digests_get(digests, &(FileStamp){ .device = i % 3, .inode = i * 7919 % 10007, .size = i, .mtime_ns = 5, .ctime_ns = 5 }, &found));
        file_digests_free(digests);
        assert_ok(file_digests_open(fixture->store, "/other", &digests, &err));
        assert_false(file_digests_get(digests, &old, &found));
        file_digests_free(digests);

        /* A damaged file is as none. */
        Digest name = digest_of("/context", 8);
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *path = xasprintf("%s/cache/context/%s", fixture->root, digest_hex(&name, hex));
        int fd = open(path, O_WRONLY);

        assert_int_equal(pwrite(fd, "X", 1, 100), 1);
        close(fd);
        assert_ok(file_digests_open(fixture->store, "/context", &digests, &err));
        assert_false(file_digests_get(digests, &old, &found));
        file_digests_free(digests);
}

static int count_volumes(void *user, const VolumeRecord *record, Error *err)
{
        ++*(int *)user;
        return 0;
}

static void test_volumes(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        _cleanup_free_ char *path = NULL;
        int n = 0;
        Error err = ERROR_INIT;

        assert_int_equal(volume_make(store, &(VolumeRecord){ .name = (char *)"data" }, &path, &err), 1);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(volume_make(store, &(VolumeRecord){ .name = (char *)"data" }, NULL, &err), 0);
        assert_fails(volume_make(store, &(VolumeRecord){ .name = (char *)"../data" }, NULL, &err), ERROR_INVALID);
        assert_fails(volume_make(store, &(VolumeRecord){ .name = (char *)"a/b" }, NULL, &err), ERROR_INVALID);
        assert_ok(volume_list(store, count_volumes, &n, &err));
        assert_int_equal(n, 1);
        assert_ok(volume_remove(store, "data", &err));
        assert_int_equal(access(path, F_OK), -1);
        assert_fails(volume_remove(store, "data", &err), ERROR_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_records, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_cache_mounts, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_file_digests, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_volumes, fixture_setup, fixture_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
