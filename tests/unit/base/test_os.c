/*
 * Descriptors, children and the pool. If these fail, files are left half-written, or the exit codes of programs are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/child.h"
#include "base/direct.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/str.h"
#include "base/sys.h"

static void files_appear_whole_and_trees_go(void **state)
{
        char dir[] = "/tmp/mica-test-base-XXXXXX";
        _cleanup_buf_ Buf content = BUF_INIT(100), small = BUF_INIT(2);
        _cleanup_close_ int fd = -1;

        assert_non_null(mkdtemp(dir));
        fd = open(dir, O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(dir_make(fd, "a/b/c", 0755), 0);
        assert_int_equal(dir_make(fd, "a/b/c", 0755), 0);
        assert_true(dir_is_empty(fd, "a/b/c"));
        assert_false(dir_is_empty(fd, "a/b"));
        assert_false(dir_is_empty(fd, "missing"));
        assert_int_equal(file_write_atomic(fd, "a/b/f", "old", 3, 0644, true), 0);
        assert_int_equal(file_write_atomic(fd, "a/b/f", "new!", 4, 0600, false), 0);
        assert_int_equal(file_read(fd, "a/b/f", &content), 0);
        assert_string_equal(buf_str(&content), "new!");
        assert_int_equal(file_read(fd, "a/b/f", &small), -EFBIG);
        assert_int_equal(file_read(fd, "missing", &content), -ENOENT);
        assert_int_equal(sys_symlinkat("/etc", fd, "a/link"), 0);
        assert_int_equal(tree_remove(fd, "a"), 0);
        assert_int_equal(tree_remove(fd, "a"), 0);
        assert_int_equal(access("/etc/passwd", F_OK), 0); /* never through the link */
        assert_int_equal(tree_remove(AT_FDCWD, dir), 0);
}

/* A monitor that kept a descriptor of its caller would hold a pipe that somebody waits for the end of. */
static void only_what_is_kept_stays_open(void **state)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                const int kept[] = { 207, -1, 201, 203, 201 };
                int open_ones = 0; /* a bit each, 200 first */

                for (int fd = 200; fd < 210; fd++)
                        dup2(STDERR_FILENO, fd);
                fd_close_others(201, kept, ARRAY_LEN(kept));
                for (int fd = 200; fd < 210; fd++)
                        open_ones = open_ones * 2 + (fcntl(fd, F_GETFD) >= 0);
                _exit(open_ones == 0b1101000100 ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void copies_are_exact(void **state)
{
        _cleanup_close_ int in = fd_memory("in", "0123456789", 10), out = fd_memory("out", "", 0);
        char text[8] = "";

        assert_true(in >= 0 && out >= 0);
        assert_int_equal(fd_copy(in, 3, out, 5), 0);
        assert_int_equal(fd_pread_full(out, text, sizeof(text), 0), 5);
        assert_memory_equal(text, "34567", 5);
        assert_int_equal(fd_copy(in, 8, out, 5), -EIO);
}

/* On a file system that has O_DIRECT and on one that may not: aligned parts, a hole, an odd tail, and going on after it. */
static void what_goes_past_the_cache_is_exact(void **state)
{
        static const char *const directories[] = { "/var/tmp", "/dev/shm" };
        _cleanup_free_ char *data = direct_buffer_new((size_t)4 * DIRECT_ALIGN), *back = xmalloc((size_t)8 * DIRECT_ALIGN);

        for (size_t i = 0; i < (size_t)4 * DIRECT_ALIGN; i++)
                data[i] = (char)(1 + i % 251);
        for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
                _cleanup_close_ int fd = open(directories[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
                DirectOut out = { .fd = fd, .wanted = true, .size = DIRECT_AFTER };
                struct iovec parts[2] = { { data, DIRECT_ALIGN }, { data + DIRECT_ALIGN, DIRECT_ALIGN } };

                assert_int_equal(lseek(fd, (off_t)DIRECT_AFTER, SEEK_SET), DIRECT_AFTER);
                assert_int_equal(direct_out_write(&out, parts, 2), 0);
                assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, out.on ? O_DIRECT : 0);
                assert_int_equal(direct_out_skip(&out, DIRECT_ALIGN), 0);
                assert_int_equal(direct_out_write(&out, &(struct iovec){ data + (size_t)2 * DIRECT_ALIGN, DIRECT_ALIGN + 7 }, 1), 0);
                assert_false(out.on);
                assert_int_equal(direct_out_write(&out, &(struct iovec){ data, DIRECT_ALIGN }, 1), 0);
                direct_out_end(&out);
                assert_int_equal(out.size, DIRECT_AFTER + (uint64_t)5 * DIRECT_ALIGN + 7);
                assert_int_equal(fd_pread_full(fd, back, (size_t)8 * DIRECT_ALIGN, DIRECT_AFTER), 5 * DIRECT_ALIGN + 7);
                assert_memory_equal(back, data, (size_t)2 * DIRECT_ALIGN);
                assert_true(back[2 * DIRECT_ALIGN] == 0 && back[3 * DIRECT_ALIGN - 1] == 0);
                assert_memory_equal(back + (size_t)3 * DIRECT_ALIGN, data + (size_t)2 * DIRECT_ALIGN, DIRECT_ALIGN + 7);
                assert_memory_equal(back + (size_t)4 * DIRECT_ALIGN + 7, data, DIRECT_ALIGN);
        }
}

/* A large file, with a size that no disk has blocks for. */
static void large_copies_are_exact(void **state)
{
        const uint64_t size = DIRECT_AFTER + 9 * MIB + 100;
        _cleanup_close_ int in = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), out = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        _cleanup_free_ char *a = xmalloc(MIB), *b = xmalloc(MIB);
        struct stat st;

        for (uint64_t at = 0; at < size; at += MIB) {
                size_t n = (size_t)MIN(size - at, (uint64_t)MIB);

                memset(a, (int)(at / MIB % 250) + 1, n);
                assert_int_equal(fd_write_all(in, a, n), 0);
        }
        assert_int_equal(direct_copy(in, out, size), 0);
        assert_int_equal(fstat(out, &st), 0);
        assert_int_equal(st.st_size, size);
        for (uint64_t at = 0; at < size; at += MIB) {
                size_t n = (size_t)MIN(size - at, (uint64_t)MIB);

                assert_int_equal(fd_pread_full(in, a, n, at), n);
                assert_int_equal(fd_pread_full(out, b, n, at), n);
                assert_memory_equal(a, b, n);
        }
        assert_int_equal(ftruncate(in, (off_t)DIRECT_AFTER + 5), 0);
        assert_int_equal(lseek(out, 0, SEEK_SET), 0);
        assert_int_equal(ftruncate(out, 0), 0);
        assert_int_equal(direct_copy(in, out, size), -EIO);
}

