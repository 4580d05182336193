/* A layer made here must have the digest that BuildKit's has: every byte of a header counts. */
#include "make.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void write_entry(const TarEntry *entry, Buf *out)
{
        _cleanup_error_ Error err = ERROR_INIT;

        if (tar_write_header(entry, out, &err) < 0)
                fail_msg("%s", error_message(&err));
}

static void test_plain(void **state)
{
        TarEntry e = {
                .type = TAR_FILE, .path = (char *)"etc/passwd", .mode = 0644, .uid = 1, .gid = 2, .size = 1000, .mtime_sec = 1700000000, .mtime_nsec = 5
        };
        _cleanup_buf_ Buf out = BUF_INIT(4096);
        char expected[512] = { 0 };

        e.user_name = (char *)"root";
        write_entry(&e, &out);
        memcpy(expected, "etc/passwd", 10);
        memcpy(expected + 100,
               "0000644\0"
               "0000001\0"
               "0000002\0"
               "00000001750\0"
               "14524770400",
               48);
        expected[156] = '0';
        memcpy(expected + 257,
               "ustar\0"
               "00",
               8);
        memcpy(expected + 329,
               "0000000\0"
               "0000000",
               16);
        make_sum(expected);
        assert_int_equal(out.size, 512);
        assert_memory_equal(out.data, expected, 512);
        assert_true(tar_looks_like_header(out.data));
        assert_int_equal(tar_padding(1000), 24);
        assert_int_equal(tar_padding(0), 0);
        assert_int_equal(tar_padding(512), 0);
}

/* What is written must be read back as it was. */
static void test_round_trip(void **state)
{
        char cap[] = "\x01\0\0\x02\0\n=\0", long_name[260], long_path[200], utf8[] = "d/\xc3\xa9", target[300];
        TarXattr xattrs[] = { { (char *)"user.z", cap, 1 }, { (char *)"security.capability", cap, 8 } };
        TarEntry entries[] = {
                { .type = TAR_DIR, .path = (char *)"", .mode = 0755 },
                { .type = TAR_DIR, .path = (char *)"d", .mode = 01777 },
                { .type = TAR_FILE, .path = (char *)"d/f", .mode = 04755, .xattrs = xattrs, .n_xattrs = 2 },
                { .type = TAR_SYMLINK, .path = (char *)"s", .link = (char *)"../x/", .mode = 0777 },
                { .type = TAR_HARDLINK, .path = (char *)"h", .link = (char *)"d/f" },
                { .type = TAR_CHAR, .path = (char *)"c", .dev_major = 4095, .dev_minor = 1048575 },
                { .type = TAR_BLOCK, .path = (char *)"b", .dev_major = 8 },
                { .type = TAR_FIFO, .path = (char *)"p" },
                { .type = TAR_DIR, .path = long_name },
                { .type = TAR_DIR, .path = long_path },
                { .type = TAR_DIR, .path = utf8, .uid = 2097152, .gid = UINT32_MAX - 1, .mtime_sec = -1 },
                { .type = TAR_DIR, .path = (char *)"future", .mtime_sec = INT64_C(1) << 33 },
                { .type = TAR_SYMLINK, .path = (char *)"sl", .link = target },
                { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_REMOVE, .path = (char *)"d/gone", .mode = 0644, .uid = 5, .mtime_sec = 9 },
                { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_REMOVE, .path = (char *)"gone" },
                { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_OPAQUE, .path = (char *)"d" },
                { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_OPAQUE, .path = (char *)"" },
        };
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        memset(long_name, 'n', 255);
        long_name[255] = '\0';
        memset(long_path, 'p', 199);
        long_path[120] = '/';
        long_path[199] = '\0';
        memset(target, 't', 299);
        target[299] = '\0';
        for (size_t i = 0; i < ARRAY_LEN(entries); i++)
                write_entry(&entries[i], &out);
        put_end(&out);

        _cleanup_free_ char *text = read_all(&out, 0, &err);
        _cleanup_free_ char *expected = xasprintf("d 0755 0:0 0 0 ''\n"
                                                  "d 1777 0:0 0 0 'd'\n"
                                                  "f 4755 0:0 0 0 'd/f' security.capability=\\x01\\x00\\x00\\x02\\x00\\x0a=\\x00 user.z=\\x01\n"
                                                  "l 0777 0:0 0 0 's' -> '../x/'\n"
                                                  "h 0000 0:0 0 0 'h' -> 'd/f'\n"
                                                  "c 0000 0:0 0 0 'c' 4095,1048575\n"
                                                  "b 0000 0:0 0 0 'b' 8,0\n"
                                                  "p 0000 0:0 0 0 'p'\n"
                                                  "d 0000 0:0 0 0 '%s'\n"
                                                  "d 0000 0:0 0 0 '%s'\n"
                                                  "d 0000 2097152:4294967294 0 -1 'd/\xc3\xa9'\n"
                                                  "d 0000 0:0 0 8589934592 'future'\n"
                                                  "l 0000 0:0 0 0 'sl' -> '%s'\n"
                                                  "fW 0000 0:0 0 0 'd/gone'\n"
                                                  "fW 0000 0:0 0 0 'gone'\n"
                                                  "fO 0000 0:0 0 0 'd'\n"
                                                  "fO 0000 0:0 0 0 ''\n",
                                                  long_name, long_path, target);

        if (!text)
                fail_msg("%s", error_message(&err));
        assert_string_equal(text, expected);
}

