/*
 * The difference of a writable layer: what `commit`, every RUN step and `diff` are made of. A wrong one is an image that lacks a file, or one that is larger
 * than it must be and never comes out the same twice.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

typedef struct Writable {
        Lease *lease;
        Rootfs *rootfs;
        LayerInfo base;
        char *upper, *work;
        int fd, upper_fd, lower_fd;
} Writable;

static Writable writable_open(Fixture *fixture)
{
        Writable w = { 0 };
        _cleanup_buf_ Buf tar = BUF_INIT(16 * MIB);
        Error err = ERROR_INIT;

        tar_put_dir(&tar, "etc", 0755);
        tar_put_file(&tar, "etc/passwd", "root\n");
        tar_put_file(&tar, "etc/hosts", "hosts\n");
        tar_put_dir(&tar, "dir", 0755);
        tar_put_file(&tar, "dir/a", "a\n");
        tar_put_dir(&tar, "dir/sub", 0755);
        tar_put_file(&tar, "dir/sub/x", "x\n");
        tar_put_file(&tar, "dir/sub/y", "y\n");
        tar_put_link(&tar, TAR_SYMLINK, "link", "dir");
        assert_ok(lease_new(fixture->store, "test", &w.lease, &err));
        w.base = fixture_layer(w.lease, &tar);
        w.upper = xasprintf("%s/upper", lease_tmp_path(w.lease, &err));
        w.work = xasprintf("%s/work", lease_tmp_path(w.lease, &err));
        assert_int_equal(mkdir(w.upper, 0755) | mkdir(w.work, 0755), 0);
        assert_ok(rootfs_mount(w.lease, &w.base.diff_id, 1, &(RootfsOptions){ .upper = w.upper, .work = w.work }, &w.rootfs, &err));
        w.fd = rootfs_fd(w.rootfs);
        w.upper_fd = open(w.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        w.lower_fd = rootfs_lower_fd(w.rootfs, &err);
        assert_ok(w.lower_fd);
        return w;
}

static void writable_close(Writable *w)
{
        close(w->upper_fd);
        rootfs_free(w->rootfs);
        lease_free(w->lease);
        free(w->upper);
        free(w->work);
}

static void put(int fd, const char *path, const char *content)
{
        int file = openat(fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

        assert_true(file >= 0);
        assert_int_equal(fd_write_all(file, content, strlen(content)), 0);
        close(file);
}

static int append_change(void *user, ChangeKind kind, const char *path, Error *err)
{
        buf_putf(user, "%c %s\n", "CAD"[kind], path);
        return 0;
}

static void assert_changes(Writable *w, const DiffOptions *options, const char *expected)
{
        _cleanup_buf_ Buf list = BUF_INIT(MIB);
        Error err = ERROR_INIT;

        assert_ok(rootfs_diff_list(w->upper_fd, w->lower_fd, options, append_change, &list, &err));
        assert_string_equal(buf_str(&list), expected);
}

static LayerInfo write_diff(Writable *w, const DiffOptions *options)
{
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        LayerInfo info;
        Error err = ERROR_INIT;

        assert_ok(layer_writer_open(w->lease, &writer, &err));
        assert_ok(rootfs_diff_write(w->upper_fd, w->lower_fd, options, writer, &err));
        assert_ok(layer_writer_commit(writer, NULL, &info, &err));
        return info;
}

static void test_changes(void **state)
{
        Fixture *fixture = *state;
        Writable w;
        LayerInfo layer;
        Rootfs *again;
        struct stat a, b;
        Digest chain[2];
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        w = writable_open(fixture);
        assert_changes(&w, NULL, "");
        put(w.fd, "etc/new", "new\n");
        put(w.fd, "etc/passwd", "other\n");
        assert_int_equal(unlinkat(w.fd, "etc/hosts", 0), 0);
        assert_int_equal(mkdirat(w.fd, "made", 01777), 0);
        assert_int_equal(fchmodat(w.fd, "made", 01777, 0), 0);
        put(w.fd, "made/one", "1\n");
        assert_int_equal(linkat(w.fd, "made/one", w.fd, "made/two", 0), 0);
        assert_changes(&w, NULL, "C /etc\nD /etc/hosts\nA /etc/new\nC /etc/passwd\nA /made\nA /made/one\nA /made/two\n");
        layer = write_diff(&w, NULL);
        assert_int_equal(layer.n_whiteouts, 1);

        chain[0] = w.base.diff_id;
        chain[1] = layer.diff_id;
        assert_ok(rootfs_mount(w.lease, chain, 2, NULL, &again, &err));
        assert_int_equal(fstatat(rootfs_fd(again), "made/one", &a, 0), 0);
        assert_int_equal(fstatat(rootfs_fd(again), "made/two", &b, 0), 0);
        assert_int_equal(a.st_ino, b.st_ino);
        assert_int_equal(fstatat(rootfs_fd(again), "made", &a, 0), 0);
        assert_int_equal(a.st_mode & 07777, 01777);
        assert_int_equal(fstatat(rootfs_fd(again), "etc/hosts", &a, 0), -1);
        assert_int_equal(fstatat(rootfs_fd(again), "dir/sub/x", &a, 0), 0);
        rootfs_free(again);
        writable_close(&w);
}

/* rm -rf and made anew: what was there must not come back. */
static void test_recreated_directory(void **state)
{
        Fixture *fixture = *state;
        Writable w;
        LayerInfo layer;
        Rootfs *again;
        struct stat st;
        Digest chain[2];
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        w = writable_open(fixture);
        assert_int_equal(unlinkat(w.fd, "dir/sub/x", 0) | unlinkat(w.fd, "dir/sub/y", 0) | unlinkat(w.fd, "dir/sub", AT_REMOVEDIR), 0);
        assert_int_equal(mkdirat(w.fd, "dir/sub", 0700), 0);
        put(w.fd, "dir/sub/z", "z\n");
        assert_changes(&w, NULL, "C /dir\nC /dir/sub\nD /dir/sub/x\nD /dir/sub/y\nA /dir/sub/z\n");
        layer = write_diff(&w, NULL);
        chain[0] = w.base.diff_id;
        chain[1] = layer.diff_id;
        for (int merge = 0; merge < 2; merge++) {
                assert_ok(rootfs_mount(w.lease, chain, 2, &(RootfsOptions){ .merge = merge }, &again, &err));
                assert_int_equal(fstatat(rootfs_fd(again), "dir/sub/x", &st, 0), -1);
                assert_int_equal(fstatat(rootfs_fd(again), "dir/sub/z", &st, 0), 0);
                assert_int_equal(fstatat(rootfs_fd(again), "dir/a", &st, 0), 0);
                rootfs_free(again);
        }
        writable_close(&w);
}

