/* What a layer says must be what the container sees; a hostile one must end in an error and nothing else. */
#include "make.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tar/limits.h"

static void expect_text(const Buf *in, const char *expected)
{
        static const size_t steps[] = { 0, 1, 7, 511, 512, 513 };

        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = read_all(in, steps[i], &err);

                if (!text)
                        fail_msg("step %zu: %s", steps[i], error_message(&err));
                assert_string_equal(text, expected);
        }
}

/* `part` must be in the message. */
static void expect_error(const Buf *in, ErrorCode code, const char *part)
{
        static const size_t steps[] = { 0, 100 };

        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = read_all(in, steps[i], &err);

                if (text)
                        fail_msg("accepted, expected an error with '%s': %s", part, text);
                if (err.code != code || !strstr(error_message(&err), part))
                        fail_msg("expected %s '%s', got %s: %s", error_code_name(code), part, error_code_name(err.code), error_message(&err));
        }
}

#define NEW_TAR _cleanup_buf_ Buf in = BUF_INIT(BUF_MAX_DEFAULT)

static void test_types(void **state)
{
        NEW_TAR;
        char block[512];

        put_member(&in, "./", '5', NULL, 0);
        put_member(&in, "./etc/", '5', NULL, 0);
        put_member(&in, "etc/a", '0', "hello", 5);
        put_member(&in, "old", '\0', "x", 1);
        put_member(&in, "olddir/", '\0', NULL, 0);
        put_member(&in, "contiguous", '7', "y", 1);
        put_link(&in, "sym", '2', "../../odd//target/");
        put_link(&in, "hard", '1', "/./etc//a");
        make_header(block, "null", '3', 99);
        memcpy(block + 329, "0000001", 8);
        memcpy(block + 337, "0000003", 8);
        memcpy(block + 265, "root", 4);
        make_sum(block);
        put_block(&in, block);
        put_member(&in, "pipe", '6', NULL, 0);
        put_end(&in);
        expect_text(&in, "d 0644 1:2 0 7 ''\n"
                         "d 0644 1:2 0 7 'etc'\n"
                         "f 0644 1:2 5 7 'etc/a' [hello]\n"
                         "f 0644 1:2 1 7 'old' [x]\n"
                         "d 0644 1:2 0 7 'olddir'\n"
                         "f 0644 1:2 1 7 'contiguous' [y]\n"
                         "l 0644 1:2 0 7 'sym' -> '../../odd//target/'\n"
                         "h 0644 1:2 0 7 'hard' -> 'etc/a'\n"
                         "c 0644 1:2 0 7 'null' 1,3 (root:)\n"
                         "p 0644 1:2 0 7 'pipe'\n");
}

static void test_empty_and_ends(void **state)
{
        NEW_TAR;

        expect_text(&in, "");
        put_end(&in);
        expect_text(&in, "");
        buf_puts(&in, "whatever follows the end is not ours to judge");
        expect_text(&in, "");

        _cleanup_buf_ Buf open_end = BUF_INIT(BUF_MAX_DEFAULT);

        put_member(&open_end, "a", '0', "1", 1);
        expect_text(&open_end, "f 0644 1:2 1 7 'a' [1]\n");
        assert_int_equal(buf_add_zero(&open_end, 512), 0);
        expect_text(&open_end, "f 0644 1:2 1 7 'a' [1]\n");
        put_member(&open_end, "b", '0', "1", 1);
        expect_error(&open_end, ERROR_CORRUPT, "damaged");
}

static void test_truncated(void **state)
{
        NEW_TAR;

        put_pax(&in, 'x', "path", "p", 1);
        put_member(&in, "a", '0', "0123456789", 10);
        for (size_t n = 1; n < in.size; n++) {
                Buf cut = { .data = in.data, .size = n };
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = read_all(&cut, 0, &err);

                assert_null(text);
                assert_int_equal(err.code, ERROR_CORRUPT);
        }
}

