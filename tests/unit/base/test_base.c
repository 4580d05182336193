/*
 * Strings, buffers, maps, errors and times. If these fail, sizes and ages are shown otherwise than in docker, or hostile input grows without bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

/* go-units' HumanSizeWithPrecision(size, 3), as `docker images` uses it. */
static void sizes_are_shown_as_in_docker(void **state)
{
        static const struct {
                uint64_t size;
                const char *text;
        } table[] = {
                { 0, "0B" },
                { 1, "1B" },
                { 999, "999B" },
                { 1000, "1kB" },
                { 1234, "1.23kB" },
                { 7660000, "7.66MB" },
                { 118000000, "118MB" },
                { 77850000, "77.8MB" },
                { 1050000000, "1.05GB" },
                { 999999, "1e+03kB" },
                { UINT64_C(5000000000000), "5TB" },
        };
        static const struct {
                const char *text;
                uint64_t size;
        } sizes[] = { { "0", 0 }, { "10", 10 }, { "1k", 1024 }, { "1.5m", 1572864 }, { "2GB", UINT64_C(2) << 30 }, { "3gib", UINT64_C(3) << 30 } };
        static const char *const bad[] = { "", "-1", "x", "1x", "1kk", "0x10", "1e3", " 1" };
        uint64_t n;

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_free_ char *text = str_from_size(table[i].size);

                assert_string_equal(text, table[i].text);
        }
        _cleanup_free_ char *exact = str_from_size_exact(1982464);

        assert_string_equal(exact, "1.982MB");
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
                assert_int_equal(str_to_size(sizes[i].text, &n), 0);
                assert_true(n == sizes[i].size);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                if (str_to_size(bad[i], &n) >= 0)
                        fail_msg("accepted: '%s'", bad[i]);
}

static void spans_have_dockers_words(void **state)
{
        static const struct {
                int64_t seconds;
                const char *text;
        } table[] = {
                { 0, "Less than a second" },  { 1, "1 second" },          { 59, "59 seconds" },      { 60, "About a minute" },
                { 119, "About a minute" },    { 120, "2 minutes" },       { 3599, "59 minutes" },    { 3600, "About an hour" },
                { 5399, "About an hour" },    { 5400, "2 hours" },        { 47 * 3600, "47 hours" }, { 48 * 3600, "2 days" },
                { 13 * 86400, "13 days" },    { 14 * 86400, "2 weeks" },  { 59 * 86400, "8 weeks" }, { 60 * 86400, "2 months" },
                { 729 * 86400, "24 months" }, { 730 * 86400, "2 years" },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_free_ char *text = duration_words(table[i].seconds * NSEC_PER_SEC);

                assert_string_equal(text, table[i].text);
        }
}

static void stamps_read_and_write_as_in_go(void **state)
{
        static const char *const table[][2] = {
                { "2024-01-02T03:04:05Z", "2024-01-02T03:04:05Z" },       { "2024-01-02T03:04:05.500Z", "2024-01-02T03:04:05.5Z" },
                { "2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05Z" },  { "2000-02-29T00:00:00.000000001Z", "2000-02-29T00:00:00.000000001Z" },
                { "1969-12-31T23:59:59.75Z", "1969-12-31T23:59:59.75Z" },
        };
        static const char *const bad[] = { "", "yesterday", "2024-13-01T00:00:00Z", "2023-02-29T00:00:00Z", "2024-01-02T03:04:05Zx", "9999-01-01T00:00:00Z" };
        static const struct {
                const char *text;
                int64_t ns;
                const char *shown;
        } spans[] = { { "1h30m", 5400 * NSEC_PER_SEC, "1h30m0s" },
                      { "1.5s", 1500000000, "1.5s" },
                      { "300ms", 300000000, "300ms" },
                      { "0", 0, "0s" },
                      { "-2us", -2000, "-2\xc2\xb5s" } };
        char text[TIMESTAMP_TEXT_SIZE];
        Timestamp t;
        int64_t ns;

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                assert_int_equal(timestamp_parse(table[i][0], &t), 0);
                assert_string_equal(timestamp_format(t, text), table[i][1]);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                if (timestamp_parse(bad[i], &t) >= 0)
                        fail_msg("accepted: '%s'", bad[i]);
        for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
                assert_int_equal(duration_parse(spans[i].text, &ns), 0);
                assert_true(ns == spans[i].ns);
                assert_string_equal(duration_format(ns, text), spans[i].shown);
        }
        assert_true(duration_parse("1", &ns) < 0);
        assert_true(duration_parse("99999999h", &ns) < 0);
}

