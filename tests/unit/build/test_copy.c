/* Keys of COPY: what must not count (times, files that are not copied) would make builds slow, what must count and does not would make them wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/copy.h"

typedef struct Fixture {
        char path[64];
        int fd;
} Fixture;

static void write_file(Fixture *f, const char *name, const char *text)
{
        int fd = openat(f->fd, name, O_CREAT | O_WRONLY | O_TRUNC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
        close(fd);
}

static int set_up(void **state)
{
        Fixture *f = NEW(Fixture);

        strcpy(f->path, "/tmp/mica-copy-XXXXXX");
        if (!mkdtemp(f->path))
                return -1;
        f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(f->fd, "d", 0755), 0);
        write_file(f, "d/one", "1");
        write_file(f, "d/two", "2");
        write_file(f, "other", "o");
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        Fixture *f = *state;

        close(f->fd);
        tree_remove(AT_FDCWD, f->path);
        free(f);
        return 0;
}

static Digest key_of(Fixture *f, const char *source, const char *destination, const char *exclude)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_(source_tree_freep) SourceTree *tree = NULL;
        _cleanup_(copy_plan_done) CopyPlan plan = { .destination = xstrdup(destination), .epoch = -1 };
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        TreeOptions options = { .name = "build context", .root_fd = f->fd, .anonymous = true, .live = true };

        assert_int_equal(source_tree_open(&options, &tree, &err), 0);
        if (exclude) {
                _cleanup_strlist_ StrList patterns = { 0 };

                strlist_add(&patterns, exclude);
                assert_int_equal(ignore_matcher_new(&plan.exclude, &patterns, &err), 0);
        }
        if (copy_plan_add_source(&plan, tree, source, false, false, &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_int_equal(copy_plan_hash(&plan, hash, NULL, NULL, &err), 0);
        return hash_digest(hash);
}

static void assert_same(Digest a, Digest b)
{
        assert_true(digest_equal(&a, &b));
}

static void assert_other(Digest a, Digest b)
{
        assert_false(digest_equal(&a, &b));
}

static void times_and_other_files_do_not_count(void **state)
{
        Fixture *f = *state;
        Digest before = key_of(f, "d", "/x/", NULL);
        const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };

        assert_int_equal(utimensat(f->fd, "d/one", times, 0), 0);
        write_file(f, "other", "changed");
        assert_same(before, key_of(f, "d", "/x/", NULL));
        assert_same(before, key_of(f, "./d/", "/x/", NULL));
        write_file(f, "d/three", "3");
        assert_other(before, key_of(f, "d", "/x/", NULL));
        assert_same(before, key_of(f, "d", "/x/", "three")); /* what is left out does not count, and the pattern itself makes no difference */
}

static void content_mode_name_and_destination_count(void **state)
{
        Fixture *f = *state;
        Digest before = key_of(f, "d", "/x/", NULL);

        assert_other(before, key_of(f, "d", "/y/", NULL));
        assert_int_equal(fchmodat(f->fd, "d/one", 0600, 0), 0);
        assert_other(before, key_of(f, "d", "/x/", NULL));
        assert_int_equal(fchmodat(f->fd, "d/one", 0644, 0), 0);
        assert_same(before, key_of(f, "d", "/x/", NULL));
        write_file(f, "d/one", "2");
        assert_other(before, key_of(f, "d", "/x/", NULL));
        write_file(f, "d/one", "1");
        assert_int_equal(renameat(f->fd, "d/two", f->fd, "d/zwei"), 0);
        assert_other(before, key_of(f, "d", "/x/", NULL));
}

/* Every part of a large file counts, and its place; on one processor as on many; where it ends, too. */
static void all_of_a_large_file_counts(void **state)
{
        static const off_t places[] = { 0, 8 * (off_t)MIB - 1, 8 * (off_t)MIB, 20 * (off_t)MIB - 1, 20 * (off_t)MIB + 6 };
        const off_t size = 20 * (off_t)MIB + 7;
        Fixture *f = *state;
        _cleanup_close_ int fd = openat(f->fd, "d/one", O_RDWR | O_CLOEXEC);
        cpu_set_t all, first;
        Digest before, swapped;

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(ftruncate(fd, size), 0);
        assert_int_equal(fd_pwrite_all(fd, "front", 5, 100), 0);
        before = key_of(f, "d", "/x/", NULL);
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                assert_int_equal(fd_pwrite_all(fd, "!", 1, (uint64_t)places[i]), 0);
                assert_other(before, key_of(f, "d", "/x/", NULL));
                assert_int_equal(fd_pwrite_all(fd, "\0", 1, (uint64_t)places[i]), 0);
        }
        assert_same(before, key_of(f, "d", "/x/", NULL));
        assert_int_equal(fd_pwrite_all(fd, "\0\0\0\0\0", 5, 100), 0);
        assert_int_equal(fd_pwrite_all(fd, "front", 5, 8 * MIB + 100), 0);
        swapped = key_of(f, "d", "/x/", NULL);
        assert_other(before, swapped);
        assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
        CPU_ZERO(&first);
        for (int cpu = 0; CPU_COUNT(&first) == 0; cpu++)
                if (CPU_ISSET(cpu, &all))
                        CPU_SET(cpu, &first);
        assert_int_equal(sched_setaffinity(0, sizeof(first), &first), 0);
        assert_same(swapped, key_of(f, "d", "/x/", NULL));
        assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
        assert_int_equal(ftruncate(fd, size - 1), 0);
        assert_other(swapped, key_of(f, "d", "/x/", NULL));
        assert_int_equal(ftruncate(fd, size), 0);
        assert_same(swapped, key_of(f, "d", "/x/", NULL));
}

static void files_keep_their_name_in_the_key(void **state)
{
        Fixture *f = *state;
        Digest one = key_of(f, "d/one", "/x/", NULL);

        assert_int_equal(linkat(f->fd, "d/one", f->fd, "uno", 0), 0);
        assert_other(one, key_of(f, "uno", "/x/", NULL));
}

static void hard_links_count(void **state)
{
        Fixture *f = *state;
        Digest two_files, linked;

        write_file(f, "d/two", "1");
        two_files = key_of(f, "d", "/x/", NULL);
        assert_int_equal(unlinkat(f->fd, "d/two", 0), 0);
        assert_int_equal(linkat(f->fd, "d/one", f->fd, "d/two", 0), 0);
        linked = key_of(f, "d", "/x/", NULL);
        assert_other(two_files, linked);
}

static void a_changed_file_is_not_read(void **state)
{
        Fixture *f = *state;
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_(source_tree_freep) SourceTree *tree = NULL;
        TreeOptions options = { .name = "build context", .root_fd = f->fd, .live = true };
        TreeNode *node;

        assert_int_equal(source_tree_open(&options, &tree, &err), 0);
        assert_int_equal(source_tree_find(tree, "d/one", true, &node, &err), 1);
        write_file(f, "d/one", "another length");
        assert_int_equal(source_tree_open_file(tree, node, &err), -1);
        assert_int_equal(err.code, ERROR_CONFLICT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(times_and_other_files_do_not_count, set_up, tear_down),
                cmocka_unit_test_setup_teardown(content_mode_name_and_destination_count, set_up, tear_down),
                cmocka_unit_test_setup_teardown(all_of_a_large_file_counts, set_up, tear_down),
                cmocka_unit_test_setup_teardown(files_keep_their_name_in_the_key, set_up, tear_down),
                cmocka_unit_test_setup_teardown(hard_links_count, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_changed_file_is_not_read, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