static void test_pax(void **state)
{
        static const char capability[] = "\x01\0\0\x02";
        NEW_TAR;

        put_pax(&in, 'x', "path", "dir/\xc3\xa9", 6);
        put_member(&in, "short", '0', NULL, 0);
        put_pax(&in, 'x', "linkpath", "t/u", 3);
        put_link(&in, "s", '2', "short");
        put_pax(&in, 'x', "uid", "4294967294", 10);
        put_member(&in, "u", '5', NULL, 0);
        put_pax(&in, 'x', "mtime", "1.5000000009", 12);
        put_member(&in, "m", '5', NULL, 0);
        put_pax(&in, 'x', "mtime", "-0.25", 5);
        put_member(&in, "m", '5', NULL, 0);
        put_pax(&in, 'x', "mtime", "-3", 2);
        put_member(&in, "m", '5', NULL, 0);
        put_pax(&in, 'x', "size", "3", 1);
        put_member(&in, "n", '0', "abc", 3);
        put_pax(&in, 'x', "SCHILY.xattr.security.capability", capability, 4);
        put_member(&in, "x", '0', NULL, 0);
        put_pax(&in, 'x', "LIBARCHIVE.xattr.user.a%20b", "aGVsbG8", 7);
        put_member(&in, "x", '0', NULL, 0);
        put_pax(&in, 'x', "SCHILY.xattr.trusted.overlay.redirect", "/etc", 4);
        put_member(&in, "x", '0', NULL, 0);
        put_pax(&in, 'x', "SCHILY.xattr.user.overlay.opaque", "y", 1);
        put_member(&in, "x", '0', NULL, 0);
        put_pax(&in, 'x', "LIBARCHIVE.xattr.trusted.overlay%2eredirect", "YQ==", 4);
        put_member(&in, "x", '0', NULL, 0);
        put_pax(&in, 'x', "path", "", 0);
        put_member(&in, "kept", '0', NULL, 0);
        put_end(&in);
        expect_text(&in, "f 0644 1:2 0 7 'dir/\xc3\xa9'\n"
                         "l 0644 1:2 0 7 's' -> 't/u'\n"
                         "d 0644 4294967294:2 0 7 'u'\n"
                         "d 0644 1:2 0 1.500000000 'm'\n"
                         "d 0644 1:2 0 -1.750000000 'm'\n"
                         "d 0644 1:2 0 -3 'm'\n"
                         "f 0644 1:2 3 7 'n' [abc]\n"
                         "f 0644 1:2 0 7 'x' security.capability=\\x01\\x00\\x00\\x02\n"
                         "f 0644 1:2 0 7 'x' user.a b=hello\n"
                         "f 0644 1:2 0 7 'x'\n"
                         "f 0644 1:2 0 7 'x'\n"
                         "f 0644 1:2 0 7 'x'\n"
                         "f 0644 1:2 0 7 'kept'\n");
}

static void put_raw_pax(Buf *in, char type, const char *records, size_t size)
{
        put_member(in, "pax", type, records, size);
        put_member(in, "f", '0', NULL, 0);
}

static void test_xattr_duplicates(void **state)
{
        NEW_TAR;

        /* Lengths are put right here rather than by hand. */
        _cleanup_buf_ Buf body = BUF_INIT(4096);
        static const char *const pairs[] = { "SCHILY.xattr.user.b=1", "SCHILY.xattr.user.b=3", "LIBARCHIVE.xattr.user.b=Mg==", "SCHILY.xattr.user.a=0" };

        for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
                buf_putf(&body, "%zu %s\n", strlen(pairs[i]) + 4, pairs[i]);
        put_raw_pax(&in, 'x', body.data, body.size);
        expect_text(&in, "f 0644 1:2 0 7 'f' user.a=0 user.b=3\n");
}

static void test_global(void **state)
{
        NEW_TAR;

        put_pax(&in, 'g', "comment", "made by git archive", 19);
        put_pax(&in, 'g', "uid", "70", 2);
        put_pax(&in, 'g', "SCHILY.xattr.user.x", "g", 1);
        put_member(&in, "a", '0', NULL, 0);
        put_pax(&in, 'x', "SCHILY.xattr.user.x", "own", 3);
        put_member(&in, "b", '0', NULL, 0);
        put_pax(&in, 'g', "uid", "71", 2);
        put_member(&in, "c", '0', NULL, 0);
        put_pax(&in, 'g', "mtime", "5", 1);
        expect_text(&in, "f 0644 70:2 0 7 'a' user.x=g\n"
                         "f 0644 70:2 0 7 'b' user.x=own\n"
                         "f 0644 71:2 0 7 'c' user.x=g\n");
        put_pax(&in, 'g', "path", "same", 4);
        expect_error(&in, ERROR_INVALID, "every member");
}