/* What is back as it was is no change: moved away and back, made and removed, a directory in place of a link below. */
static void test_no_change(void **state)
{
        Fixture *fixture = *state;
        Writable w;

        SKIP_WITHOUT_MOUNTS();
        w = writable_open(fixture);
        assert_int_equal(renameat(w.fd, "etc/passwd", w.fd, "etc/away"), 0);
        assert_int_equal(renameat(w.fd, "etc/away", w.fd, "etc/passwd"), 0);
        put(w.fd, "dir/tmp", "x");
        assert_int_equal(unlinkat(w.fd, "dir/tmp", 0), 0);
        assert_changes(&w, NULL, "");
        assert_int_equal(unlinkat(w.fd, "link", 0), 0);
        assert_int_equal(mkdirat(w.fd, "link", 0755), 0);
        put(w.fd, "link/a", "a\n"); /* "link/a" below is "dir/a" through the link: not the same thing */
        assert_changes(&w, NULL, "C /link\nA /link/a\n");
        writable_close(&w);
}

static void test_excluded_and_special(void **state)
{
        Fixture *fixture = *state;
        static const char *const exclude[] = { "etc/resolv.conf", "mnt" };
        const DiffOptions options = { .exclude = exclude, .n_exclude = 2, .epoch = 1500000000 };
        const uint8_t capability[20] = { 0x01, 0, 0, 2, 0x20, 0x04 };
        Writable w;
        LayerInfo layer, same;
        Rootfs *again;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        char value[64], path[64];
        bool devices; /* not in a user namespace */
        int fd;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        w = writable_open(fixture);
        put(w.fd, "etc/resolv.conf", "nameserver\n");
        assert_int_equal(mkdirat(w.fd, "mnt", 0755), 0);
        put(w.fd, "mnt/secret", "s\n");
        assert_changes(&w, &options, "");
        put(w.fd, "etc/ping", "binary");
        snprintf(path, sizeof(path), "/proc/self/fd/%d/etc/ping", w.fd);
        if (setxattr(path, "security.capability", capability, sizeof(capability), 0) < 0)
                print_message("no file capabilities here: %s\n", strerror(errno));
        assert_int_equal(mknodat(w.fd, "etc/fifo", S_IFIFO | 0600, 0), 0);
        devices = mknodat(w.fd, "etc/null", S_IFCHR | 0666, makedev(1, 3)) == 0;
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/etc/socket", w.fd);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        close(fd);
        assert_changes(&w, &options, devices ? "C /etc\nA /etc/fifo\nA /etc/null\nA /etc/ping\n" : "C /etc\nA /etc/fifo\nA /etc/ping\n");
        layer = write_diff(&w, &options);
        same = write_diff(&w, &options);
        assert_true(digest_equal(&layer.diff_id, &same.diff_id));
        assert_ok(rootfs_mount(w.lease, &layer.diff_id, 1, NULL, &again, &err));
        assert_int_equal(fstatat(rootfs_fd(again), "etc/ping", &st, 0), 0);
        assert_int_equal(st.st_mtim.tv_sec, 1500000000);
        snprintf(path, sizeof(path), "/proc/self/fd/%d/etc/ping", rootfs_fd(again));
        assert_int_equal(getxattr(path, "security.capability", value, sizeof(value)), sizeof(capability));
        if (devices) {
                assert_int_equal(fstatat(rootfs_fd(again), "etc/null", &st, 0), 0);
                assert_int_equal(st.st_rdev, makedev(1, 3));
        }
        assert_int_equal(fstatat(rootfs_fd(again), "etc/socket", &st, 0), -1);
        rootfs_free(again);
        writable_close(&w);
}

