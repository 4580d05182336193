/* What the writer refuses, what it keeps, and that no damaged index gets to the kernel. How the kernel reads indexes is differential.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "erofs/erofs.h"

#define TAR_SIZE (UINT64_C(1) << 40)

static const TarEntry plain = { .mode = 0644, .path = (char *)"", .mtime_sec = 1 };

static TarEntry entry_of(TarType type, const char *path, const char *link)
{
        TarEntry entry = plain;

        entry.type = type;
        entry.path = (char *)path;
        entry.link = (char *)link;
        entry.size = type == TAR_FILE ? 100 : 0;
        entry.data_offset = 512;
        return entry;
}

static void add(ErofsTree *tree, TarType type, const char *path, const char *link)
{
        _cleanup_error_ Error err = ERROR_INIT;
        TarEntry entry = entry_of(type, path, link);

        if (erofs_tree_add(tree, &entry, &err) < 0)
                fail_msg("%s", error_message(&err));
}

static void add_whiteout(ErofsTree *tree, TarWhiteout whiteout, const char *path)
{
        _cleanup_error_ Error err = ERROR_INIT;
        TarEntry entry = entry_of(TAR_FILE, path, NULL);

        entry.whiteout = whiteout;
        if (erofs_tree_add(tree, &entry, &err) < 0)
                fail_msg("%s", error_message(&err));
}

static int to_buf(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_LIMIT, "too much") : 0;
}

/* Writes and checks. */
static Buf bytes_of(ErofsTree *tree, size_t n_devices)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ uint64_t *sizes = NEW_ARRAY(uint64_t, n_devices);
        Buf buf = BUF_INIT((size_t)1 << 30);
        const Sink sink = { to_buf, &buf };

        for (size_t i = 0; i < n_devices; i++)
                sizes[i] = TAR_SIZE;
        if (erofs_tree_write(tree, sizes, n_devices, &sink, &err) < 0 || erofs_index_check(buf.data, buf.size, sizes, n_devices, &err) < 0)
                fail_msg("%s", error_message(&err));
        return buf;
}

static void expect_refused(ErofsTree *tree, const TarEntry *entry, ErrorCode code, const char *part)
{
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(erofs_tree_add(tree, entry, &err), -1);
        if (err.code != code || !strstr(error_message(&err), part))
                fail_msg("code %d: '%s' without '%s'", (int)err.code, error_message(&err), part);
}

static void test_refused(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        char name[300];
        TarEntry entry;
        TarXattr big = { .name = (char *)"user.big", .value = NULL, .size = 65536 };

        add(tree, TAR_FILE, "file", NULL);
        add(tree, TAR_DIR, "dir", NULL);
        add(tree, TAR_SYMLINK, "loop", "loop");
        memset(name, 'n', 256);
        name[256] = '\0';
        entry = entry_of(TAR_FILE, name, NULL);
        expect_refused(tree, &entry, ERROR_LIMIT, "too long");
        entry = entry_of(TAR_FILE, "file/x", NULL);
        expect_refused(tree, &entry, ERROR_INVALID, "not a directory");
        entry = entry_of(TAR_FILE, "loop/x", NULL);
        expect_refused(tree, &entry, ERROR_INVALID, "too many symbolic links");
        entry = entry_of(TAR_HARDLINK, "h", "nothing");
        expect_refused(tree, &entry, ERROR_INVALID, "not in this layer");
        entry = entry_of(TAR_HARDLINK, "h", "dir");
        expect_refused(tree, &entry, ERROR_INVALID, "is a directory");
        entry = entry_of(TAR_CHAR, "zero", NULL);
        expect_refused(tree, &entry, ERROR_INVALID, "0:0");
        entry.dev_major = 4096;
        expect_refused(tree, &entry, ERROR_INVALID, "4096:0");
        entry = entry_of(TAR_FILE, "far", NULL);
        entry.data_offset = UINT64_C(3) << 40;
        expect_refused(tree, &entry, ERROR_LIMIT, "2 TiB");
        entry = entry_of(TAR_FILE, "", NULL);
        expect_refused(tree, &entry, ERROR_INVALID, "root");
        entry = entry_of(TAR_FILE, "x", NULL);
        entry.xattrs = &big;
        entry.n_xattrs = 1;
        expect_refused(tree, &entry, ERROR_LIMIT, "user.big");
}

