/*
 * Archives that other programs made (tests/golden/tar/make.py and go-pax.go): each must be read as the tree it was made of, and Go's must come out of our
 * writer with the same bytes.
 */
#include "make.h"

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"

static const char directory[] = GOLDEN_DIRECTORY;

static void load(const char *name, Buf *out)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", directory, name);

        if (file_read(AT_FDCWD, path, out) < 0)
                fail_msg("cannot read '%s'", path);
}

static void test_other_writers(void **state)
{
        static const char *const archives[][2] = {
                { "gnutar-gnu.tar", "expected.txt" },
                { "gnutar-oldgnu.tar", "expected.txt" },
                { "gnutar-posix.tar", "expected.txt" },
                { "gnutar-posix-xattr.tar", "expected-xattr.txt" },
                { "bsdtar-gnutar.tar", "expected.txt" },
                { "bsdtar-pax.tar", "expected.txt" },
                { "bsdtar-pax-xattr.tar", "expected-xattr-links.txt" },
                { "python-gnu.tar", "expected.txt" },
                { "python-pax.tar", "expected.txt" },
        };

        for (size_t i = 0; i < ARRAY_LEN(archives); i++) {
                _cleanup_buf_ Buf in = BUF_INIT(BUF_MAX_DEFAULT), expected = BUF_INIT(BUF_MAX_DEFAULT);
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = NULL;

                load(archives[i][0], &in);
                load(archives[i][1], &expected);
                text = read_all(&in, 0, &err);
                if (!text)
                        fail_msg("%s: %s", archives[i][0], error_message(&err));
                if (strcmp(text, buf_str(&expected)) != 0)
                        fail_msg("%s reads as:\n%s", archives[i][0], text);
        }
}

static int rewrite(void *user, const TarEntry *entry, Error *err)
{
        return tar_write_header(entry, user, err);
}

/* A layer built here must have the digest that docker's builder gives it. */
static void test_bytes_of_go(void **state)
{
        _cleanup_buf_ Buf in = BUF_INIT(BUF_MAX_DEFAULT), out = BUF_INIT(BUF_MAX_DEFAULT);
        const TarReaderOps ops = { .entry = rewrite };
        TarReader *reader = tar_reader_new(&ops, &out);
        _cleanup_error_ Error err = ERROR_INIT;

        load("go-pax.tar", &in);
        assert_int_equal(tar_reader_feed(reader, in.data, in.size, &err), 0);
        assert_int_equal(tar_reader_finish(reader, &err), 0);
        assert_true(tar_reader_at_end(reader));
        tar_reader_free(reader);
        put_end(&out);
        assert_int_equal(out.size, in.size);
        for (size_t at = 0; at < in.size; at += TAR_BLOCK_SIZE)
                if (memcmp(in.data + at, out.data + at, TAR_BLOCK_SIZE) != 0)
                        fail_msg("block %zu differs from Go's", at / TAR_BLOCK_SIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_other_writers), cmocka_unit_test(test_bytes_of_go) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
