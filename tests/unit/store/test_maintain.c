/* Collecting and checking: nothing that somebody needs may go, and nothing broken may stay unseen. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/cache_prune.h"
#include "store/container.h"

static LayerInfo layer_of(Lease *lease, const char *path, const char *content)
{
        _cleanup_buf_ Buf tar = BUF_INIT(MIB);

        tar_put_file(&tar, path, content);
        return fixture_layer(lease, &tar);
}

static void print_problem(void *user, const FsckProblem *problem)
{
        print_message("fsck: %s %s: %s%s\n", problem->kind, problem->name, problem->text, problem->repaired ? " (repaired)" : "");
}

static FsckResult check(Store *store, bool repair)
{
        FsckResult result;
        Error err = ERROR_INIT;

        assert_ok(store_fsck(store, repair, print_problem, NULL, NULL, &result, &err));
        return result;
}

static GcResult collect(Store *store)
{
        GcResult result;
        Error err = ERROR_INIT;

        assert_ok(store_gc(store, false, &result, &err));
        return result;
}

static void test_gc_keeps_what_is_named(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease;
        LayerInfo image_layer, cached, held, loose;
        CacheRecord record = { .kind = (char *)"regular", .description = (char *)"RUN x" };
        Digest id;
        GcResult gc;
        Error err = ERROR_INIT;

        record.key = digest_of("key", 3);
        assert_ok(lease_new(store, "build", &lease, &err));
        image_layer = layer_of(lease, "image", "1");
        cached = layer_of(lease, "cached", "2");
        held = layer_of(lease, "held", "3");
        loose = layer_of(lease, "loose", "4");
        record.diff_id = cached.diff_id;
        assert_ok(cache_put(lease, &record, &err));
        /* Pending layers of a living build. */
        assert_int_equal(collect(store).n_layers, 0);
        id = fixture_image(lease, &image_layer, 1, "docker.io/library/x:1", "x");
        lease_free(lease);

        assert_ok(lease_new(store, "other", &lease, &err));
        assert_ok(lease_hold_layer(lease, &held.diff_id, &err));
        gc = collect(store);
        assert_int_equal(gc.n_layers, 1);
        assert_true(gc.size > 0);
        assert_false(layer_exists(store, &loose.diff_id));
        assert_true(layer_exists(store, &image_layer.diff_id) && layer_exists(store, &cached.diff_id) && layer_exists(store, &held.diff_id));
        assert_fails(lease_hold_layer(lease, &loose.diff_id, &err), ERROR_NOT_FOUND);
        lease_free(lease);
        assert_int_equal(collect(store).n_layers, 1);

        assert_int_equal(check(store, false).n_problems, 0);
        assert_ok(image_remove(store, &id, false, &err));
        assert_int_equal(check(store, false).n_problems, 0);
        assert_ok(cache_prune(store, &(CachePrune){ .all = true }, true, NULL, NULL, NULL, &err));
        assert_false(layer_exists(store, &image_layer.diff_id) || layer_exists(store, &cached.diff_id));
        assert_int_equal(check(store, false).n_problems, 0);
}

/* An image that a container runs on keeps its layers, whatever happens to its name. */
static void test_container_keeps_layers(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease;
        LayerInfo layer;
        ContainerRecord record = { .id = "0123456789abcdef", .name = (char *)"web", .created = 1, .config = (char *)"{}", .state = (char *)"{\"a\":1}" }, found;
        char *path;
        Error err = ERROR_INIT;

        assert_ok(lease_new(store, "build", &lease, &err));
        layer = layer_of(lease, "image", "1");
        record.image = fixture_image(lease, &layer, 1, "docker.io/library/x:1", "x");
        lease_free(lease);
        assert_ok(container_dir_make(store, record.id, &path, &err));
        free(path);
        assert_ok(container_record_put(store, &record, &err));
        assert_fails(container_record_put(store, &record, &err), ERROR_EXISTS);
        assert_fails(image_remove(store, &record.image, false, &err), ERROR_CONFLICT);
        assert_ok(image_remove(store, &record.image, true, &err));
        assert_int_equal(collect(store).n_layers, 0);
        assert_int_equal(check(store, false).n_problems, 0);

        assert_ok(container_record_find(store, "/web", &found, &err));
        container_record_done(&found);
        assert_ok(container_record_find(store, "0123", &found, &err));
        container_record_done(&found);
        assert_fails(container_record_find(store, "nope", &found, &err), ERROR_NOT_FOUND);
        assert_ok(container_record_set_state(store, record.id, "{}", &err));
        assert_ok(container_record_remove(store, record.id, false, &err));
        assert_ok(container_dir_remove(store, record.id, &err));
        assert_int_equal(collect(store).n_layers, 1);
}