static void a_buffer_stops_at_its_maximum(void **state)
{
        _cleanup_buf_ Buf buf = BUF_INIT(10);

        assert_string_equal(buf_str(&buf), "");
        assert_int_equal(buf_adds(&buf, "12345"), 0);
        assert_int_equal(buf_adds(&buf, "678901"), -EFBIG);
        assert_string_equal(buf_str(&buf), "12345");
        assert_int_equal(buf_addf(&buf, "%d", 67890), 0);
        assert_int_equal(buf_addc(&buf, 'x'), -EFBIG);
        buf_consume(&buf, 7);
        assert_string_equal(buf_str(&buf), "890");
        assert_null(buf_reserve(&buf, 8));
}

static void a_map_keeps_order_and_finds_all(void **state)
{
        _cleanup_(map_freep) Map *map = map_new(free);
        const char *key;
        void *value;
        size_t n = 0;

        for (int i = 0; i < 1000; i++) {
                char name[16];

                snprintf(name, sizeof(name), "key%d", i);
                map_set(map, name, xasprintf("%d", i));
        }
        for (int i = 0; i < 1000; i += 2) {
                char name[16];

                snprintf(name, sizeof(name), "key%d", i);
                assert_true(map_remove(map, name));
                assert_false(map_remove(map, name));
        }
        assert_int_equal(map_size(map), 500);
        for (size_t at = 0; map_next(map, &at, &key, &value); n++)
                assert_int_equal(atoi(value), (int)n * 2 + 1);
        assert_int_equal(n, 500);
        assert_string_equal(map_get(map, "key501"), "501");
        assert_null(map_get(map, "key500"));
}

static void strings_behave(void **state)
{
        static const char *const words[] = { "build", "pull", "push", "run" };
        _cleanup_strlist_ StrList env = { 0 };
        _cleanup_free_ char *shown = str_printable("a\x1b[31m\xff", 7), *replaced = str_replace("a.b.c", ".", "--");
        char urls[] = "ADD https://bob:pa@ss@host/a@b http://x@other:80?x=a@b git@host:x ssh://a:b@h";
        uint64_t n;
        int64_t i;

        assert_string_equal(shown, "a\\x1b[31m\\xff");
        assert_string_equal(replaced, "a--b--c");
        str_cut_passwords(urls);
        assert_string_equal(urls, "ADD https://host/a@b http://other:80?x=a@b git@host:x ssh://h");
        assert_string_equal(str_suggest("biuld", words, ARRAY_LEN(words)), "build");
        assert_null(str_suggest("inspect", words, ARRAY_LEN(words)));
        assert_int_equal(str_to_u64("18446744073709551615", &n), 0);
        assert_int_equal(str_to_u64("18446744073709551616", &n), -ERANGE);
        assert_int_equal(str_to_u64("+1", &n), -EINVAL);
        assert_int_equal(str_to_i64("-9223372036854775808", &i), 0);
        strlist_env_set(&env, "A", "1");
        strlist_env_set(&env, "AB", "2");
        strlist_env_set(&env, "A", "3");
        assert_int_equal(env.n_items, 2);
        assert_string_equal(strlist_env_get(&env, "A"), "3");
        strlist_env_unset(&env, "A");
        assert_null(strlist_env_get(&env, "A"));
        assert_true(str_is_utf8("\xc3\xa9", 2));
        assert_false(str_is_utf8("\xc0\x80", 2));
        assert_false(str_is_utf8("\xed\xa0\x80", 3));
}

static void errors_carry_their_code(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT, other = ERROR_INIT;

        assert_int_equal(error_errno(&err, -ENOSPC, "cannot write '%s'", "x"), -1);
        assert_int_equal(err.code, ERROR_NO_SPACE);
        assert_int_equal(error_wrap(&err, "build"), -1);
        assert_string_equal(error_message(&err), "build: cannot write 'x': No space left on device");
        assert_int_equal(error_move(&other, &err), -1);
        assert_false(error_is_set(&err));
        assert_int_equal(other.code, ERROR_NO_SPACE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sizes_are_shown_as_in_docker),    cmocka_unit_test(spans_have_dockers_words),
                cmocka_unit_test(stamps_read_and_write_as_in_go),  cmocka_unit_test(a_buffer_stops_at_its_maximum),
                cmocka_unit_test(a_map_keeps_order_and_finds_all), cmocka_unit_test(strings_behave),
                cmocka_unit_test(errors_carry_their_code),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
