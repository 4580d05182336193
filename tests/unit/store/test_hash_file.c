/*
 * Files that are written and hashed at the same time. If these fail, a layer gets a digest that its bytes do not have, or a full disk is told by nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/direct.h"
#include "base/fd.h"
#include "base/mem.h"
#include "store/hash_file.h"

static int open_temporary(void)
{
        int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        return fd;
}

/* The i-th MiB: zeros when i ends in 3, else different everywhere. */
static void fill(uint8_t *data, size_t i)
{
        memset(data, 0, MIB);
        for (size_t k = 0; i % 10 != 3 && k < MIB; k += 8)
                data[k] = (uint8_t)(k >> 3 ^ i), data[k + 1] = (uint8_t)(k >> 11), data[k + 2] = (uint8_t)i;
}

/* n_mib and `rest` bytes, in pieces as a decoder gives them; what can be read afterwards is what was hashed. */
static void write_and_compare(bool direct, size_t n_mib, size_t rest, bool ends_in_hole)
{
        _cleanup_close_ int fd = open_temporary();
        _cleanup_(hash_file_freep) HashFile *file = hash_file_new(DIGEST_SHA256, fd, "the test");
        _cleanup_(hash_freep) Hash *expected = hash_new(DIGEST_SHA256), *found = hash_new(DIGEST_SHA256);
        _cleanup_free_ uint8_t *data = xmalloc(MIB);
        _cleanup_error_ Error err = ERROR_INIT;
        Digest digest, want, have;
        struct stat st;
        uint64_t size, n = (uint64_t)n_mib * MIB + rest;

        if (direct)
                hash_file_go_direct(file);
        for (size_t i = 0; i < n_mib; i++) {
                fill(data, ends_in_hole && i + 1 == n_mib ? 3 : i);
                hash_add(expected, data, MIB);
                for (size_t at = 0; at < MIB; at += 256 * KIB)
                        assert_int_equal(hash_file_write(file, data + at, 256 * KIB, &err), 0);
        }
        fill(data, n_mib);
        hash_add(expected, data, rest);
        assert_int_equal(hash_file_write(file, data, rest, &err), 0);
        assert_int_equal(hash_file_finish(file, &digest, &size, &err), 0);
        want = hash_digest(expected);
        assert_true(digest_equal(&digest, &want));
        assert_int_equal(size, n);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, n);
        assert_int_equal(fcntl(fd, F_GETFL) & O_DIRECT, 0);
        for (uint64_t at = 0; at < n; at += MIB) {
                size_t part = (size_t)MIN(n - at, (uint64_t)MIB);

                assert_int_equal(fd_pread_full(fd, data, part, at), part);
                hash_add(found, data, part);
        }
        have = hash_digest(found);
        assert_true(digest_equal(&have, &want));
}

static void what_is_hashed_is_written(void **state)
{
        write_and_compare(false, 0, 0, false);
        write_and_compare(false, 0, 700, false);
        write_and_compare(false, 1, 0, false);
        write_and_compare(false, 24, 513, false);
        write_and_compare(false, 4, 0, true);
}

static void past_the_cache_too(void **state)
{
        size_t n_mib = DIRECT_AFTER / MIB + 12;

        write_and_compare(true, n_mib, 512, false);
        write_and_compare(true, n_mib, 0, true);
}

/* The writing thread's failure comes to the caller, who has long gone on; at the latest at the end. */
static void a_full_disk_is_told(void **state)
{
        _cleanup_free_ uint8_t *data = xmalloc(MIB);

        fill(data, 1);
        for (size_t n_mib = 1; n_mib < 40; n_mib += 19) {
                _cleanup_close_ int fd = open("/dev/full", O_RDWR | O_CLOEXEC);
                _cleanup_(hash_file_freep) HashFile *file = hash_file_new(DIGEST_SHA256, fd, "the test");
                _cleanup_error_ Error err = ERROR_INIT;
                Digest digest;
                uint64_t size;
                int r = 0;

                for (size_t i = 0; i < n_mib && r == 0; i++)
                        r = hash_file_write(file, data, MIB, &err);
                if (r == 0)
                        r = hash_file_finish(file, &digest, &size, &err);
                assert_int_equal(r, -1);
                assert_int_equal(err.errnum, ENOSPC);
                assert_non_null(strstr(error_message(&err), "cannot write the test"));
        }
}

/* Whoever gives up on the way does not wait for ever. */
static void one_that_is_given_up_ends(void **state)
{
        _cleanup_close_ int fd = open_temporary();
        HashFile *file = hash_file_new(DIGEST_SHA256, fd, "the test");
        _cleanup_free_ uint8_t *data = xmalloc(MIB);
        _cleanup_error_ Error err = ERROR_INIT;

        fill(data, 1);
        for (size_t i = 0; i < 14; i++)
                assert_int_equal(hash_file_write(file, data, MIB - 1, &err), 0);
        hash_file_free(file);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_hashed_is_written),
                cmocka_unit_test(past_the_cache_too),
                cmocka_unit_test(a_full_disk_is_told),
                cmocka_unit_test(one_that_is_given_up_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