/* The pax header's own bytes: name, sorted records, and a main header with what does not fit left zero. */
static void test_pax_bytes(void **state)
{
        TarXattr xattr = { (char *)"security.capability", (char *)"c", 1 };
        TarEntry e = { .type = TAR_FILE,
                       .path = (char *)"usr/bin/p\xc3\xa9ng",
                       .mode = 0755,
                       .uid = 3000000,
                       .size = UINT64_C(9) << 30,
                       .xattrs = &xattr,
                       .n_xattrs = 1 };
        static const char records[] = "38 SCHILY.xattr.security.capability=c\n"
                                      "22 path=usr/bin/p\xc3\xa9ng\n"
                                      "19 size=9663676416\n"
                                      "15 uid=3000000\n";
        _cleanup_buf_ Buf out = BUF_INIT(4096);
        char expected[512] = { 0 };

        write_entry(&e, &out);
        assert_int_equal(out.size, 3 * 512);
        memcpy(expected, "usr/bin/PaxHeaders.0/png", 24);
        memcpy(expected + 100,
               "0000000\0"
               "0000000\0"
               "0000000\0"
               "00000000136\0"
               "00000000000",
               48);
        expected[156] = 'x';
        memcpy(expected + 257,
               "ustar\0"
               "00",
               8);
        make_sum(expected);
        assert_memory_equal(out.data, expected, 512);
        assert_int_equal(sizeof(records) - 1, 0136);
        assert_memory_equal(out.data + 512, records, sizeof(records) - 1);
        memset(expected, 0, sizeof(expected));
        memcpy(expected, "usr/bin/png", 11);
        memcpy(expected + 100,
               "0000755\0"
               "0000000\0"
               "0000000\0"
               "00000000000\0"
               "00000000000",
               48);
        expected[156] = '0';
        memcpy(expected + 257,
               "ustar\0"
               "00",
               8);
        memcpy(expected + 329,
               "0000000\0"
               "0000000",
               16);
        make_sum(expected);
        assert_memory_equal(out.data + 1024, expected, 512);
}

/* Record lengths count their own digits: the steps from 9 to 10, 99 to 100 and 999 to 1000 bytes. */
static void test_record_lengths(void **state)
{
        char value[1100];

        memset(value, 'v', sizeof(value));
        for (size_t n = 0; n < sizeof(value); n++) {
                TarXattr xattr = { (char *)"a", value, n };
                TarEntry e = { .type = TAR_DIR, .path = (char *)"x", .xattrs = &xattr, .n_xattrs = 1 };
                _cleanup_buf_ Buf out = BUF_INIT(8192);
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = NULL;

                write_entry(&e, &out);
                text = read_all(&out, 0, &err);
                if (!text)
                        fail_msg("value of %zu bytes: %s", n, error_message(&err));
        }
}

static void test_refusals(void **state)
{
        TarXattr odd = { (char *)"user.a=b", (char *)"", 0 };
        TarEntry device = { .type = TAR_CHAR, .path = (char *)"c", .dev_minor = 1 << 21 };
        TarEntry named = { .type = TAR_FILE, .path = (char *)"f", .xattrs = &odd, .n_xattrs = 1 };
        _cleanup_buf_ Buf out = BUF_INIT(4096);
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(tar_write_header(&device, &out, &err), -1);
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_int_equal(tar_write_header(&named, &out, &err), -1);
        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        assert_int_equal(out.size, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_plain),          cmocka_unit_test(test_round_trip), cmocka_unit_test(test_pax_bytes),
                cmocka_unit_test(test_record_lengths), cmocka_unit_test(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