static void test_gnu(void **state)
{
        char block[512], name[301], target[201];
        NEW_TAR;

        memset(name, 'n', 300);
        name[200] = '/';
        name[300] = '\0';
        memset(target, 't', 200);
        target[200] = '\0';
        put_member(&in, "././@LongLink", 'L', name, 301);
        put_member(&in, "././@LongLink", 'K', target, 201);
        put_link(&in, "nnn", '2', "ttt");

        /* base-256: uid 3000000, mtime -2, and the binary form of a small size */
        make_header(block, "big", '0', 0);
        memcpy(block + 257, "ustar  \0", 8);
        memcpy(block + 108, "\x80\0\0\0\0\x2d\xc6\xc0", 8);
        memset(block + 136, 0xff, 12);
        block[147] = (char)0xfe;
        memcpy(block + 124, "\x80\0\0\0\0\0\0\0\0\0\0\x02", 12);
        make_sum(block);
        put_block(&in, block);
        buf_puts(&in, "ok");
        assert_int_equal(buf_add_zero(&in, 510), 0);

        _cleanup_free_ char *expected = xasprintf("l 0644 1:2 0 7 '%s' -> '%s'\nf 0644 3000000:2 2 -2 'big' [ok]\n", name, target);

        expect_text(&in, expected);
}

static void test_prefix_and_formats(void **state)
{
        char block[512];
        NEW_TAR;

        make_header(block, "name", '0', 0);
        memcpy(block + 345, "pre/fix", 7);
        make_sum(block);
        put_block(&in, block);
        memcpy(block + 257, "ustar  \0", 8); /* GNU, written by Go before 1.8 */
        make_sum(block);
        put_block(&in, block);
        memset(block + 345, 0, 155);
        memcpy(block + 345,
               "00000000012\0"
               "00000000013",
               24); /* GNU: atime and ctime */
        make_sum(block);
        put_block(&in, block);
        memset(block + 257, 'j', 255); /* V7: nothing of this counts */
        make_sum(block);
        put_block(&in, block);
        /* signed checksum, as old Sun tar summed */
        make_header(block, "caf\xe9", '0', 0);
        int total = 0;
        memset(block + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
                total += (signed char)block[i];
        snprintf(block + 148, 8, "%06o", (unsigned)total & 0777777);
        put_block(&in, block);
        expect_text(&in, "f 0644 1:2 0 7 'pre/fix/name'\n"
                         "f 0644 1:2 0 7 'pre/fix/name'\n"
                         "f 0644 1:2 0 7 'name'\n"
                         "f 0644 1:2 0 7 'name'\n"
                         "f 0644 1:2 0 7 'caf\xe9'\n");
}

static void test_paths(void **state)
{
        static const char *const good[][2] = {
                { "/etc/passwd", "etc/passwd" },
                { "./a/./b//c/", "a/b/c" },
                { "a/../b", "b" },
                { "a/b/../../c", "c" },
                { "...", "..." },
                { "", "" },
                { "/", "" },
                { "./.", "" },
        };
        static const char *const bad[] = { "..", "../etc/passwd", "a/../../b", "/../x", "./..", "a/b/../../.." };

        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *path = NULL;

                assert_int_equal(tar_path_clean(good[i][0], &path, &err), 0);
                assert_string_equal(path, good[i][1]);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                NEW_TAR;
                _cleanup_buf_ Buf link = BUF_INIT(BUF_MAX_DEFAULT);

                put_member(&in, bad[i], '0', NULL, 0);
                expect_error(&in, ERROR_INVALID, "out of the root");
                put_link(&link, "x", '1', bad[i]);
                expect_error(&link, ERROR_INVALID, "out of the root");
        }
        /* a tall but legal path, and one byte too much */
        _cleanup_buf_ Buf path = BUF_INIT(8192);
        NEW_TAR;

        while (path.size < TAR_PATH_MAX - 200)
                buf_putf(&path, "%0200d/", 0);
        while (path.size < TAR_PATH_MAX)
                buf_putc(&path, 'x');
        put_pax(&in, 'x', "path", path.data, path.size);
        put_member(&in, "a", '0', NULL, 0);
        _cleanup_free_ char *expected = xasprintf("f 0644 1:2 0 7 '%s'\n", path.data);
        expect_text(&in, expected);
        buf_putc(&path, 'x');
        put_pax(&in, 'x', "path", path.data, path.size);
        put_member(&in, "a", '0', NULL, 0);
        expect_error(&in, ERROR_LIMIT, "4095");

        _cleanup_buf_ Buf component = BUF_INIT(BUF_MAX_DEFAULT);

        put_pax(&component, 'x', "path", memset(path.data, 'c', 256), 256);
        put_member(&component, "a", '0', NULL, 0);
        expect_error(&component, ERROR_LIMIT, "255");
}

