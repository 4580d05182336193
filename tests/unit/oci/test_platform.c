/*
 * Platforms. If these fail, a user gets an image for another machine, or none where there is one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "oci/platform.h"

static void words_are_normalised(void **state)
{
        static const char *const table[][2] = {
                { "linux/amd64", "linux/amd64" },
                { "linux/x86_64", "linux/amd64" },
                { "Linux/AMD64/v1", "linux/amd64" },
                { "linux/amd64/v3", "linux/amd64/v3" },
                { "linux/aarch64", "linux/arm64" },
                { "linux/arm64/v8", "linux/arm64/v8" },
                { "linux/arm64/8", "linux/arm64/v8" },
                { "linux/arm", "linux/arm" },
                { "linux/arm/7", "linux/arm/v7" },
                { "linux/armhf", "linux/arm" },
                { "linux/armel", "linux/arm/v6" },
                { "linux/i386", "linux/386" },
                { "arm64", "linux/arm64" },
                { "s390x", "linux/s390x" },
                { "macos/arm64", "darwin/arm64" },
                { "windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64" },
                { "linux/riscv64", "linux/riscv64" },
                { "linux/nonsense", "linux/nonsense" },
        };
        static const char *const bad[] = { "", "nonsense", "linux/", "/amd64", "linux/amd64/v1/x", "linux/*", "linux/a b", "linux(/amd64", "linux/amd64/" };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_platform_ Platform platform = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *text = NULL;

                if (platform_parse(table[i][0], &platform, &err) < 0)
                        fail_msg("%s", error_message(&err));
                text = platform_format(&platform, true);
                assert_string_equal(text, table[i][1]);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                Platform platform = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(platform_parse(bad[i], &platform, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
        }
}

static void ranks_follow_what_a_machine_can_run(void **state)
{
        static const struct {
                const char *want, *have;
                int sign; /* -1 no, 0 exact, 1 runs */
        } table[] = {
                { "linux/amd64", "linux/amd64", 0 },    { "linux/amd64", "linux/386", 1 },         { "linux/amd64", "linux/arm64", -1 },
                { "linux/amd64", "windows/amd64", -1 }, { "linux/amd64/v3", "linux/amd64/v2", 1 }, { "linux/amd64", "linux/amd64/v2", -1 },
                { "linux/arm64", "linux/arm64/v8", 0 }, { "linux/arm64", "linux/arm/v7", 1 },      { "linux/arm/v7", "linux/arm/v6", 1 },
                { "linux/arm/v6", "linux/arm/v7", -1 }, { "linux/arm/v7", "linux/arm/v5", 1 },     { "linux/arm64/v9", "linux/arm64/v8.5", 1 },
                { "linux/arm64/v9", "linux/arm64", 1 }, { "linux/arm64", "linux/arm64/v9", -1 },   { "linux/arm64/v8.2", "linux/arm64", 1 },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_platform_ Platform want = { 0 }, have = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                int rank;

                assert_int_equal(platform_parse(table[i].want, &want, &err), 0);
                assert_int_equal(platform_parse(table[i].have, &have, &err), 0);
                rank = platform_rank(&want, &have);
                if ((rank > 0) - (rank < 0) != table[i].sign)
                        fail_msg("%s on %s: %d", table[i].have, table[i].want, rank);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(words_are_normalised), cmocka_unit_test(ranks_follow_what_a_machine_can_run) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