static void children_end_as_they_say(void **state)
{
        char *good[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo out; echo why >&2" }, NULL };
        char *bad[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "echo why >&2; exit 7" }, NULL };
        char *killed[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char[]){ "kill -9 $$" }, NULL };
        char *missing[] = { (char[]){ "mica-no-such-program" }, NULL };
        _cleanup_buf_ Buf output = BUF_INIT(100);
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(child_run(good, &output, &err), 0);
        assert_string_equal(buf_str(&output), "out\n");
        assert_int_equal(child_run(bad, NULL, &err), -1);
        assert_int_equal(err.code, ERROR_EXIT);
        assert_int_equal(err.status, 7);
        assert_non_null(strstr(error_message(&err), "why"));
        assert_int_equal(child_run(killed, NULL, &err), -1);
        assert_int_equal(err.status, 128 + 9);
        assert_int_equal(child_run(missing, NULL, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static atomic_int n_done;

static void count(void *data)
{
        atomic_fetch_add(&n_done, *(int *)data);
}

static void a_pool_runs_every_job(void **state)
{
        int one = 1;

        for (size_t n_threads = 1; n_threads <= 4; n_threads += 3) {
                Pool *pool = pool_new(n_threads);

                atomic_store(&n_done, 0);
                for (int i = 0; i < 5000; i++)
                        pool_submit(pool, count, &one);
                pool_free(pool);
                assert_int_equal(atomic_load(&n_done), 5000);
        }
        assert_true(cpu_count() >= 1);
}

static bool is_alive(pid_t pid)
{
        return kill(pid, 0) == 0;
}

/* The numbers of two processes that live, as they print them. */
static void read_pids(int fd, Buf *text, int pids[2])
{
        while (!text->data || sscanf(text->data, "%d\n%d\n", &pids[0], &pids[1]) != 2) {
                char data[64];
                ssize_t n = read(fd, data, sizeof(data));

                assert_true(n > 0);
                buf_put(text, data, (size_t)n);
                buf_str(text);
        }
        assert_true(is_alive(pids[0]) && is_alive(pids[1]));
}

/* What a killed mica had started must not go on fetching, unpacking and mounting: neither the program nor what it put into sessions of its own. */
static void children_die_with_us(void **state)
{
        _cleanup_buf_ Buf text = BUF_INIT(256);
        int pair[2], status, pids[2] = { 0 };
        pid_t pid;

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        pid = fork();
        if (pid == 0) {
                char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"(setsid sh -c 'echo $$; exec sleep 300' &); echo $$; exec sleep 300", NULL };
                ChildSpec spec = CHILD_SPEC_INIT;
                Error err = ERROR_INIT;

                spec.argv = argv;
                spec.stdout_fd = pair[1];
                spec.die_with_parent = spec.new_session = true;
                if (child_start(&spec, &(pid_t){ 0 }, &err) < 0)
                        _exit(1);
                pause();
        }
        close(pair[1]);
        read_pids(pair[0], &text, pids);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        for (int i = 0; i < 500 && (is_alive(pids[0]) || is_alive(pids[1])); i++)
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        assert_false(is_alive(pids[0]) || is_alive(pids[1]));
        close(pair[0]);
}

/* What is stopped is stopped whole, also what has left the session, and it is over when the child has been reaped. */
static void a_killed_child_takes_all_with_it(void **state)
{
        char *const argv[] = { (char *)"sh", (char *)"-c", (char *)"(setsid sh -c 'trap \"\" TERM HUP; echo $$; sleep 300' &); echo $$; exec sleep 300", NULL };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf text = BUF_INIT(256);
        ChildSpec spec = CHILD_SPEC_INIT;
        int pair[2], status, pids[2] = { 0 };
        pid_t pid;

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        spec.argv = argv;
        spec.stdout_fd = pair[1];
        spec.die_with_parent = spec.new_session = true;
        assert_int_equal(child_start(&spec, &pid, &err), 0);
        close(pair[1]);
        read_pids(pair[0], &text, pids);
        child_kill(pid);
        assert_int_equal(child_wait(pid, &status, &err), 0);
        assert_int_equal(status, 137);
        assert_false(is_alive(pids[0]) || is_alive(pids[1]));
        close(pair[0]);
}

/* The guard is not to be noticed otherwise: exit codes, output that ends with the program, and programs that are not there. */
static void guarded_children_end_as_they_say(void **state)
{
        char *const good[] = { (char *)"sh", (char *)"-c", (char *)"echo out; exit 7", NULL };
        char *const killed[] = { (char *)"sh", (char *)"-c", (char *)"kill -9 $$", NULL };
        char *const missing[] = { (char *)"/no/such/program", NULL };
        _cleanup_error_ Error err = ERROR_INIT;
        ChildSpec spec = CHILD_SPEC_INIT;
        char data[16];
        int pair[2], status;
        pid_t pid;

        assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
        spec.argv = good;
        spec.stdout_fd = pair[1];
        spec.die_with_parent = true;
        assert_int_equal(child_start(&spec, &pid, &err), 0);
        close(pair[1]);
        assert_int_equal(fd_read_full(pair[0], data, sizeof(data)), 4);
        close(pair[0]);
        assert_int_equal(child_wait(pid, &status, &err), 0);
        assert_int_equal(status, 7);
        spec.argv = killed;
        spec.stdout_fd = -1;
        assert_int_equal(child_start(&spec, &pid, &err), 0);
        assert_int_equal(child_wait(pid, &status, &err), 0);
        assert_int_equal(status, 128 + SIGKILL);
        spec.argv = missing;
        assert_int_equal(child_start(&spec, &pid, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(files_appear_whole_and_trees_go),
                cmocka_unit_test(copies_are_exact),
                cmocka_unit_test(only_what_is_kept_stays_open),
                cmocka_unit_test(what_goes_past_the_cache_is_exact),
                cmocka_unit_test(large_copies_are_exact),
                cmocka_unit_test(children_end_as_they_say),
                cmocka_unit_test(children_die_with_us),
                cmocka_unit_test(a_killed_child_takes_all_with_it),
                cmocka_unit_test(guarded_children_end_as_they_say),
                cmocka_unit_test(a_pool_runs_every_job),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
