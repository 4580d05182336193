/* Layers, images and their trees: what a user built or loaded must come back, byte for byte, with either driver. */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

static void assert_content(int fd, const char *path, const char *content)
{
        _cleanup_free_ char *have = read_at(fd, path);

        if (!have)
                fail_msg("'%s' is missing", path);
        assert_string_equal(have, content);
}

static Buf base_tar(void)
{
        Buf tar = BUF_INIT(64 * MIB);

        tar_put_dir(&tar, "etc", 0755);
        tar_put_file(&tar, "etc/passwd", "root:x:0:0\n");
        tar_put_file(&tar, "etc/old", "goes away\n");
        tar_put_dir(&tar, "data", 01777);
        tar_put_file(&tar, "data/a", "a\n");
        tar_put_file(&tar, "data/b", "b\n");
        tar_put_sized(&tar, "data/big", 3 << 20, 'x');
        tar_put_link(&tar, TAR_SYMLINK, "etc/mtab", "../proc/mounts");
        tar_put_link(&tar, TAR_HARDLINK, "data/same", "data/a");
        return tar;
}

static Buf upper_tar(void)
{
        Buf tar = BUF_INIT(64 * MIB);

        tar_put_whiteout(&tar, "etc/old", TAR_WHITEOUT_REMOVE);
        tar_put_dir(&tar, "data", 0700);
        tar_put_whiteout(&tar, "data", TAR_WHITEOUT_OPAQUE);
        tar_put_file(&tar, "data/c", "c\n");
        return tar;
}

static void test_layer_round_trip(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf tar = base_tar();
        _cleanup_buf_ Buf back = BUF_INIT(64 * MIB);
        LayerInfo info, again;
        Digest want;
        uint64_t size;
        int fd;
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        info = fixture_layer(lease, &tar);
        want = digest_of(tar.data, tar.size);
        assert_true(digest_equal(&want, &info.diff_id));
        assert_int_equal(info.tar_size, tar.size);
        assert_int_equal(info.content_size, 11 + 10 + 2 + 2 + (3 << 20));
        /* Pending: no other process may rely on it yet. */
        assert_false(layer_exists(fixture->store, &info.diff_id));
        assert_ok(lease_sync(lease, &err));
        assert_true(layer_exists(fixture->store, &info.diff_id));
        assert_ok(layer_info(fixture->store, &info.diff_id, &again, &err));
        assert_true(digest_equal(&info.diff_id, &again.diff_id));
        assert_int_equal(info.tar_size, again.tar_size);
        assert_int_equal(info.content_size, again.content_size);
        assert_int_equal(info.n_entries, again.n_entries);
        assert_int_equal(info.disk_size, again.disk_size);
        fd = layer_open_tar(fixture->store, &info.diff_id, &size, &err);
        assert_ok(fd);
        assert_int_equal(fd_read_to_buf(fd, &back), 0);
        close(fd);
        assert_int_equal(back.size, tar.size);
        assert_memory_equal(back.data, tar.data, tar.size);
}

