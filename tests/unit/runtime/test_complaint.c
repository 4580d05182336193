/* The runtimes' own words for what went wrong, as they were seen, and docker's for the user: the exit code of a script hangs on them. */
#include "../fs/scratch.h"

#include "runtime/private.h"

static const RuntimeDriver driver = { .name = "crun" };

static const struct Case {
        const char *text; /* the log */
        ErrorCode code;
        int status;
        const char *message;
} cases[] = {
        { "2026-11-29T05:40:34.1Z: executable file `nosuch` not found in $PATH: No such file or directory\n", ERROR_EXIT, 127,
          "exec: \"nosuch\": executable file not found in $PATH" },
        { "executable file `/no/such` not found in $PATH: No such file or directory", ERROR_EXIT, 127, "exec: \"/no/such\": no such file or directory" },
        { "open executable: Permission denied", ERROR_EXIT, 126, "exec: \"prog\": permission denied" },
        { "time=\"2026-11-29T05:40:34Z\" level=error msg=\"runc run failed: unable to start container process: exec: \\\"nosuch\\\": executable file not found "
          "in "
          "$PATH\"\n",
          ERROR_EXIT, 127, "exec: \"nosuch\": executable file not found in $PATH" },
        { "level=error msg=\"runc run failed: unable to start container process: exec: \\\"/no/such\\\": stat /no/such: no such file or directory\"",
          ERROR_EXIT, 127, "exec: \"/no/such\": no such file or directory" },
        { "level=error msg=\"exec failed: unable to start container process: exec: \\\"/etc\\\": is a directory\"", ERROR_EXIT, 126,
          "exec: \"/etc\": is a directory" },
        { "level=error msg=\"runc run failed: unable to start container process: exec: \\\"/etc/passwd\\\": permission denied\"", ERROR_EXIT, 126,
          "exec: \"/etc/passwd\": permission denied" },
        { "chdir `/cwd`: Permission denied", ERROR_EXIT, 126, "cannot enter the working directory \"/cwd\": permission denied" },
        { "chdir `/cwd`: No such file or directory", ERROR_EXIT, 126, "cannot enter the working directory \"/cwd\": no such file or directory" },
        { "level=error msg=\"x: chdir to cwd (\\\"/cwd\\\") set in config.json failed: permission denied\"", ERROR_EXIT, 126,
          "cannot enter the working directory \"/cwd\": permission denied" },
        { "chdir `/cwd`: Not a directory", ERROR_INVALID, 126, "cannot make the working directory \"/cwd\": it is not a directory" },
        { "first\nmount `tmpfs` to `t`: Invalid argument\n", ERROR_IO, 0, "crun: mount `tmpfs` to `t`: Invalid argument" },
        { "time=\"x\" level=error msg=\"quoted \\\"word\\\" here\"", ERROR_IO, 0, "crun: quoted \"word\" here" },
        { "bell \a and \xff", ERROR_IO, 0, "crun: bell \\x07 and \\xff" }, /* what comes from an image must not reach a terminal as it is */
        { " \n", ERROR_IO, 0, "crun: it failed without saying why" },
};

static void test_words(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { .cwd = xstrdup("/cwd") };
        Error err = ERROR_INIT;

        strlist_add(&spec.args, "prog");
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                assert_int_equal(runtime_fail(&driver, cases[i].text, &spec, &err), -1);
                if (err.code != cases[i].code || err.status != cases[i].status || !streq(error_message(&err), cases[i].message))
                        fail_msg("'%s' became %d/%d '%s'", cases[i].text, err.code, err.status, error_message(&err));
                error_done(&err);
        }
}

