/* Lock files: what is written is what is compared with, byte for byte the same each time; anything that is not in it is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "build/lock.h"

static const SourceRecord image = {
        .kind = SOURCE_IMAGE, .uri = "pkg:docker/a@1?platform=linux%2Famd64", .asked = "docker.io/library/a:1", .platform = "linux/amd64"
};
static const SourceRecord file = { .kind = SOURCE_HTTP, .uri = "https://x/y" };
static const SourceRecord git = { .kind = SOURCE_GIT, .uri = "https://x/y.git#v1", .commit = "0123456789012345678901234567890123456789" };

static SourceRecord with_digest(SourceRecord record, const char *of)
{
        record.digest = digest_of(of, strlen(of));
        return record;
}

static int check(const Lock *lock, SourceRecord record, const char *word)
{
        _cleanup_error_ Error err = ERROR_INIT;
        int r = lock_check(lock, &record, &err);

        if (r < 0) {
                assert_int_equal(err.code, ERROR_DENIED);
                assert_non_null(strstr(error_message(&err), word));
        }
        return r;
}

static void test_write_and_check(void **state)
{
        char path[] = "/tmp/mica-lock-XXXXXX";
        _cleanup_(sources_freep) Sources *forwards = sources_new(), *backwards = sources_new();
        _cleanup_buf_ Buf first = BUF_INIT(BUF_MAX_DEFAULT), second = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_(lock_freep) Lock *lock = NULL;
        SourceRecord records[] = { with_digest(image, "i"), with_digest(file, "f"), git, { .kind = SOURCE_LOCAL, .uri = "context", .asked = "/home/me" } };
        SourceRecord other;

        (void)state;
        close(mkstemp(path));
        for (size_t i = 0; i < ARRAY_LEN(records); i++) {
                sources_add(forwards, &records[i]);
                sources_add(backwards, &records[ARRAY_LEN(records) - 1 - i]);
        }
        assert_int_equal(lock_write(path, forwards, &err), 0);
        assert_int_equal(file_read(AT_FDCWD, path, &first), 0);
        assert_int_equal(lock_write(path, backwards, &err), 0);
        assert_int_equal(file_read(AT_FDCWD, path, &second), 0);
        assert_string_equal(buf_str(&first), buf_str(&second));
        assert_null(strstr(buf_str(&first), "/home/me"));

        assert_int_equal(lock_load(path, &lock, &err), 0);
        for (size_t i = 0; i < ARRAY_LEN(records); i++)
                assert_int_equal(check(lock, records[i], ""), 0);
        assert_int_equal(check(lock, with_digest(image, "other"), "docker.io/library/a:1"), -1);
        assert_int_equal(check(lock, with_digest(file, "other"), "https://x/y"), -1);
        other = git;
        other.commit[0] = 'f';
        assert_int_equal(check(lock, other, "f123456789"), -1);
        other = with_digest(image, "i");
        other.platform = "linux/arm64";
        assert_int_equal(check(lock, other, "for linux/arm64 is not in"), -1);
        other = with_digest(file, "f");
        other.uri = "https://x/z";
        assert_int_equal(check(lock, other, "https://x/z"), -1);
        unlink(path);
}

static void test_bad_files(void **state)
{
        static const struct {
                const char *text, *word;
        } bad[] = {
                { "", "invalid lock" },
                { "{}", "version" },
                { "{\"version\":2}", "version 2" },
                { "{\"version\":1,\"sources\":[{\"kind\":\"http\"}]}", "source" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                char path[] = "/tmp/mica-lock-XXXXXX";
                _cleanup_close_ int fd = mkstemp(path);
                _cleanup_error_ Error err = ERROR_INIT;
                Lock *lock = NULL;

                assert_int_equal(fd_write_all(fd, bad[i].text, strlen(bad[i].text)), 0);
                assert_int_equal(lock_load(path, &lock, &err), -1);
                assert_non_null(strstr(error_message(&err), bad[i].word));
                unlink(path);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_write_and_check), cmocka_unit_test(test_bad_files) };

        return cmocka_run_group_tests_name("build/lock", tests, NULL, NULL);
}
