#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/remover.h"

static int make_top(char *path)
{
        int fd;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void make_file(int dir_fd, const char *path)
{
        int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        close(fd);
}

/* `width` directories with as many files, and a chain of directories. */
static void make_tree(int dir_fd, const char *name, int width, int depth)
{
        char path[512];
        int at = dup(dir_fd);

        assert_int_equal(mkdirat(dir_fd, name, 0700), 0);
        for (int i = 0; i < width; i++) {
                snprintf(path, sizeof(path), "%s/%d", name, i);
                assert_int_equal(mkdirat(dir_fd, path, 0700), 0);
                for (int k = 0; k < width; k++) {
                        snprintf(path, sizeof(path), "%s/%d/%d", name, i, k);
                        make_file(dir_fd, path);
                }
        }
        snprintf(path, sizeof(path), "%s", name);
        for (int i = 0; i < depth; i++) {
                int next = openat(at, i == 0 ? path : "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                assert_true(next >= 0);
                close(at);
                at = next;
                assert_int_equal(mkdirat(at, "deep", 0700), 0);
                make_file(at, "file");
        }
        close(at);
}

static size_t count_entries(int dir_fd)
{
        DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        size_t n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n - 2;
}

static void test_trees_and_files_go_and_neighbours_stay(void **state)
{
        char top[] = "/tmp/mica-remover-XXXXXX";
        int fd = make_top(top);
        Remover *remover = remover_new(fd);

        (void)state;
        make_tree(fd, "small", 2, 1);
        make_tree(fd, "wide", 60, 0);
        make_tree(fd, "deep", 1, 600);
        make_tree(fd, "stays", 2, 2);
        make_file(fd, "file");
        remover_add(remover, "wide");
        remover_add(remover, "small");
        remover_add(remover, "deep");
        remover_add(remover, "file");
        remover_add(remover, "missing");
        remover_free(remover);
        assert_int_equal(count_entries(fd), 1);
        assert_int_equal(faccessat(fd, "stays/deep/deep", F_OK, 0), 0);
        close(fd);
        assert_int_equal(tree_remove(AT_FDCWD, top), 0);
}

static void test_nothing_to_do(void **state)
{
        (void)state;
        remover_free(NULL);
        remover_free(remover_new(-1));
}

static void test_many_one_after_the_other(void **state)
{
        char top[] = "/tmp/mica-remover-XXXXXX", name[32];
        int fd = make_top(top);

        (void)state;
        for (int round = 0; round < 20; round++) {
                Remover *remover = remover_new(fd);

                for (int i = 0; i < 20; i++) {
                        snprintf(name, sizeof(name), "t%d", i);
                        make_tree(fd, name, 3, 2);
                        remover_add(remover, name);
                }
                remover_free(remover);
                assert_int_equal(count_entries(fd), 0);
        }
        close(fd);
        assert_int_equal(tree_remove(AT_FDCWD, top), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trees_and_files_go_and_neighbours_stay),
                cmocka_unit_test(test_nothing_to_do),
                cmocka_unit_test(test_many_one_after_the_other),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
