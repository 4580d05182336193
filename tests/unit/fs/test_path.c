/* Without these an image's symbolic link makes COPY or USER touch the host. */
#include "scratch.h"

#include <errno.h>

#include "fs/path.h"

static int (*const openers[])(int root_fd, const char *path, int flags, mode_t mode) = { inroot_try_open, inroot_walk_open };

/* A root with links that try everything, beside a secret outside. */
static int make_root(int fd)
{
        int root;

        make_file(fd, "secret", "secret");
        assert_int_equal(mkdirat(fd, "root", 0755), 0);
        root = openat(fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(root, "etc", 0755) | mkdirat(root, "usr", 0755) | mkdirat(root, "usr/lib", 0755), 0);
        make_file(root, "etc/passwd", "root:x:0:0\n");
        make_file(root, "secret", "inside");
        make_file(root, "usr/lib/f", "f");
        assert_int_equal(symlinkat("usr/lib", root, "lib") | symlinkat("/etc", root, "abs") | symlinkat("../../../../secret", root, "up"), 0);
        assert_int_equal(symlinkat("../../../secret", root, "usr/lib/up") | symlinkat("loop2", root, "loop1") | symlinkat("loop1", root, "loop2"), 0);
        assert_int_equal(symlinkat("/missing/dir", root, "dangling") | symlinkat("/proc/self/root/secret", root, "magic"), 0);
        return root;
}

static void test_nothing_leads_outside(void **state)
{
        static const char *const ways[] = { "up",         "/up",    "../secret",           "../../../../secret",
                                            "usr/lib/up", "lib/up", "lib/../../../secret", "usr/../../secret",
                                            "//secret" };
        Scratch *scratch = *state;
        int root = make_root(scratch->fd);

        for (size_t k = 0; k < ARRAY_LEN(openers); k++)
                for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
                        int fd = openers[k](root, ways[i], O_RDONLY, 0);
                        char text[7] = "";

                        if (fd < 0 || read(fd, text, 6) != 6)
                                fail_msg("%s by opener %zu: %d", ways[i], k, fd);
                        assert_string_equal(text, "inside");
                        close(fd);
                }
        close(root);
}

static void test_both_walks_agree(void **state)
{
        static const struct {
                const char *path;
                int flags, expect;
        } cases[] = {
                { "lib/f", O_RDONLY, 0 },
                { "abs/passwd", O_RDONLY, 0 },
                { "abs", O_RDONLY | O_NOFOLLOW, -ELOOP },
                { "loop1", O_RDONLY, -ELOOP },
                { "dangling", O_RDONLY, -ENOENT },
                { "secret/x", O_RDONLY, -ENOTDIR },
                { "secret/", O_RDONLY, -ENOTDIR },
                { "", O_RDONLY | O_DIRECTORY, 0 },
                { "/", O_RDONLY | O_DIRECTORY, 0 },
                { "etc/", O_RDONLY, 0 },
                { "missing", O_RDONLY, -ENOENT },
                { "magic", O_RDONLY, -ENOENT },
                { "lib/", O_PATH | O_NOFOLLOW, 0 },
                { "lib", O_PATH | O_NOFOLLOW, 0 },
        };
        Scratch *scratch = *state;
        int root = make_root(scratch->fd);

        for (size_t k = 0; k < ARRAY_LEN(openers); k++)
                for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                        int fd = openers[k](root, cases[i].path, cases[i].flags, 0);

                        if ((fd < 0 ? fd : 0) != cases[i].expect)
                                fail_msg("'%s' by opener %zu: %d, not %d", cases[i].path, k, fd, cases[i].expect);
                        closep(&fd);
                }
        close(root);
}