static void test_outside_of_the_tar(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf buf = BUF_INIT(1 << 20);
        const Sink sink = { to_buf, &buf };
        const uint64_t sizes[] = { 611 };

        add(tree, TAR_FILE, "file", NULL);
        assert_int_equal(erofs_tree_write(tree, sizes, 1, &sink, &err), -1);
        assert_int_equal(err.code, ERROR_CORRUPT);
}

/* 1.5 TiB: two chunks. */
static void test_huge_file(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new(), *merged = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        const uint64_t size = UINT64_C(1) << 41, sizes[] = { size - 1024 };
        _cleanup_buf_ Buf buf = BUF_INIT(1 << 20);
        const Sink sink = { to_buf, &buf };
        TarEntry entry = entry_of(TAR_FILE, "huge", NULL);
        ErofsStats stats;

        entry.size = UINT64_C(3) << 39;
        assert_int_equal(erofs_tree_add(tree, &entry, &err), 0);
        assert_int_equal(erofs_tree_write(tree, sizes, 1, &sink, &err), 0);
        assert_int_equal(erofs_index_check(buf.data, buf.size, sizes, 1, &err), 0);
        assert_int_equal(erofs_tree_add_index(merged, buf.data, buf.size, &err), 0);
        erofs_tree_stats(merged, &stats);
        assert_int_equal(stats.content_size, UINT64_C(3) << 39);
}

static ErofsTree *sample(void)
{
        static TarXattr xattrs[] = { { (char *)"user.b", (char *)"12345", 5 }, { (char *)"user.a", (char *)"", 0 }, { (char *)"com.apple.x", (char *)"?", 1 } };
        ErofsTree *tree = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        TarEntry entry = entry_of(TAR_FILE, "d/with-attributes", NULL);
        char target[600];

        memset(target, 't', 599);
        target[599] = '\0';
        entry.xattrs = xattrs;
        entry.n_xattrs = ARRAY_LEN(xattrs);
        assert_int_equal(erofs_tree_add(tree, &entry, &err), 0);
        for (int i = 0; i < 60; i++) {
                char name[32];

                snprintf(name, sizeof(name), "d/file-%d", i * 7919 % 60);
                add(tree, TAR_FILE, name, NULL);
        }
        add(tree, TAR_SYMLINK, "short", "d");
        add(tree, TAR_SYMLINK, "long", target);
        add(tree, TAR_HARDLINK, "hard", "d/file-3");
        add(tree, TAR_FILE, "short/through-link", NULL);
        add_whiteout(tree, TAR_WHITEOUT_REMOVE, "gone");
        add_whiteout(tree, TAR_WHITEOUT_OPAQUE, "d");
        return tree;
}

static void test_stats(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = sample();
        ErofsStats stats;

        erofs_tree_stats(tree, &stats);
        assert_int_equal(stats.n_entries, 67);
        assert_int_equal(stats.n_files, 62);
        assert_int_equal(stats.n_whiteouts, 1);
        assert_int_equal(stats.n_implicit, 1);
        assert_int_equal(stats.n_dropped_xattrs, 1);
        assert_int_equal(stats.content_size, 6200);
}

/* One changed byte anywhere, and the index is refused; that is what stands between a damaged store and the kernel. */
static void test_every_byte_counts(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = sample();
        _cleanup_buf_ Buf buf = bytes_of(tree, 1);
        const uint64_t sizes[] = { TAR_SIZE };

        for (size_t i = 0; i < buf.size; i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                char old = buf.data[i];

                buf.data[i] ^= (char)(1 << i % 8);
                if (erofs_index_check(buf.data, buf.size, sizes, 1, &err) == 0)
                        fail_msg("byte %zu may change unseen", i);
                buf.data[i] = old;
        }
        for (size_t size = 0; size < buf.size; size += 256) {
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(erofs_index_check(buf.data, size, sizes, 1, &err), -1);
        }
}

/* A file ends with zeros up to a whole page; one of an older store with the last block. */
static void test_padding(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = sample();
        _cleanup_buf_ Buf buf = bytes_of(tree, 1);
        const uint64_t sizes[] = { TAR_SIZE };
        size_t used = buf.size, padded = (used / EROFS_FILE_ALIGN + 1) * EROFS_FILE_ALIGN;
        _cleanup_error_ Error err = ERROR_INIT;

        assert_true(used % EROFS_FILE_ALIGN);
        memset(buf_reserve(&buf, padded + EROFS_FILE_ALIGN - used), 0, padded + EROFS_FILE_ALIGN - used);
        assert_int_equal(erofs_index_check(buf.data, padded, sizes, 1, &err), 0);
        assert_int_equal(erofs_index_check(buf.data, padded - 512, sizes, 1, &err), -1);
        assert_int_equal(erofs_index_check(buf.data, padded + EROFS_FILE_ALIGN, sizes, 1, &err), -1);
        for (size_t i = used; i < padded; i += 100) {
                buf.data[i] = 1;
                assert_int_equal(erofs_index_check(buf.data, padded, sizes, 1, &err), -1);
                buf.data[i] = 0;
        }
}

