/* The ids that a user may use: a wrong answer makes newuidmap refuse all of them, or gives a user another one's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/macros.h"
#include "fs/subid.h"

static const char text[] = "# comment\n"
                           "root:100000:65536\n"
                           "ann:200000:65536\n"
                           "1000:300000:10\n"
                           "ann:400000:0\n"     /* none */
                           "ann:4294967295:1\n" /* beyond the last id */
                           "ann:1:2:3\n"
                           "ann:x:2\n"
                           "ann\n"
                           "annabel:500000:7\n"
                           "ann:600000:5";

static const struct {
        uint32_t uid;
        const char *name;
        size_t n;
        SubidRange ranges[4];
} cases[] = {
        { 1000, "ann", 3, { { 200000, 65536 }, { 300000, 10 }, { 600000, 5 } } },
        { 1000, NULL, 1, { { 300000, 10 } } },
        { 1, "ann", 2, { { 200000, 65536 }, { 600000, 5 } } },
        { 0, "root", 1, { { 100000, 65536 } } },
        { 1001, "bob", 0, { { 0 } } },
        { 500, "an", 0, { { 0 } } },
};

static void test_table(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                SubidRange ranges[SUBID_RANGES_MAX];
                size_t n = subid_parse(text, cases[i].uid, cases[i].name, ranges);

                assert_int_equal(n, cases[i].n);
                for (size_t k = 0; k < n; k++) {
                        assert_int_equal(ranges[k].first, cases[i].ranges[k].first);
                        assert_int_equal(ranges[k].count, cases[i].ranges[k].count);
                }
        }
}

/* A file with more lines than there is room for is no reason to write beyond it. */
static void test_many(void **state)
{
        char many[64 * 16] = "", *at = many;
        SubidRange ranges[SUBID_RANGES_MAX + 1] = { [SUBID_RANGES_MAX] = { 1, 2 } };

        for (int i = 0; i < 64; i++)
                at += snprintf(at, 16, "7:%d:10\n", 1000 + i * 10);
        assert_int_equal(subid_parse(many, 7, NULL, ranges), SUBID_RANGES_MAX);
        assert_int_equal(ranges[SUBID_RANGES_MAX].first, 1);
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_many) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
