/* What a build took from outside: a wrong URI here is a provenance that no tool can follow, and a lock that names something else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/sources.h"

#define HEX64 "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void test_image_uri(void **state)
{
        static const struct {
                const char *reference, *platform, *expected;
        } cases[] = {
                { "alpine", NULL, "pkg:docker/alpine@latest" },
                { "library/alpine:3.15", NULL, "pkg:docker/alpine@3.15" },
                { "docker.io/library/alpine:latest", NULL, "pkg:docker/alpine@latest" },
                { "docker.io/library/alpine:latest@sha256:" HEX64, NULL, "pkg:docker/alpine@latest?digest=sha256:" HEX64 },
                { "docker.io/library/alpine@sha256:" HEX64, NULL, "pkg:docker/alpine?digest=sha256:" HEX64 },
                { "user/test:v2", NULL, "pkg:docker/user/test@v2" },
                { "ghcr.io/foo/bar", NULL, "pkg:docker/ghcr.io/foo/bar@latest" },
                { "127.0.0.1:5000/x/y:1", NULL, "pkg:docker/127.0.0.1%3A5000/x/y@1" },
                { "busybox", "linux/arm64", "pkg:docker/busybox@latest?platform=linux%2Farm64" },
                { "busybox@sha256:" HEX64, "linux/arm/v7", "pkg:docker/busybox?digest=sha256:" HEX64 "&platform=linux%2Farm%2Fv7" },
                { "inv:al:id", NULL, NULL },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_platform_ Platform platform = { 0 };
                _cleanup_free_ char *uri = NULL;
                _cleanup_error_ Error err = ERROR_INIT;
                int r;

                if (cases[i].platform)
                        assert_int_equal(platform_parse(cases[i].platform, &platform, &err), 0);
                r = source_image_uri("docker", cases[i].reference, cases[i].platform ? &platform : NULL, &uri, &err);
                if (!cases[i].expected) {
                        assert_int_equal(r, -1);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_string_equal(uri, cases[i].expected);
        }
}

static void test_list(void **state)
{
        _cleanup_(sources_freep) Sources *sources = sources_new();
        const SourceRecord *items;
        size_t n;

        (void)state;
        sources_add(sources, &(SourceRecord){ .kind = SOURCE_HTTP, .uri = "https://b/" });
        sources_add(sources, &(SourceRecord){ .kind = SOURCE_HTTP, .uri = "https://a/", .asked = "x" });
        sources_add(sources, &(SourceRecord){ .kind = SOURCE_HTTP, .uri = "https://b/" });
        sources_add(sources, &(SourceRecord){ .kind = SOURCE_IMAGE, .uri = "z", .platform = "linux/arm64" });
        sources_add(sources, &(SourceRecord){ .kind = SOURCE_IMAGE, .uri = "z", .platform = "linux/amd64" });
        items = sources_get(sources, &n);
        assert_int_equal(n, 4);
        assert_string_equal(items[0].platform, "linux/amd64");
        assert_string_equal(items[1].platform, "linux/arm64");
        assert_string_equal(items[2].asked, "x");
        assert_string_equal(items[3].asked, "https://b/");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_image_uri), cmocka_unit_test(test_list) };

        return cmocka_run_group_tests_name("build/sources", tests, NULL, NULL);
}