static void check_base(int fd)
{
        struct stat a, b;

        assert_content(fd, "etc/passwd", "root:x:0:0\n");
        assert_content(fd, "data/same", "a\n");
        assert_int_equal(fstatat(fd, "data/big", &a, 0), 0);
        assert_int_equal(a.st_size, 3 << 20);
        assert_int_equal(fstatat(fd, "data/a", &a, 0), 0);
        assert_int_equal(fstatat(fd, "data/same", &b, 0), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(a.st_nlink, 2);
        assert_int_equal(a.st_mtim.tv_sec, 1000000000);
        assert_int_equal(fstatat(fd, "data", &a, 0), 0);
        assert_int_equal(a.st_mode, S_IFDIR | 01777);
        assert_int_equal(a.st_mtim.tv_sec, 1000000001);
        assert_int_equal(fstatat(fd, "etc/mtab", &a, AT_SYMLINK_NOFOLLOW), 0);
        assert_true(S_ISLNK(a.st_mode));
}

static void check_both(int fd)
{
        struct stat st;

        assert_content(fd, "etc/passwd", "root:x:0:0\n");
        assert_content(fd, "data/c", "c\n");
        assert_int_equal(fstatat(fd, "etc/old", &st, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(fstatat(fd, "data/a", &st, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(fstatat(fd, "data/big", &st, AT_SYMLINK_NOFOLLOW), -1);
        assert_int_equal(fstatat(fd, "data", &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700);
}

static void test_mount(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf base = base_tar(), upper = upper_tar();
        Rootfs *rootfs = NULL;
        Digest chain[2];
        struct stat st;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        chain[0] = fixture_layer(lease, &base).diff_id;
        chain[1] = fixture_layer(lease, &upper).diff_id;
        /* Before the sync, as a build does. */
        assert_ok(rootfs_mount(lease, chain, 1, NULL, &rootfs, &err));
        check_base(rootfs_fd(rootfs));
        rootfs_free(rootfs);
        assert_ok(rootfs_mount(lease, chain, 2, NULL, &rootfs, &err));
        check_both(rootfs_fd(rootfs));
        rootfs_free(rootfs);
        assert_ok(rootfs_mount(lease, chain, 2, &(RootfsOptions){ .merge = true }, &rootfs, &err));
        check_both(rootfs_fd(rootfs));
        rootfs_free(rootfs);
        /* A layer alone must not show its whiteouts. */
        assert_ok(rootfs_mount(lease, chain + 1, 1, NULL, &rootfs, &err));
        assert_int_equal(fstatat(rootfs_fd(rootfs), "etc/old", &st, AT_SYMLINK_NOFOLLOW), -1);
        assert_content(rootfs_fd(rootfs), "data/c", "c\n");
        rootfs_free(rootfs);
        assert_ok(rootfs_mount(lease, NULL, 0, NULL, &rootfs, &err));
        rootfs_free(rootfs);
}

static void test_write_on_top(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf base = base_tar();
        _cleanup_free_ char *upper = NULL, *work = NULL, *target = NULL, *file = NULL;
        Rootfs *rootfs = NULL;
        Digest chain;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        upper = xasprintf("%s/upper", lease_tmp_path(lease, &err));
        work = xasprintf("%s/work", lease_tmp_path(lease, &err));
        target = xasprintf("%s/target", fixture->dir);
        assert_int_equal(mkdir(upper, 0755) | mkdir(work, 0755) | mkdir(target, 0755), 0);
        chain = fixture_layer(lease, &base).diff_id;
        assert_ok(rootfs_mount(lease, &chain, 1, &(RootfsOptions){ .upper = upper, .work = work, .target = target }, &rootfs, &err));
        assert_string_equal(rootfs_path(rootfs), target);
        file = xasprintf("%s/etc/new", target);
        assert_int_equal(file_write_atomic(AT_FDCWD, file, "new", 3, 0644, false), 0);
        assert_content(rootfs_fd(rootfs), "etc/new", "new");
        assert_ok(rootfs_lower_fd(rootfs, &err));
        assert_int_equal(faccessat(rootfs_lower_fd(rootfs, &err), "etc/new", F_OK, 0), -1);
        rootfs_free(rootfs);
        assert_int_equal(access(file, F_OK), -1);
}

static void test_image(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf base = base_tar(), upper = upper_tar(), config = BUF_INIT(MIB);
        LayerInfo layers[2];
        Image *image = NULL, **images;
        Digest id, other;
        size_t n;
        char text[DIGEST_TEXT_SIZE], brief[13];
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        layers[0] = fixture_layer(lease, &base);
        layers[1] = fixture_layer(lease, &upper);
        id = fixture_image(lease, layers, 2, "docker.io/library/app:1", "one");
        other = fixture_image(lease, layers, 1, NULL, "two");
        lease_free(TAKE_PTR(lease));
        fixture_reopen(fixture);

        assert_ok(image_find(fixture->store, "app:1", &image, &err));
        assert_true(digest_equal(&image->id, &id));
        assert_int_equal(image->n_diff_ids, 2);
        assert_int_equal(image->size, layers[0].content_size + layers[1].content_size);
        assert_int_equal(image->names.n_items, 1);
        assert_ok(image_config(fixture->store, image, &config, &err));
        image_free(image);
        assert_ok(image_find(fixture->store, digest_format(&id, text), &image, &err));
        image_free(image);
        assert_ok(image_find(fixture->store, digest_short(&other, brief), &image, &err));
        assert_true(digest_equal(&image->id, &other));
        image_free(image);
        assert_fails(image_find(fixture->store, "app", &image, &err), ERROR_NOT_FOUND);
        assert_fails(image_find(fixture->store, "App/:x", &image, &err), ERROR_INVALID);

        assert_ok(image_tag(fixture->store, "docker.io/library/app:1", &other, &err));
        assert_ok(image_find(fixture->store, "app:1", &image, &err));
        assert_true(digest_equal(&image->id, &other));
        image_free(image);
        assert_ok(image_list(fixture->store, &images, &n, &err));
        assert_int_equal(n, 2);
        image_list_free(images, n);
        assert_ok(image_untag(fixture->store, "docker.io/library/app:1", &err));
        assert_fails(image_untag(fixture->store, "docker.io/library/app:1", &err), ERROR_NOT_FOUND);
        assert_ok(image_remove(fixture->store, &id, false, &err));
        assert_fails(image_get(fixture->store, &id, &image, &err), ERROR_NOT_FOUND);
}

static void test_blobs(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf back = BUF_INIT(MIB);
        Digest digest, wrong = { .algorithm = DIGEST_SHA256 };
        BlobWriter *writer;
        Error err = ERROR_INIT;

        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        assert_ok(blob_put(lease, "hello", 5, &digest, &err));
        assert_ok(blob_put(lease, "hello", 5, &digest, &err));
        assert_ok(blob_read(fixture->store, &digest, &back, &err));
        assert_string_equal(back.data, "hello");
        assert_ok(blob_writer_open(lease, DIGEST_SHA512, &writer, &err));
        assert_ok(blob_writer_write(writer, "x", 1, &err));
        assert_fails(blob_writer_commit(writer, &wrong, NULL, &err), ERROR_CORRUPT);
        blob_writer_free(writer);
        assert_false(blob_exists(fixture->store, &wrong));
        assert_fails(blob_read(fixture->store, &wrong, &back, &err), ERROR_NOT_FOUND);
        /* A bit that flipped on disk must never be handed out. */
        char hex[DIGEST_TEXT_SIZE];
        _cleanup_free_ char *path = xasprintf("%s/blobs/sha256/%s", fixture->root, digest_hex(&digest, hex));

        assert_int_equal(file_write_atomic(AT_FDCWD, path, "hellO", 5, 0644, false), 0);
        assert_fails(blob_read(fixture->store, &digest, &back, &err), ERROR_CORRUPT);
        assert_int_equal(back.size, 5);
}

/* How many mounts there are below the store. */
static size_t count_mounts(const Fixture *fixture)
{
        Buf text = BUF_INIT(16 * MIB);
        size_t n = 0;

        assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", &text), 0);
        for (const char *at = buf_str(&text); (at = strstr(at, fixture->dir)); at = strchr(at, '\n')) /* a line names its source as well */
                n++;
        buf_done(&text);
        return n;
}

/* Linux 6.12 to 6.14 take only mounts that are attached as layers. A store that has found that out is the same on every kernel. */
static void test_mount_attached(void **state)
{
        Fixture *fixture = *state;
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_buf_ Buf base = base_tar(), upper = BUF_INIT(MIB);
        _cleanup_free_ char *known = NULL, *attached = NULL;
        Rootfs *one = NULL, *other = NULL;
        Digest chain[2];
        size_t n_before;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        if (!streq(fixture_driver, "erofs"))
                return;
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        tar_put_file(&upper, "new", "new\n");
        chain[0] = fixture_layer(lease, &base).diff_id;
        chain[1] = fixture_layer(lease, &upper).diff_id;
        assert_ok(lease_sync(lease, &err));
        assert_ok(rootfs_mount(lease, chain, 2, NULL, &one, &err));
        rootfs_free(one);
        lease_free(TAKE_PTR(lease));
        known = read_at(store_root_fd(fixture->store), "driver");
        attached = xasprintf("erofs-attached%s", strchr(known, ' '));
        assert_int_equal(file_write_atomic(store_root_fd(fixture->store), "driver", attached, strlen(attached), 0600, false), 0);
        fixture_reopen(fixture);
        n_before = count_mounts(fixture);
        assert_ok(lease_new(fixture->store, "test", &lease, &err));
        assert_ok(rootfs_mount(lease, chain, 2, NULL, &one, &err));
        assert_int_equal(count_mounts(fixture), n_before + 2);
        check_base(rootfs_fd(one));
        assert_content(rootfs_fd(one), "new", "new\n");
        assert_content(rootfs_lower_fd(one, &err), "new", "new\n");
        assert_ok(rootfs_mount(lease, chain, 1, NULL, &other, &err));
        check_base(rootfs_fd(other));
        rootfs_free(one);
        rootfs_free(other);
        assert_int_equal(count_mounts(fixture), n_before);
}

static int run_group(const char *driver)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_layer_round_trip, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_mount, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_mount_attached, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_write_on_top, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_image, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_blobs, fixture_setup, fixture_teardown),
        };

        fixture_driver = driver;
        return cmocka_run_group_tests_name(driver, tests, NULL, NULL);
}

int main(void)
{
        const char *only = getenv("MICA_TEST_STORE");

        if (only)
                return run_group(only);
        return run_group("erofs") + run_group("dir");
}
