/* Without these a killed build leaves names in the user's directories for ever, or the next one removes what is the user's. */
#include "scratch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/str.h"
#include "fs/place.h"

static bool is_there(int dir_fd, const char *name)
{
        return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The number of a process that has ended. */
static pid_t dead_pid(void)
{
        pid_t pid = fork();

        if (pid == 0)
                _exit(0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        return pid;
}

static void test_only_names_of_the_dead_are_swept(void **state)
{
        const Scratch *scratch = *state;
        char dead[4][64], mine[PLACE_NAME_SIZE], parent[64], *lookalikes[6];
        long gone = (long)dead_pid();

        snprintf(dead[0], 64, ".mica-%ld-0123abcd-1.tmp", gone);
        snprintf(dead[1], 64, ".mica-%ld-ffffffff-4294967295.tmp", gone);
        snprintf(dead[2], 64, ".mica-%ld-00000000-7.tmp", (long)getpid()); /* a process that had our number, and drew another mark */
        snprintf(dead[3], 64, ".mica-999999999-0123abcd-1.tmp");
        snprintf(parent, 64, ".mica-%ld-0123abcd-1.tmp", (long)getppid());
        place_temporary(mine);
        for (size_t i = 0; i < ARRAY_LEN(dead); i++)
                make_file(scratch->fd, dead[i], "left");
        make_file(scratch->fd, mine, "in use");
        make_file(scratch->fd, parent, "in use");
        lookalikes[0] = xasprintf(".mica-%ld-0123abcd-1.tmp.txt", gone);
        lookalikes[1] = xasprintf(".mica-%ld-0123abcd-.tmp", gone);
        lookalikes[2] = xasprintf(".mica-%ld-0123ABCD-1.tmp", gone);
        lookalikes[3] = xasprintf(".mica-%ld-123abcd-1.tmp", gone);
        lookalikes[4] = xstrdup(".mica-99999999999999999999-0123abcd-1.tmp");
        lookalikes[5] = xstrdup(".mica-notes.tmp");
        for (size_t i = 0; i < ARRAY_LEN(lookalikes); i++)
                make_file(scratch->fd, lookalikes[i], "the user's");

        place_sweep(scratch->fd);
        for (size_t i = 0; i < ARRAY_LEN(dead); i++)
                assert_false(is_there(scratch->fd, dead[i]));
        assert_true(is_there(scratch->fd, mine) && is_there(scratch->fd, parent));
        for (size_t i = 0; i < ARRAY_LEN(lookalikes); i++) {
                assert_true(is_there(scratch->fd, lookalikes[i]));
                free(lookalikes[i]);
        }
}

static void test_a_file_has_its_name_when_it_is_placed(void **state)
{
        const Scratch *scratch = *state;
        char temporary[PLACE_NAME_SIZE];

        for (int round = 0; round < 2; round++) { /* a name that is free, and one that is taken */
                _cleanup_(error_done) Error err = ERROR_INIT;
                bool named;
                int fd = place_open(scratch->fd, place_temporary(temporary), &named, "f", &err);

                assert_true(fd >= 0);
                assert_int_equal(is_there(scratch->fd, "f"), round);
                assert_int_equal(is_there(scratch->fd, temporary), named);
                assert_int_equal(place_file(fd, scratch->fd, temporary, named, "f", PLACE_OVER_FILES, "f", &err), 0);
                assert_true(is_there(scratch->fd, "f") && !is_there(scratch->fd, temporary));
                close(fd);
        }
}

static void test_a_directory_is_replaced_only_when_asked_for(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_(error_done) Error err = ERROR_INIT;
        char temporary[PLACE_NAME_SIZE];

        assert_int_equal(mkdirat(scratch->fd, "d", 0755), 0);
        make_file(scratch->fd, "d/precious", "x");
        make_file(scratch->fd, place_temporary(temporary), "new");
        assert_int_equal(place_rename(scratch->fd, temporary, "d", PLACE_OVER_FILES, "d", &err), -1);
        assert_true(is_there(scratch->fd, "d/precious") && !is_there(scratch->fd, temporary));
        error_done(&err);
        make_file(scratch->fd, place_temporary(temporary), "new");
        assert_int_equal(place_rename(scratch->fd, temporary, "d", PLACE_OVER_TREES, "d", &err), 0);
        assert_true(is_there(scratch->fd, "d") && !is_there(scratch->fd, "d/precious") && !is_there(scratch->fd, temporary));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCRATCH_TEST(test_only_names_of_the_dead_are_swept),
                SCRATCH_TEST(test_a_file_has_its_name_when_it_is_placed),
                SCRATCH_TEST(test_a_directory_is_replaced_only_when_asked_for),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