#define ID(part) part part part part /* as long as a real one */

static void make_container(Store *store, const char *id, bool with_row, bool transient)
{
        ContainerRecord record = { .name = (char *)id, .created = 1, .transient = transient };
        const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        _cleanup_free_ char *path = NULL;
        Error err = ERROR_INIT;

        snprintf(record.id, sizeof(record.id), "%s", id);
        assert_ok(container_dir_make(store, id, &path, &err));
        if (with_row)
                assert_ok(container_record_put(store, &record, &err));
        assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
}

static bool has_container_dir(Store *store, const char *id)
{
        _cleanup_free_ char *path = xasprintf("containers/%s", id);

        return faccessat(store_root_fd(store), path, F_OK, 0) == 0;
}

/* What a power cut leaves of run --rm costs the user no space for ever, and is not called damage; what is in use stays. */
static void test_gc_of_containers(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        _cleanup_free_ char *path = NULL, *lock = NULL;
        ContainerRecord found;
        Error err = ERROR_INIT;
        int fd;

        make_container(store, ID("aaaaaaaaaaaaaaaa"), false, false); /* its row was lost */
        make_container(store, ID("bbbbbbbbbbbbbbbb"), false, false); /* the same, but a monitor holds the lock */
        make_container(store, ID("cccccccccccccccc"), true, false);
        make_container(store, ID("dddddddddddddddd"), true, true);
        make_container(store, ID("eeeeeeeeeeeeeeee"), true, true);
        assert_ok(container_dir_remove(store, ID("eeeeeeeeeeeeeeee"), &err));      /* its row came back */
        assert_ok(container_dir_make(store, ID("ffffffffffffffff"), &path, &err)); /* is being made at this moment */
        lock = xasprintf("%s/containers/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/lock", fixture->root);
        fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
        assert_int_equal(utimensat(store_root_fd(store), "containers/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
                                   (struct timespec[2]){ { .tv_sec = 1 }, { .tv_sec = 1 } }, 0),
                         0);

        assert_int_equal(check(store, false).n_problems, 0);
        collect(store);
        assert_false(has_container_dir(store, ID("aaaaaaaaaaaaaaaa")));
        assert_true(has_container_dir(store, ID("bbbbbbbbbbbbbbbb")) && has_container_dir(store, ID("ffffffffffffffff")));
        assert_true(has_container_dir(store, ID("cccccccccccccccc")) && has_container_dir(store, ID("dddddddddddddddd")));
        assert_fails(container_record_find(store, ID("eeeeeeeeeeeeeeee"), &found, &err), ERROR_NOT_FOUND);
        assert_ok(container_record_find(store, ID("dddddddddddddddd"), &found, &err));
        assert_true(found.transient);
        container_record_done(&found);
        close(fd);
        collect(store);
        assert_false(has_container_dir(store, ID("bbbbbbbbbbbbbbbb")));
        assert_int_equal(check(store, false).n_problems, 0);
}

static void flip_byte(Fixture *fixture, const Digest *digest, const char *format, off_t at)
{
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *path = xasprintf("%s/%s%s", fixture->root, format, digest_hex(digest, hex));
        _cleanup_free_ char *whole = str_starts(format, "layers/") ? xasprintf("%s/tar", path) : xstrdup(path);
        int fd = open(whole, O_RDWR);
        char byte;

        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
}