static void test_export(void **state)
{
        Fixture *fixture = *state;
        Writable w;
        LayerWriter *writer;
        LayerInfo flat;
        Rootfs *again;
        struct stat st;
        Sink sink;
        Error err = ERROR_INIT;

        SKIP_WITHOUT_MOUNTS();
        w = writable_open(fixture);
        put(w.fd, "etc/new", "new\n");
        assert_int_equal(unlinkat(w.fd, "etc/hosts", 0), 0);
        assert_ok(layer_writer_open(w.lease, &writer, &err));
        sink = layer_writer_sink(writer);
        assert_ok(rootfs_export(w.fd, &sink, &err));
        assert_ok(layer_writer_commit(writer, NULL, &flat, &err));
        layer_writer_free(writer);
        assert_int_equal(flat.n_whiteouts, 0);
        assert_ok(rootfs_mount(w.lease, &flat.diff_id, 1, NULL, &again, &err));
        assert_int_equal(fstatat(rootfs_fd(again), "etc/new", &st, 0), 0);
        assert_int_equal(fstatat(rootfs_fd(again), "etc/hosts", &st, 0), -1);
        assert_int_equal(fstatat(rootfs_fd(again), "dir/sub/y", &st, 0), 0);
        rootfs_free(again);
        writable_close(&w);
}

static int run_group(const char *driver)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_changes, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_recreated_directory, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_no_change, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_excluded_and_special, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(test_export, fixture_setup, fixture_teardown),
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