static void test_whiteouts(void **state)
{
        static const char *const bad[] = {
                ".wh.", "a/.wh.", ".wh..", "a/.wh..", ".wh...", "a/.wh...", "a/.wh..wh.x", "a/.wh.b/c", ".wh.x/y", ".wh..wh..opq/x", ".wh..wh..opq/../.wh."
        };
        NEW_TAR;

        put_member(&in, ".wh.gone", '0', NULL, 0);
        put_member(&in, "dir/.wh.gone", '0', "ignored", 7);
        put_member(&in, "dir/.wh..wh..opq", '0', NULL, 0);
        put_member(&in, ".wh..wh..opq", '0', NULL, 0);
        put_link(&in, "x/.wh.hard", '1', ".wh..wh.aufs"); /* as aufs made them */
        put_member(&in, ".wh..wh.plnk/", '5', NULL, 0);
        put_member(&in, ".wh..wh.plnk/12.34", '0', "content", 7);
        put_member(&in, ".wh..wh.aufs", '0', NULL, 0);
        put_member(&in, "a.wh.b", '0', NULL, 0);
        put_member(&in, ".wh....", '0', NULL, 0);
        expect_text(&in, "fW 0644 1:2 0 7 'gone'\n"
                         "fW 0644 1:2 0 7 'dir/gone'\n"
                         "fO 0644 1:2 0 7 'dir'\n"
                         "fO 0644 1:2 0 7 ''\n"
                         "fW 0644 1:2 0 7 'x/hard'\n"
                         "f 0644 1:2 0 7 'a.wh.b'\n"
                         "fW 0644 1:2 0 7 '...'\n");
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_buf_ Buf tar = BUF_INIT(BUF_MAX_DEFAULT);

                put_member(&tar, bad[i], '0', NULL, 0);
                expect_error(&tar, ERROR_INVALID, bad[i]);
        }
        put_link(&in, "y", '1', ".wh..wh.plnk/12.34");
        expect_error(&in, ERROR_INVALID, "aufs");
}

static void test_refused_types(void **state)
{
        static const char flags[] = "SMVDNAXZ8-";

        for (size_t i = 0; i < sizeof(flags) - 1; i++) {
                NEW_TAR;

                put_member(&in, "odd", flags[i], NULL, 0);
                expect_error(&in, ERROR_INVALID, "'odd'");
        }

        static const char *const keys[] = { "GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.realsize", "SCHILY.realsize" };

        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
                NEW_TAR;

                put_pax(&in, 'x', keys[i], "1", 1);
                put_member(&in, "f", '0', NULL, 0);
                expect_error(&in, ERROR_INVALID, "sparse");
        }
}

static void test_links(void **state)
{
        NEW_TAR;
        _cleanup_buf_ Buf root = BUF_INIT(BUF_MAX_DEFAULT), self = BUF_INIT(BUF_MAX_DEFAULT), file_root = BUF_INIT(BUF_MAX_DEFAULT);

        put_link(&in, "s", '2', "");
        expect_error(&in, ERROR_INVALID, "nothing");
        put_link(&root, "h", '1', "/");
        expect_error(&root, ERROR_INVALID, "root");
        put_link(&self, "./h", '1', "h");
        expect_error(&self, ERROR_INVALID, "itself");
        put_member(&file_root, "./", '0', NULL, 0);
        expect_error(&file_root, ERROR_INVALID, "root");
}

