/* Without these two builds of one tree give different layers, or a deep tree runs out of descriptors. */
#include "scratch.h"

#include <stdio.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/str.h"
#include "fs/walk.h"

typedef struct Seen {
        Buf text;
        const char *skip, *stop;
        size_t n, n_left, deepest;
} Seen;

static void check_entry(Seen *seen, const WalkEntry *entry, const char *mark)
{
        struct stat st;

        assert_int_equal(strlen(entry->path), entry->path_size);
        assert_int_equal(fstatat(entry->dir_fd, entry->name, &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_ino, entry->st.st_ino);
        seen->deepest = MAX(seen->deepest, entry->depth);
        if (seen->n < 100)
                buf_putf(&seen->text, "%s%s ", mark, entry->path);
}

static int saw(void *user, const WalkEntry *entry, Error *err)
{
        Seen *seen = user;

        seen->n++;
        check_entry(seen, entry, "");
        if (seen->stop && streq(entry->path, seen->stop))
                return error_set(err, ERROR_CANCELLED, "stop");
        return seen->skip && streq(entry->path, seen->skip) ? WALK_SKIP : 0;
}

static int left(void *user, const WalkEntry *entry, Error *err)
{
        Seen *seen = user;

        seen->n_left++;
        check_entry(seen, entry, "<");
        return 0;
}

static const WalkOps ops = { .entry = saw, .leave = left };

static void test_order(void **state)
{
        Scratch *scratch = *state;
        Seen seen = { .text = BUF_INIT(65536) };
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(mkdirat(scratch->fd, "b", 0755) | mkdirat(scratch->fd, "a", 0755) | symlinkat("a", scratch->fd, "link"), 0);
        make_file(scratch->fd, "a/z", "");
        make_file(scratch->fd, "a/B", "");
        make_file(scratch->fd, "a.x", "");
        make_file(scratch->fd, "\xc3\xbc", "");
        assert_int_equal(tree_walk(scratch->fd, ".", &ops, &seen, &err), 0);
        assert_string_equal(buf_str(&seen.text), " a a/B a/z <a a.x b <b link \xc3\xbc < ");
        buf_reset(&seen.text);
        seen.skip = "a";
        assert_int_equal(tree_walk(scratch->fd, ".", &ops, &seen, &err), 0);
        assert_string_equal(buf_str(&seen.text), " a a.x b <b link \xc3\xbc < ");
        seen.stop = "b";
        assert_int_equal(tree_walk(scratch->fd, ".", &ops, &seen, &err), -1);
        assert_int_equal(err.code, ERROR_CANCELLED);
        assert_int_equal(tree_walk(scratch->fd, "a.x", &ops, &seen, &err), -1);
        assert_int_equal(tree_walk(scratch->fd, "none", &ops, &seen, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        buf_done(&seen.text);
}

/* 1,500 levels with 80 descriptors: the deepest tree of a container must not exhaust the process. */
static void test_deep(void **state)
{
        Scratch *scratch = *state;
        Seen seen = { .text = BUF_INIT(65536) };
        _cleanup_error_ Error err = ERROR_INIT;
        int fd = dup(scratch->fd);
        struct rlimit old, low;

        for (int i = 0; i < 1500; i++) {
                int next;

                assert_int_equal(mkdirat(fd, "directory", 0755), 0);
                make_file(fd, "file", "");
                next = openat(fd, "directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                close(fd);
                fd = next;
        }
        close(fd);
        getrlimit(RLIMIT_NOFILE, &old);
        low = old;
        low.rlim_cur = WALK_MAX_FDS + 16;
        setrlimit(RLIMIT_NOFILE, &low);
        if (tree_walk(scratch->fd, ".", &ops, &seen, &err) < 0)
                fail_msg("%s", error_message(&err));
        setrlimit(RLIMIT_NOFILE, &old);
        assert_int_equal(seen.n, 3001);
        assert_int_equal(seen.n_left, 1501);
        assert_int_equal(seen.deepest, 1500);
        buf_done(&seen.text);
        /* tree_remove() keeps a descriptor for each level, so take the tree apart from below. */
        for (int i = 0; i < 1500; i++)
                if (renameat(scratch->fd, "directory/directory", scratch->fd, "next") == 0) {
                        tree_remove(scratch->fd, "directory");
                        renameat(scratch->fd, "next", scratch->fd, "directory");
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = { SCRATCH_TEST(test_order), SCRATCH_TEST(test_deep) };

        return cmocka_run_group_tests_name("fs/walk", tests, NULL, NULL);
}
