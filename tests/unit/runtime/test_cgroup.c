/* Which cgroups a host has, and what is in them, on made-up hosts of every kind: a container must be counted, frozen and killed on all of them. */
#include "../fs/scratch.h"

#include <linux/magic.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/str.h"
#include "runtime/cgroup.h"

/* The type of a file system is what its directory's file ".type" says. */
static int64_t fake_type(const char *path)
{
        _cleanup_free_ char *file = xasprintf("%s/.type", path);
        _cleanup_buf_ Buf text = BUF_INIT(64);

        if (file_read(AT_FDCWD, file, &text) < 0)
                return -1;
        return streq(buf_str(&text), "cgroup2") ? CGROUP2_SUPER_MAGIC : streq(buf_str(&text), "tmpfs") ? TMPFS_MAGIC : 0xef53;
}

static void put(const Scratch *scratch, const char *path, const char *content)
{
        _cleanup_free_ char *full = xasprintf("%s/%s", scratch->path, path);
        char *slash = strrchr(full, '/');

        *slash = '\0';
        assert_int_equal(dir_make(AT_FDCWD, full, 0755), 0);
        make_file(scratch->fd, path, content);
}

static char *get(const Scratch *scratch, const char *path)
{
        Buf text = BUF_INIT(4096);

        assert_int_equal(file_read(scratch->fd, path, &text), 0);
        return buf_detach(&text);
}

static Cgroups detect(const Scratch *scratch)
{
        Cgroups cgroups;

        cgroup_detect_in(scratch->path, fake_type, &cgroups);
        return cgroups;
}

static void test_detect_v2(void **state)
{
        const Scratch *scratch = *state;

        put(scratch, ".type", "cgroup2");
        assert_int_equal(detect(scratch).mode, CGROUP_NONE); /* not ours to write */
        put(scratch, "cgroup.procs", "1\n");
        assert_int_equal(detect(scratch).mode, CGROUP_V2);
        assert_true(detect(scratch).swap);
        assert_string_equal(cgroup_mode_name(CGROUP_V2), "v2");
}

static void test_detect_v1_and_hybrid(void **state)
{
        const Scratch *scratch = *state;

        put(scratch, ".type", "tmpfs");
        assert_int_equal(detect(scratch).mode, CGROUP_NONE);
        put(scratch, "devices/tasks", "");
        assert_int_equal(detect(scratch).mode, CGROUP_V1);
        assert_false(detect(scratch).swap);
        put(scratch, "memory/memory.memsw.limit_in_bytes", "0");
        assert_true(detect(scratch).swap);
        put(scratch, "unified/.type", "cgroup2");
        assert_int_equal(detect(scratch).mode, CGROUP_HYBRID);
        assert_string_equal(cgroup_mode_name(CGROUP_HYBRID), "hybrid");
}

static void test_detect_nothing(void **state)
{
        const Scratch *scratch = *state;

        assert_int_equal(detect(scratch).mode, CGROUP_NONE); /* not mounted */
        put(scratch, ".type", "ext4");                       /* a directory of some other file system */
        put(scratch, "devices/tasks", "");
        put(scratch, "cgroup.procs", "");
        assert_int_equal(detect(scratch).mode, CGROUP_NONE);
}

static void test_paths(void **state)
{
        static const struct {
                CgroupMode mode;
                const char *parent, *expected;
        } table[] = {
                { CGROUP_V1, NULL, "/mica-x" },    { CGROUP_V1, "", "/mica-x" },           { CGROUP_HYBRID, "/", "/mica-x" },
                { CGROUP_V1, "a", "/a/mica-x" },   { CGROUP_V1, "/a/b//", "/a/b/mica-x" }, { CGROUP_V2, NULL, "/mica/mica-x" },
                { CGROUP_V2, "", "/mica/mica-x" }, { CGROUP_V2, "/", "/mica-x" },          { CGROUP_V2, "a.slice", "/a.slice/mica-x" },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                const Cgroups cgroups = { .mode = table[i].mode };
                _cleanup_free_ char *path = cgroup_path(&cgroups, table[i].parent, "x");

                assert_string_equal(path, table[i].expected);
        }
}

static void check_pids(const Cgroups *cgroups, size_t expected)
{
        _cleanup_free_ pid_t *pids = NULL;
        Error err = ERROR_INIT;
        size_t n;

        assert_int_equal(cgroup_pids(cgroups, "/mica-x", &pids, &n, &err), 0);
        assert_int_equal(n, expected);
}

static void test_pids_in_every_layout(void **state)
{
        const Scratch *scratch = *state;
        Cgroups v2 = { .mode = CGROUP_V2, .root = scratch->path }, v1 = { .mode = CGROUP_V1, .root = scratch->path }, none = { .mode = CGROUP_NONE };
        _cleanup_free_ pid_t *pids = NULL;
        Error err = ERROR_INIT;
        size_t n;

        check_pids(&v2, 0); /* it is not there: it has ended */
        put(scratch, "mica-x/cgroup.procs", "12\n345\n0\n");
        put(scratch, "mica-x/inner/cgroup.procs", "6789\n"); /* made by the container itself */
        check_pids(&v2, 3);
        put(scratch, "memory/mica-x/cgroup.procs", "1\n2\n");
        put(scratch, "pids/mica-x/cgroup.procs", "1\n2\n"); /* the same ones again */
        check_pids(&v1, 2);
        assert_int_equal(cgroup_pids(&none, "/mica-x", &pids, &n, &err), -1);
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        error_done(&err);
}