static void test_bad_numbers(void **state)
{
        static const struct {
                size_t at, size;
                const char *bytes;
                ErrorCode code;
                const char *part;
        } cases[] = {
                { 124, 12, "0000000008x", ERROR_CORRUPT, "size" },
                { 124, 12, "-0000000001", ERROR_CORRUPT, "size" },
                { 124, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", ERROR_CORRUPT, "negative" },
                { 124, 12, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", ERROR_LIMIT, "size" },
                { 124, 12, "\x80\0\0\x01\0\0\0\0\0\0\0\0", ERROR_CORRUPT, "size" },
                { 108, 8, "\x80\0\0\x01\0\0\0\0", ERROR_INVALID, "user id" },
                { 116, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", ERROR_CORRUPT, "group id" },
                { 100, 8, "rwxr-xr", ERROR_CORRUPT, "mode" },
                { 136, 12, "yesterday!!", ERROR_CORRUPT, "mtime" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                char block[512];
                NEW_TAR;

                make_header(block, "n", '0', 0);
                memcpy(block + cases[i].at, cases[i].bytes, cases[i].size);
                make_sum(block);
                put_block(&in, block);
                expect_error(&in, cases[i].code, cases[i].part);
        }
}

static void test_bad_pax(void **state)
{
        static const struct {
                const char *records;
                size_t size;
        } cases[] = {
#define R(text) { text, sizeof(text) - 1 }
                R("x"),
                R("10 a=b\n"),
                R("6 a=b"),
                R("5 a=b\n"),
                R("-6 a=b\n"),
                R("6a=b\n"),
                R("6 =bc\n"),
                R("6 abc\n"),
                R("99999999999999999999 a=b\n"),
                R("0 a=b\n"),
                R("8 a\0b=c\n"),
                R("10 path=\0\n"),
                R("11 size=-1\n"),
                R("9 uid=x1\n"),
                R("12 mtime=1e\n"),
                R("11 mtime=.\n"),
                R("11 mtime=-\n"),
                R("18 SCHILY.xattr.=\n"),
                R("27 LIBARCHIVE.xattr.a=Z!==\n"),
                R("6 a=b\n\0\0\0"),
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                NEW_TAR;

                put_raw_pax(&in, 'x', cases[i].records, cases[i].size);
                expect_error(&in, ERROR_CORRUPT, "");
        }

        /* Ids that Linux does not have; the largest 32-bit number is its "leave it as it is". The message names the member. */
        static const char *const ids[] = { "4294967295", "4294967296", "18446744073709551615" };

        for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
                NEW_TAR;

                put_pax(&in, 'x', i % 2 ? "uid" : "gid", ids[i], strlen(ids[i]));
                put_member(&in, "owned", '0', NULL, 0);
                expect_error(&in, ERROR_INVALID, "32 bits");
        }
        NEW_TAR;

        put_pax(&in, 'x', "uid", "4294967295", 10);
        put_member(&in, "owned", '0', NULL, 0);
        expect_error(&in, ERROR_INVALID, "tar member 'owned'");
}

static void test_limits(void **state)
{
        _cleanup_free_ char *big = xcalloc(1, TAR_PAX_SIZE_MAX);
        char block[512];

        memset(big, 'v', TAR_PAX_SIZE_MAX);
        {
                NEW_TAR;

                put_pax(&in, 'x', "SCHILY.xattr.user.big", big, TAR_XATTR_VALUE_MAX + 1);
                put_member(&in, "f", '0', NULL, 0);
                expect_error(&in, ERROR_LIMIT, "64 KiB");
        }
        {
                NEW_TAR;

                make_header(block, "pax", 'x', TAR_PAX_SIZE_MAX + 1);
                put_block(&in, block);
                expect_error(&in, ERROR_LIMIT, "extended header");
        }
        {
                NEW_TAR;

                make_header(block, "name", 'L', 1 << 20);
                put_block(&in, block);
                expect_error(&in, ERROR_LIMIT, "extended header");
        }
        {
                /* endless chain of headers before a member that never comes */
                NEW_TAR;

                for (int i = 0; i < 1000; i++)
                        put_pax(&in, i % 2 ? 'x' : 'L', "comment", "c", 1);
                expect_error(&in, ERROR_LIMIT, "before a member");
        }
        {
                NEW_TAR;

                for (int i = 0; i < 1000; i++)
                        put_pax(&in, 'g', "comment", "c", 1);
                expect_error(&in, ERROR_LIMIT, "global headers");
        }
        {
                NEW_TAR;

                for (int i = 0; i < 3; i++)
                        put_pax(&in, 'g', "comment", big, TAR_PAX_SIZE_MAX / 2);
                expect_error(&in, ERROR_LIMIT, "global headers");
        }
        {
                NEW_TAR;
                _cleanup_buf_ Buf body = BUF_INIT(BUF_MAX_DEFAULT);

                for (int i = 0; i <= TAR_PAX_RECORDS_MAX; i++)
                        buf_puts(&body, "6 a=b\n");
                put_raw_pax(&in, 'x', body.data, body.size);
                expect_error(&in, ERROR_LIMIT, "records");
        }
        {
                NEW_TAR;
                _cleanup_buf_ Buf body = BUF_INIT(BUF_MAX_DEFAULT);

                for (int i = 0; i < 5; i++) {
                        buf_putf(&body, "60028 SCHILY.xattr.user.%02d=", i);
                        buf_put(&body, big, 60000);
                        buf_putc(&body, '\n');
                }
                put_raw_pax(&in, 'x', body.data, body.size);
                expect_error(&in, ERROR_LIMIT, "extended attributes");
        }
        {
                NEW_TAR;

                put_pax(&in, 'x', "comment", "c", 1);
                put_end(&in);
                expect_error(&in, ERROR_CORRUPT, "extended header");
        }
}

static void test_not_a_tar(void **state)
{
        char block[512];
        NEW_TAR;

        for (int i = 0; i < 100; i++)
                buf_puts(&in, "#!/bin/sh\necho this is a script\n");
        assert_false(tar_looks_like_header(in.data));
        expect_error(&in, ERROR_CORRUPT, "not a tar");
        memset(block, 0, sizeof(block));
        assert_false(tar_looks_like_header(block));
        make_header(block, "a", '0', 0);
        assert_true(tar_looks_like_header(block));
}

static int count_entry(void *user, const TarEntry *entry, Error *err)
{
        ++*(int *)user;
        return 0;
}

/* A header-only pass over a file of 180 MB must not read the 180 MB. */
static void test_skip(void **state)
{
        const TarReaderOps ops = { .entry = count_entry };
        _cleanup_error_ Error err = ERROR_INIT;
        int n = 0;
        TarReader *reader = tar_reader_new(&ops, &n);
        char block[512];

        make_header(block, "huge", '0', UINT64_C(7) << 30);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(tar_reader_skippable(reader), 0);
                tar_reader_skip(reader, 0);
                assert_int_equal(tar_reader_feed(reader, block, 512, &err), 0);
                assert_int_equal(tar_reader_skippable(reader), UINT64_C(7) << 30);
                tar_reader_skip(reader, 1000);
                assert_int_equal(tar_reader_feed(reader, block, 24, &err), 0);
                tar_reader_skip(reader, tar_reader_skippable(reader));
        }
        assert_int_equal(n, 3);
        assert_int_equal(tar_reader_finish(reader, &err), 0);
        assert_false(tar_reader_at_end(reader));
        tar_reader_free(reader);
}

static int refuse_entry(void *user, const TarEntry *entry, Error *err)
{
        return error_set(err, ERROR_CANCELLED, "stop");
}

static void test_callback_stops(void **state)
{
        const TarReaderOps ops = { .entry = refuse_entry };
        _cleanup_error_ Error err = ERROR_INIT;
        TarReader *reader = tar_reader_new(&ops, NULL);
        char block[512];

        make_header(block, "a", '0', 0);
        assert_int_equal(tar_reader_feed(reader, block, 512, &err), -1);
        assert_int_equal(err.code, ERROR_CANCELLED);
        assert_int_equal(tar_reader_feed(reader, block, 512, &err), -1);
        assert_int_equal(tar_reader_finish(reader, &err), -1);
        tar_reader_free(reader);
        tar_reader_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_empty_and_ends),
                cmocka_unit_test(test_truncated),
                cmocka_unit_test(test_pax),
                cmocka_unit_test(test_xattr_duplicates),
                cmocka_unit_test(test_global),
                cmocka_unit_test(test_gnu),
                cmocka_unit_test(test_prefix_and_formats),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_whiteouts),
                cmocka_unit_test(test_refused_types),
                cmocka_unit_test(test_links),
                cmocka_unit_test(test_bad_numbers),
                cmocka_unit_test(test_bad_pax),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_not_a_tar),
                cmocka_unit_test(test_skip),
                cmocka_unit_test(test_callback_stops),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
