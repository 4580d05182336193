/* Where COPY puts things: a link in an image must never lead a copied file out of it, and what is there must not be lost by accident. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/dest.h"

typedef struct Fixture {
        char path[64];
        int fd;
        Dest *dest;
        Error err;
} Fixture;

static int set_up(void **state)
{
        Fixture *f = NEW(Fixture);

        strcpy(f->path, "/tmp/mica-dest-XXXXXX");
        if (!mkdtemp(f->path))
                return -1;
        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(f->fd, "a", 0711), 0);
        assert_int_equal(mkdirat(f->fd, "a/b", 0755), 0);
        close(openat(f->fd, "a/file", O_CREAT | O_WRONLY, 0600));
        assert_int_equal(symlinkat("/a", f->fd, "abs"), 0);
        assert_int_equal(symlinkat("../../../..", f->fd, "a/up"), 0);
        assert_int_equal(symlinkat("missing/dir", f->fd, "dangling"), 0);
        assert_int_equal(symlinkat("loop", f->fd, "loop"), 0);
        f->dest = dest_new(f->fd);
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        Fixture *f = *state;

        dest_free(f->dest);
        close(f->fd);
        tree_remove(AT_FDCWD, f->path);
        error_done(&f->err);
        free(f);
        return 0;
}

static const DestDirs dirs = { .mode = 0755, .uid = 3, .gid = 4, .mtime_ns = 5 * NSEC_PER_SEC };

static void expect_at(Fixture *f, const char *path, const char *where)
{
        DestNode *node;
        int found = dest_find(f->dest, path, &node, &f->err);

        if (!where) {
                assert_int_equal(found, 0);
                assert_null(node);
                return;
        }
        {
                _cleanup_free_ char *at = found > 0 ? dest_path(node) : NULL;

                assert_int_equal(found, 1);
                assert_string_equal(at, where);
        }
}

static void finds_inside_the_root(void **state)
{
        Fixture *f = *state;

        expect_at(f, "/", "/");
        expect_at(f, "a/b", "/a/b");
        expect_at(f, "/abs/b/../file", "/a/file");
        expect_at(f, "a/up/a/up/etc/passwd", NULL);
        expect_at(f, "/a/up/a", "/a");
        expect_at(f, "dangling", NULL);
        expect_at(f, "a/file/x", NULL);
}

static void loops_are_errors(void **state)
{
        Fixture *f = *state;
        DestNode *node;

        assert_int_equal(dest_find(f->dest, "loop/x", &node, &f->err), -1);
        assert_int_equal(f->err.code, ERROR_INVALID);
}

static void missing_directories_are_made_where_links_lead(void **state)
{
        Fixture *f = *state;
        DestNode *node;

        assert_int_equal(dest_make_dirs(f->dest, "dangling/x", &dirs, &node, &f->err), 0);
        expect_at(f, "missing/dir/x", "/missing/dir/x");
        assert_int_equal(dest_n_changes(f->dest), 3);
        assert_int_equal(dest_make_dirs(f->dest, "a/file/x", &dirs, &node, &f->err), -1);
        assert_int_equal(f->err.code, ERROR_INVALID);
}

static void kinds_do_not_replace_each_other(void **state)
{
        Fixture *f = *state;
        DestEntry file = { .type = TAR_FILE, .mode = 0644, .content = DEST_CONTENT_INIT },
                  dir = { .type = TAR_DIR, .mode = 0700, .content = DEST_CONTENT_INIT };
        DestNode *a;

        assert_int_equal(dest_find(f->dest, "a", &a, &f->err), 1);
        assert_int_equal(dest_put(f->dest, a, "b", &file, false, NULL, &f->err), -1);
        assert_int_equal(dest_put(f->dest, a, "file", &dir, false, NULL, &f->err), -1);
        assert_int_equal(dest_put(f->dest, a, "b", &file, true, NULL, &f->err), 0);
        assert_int_equal(dest_put(f->dest, a, "b", &dir, true, NULL, &f->err), 0);
        assert_int_equal(dest_put(f->dest, a, ".wh.x", &file, true, NULL, &f->err), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(finds_inside_the_root, set_up, tear_down),
                cmocka_unit_test_setup_teardown(loops_are_errors, set_up, tear_down),
                cmocka_unit_test_setup_teardown(missing_directories_are_made_where_links_lead, set_up, tear_down),
                cmocka_unit_test_setup_teardown(kinds_do_not_replace_each_other, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
