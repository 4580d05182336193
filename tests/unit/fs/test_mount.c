/* The mounts behind every container. Needs root; what the kernel lacks is skipped with the reason. */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "base/str.h"
#include "fs/features.h"
#include "fs/mount.h"

static void need(Feature feature)
{
        if (feature_works(feature))
                return;
        print_message("skipped: %s\n", feature_reason(feature));
        skip();
}

static int enter(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;

        for (Feature f = 0; f < _FEATURE_MAX; f++)
                print_message("%s: %s (%s)\n", feature_name(f), feature_works(f) ? "yes" : "no", feature_reason(f));
        return feature_works(FEATURE_MOUNT) ? mount_namespace_enter(&err) : 0;
}

static void check_overlay(Scratch *scratch, int (*mount_it)(const OverlaySpec *spec, Error *err), size_t n_lower)
{
        _cleanup_error_ Error err = ERROR_INIT;
        char **lower = NEW_ARRAY(char *, n_lower);
        _cleanup_free_ char *upper = xasprintf("%s/upper", scratch->path), *work = xasprintf("%s/work", scratch->path);
        OverlaySpec spec = { .lower = (const char *const *)lower, .n_lower = n_lower, .upper = upper, .work = work, .is_volatile = true };
        struct stat st;
        int fd;

        assert_int_equal(mkdir(upper, 0755) | mkdir(work, 0755), 0);
        for (size_t i = 0; i < n_lower; i++) {
                char name[64];

                lower[i] = xasprintf("%s/lower,:\\%zu", scratch->path, i);
                assert_int_equal(mkdir(lower[i], 0755), 0);
                snprintf(name, sizeof(name), "lower,:\\%zu/f%zu", i, i);
                make_file(scratch->fd, name, "x");
        }
        fd = mount_it(&spec, &err);
        if (fd < 0)
                fail_msg("%s", error_message(&err));
        for (size_t i = 0; i < n_lower; i++) {
                char name[32];

                snprintf(name, sizeof(name), "f%zu", i);
                assert_int_equal(fstatat(fd, name, &st, 0), 0);
                free(lower[i]);
        }
        make_file(fd, "new", "y");
        close(fd);
        assert_int_equal(fstatat(scratch->fd, "upper/new", &st, 0), 0);
        free(lower);
}

static void test_overlay(void **state)
{
        need(FEATURE_OVERLAY_LOWER_ADD);
        check_overlay(*state, mount_overlay, 3);
}

static void test_overlay_many(void **state)
{
        need(FEATURE_OVERLAY_LOWER_ADD);
        check_overlay(*state, mount_overlay, 300);
}

static void test_overlay_classic(void **state)
{
        need(FEATURE_OVERLAY);
        check_overlay(*state, mount_overlay_classic, 3);
}

/* More than one page of paths: descriptors stand for them. */
static void test_overlay_classic_many(void **state)
{
        need(FEATURE_OVERLAY);
        check_overlay(*state, mount_overlay_classic, 150);
}

/* What was asked leaves no message for whoever reads the context's next. */
static void test_context_is_asked(void **state)
{
        char log[64];
        int fd;

        (void)state;
        need(FEATURE_MOUNT);
        fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
        assert_true(mount_context_checks(fd));
        assert_int_equal(read(fd, log, sizeof(log)), -1);
        assert_int_equal(fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0), 0);
        close(fd);
}

static void test_errors_carry_the_kernel(void **state)
{
        Scratch *scratch = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *junk = xasprintf("%s/junk", scratch->path);
        const char *lower[] = { "/nonexistent/lower" };
        OverlaySpec spec = { .lower = lower, .n_lower = 1 };

        need(FEATURE_EROFS);
        make_file(scratch->fd, "junk", "this is no file system");
        assert_int_equal(mount_erofs(junk, NULL, 0, &err), -1);
        assert_non_null(strstr(error_message(&err), "cannot mount the image index"));
        assert_int_equal(mount_overlay(&spec, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        assert_int_equal(mount_tmpfs("nonsense=1", &err), -1);
        assert_non_null(strstr(error_message(&err), "nonsense"));
}

static void test_tmpfs_bind_and_read_only(void **state)
{
        Scratch *scratch = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *a = xasprintf("%s/a", scratch->path), *b = xasprintf("%s/b", scratch->path);
        struct statvfs vfs;
        int fd;

        need(FEATURE_MOUNT);
        assert_int_equal(mkdir(a, 0755) | mkdir(b, 0755), 0);
        fd = mount_tmpfs("size=1m,mode=1777", &err);
        assert_true(fd >= 0);
        assert_int_equal(mount_attach(fd, scratch->fd, "a", &err), 0);
        close(fd);
        make_file(scratch->fd, "a/f", "1");
        assert_int_equal(mount_bind(a, b, true, MOUNT_READ_ONLY | MOUNT_NO_SUID, &err), 0);
        assert_int_equal(faccessat(scratch->fd, "b/f", F_OK, 0), 0);
        assert_int_equal(statvfs(b, &vfs), 0);
        assert_true(vfs.f_flag & ST_RDONLY);
        assert_true(vfs.f_flag & ST_NOSUID);
        assert_int_equal(openat(scratch->fd, "b/g", O_WRONLY | O_CREAT, 0600), -1);
        assert_int_equal(errno, EROFS);
        assert_int_equal(mount_set(AT_FDCWD, a, MOUNT_READ_ONLY, false, &err), 0);
        assert_int_equal(openat(scratch->fd, "a/g", O_WRONLY | O_CREAT, 0600), -1);
        assert_int_equal(mount_detach(b, &err), 0);
        assert_int_equal(mount_detach(a, &err), 0);
        assert_int_equal(mount_detach(a, &err), 0);
        assert_int_equal(faccessat(scratch->fd, "a/f", F_OK, 0), -1);
}

static void test_erofs_in_directory(void **state)
{
        Scratch *scratch = *state;
        const char *reason = NULL;
        bool works = feature_erofs_in(scratch->fd, NULL, &reason);

        assert_non_null(reason);
        assert_int_equal(feature_erofs_in(scratch->fd, NULL, NULL), works);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCRATCH_TEST(test_overlay),
                SCRATCH_TEST(test_overlay_many),
                SCRATCH_TEST(test_context_is_asked),
                SCRATCH_TEST(test_overlay_classic),
                SCRATCH_TEST(test_overlay_classic_many),
                SCRATCH_TEST(test_errors_carry_the_kernel),
                SCRATCH_TEST(test_tmpfs_bind_and_read_only),
                SCRATCH_TEST(test_erofs_in_directory),
        };

        return cmocka_run_group_tests_name("fs/mount", tests, enter, NULL);
}