static void test_oom(void **state)
{
        const Scratch *scratch = *state;
        Cgroups v2 = { .mode = CGROUP_V2, .root = scratch->path }, v1 = { .mode = CGROUP_V1, .root = scratch->path };

        assert_false(cgroup_oom_killed(&v2, "/mica-x"));
        put(scratch, "mica-x/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 0\noom_group_kill 7\n");
        assert_false(cgroup_oom_killed(&v2, "/mica-x"));
        put(scratch, "mica-y/memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\noom_group_kill 0\n");
        assert_true(cgroup_oom_killed(&v2, "/mica-y"));
        put(scratch, "cpu/mica-x/cpu.shares", "1024\n");
        put(scratch, "memory/mica-x/memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n");
        assert_false(cgroup_oom_killed(&v1, "/mica-x"));
        put(scratch, "memory/mica-y/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
        assert_true(cgroup_oom_killed(&v1, "/mica-y"));
}

static void test_freeze(void **state)
{
        const Scratch *scratch = *state;
        Cgroups v2 = { .mode = CGROUP_V2, .root = scratch->path }, v1 = { .mode = CGROUP_V1, .root = scratch->path };
        _cleanup_free_ char *v2_text = NULL, *v1_text = NULL;
        Error err = ERROR_INIT;

        assert_int_equal(cgroup_freeze(&v2, "/mica-x", true, &err), -1);
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        error_done(&err);
        put(scratch, "mica-x/cgroup.freeze", "0");
        put(scratch, "mica-x/cgroup.events", "populated 1\nfrozen 1\n");
        assert_int_equal(cgroup_freeze(&v2, "/mica-x", true, &err), 0);
        v2_text = get(scratch, "mica-x/cgroup.freeze");
        assert_string_equal(v2_text, "1");
        put(scratch, "cpu/mica-x/cpu.shares", "1024\n");
        put(scratch, "freezer/mica-x/freezer.state", "THAWED");
        assert_int_equal(cgroup_freeze(&v1, "/mica-x", true, &err), 0);
        v1_text = get(scratch, "freezer/mica-x/freezer.state");
        assert_string_equal(v1_text, "FROZEN");
}

/* Everything in it dies, and on v2 by the one write that a fork bomb cannot outrun. */
static void test_kill(void **state)
{
        const Scratch *scratch = *state;
        Cgroups v2 = { .mode = CGROUP_V2, .root = scratch->path };
        _cleanup_free_ char *list = NULL, *kill_text = NULL;
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                pause();
                _exit(0);
        }
        list = xasprintf("%d\n", pid);
        put(scratch, "mica-x/cgroup.procs", list);
        put(scratch, "mica-x/cgroup.kill", "");
        assert_int_equal(cgroup_signal(&v2, "/mica-x", SIGKILL), 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        kill_text = get(scratch, "mica-x/cgroup.kill");
        assert_string_equal(kill_text, "1");
}

/* Directories below it, which the container made, go too; another container's stay. */
static void test_remove(void **state)
{
        const Scratch *scratch = *state;
        Cgroups v1 = { .mode = CGROUP_V1, .root = scratch->path };
        _cleanup_free_ char *inner = xasprintf("%s/memory/mica-x/inner", scratch->path), *other = xasprintf("%s/memory/mica-y", scratch->path),
                            *cpu = xasprintf("%s/cpu/mica-x", scratch->path);
        Error err = ERROR_INIT;

        assert_int_equal(dir_make(AT_FDCWD, inner, 0755), 0);
        assert_int_equal(dir_make(AT_FDCWD, other, 0755), 0);
        assert_int_equal(dir_make(AT_FDCWD, cpu, 0755), 0);
        assert_int_equal(cgroup_remove(&v1, "/mica-x", &err), 0);
        assert_int_equal(faccessat(scratch->fd, "memory/mica-x", F_OK, 0), -1);
        assert_int_equal(faccessat(scratch->fd, "cpu/mica-x", F_OK, 0), -1);
        assert_int_equal(faccessat(scratch->fd, "memory/mica-y", F_OK, 0), 0);
        assert_int_equal(cgroup_remove(&v1, "/mica-x", &err), 0); /* fine when there is nothing */
        put(scratch, "unified/mica-x/cgroup.procs", "1\n");       /* what the runtime has written onto the tmpfs that hides the hierarchy */
        assert_int_equal(cgroup_remove(&v1, "/mica-x", &err), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCRATCH_TEST(test_detect_v2),
                SCRATCH_TEST(test_detect_v1_and_hybrid),
                SCRATCH_TEST(test_detect_nothing),
                SCRATCH_TEST(test_paths),
                SCRATCH_TEST(test_pids_in_every_layout),
                SCRATCH_TEST(test_oom),
                SCRATCH_TEST(test_freeze),
                SCRATCH_TEST(test_kill),
                SCRATCH_TEST(test_remove),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