static void test_same_bytes_in_any_order(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *a = erofs_tree_new(), *b = erofs_tree_new();
        _cleanup_buf_ Buf x = BUF_INIT(1), y = BUF_INIT(1);

        add(a, TAR_DIR, "d", NULL);
        add(a, TAR_FILE, "d/1", NULL);
        add(a, TAR_FILE, "d/2", NULL);
        add(b, TAR_FILE, "d/2", NULL);
        add(b, TAR_FILE, "d/1", NULL);
        add(b, TAR_DIR, "d", NULL);
        x = bytes_of(a, 1);
        y = bytes_of(b, 1);
        assert_int_equal(x.size, y.size);
        assert_memory_equal(x.data, y.data, x.size);
}

static void test_large_directory(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new(), *merged = erofs_tree_new();
        _cleanup_buf_ Buf index = BUF_INIT(1), again = BUF_INIT(1);
        _cleanup_error_ Error err = ERROR_INIT;
        ErofsStats stats;

        for (unsigned i = 0; i < 100000; i++) {
                char name[32];

                snprintf(name, sizeof(name), "big/%u", i * 7919 % 100000);
                add(tree, TAR_FILE, name, NULL);
        }
        index = bytes_of(tree, 1);
        assert_int_equal(erofs_tree_add_index(merged, index.data, index.size, &err), 0);
        again = bytes_of(merged, 1);
        erofs_tree_stats(merged, &stats);
        assert_int_equal(stats.n_entries, 100001);
}

/* 300 layers, each of which deletes the file of the one before and replaces a common one. */
static void test_many_layers(void **state)
{
        enum { N = 300 };
        _cleanup_(erofs_tree_freep) ErofsTree *merged = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf all = BUF_INIT(1);
        ErofsStats stats;
        Buf layers[N];

        for (int i = 0; i < N; i++) {
                _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
                char name[32];

                snprintf(name, sizeof(name), "d/%d", i);
                add(tree, TAR_FILE, name, NULL);
                add(tree, TAR_FILE, "d/common", NULL);
                snprintf(name, sizeof(name), "d/%d", i - 1);
                add_whiteout(tree, TAR_WHITEOUT_REMOVE, name);
                layers[i] = bytes_of(tree, 1);
                assert_int_equal(erofs_tree_add_index(merged, layers[i].data, layers[i].size, &err), 0);
        }
        all = bytes_of(merged, N);
        erofs_tree_stats(merged, &stats);
        assert_int_equal(stats.n_entries, 3);
        for (int i = 0; i < N; i++)
                buf_done(&layers[i]);
}

static void test_merged_only_lowest(void **state)
{
        _cleanup_(erofs_tree_freep) ErofsTree *one = sample(), *merged = erofs_tree_new(), *again = erofs_tree_new();
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf layer = bytes_of(one, 1), lower = BUF_INIT(1);
        ErofsIndexInfo info;

        assert_int_equal(erofs_index_info(layer.data, layer.size, &info, &err), 0);
        assert_true(info.must_merge && !info.is_merged && info.n_devices == 1);
        assert_int_equal(erofs_tree_add_index(merged, layer.data, layer.size, &err), 0);
        lower = bytes_of(merged, 1);
        assert_int_equal(erofs_index_info(lower.data, lower.size, &info, &err), 0);
        assert_true(info.is_merged);
        assert_int_equal(erofs_tree_add_index(again, lower.data, lower.size, &err), 0);
        assert_int_equal(erofs_tree_add_index(again, lower.data, lower.size, &err), -1);
        assert_int_equal(err.code, ERROR_INVALID);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused),         cmocka_unit_test(test_outside_of_the_tar), cmocka_unit_test(test_huge_file),
                cmocka_unit_test(test_stats),           cmocka_unit_test(test_every_byte_counts),  cmocka_unit_test(test_same_bytes_in_any_order),
                cmocka_unit_test(test_large_directory), cmocka_unit_test(test_many_layers),        cmocka_unit_test(test_merged_only_lowest),
                cmocka_unit_test(test_padding),
        };

        return cmocka_run_group_tests_name("erofs/index", tests, NULL, NULL);
}