static void test_resolve(void **state)
{
        static const struct {
                const char *path, *follow, *keep;
        } cases[] = {
                { "", "", "" },
                { "/", "", "" },
                { "lib", "usr/lib", "lib" },
                { "lib/new/file", "usr/lib/new/file", "usr/lib/new/file" },
                { "/abs/../etc/./passwd", "etc/passwd", "etc/passwd" },
                { "dangling/x", "missing/dir/x", "missing/dir/x" },
                { "dangling", "missing/dir", "dangling" },
                { "new/../lib/f", "usr/lib/f", "usr/lib/f" },
                { "../../x", "x", "x" },
                { "up", "secret", "up" },
        };
        Scratch *scratch = *state;
        int root = make_root(scratch->fd);
        _cleanup_error_ Error err = ERROR_INIT;
        char *path = NULL;

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                if (inroot_resolve(root, cases[i].path, true, &path, &err) < 0)
                        fail_msg("%s: %s", cases[i].path, error_message(&err));
                assert_string_equal(path, cases[i].follow);
                free(path);
                assert_int_equal(inroot_resolve(root, cases[i].path, false, &path, &err), 0);
                assert_string_equal(path, cases[i].keep);
                free(path);
        }
        assert_int_equal(inroot_resolve(root, "loop1/x", true, &path, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        close(root);
}

static int count_made(void *user, int dir_fd, const char *path, Error *err)
{
        buf_putf(user, "%s;", path);
        return 0;
}

static void test_make_dirs(void **state)
{
        static const struct timespec epoch = { .tv_sec = 1000 };
        Scratch *scratch = *state;
        int root = make_root(scratch->fd), fd;
        _cleanup_error_ Error err = ERROR_INIT;
        Buf made = BUF_INIT(4096);
        MakeDirsOptions options = { .mode = 02775, .uid = geteuid() ? -1 : 1234, .gid = -1, .mtime = &epoch, .made = count_made, .user = &made };
        struct stat st;

        fd = inroot_make_dirs(root, "/lib/a/b/c", &options, &err);
        assert_true(fd >= 0);
        assert_string_equal(buf_str(&made), "usr/lib/a;usr/lib/a/b;usr/lib/a/b/c;");
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 02775);
        close(fd);
        assert_int_equal(inroot_stat(root, "usr/lib/a", true, &st, &err), 0);
        assert_int_equal(st.st_mtim.tv_sec, 1000);
        assert_int_equal(st.st_uid, geteuid() ? geteuid() : 1234);
        buf_reset(&made);
        fd = inroot_make_dirs(root, "usr/lib/a/b", &options, &err);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(made.size, 0);
        fd = inroot_make_dirs(root, "dangling", &options, &err);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(inroot_stat(root, "missing/dir", true, &st, &err), 0);
        assert_int_equal(inroot_make_dirs(root, "secret/x", &options, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        buf_done(&made);
        close(root);
}

static void test_open_parent_and_read(void **state)
{
        static const char *const cases[][2] = { { "lib/f", "f" }, { "lib/", "lib" }, { "x", "x" }, { "", "" }, { "/", "" }, { "lib/..", "usr" }, { "..", "" } };
        Scratch *scratch = *state;
        int root = make_root(scratch->fd);
        _cleanup_error_ Error err = ERROR_INIT;
        Buf buf = BUF_INIT(5);

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                char *name = NULL;
                int fd = inroot_open_parent(root, cases[i][0], &name, &err);

                assert_true(fd >= 0);
                assert_string_equal(name, cases[i][1]);
                free(name);
                close(fd);
        }
        assert_int_equal(inroot_read(root, "etc/passwd", &buf, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        buf_done(&buf);
        buf = BUF_INIT(64);
        assert_int_equal(inroot_read(root, "/abs/passwd", &buf, &err), 0);
        assert_string_equal(buf_str(&buf), "root:x:0:0\n");
        assert_int_equal(mkfifoat(root, "fifo", 0644), 0);
        assert_int_equal(inroot_read(root, "fifo", &buf, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(inroot_read(root, "nothing", &buf, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        buf_done(&buf);
        close(root);
}

static void test_beyond_path_max(void **state)
{
        Scratch *scratch = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        MakeDirsOptions options = { .mode = 0755, .uid = -1, .gid = -1 };
        Buf path = BUF_INIT(1 << 20);
        struct stat st;
        int fd;

        for (int i = 0; i < 60; i++)
                buf_putf(&path, "%0100d/", i);
        fd = inroot_make_dirs(scratch->fd, buf_str(&path), &options, &err);
        assert_true(fd >= 0);
        close(fd);
        assert_int_equal(inroot_stat(scratch->fd, buf_str(&path), true, &st, &err), 0);
        buf_done(&path);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCRATCH_TEST(test_nothing_leads_outside), SCRATCH_TEST(test_both_walks_agree), SCRATCH_TEST(test_resolve), SCRATCH_TEST(test_make_dirs),
                SCRATCH_TEST(test_open_parent_and_read),  SCRATCH_TEST(test_beyond_path_max),
        };

        return cmocka_run_group_tests_name("fs/path", tests, NULL, NULL);
}