static void test_fsck_finds_damage(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease;
        LayerInfo good, bad;
        Digest id, other;
        Image *image;
        FsckResult result;
        Error err = ERROR_INIT;

        assert_ok(lease_new(store, "build", &lease, &err));
        good = layer_of(lease, "good", "1");
        bad = layer_of(lease, "bad", "2");
        id = fixture_image(lease, &good, 1, "docker.io/library/good:1", "x");
        other = fixture_image(lease, &bad, 1, "docker.io/library/bad:1", "x");
        lease_free(lease);
        flip_byte(fixture, &bad.diff_id, "layers/", 512);
        result = check(store, false);
        assert_true(result.n_problems >= 1);
        assert_int_equal(result.n_repaired, 0);
        result = check(store, true);
        assert_int_equal(result.n_problems, result.n_repaired);
        assert_int_equal(check(store, false).n_problems, 0);
        assert_fails(image_get(store, &other, &image, &err), ERROR_NOT_FOUND);
        assert_ok(image_get(store, &id, &image, &err));
        image_free(image);

        flip_byte(fixture, &id, "blobs/sha256/", 3);
        result = check(store, true);
        assert_int_equal(result.n_problems, 1);
        assert_fails(image_get(store, &id, &image, &err), ERROR_NOT_FOUND);
        assert_int_equal(check(store, false).n_problems, 0);

        /* A file from nowhere. */
        _cleanup_free_ char *path = xasprintf("%s/blobs/sha256/%064d", fixture->root, 7);

        assert_int_equal(file_write_atomic(AT_FDCWD, path, "x", 1, 0644, false), 0);
        assert_int_equal(check(store, true).n_problems, 1);
        assert_int_equal(access(path, F_OK), -1);
}

static void test_fsck_rebuilds_index(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease;
        LayerInfo layer;
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *index = NULL;
        Error err = ERROR_INIT;

        assert_ok(lease_new(store, "build", &lease, &err));
        layer = layer_of(lease, "file", "1");
        assert_ok(lease_sync(lease, &err));
        index = xasprintf("%s/layers/%s/index", fixture->root, digest_hex(&layer.diff_id, hex));
        assert_int_equal(file_write_atomic(AT_FDCWD, index, "garbage", 7, 0644, false), 0);
        assert_int_equal(check(store, true).n_repaired, 1);
        assert_int_equal(check(store, false).n_problems, 0);
        lease_free(lease);
}

static void test_usage(void **state)
{
        Fixture *fixture = *state;
        Store *store = fixture->store;
        Lease *lease;
        LayerInfo layers[3];
        StoreUsage usage;
        Error err = ERROR_INIT;

        assert_ok(lease_new(store, "build", &lease, &err));
        layers[0] = layer_of(lease, "base", "12345");
        layers[1] = layer_of(lease, "one", "1");
        fixture_image(lease, layers, 2, "docker.io/library/one:1", "x");
        layers[1] = layer_of(lease, "two", "22");
        fixture_image(lease, layers, 2, "docker.io/library/two:1", "x");
        lease_free(lease);
        assert_ok(store_usage(store, &usage, &err));
        assert_int_equal(usage.n_images, 2);
        assert_int_equal(usage.images[0].shared, 5);
        assert_int_equal(usage.images[0].unique + usage.images[1].unique, 3);
        assert_int_equal(usage.layers_size, 8);
        store_usage_done(&usage);
}