/* crun says "permission denied" of a directory; docker says what it is. The image's own links are followed inside of it only. */
static void test_directory(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_run_spec_ RunSpec spec = { .root = scratch->path };
        Error err = ERROR_INIT;

        assert_int_equal(mkdirat(scratch->fd, "dir", 0755), 0);
        assert_int_equal(symlinkat("/dir", scratch->fd, "link"), 0);
        strlist_add(&spec.args, "/link");
        assert_int_equal(runtime_fail(&driver, "open executable: Permission denied", &spec, &err), -1);
        assert_string_equal(error_message(&err), "exec: \"/link\": is a directory");
        assert_int_equal(err.status, 126);
        error_done(&err);
}

static void put(const Scratch *scratch, const char *name, const void *data, size_t size)
{
        int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

        assert_int_equal(fd_write_all(fd, data, size), 0);
        close(fd);
}

/* First lines as the kernel reads them, and what it would not take. "" means that nothing is missing. */
static void test_scripts(void **state)
{
        static const struct {
                const char *text, *missing;
        } scripts[] = {
                { "#!/no/sh\n", "/no/sh" },
                { "#! \t/no/sh -x y\n", "/no/sh" },
                { "#!no/sh\n", "no/sh" },
                { "#!/no/sh", "" },
                { "#!\n", "" },
                { "#!", "" },
                { "", "" },
                { "/no/sh\n", "" },
                { "#!/there\n", "" },
                { "#!there\n", "" },
                { "#!/script\n", "/no/sh" },
                { "#!/link\n", "/gone" },
                { "#!/loop\n", "" },
                { "#!/d/../there\n", "" },
                { "#!/../there\n", "" },
                { "#!/outside\n", "/outside" },
        };
        const Scratch *scratch = *state;

        assert_int_equal(mkdirat(scratch->fd, "d", 0755), 0);
        assert_int_equal(symlinkat("/bin/sh", scratch->fd, "outside"), 0); /* of the root, not of this machine */
        put(scratch, "there", "x", 1);
        put(scratch, "script", "#!/no/sh\n", 9);
        put(scratch, "link", "#!/gone\n", 8);
        put(scratch, "loop", "#!/loop\n", 8);
        for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
                _cleanup_free_ char *missing = NULL;

                put(scratch, "try", scripts[i].text, strlen(scripts[i].text));
                missing = runtime_missing_interpreter(scratch->fd, "/", "/try");
                if (!streq(missing ? missing : "", scripts[i].missing))
                        fail_msg("of '%s' is missing '%s'", scripts[i].text, missing ? missing : "");
        }
}

/* A program of this machine says what loads it; a header that lies is no header. */
static void test_loaders(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_buf_ Buf self = BUF_INIT((size_t)64 << 20);
        _cleanup_free_ char *missing = NULL;
        int fd;

        assert_int_equal(file_read(AT_FDCWD, "/proc/self/exe", &self), 0);
        put(scratch, "self", self.data, self.size);
        missing = runtime_missing_interpreter(scratch->fd, "/", "/self");
        assert_true(missing && strstr(missing, "/ld-"));
        fd = openat(scratch->fd, "self", O_WRONLY | O_CLOEXEC);
        for (size_t at = 0; at < 64 + 56 * 4; at++) {
                for (int value = 0; value < 256; value += 85) {
                        assert_int_equal(fd_pwrite_all(fd, &(uint8_t){ (uint8_t)value }, 1, at), 0);
                        free(runtime_missing_interpreter(scratch->fd, "/", "/self"));
                }
                assert_int_equal(fd_pwrite_all(fd, self.data + at, 1, at), 0);
        }
        close(fd);
        assert_null(runtime_missing_interpreter(scratch->fd, "/", "/none"));
        assert_int_equal(mkfifoat(scratch->fd, "fifo", 0755), 0);
        assert_null(runtime_missing_interpreter(scratch->fd, "/", "/fifo"));
}

int main(void)
{
        const struct CMUnitTest tests[] = { SCRATCH_TEST(test_words), SCRATCH_TEST(test_directory), SCRATCH_TEST(test_scripts), SCRATCH_TEST(test_loaders) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
