/* Mount points made for a RUN: one that stays is a change nobody asked for, one that takes the user's file with it is a loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/stubs.h"

typedef struct Fixture {
        char path[64];
        int fd;
        Stubs *stubs;
        Error err;
} Fixture;

static const struct timespec old_times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

static int set_up(void **state)
{
        Fixture *f = NEW(Fixture);

        strcpy(f->path, "/tmp/mica-stubs-XXXXXX");
        if (!mkdtemp(f->path))
                return -1;
        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(f->fd, "etc", 0755), 0);
        close(openat(f->fd, "etc/hosts", O_CREAT | O_WRONLY, 0644));
        assert_int_equal(symlinkat("../run/resolv.conf", f->fd, "etc/resolv.conf"), 0);
        assert_int_equal(utimensat(f->fd, "etc", old_times, 0), 0);
        f->stubs = stubs_new(f->fd, f->fd); /* a plain directory is its own upper */
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        Fixture *f = *state;

        stubs_free(f->stubs);
        close(f->fd);
        tree_remove(AT_FDCWD, f->path);
        error_done(&f->err);
        free(f);
        return 0;
}

static bool is_there(Fixture *f, const char *path)
{
        return faccessat(f->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static long mtime(Fixture *f, const char *path)
{
        struct stat st;

        assert_int_equal(fstatat(f->fd, path, &st, 0), 0);
        return st.st_mtim.tv_sec;
}

static void everything_goes(void **state)
{
        Fixture *f = *state;

        assert_int_equal(stubs_add(f->stubs, "/etc/hosts", false, &f->err), 0);
        assert_int_equal(stubs_add(f->stubs, "/etc/resolv.conf", false, &f->err), 0);
        assert_int_equal(stubs_add(f->stubs, "/etc/a/b/c", true, &f->err), 0);
        assert_true(is_there(f, "run/resolv.conf") && is_there(f, "etc/a/b/c"));
        assert_int_equal(stubs_clean(f->stubs, &f->err), 0);
        assert_true(is_there(f, "etc/hosts") && is_there(f, "etc/resolv.conf"));
        assert_false(is_there(f, "run") || is_there(f, "etc/a"));
        assert_int_equal(mtime(f, "etc"), 1000);
}

static void what_the_run_made_stays(void **state)
{
        Fixture *f = *state;

        assert_int_equal(stubs_add(f->stubs, "/var/cache/x", true, &f->err), 0);
        assert_int_equal(stubs_add(f->stubs, "/etc/tok", false, &f->err), 0);
        close(openat(f->fd, "var/cache/kept", O_CREAT | O_WRONLY, 0644));
        close(openat(f->fd, "etc/new", O_CREAT | O_WRONLY, 0644));
        assert_int_equal(stubs_clean(f->stubs, &f->err), 0);
        assert_true(is_there(f, "var/cache/kept") && is_there(f, "etc/new"));
        assert_false(is_there(f, "var/cache/x") || is_there(f, "etc/tok"));
        assert_true(mtime(f, "etc") > 1000); /* the RUN changed it itself */
}

static void lent_files_are_taken_back_unless_replaced(void **state)
{
        Fixture *f = *state;

        assert_int_equal(stubs_lend(f->stubs, "/etc/ssl/certs/ca.crt", "host", 4, &f->err), 0);
        assert_int_equal(stubs_lend(f->stubs, "/opt/ca.crt", "host", 4, &f->err), 0);
        close(openat(f->fd, "opt/own", O_CREAT | O_WRONLY, 0644));
        assert_int_equal(renameat(f->fd, "opt/own", f->fd, "opt/ca.crt"), 0);
        assert_int_equal(stubs_clean(f->stubs, &f->err), 0);
        assert_false(is_there(f, "etc/ssl"));
        assert_true(is_there(f, "opt/ca.crt"));
        assert_int_equal(mtime(f, "etc"), 1000);
}

static void a_place_that_became_a_link_is_left_alone(void **state)
{
        Fixture *f = *state;

        close(openat(f->fd, "etc/precious", O_CREAT | O_WRONLY, 0644));
        assert_int_equal(stubs_add(f->stubs, "/mnt/tok", false, &f->err), 0);
        assert_int_equal(unlinkat(f->fd, "mnt/tok", 0), 0);
        assert_int_equal(symlinkat("../etc/precious", f->fd, "mnt/tok"), 0);
        assert_int_equal(stubs_clean(f->stubs, &f->err), 0);
        assert_true(is_there(f, "etc/precious") && is_there(f, "mnt/tok"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(everything_goes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(what_the_run_made_stays, set_up, tear_down),
                cmocka_unit_test_setup_teardown(lent_files_are_taken_back_unless_replaced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_place_that_became_a_link_is_left_alone, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