/* A build that died leaves nothing that stays, and nothing that looks like damage. */
static void test_dead_build(void **state)
{
        Fixture *fixture = *state;
        GcResult gc;
        int status;
        pid_t pid;

        store_close(TAKE_PTR(fixture->store));
        pid = fork();
        if (pid == 0) {
                Error err = ERROR_INIT;
                Lease *lease;

                fixture_reopen(fixture);
                if (lease_new(fixture->store, "build", &lease, &err) < 0)
                        _exit(1);
                layer_of(lease, "file", "1");
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        fixture_reopen(fixture);
        assert_int_equal(check(fixture->store, false).n_problems, 0);
        gc = collect(fixture->store);
        assert_int_equal(gc.n_layers, 1);
        assert_int_equal(gc.n_leases, 1);
        assert_int_equal(check(fixture->store, false).n_problems, 0);
}

#define N_BUILDERS 10
#define N_ROUNDS 12

static void die(const char *what, const Error *err)
{
        fprintf(stderr, "child %d: %s: %s\n", (int)getpid(), what, error_message(err));
        _exit(1);
}

/* Builds images that share layers with those of the others, mounts nothing, and removes some again. */
static void build_loop(const char *root, int number)
{
        const StoreOptions options = { .root = root, .driver = fixture_driver };
        _cleanup_(store_closep) Store *store = NULL;
        Error err = ERROR_INIT;

        if (store_open(&options, &store, &err) < 0)
                die("open", &err);
        for (int round = 0; round < N_ROUNDS; round++) {
                _cleanup_(lease_freep) Lease *lease = NULL;
                _cleanup_free_ char *name = xasprintf("docker.io/library/b%d:%d", number, round), *own = xasprintf("%d-%d", number, round);
                LayerInfo layers[3];
                Digest id;
                Image *image;

                if (lease_new(store, "build", &lease, &err) < 0)
                        die("lease", &err);
                layers[0] = layer_of(lease, "base", round % 2 ? "odd" : "even"); /* the same in all processes */
                layers[1] = layer_of(lease, "middle", own);
                layers[2] = layer_of(lease, "top", "same");
                id = fixture_image(lease, layers, 3, name, own);
                if (image_find(store, name, &image, &err) < 0)
                        die("find", &err);
                image_free(image);
                if (round % 3 == 0 && image_remove(store, &id, false, &err) < 0)
                        die("remove", &err);
        }
}

static void collect_loop(const char *root)
{
        const StoreOptions options = { .root = root, .driver = fixture_driver };
        _cleanup_(store_closep) Store *store = NULL;
        Error err = ERROR_INIT;

        if (store_open(&options, &store, &err) < 0)
                die("open", &err);
        for (int i = 0; i < 3 * N_ROUNDS; i++) {
                if (store_gc(store, false, NULL, &err) < 0)
                        die("gc", &err);
                usleep(5000);
        }
}

static void test_builds_beside_gc(void **state)
{
        Fixture *fixture = *state;
        pid_t pids[N_BUILDERS + 1];
        Image **images;
        size_t n;
        Error err = ERROR_INIT;

        store_close(TAKE_PTR(fixture->store));
        for (int i = 0; i <= N_BUILDERS; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        if (i < N_BUILDERS)
                                build_loop(fixture->root, i);
                        else
                                collect_loop(fixture->root);
                        _exit(0);
                }
        }
        for (int i = 0; i <= N_BUILDERS; i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        fixture_reopen(fixture);
        assert_int_equal(check(fixture->store, false).n_problems, 0);
        assert_ok(image_list(fixture->store, &images, &n, &err));
        assert_int_equal(n, N_BUILDERS * (N_ROUNDS - N_ROUNDS / 3));
        image_list_free(images, n);
        collect(fixture->store);
        assert_int_equal(check(fixture->store, false).n_problems, 0);
}

static int run_group(const char *driver)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_gc_keeps_what_is_named, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_container_keeps_layers, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_gc_of_containers, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_fsck_finds_damage, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_usage, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_dead_build, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_builds_beside_gc, fixture_setup, fixture_teardown),
        };
        const struct CMUnitTest erofs_tests[] = {
                cmocka_unit_test_setup_teardown(test_fsck_rebuilds_index, fixture_setup, fixture_teardown),
        };

        fixture_driver = driver;
        return cmocka_run_group_tests_name(driver, tests, NULL, NULL) +
               (streq(driver, "erofs") ? cmocka_run_group_tests_name("erofs only", erofs_tests, NULL, NULL) : 0);
}

int main(void)
{
        const char *only = getenv("MICA_TEST_STORE");

        if (only)
                return run_group(only);
        return run_group("erofs") + run_group("dir");
}
