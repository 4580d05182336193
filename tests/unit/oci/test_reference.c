/*
 * Image references against the documented grammar. If these fail, a user's image name means another image than in docker, or is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "oci/reference.h"

/* clang-format off */
static const struct Case {
        const char *text, *full, *familiar, *error; /* `error`: a part of the message; then the others are NULL */
} cases[] = {
        { "ubuntu", "docker.io/library/ubuntu", "ubuntu", NULL },
        { "a", "docker.io/library/a", "a", NULL },
        { "0", "docker.io/library/0", "0", NULL },
        { "a.b", "docker.io/library/a.b", "a.b", NULL },
        { "a_b", "docker.io/library/a_b", "a_b", NULL },
        { "a__b", "docker.io/library/a__b", "a__b", NULL },
        { "a-b", "docker.io/library/a-b", "a-b", NULL },
        { "a---b", "docker.io/library/a---b", "a---b", NULL },
        { "a0.b_c__d-e", "docker.io/library/a0.b_c__d-e", "a0.b_c__d-e", NULL },
        { "ubuntu:latest", "docker.io/library/ubuntu:latest", "ubuntu:latest", NULL },
        { "ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04", NULL },
        { "ubuntu:_x", "docker.io/library/ubuntu:_x", "ubuntu:_x", NULL },
        { "ubuntu:A", "docker.io/library/ubuntu:A", "ubuntu:A", NULL },
        { "ubuntu:a.b-c_D", "docker.io/library/ubuntu:a.b-c_D", "ubuntu:a.b-c_D", NULL },
        { "ubuntu:v1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111", "docker.io/library/ubuntu:v1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111", "ubuntu:v1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111", NULL },
        { "library/ubuntu", "docker.io/library/ubuntu", "ubuntu", NULL },
        { "docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu", NULL },
        { "docker.io/library/ubuntu:1", "docker.io/library/ubuntu:1", "ubuntu:1", NULL },
        { "index.docker.io/ubuntu", "docker.io/library/ubuntu", "ubuntu", NULL },
        { "index.docker.io/me/app", "docker.io/me/app", "me/app", NULL },
        { "me/app", "docker.io/me/app", "me/app", NULL },
        { "me/app/part", "docker.io/me/app/part", "me/app/part", NULL },
        { "docker.io/me/app:x", "docker.io/me/app:x", "me/app:x", NULL },
        { "library/a/b", "docker.io/library/a/b", "library/a/b", NULL },
        { "localhost/app", "localhost/app", "localhost/app", NULL },
        { "localhost:5000/app", "localhost:5000/app", "localhost:5000/app", NULL },
        { "127.0.0.1:5000/app", "127.0.0.1:5000/app", "127.0.0.1:5000/app", NULL },
        { "ghcr.io/app", "ghcr.io/app", "ghcr.io/app", NULL },
        { "registry.example.com/app", "registry.example.com/app", "registry.example.com/app", NULL },
        { "Registry.Example.com/app", "Registry.Example.com/app", "Registry.Example.com/app", NULL },
        { "HOST/app", "HOST/app", "HOST/app", NULL },
        { "a.b:1/app", "a.b:1/app", "a.b:1/app", NULL },
        { "x-y.z/app", "x-y.z/app", "x-y.z/app", NULL },
        { "[::1]/app", "[::1]/app", "[::1]/app", NULL },
        { "[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app", NULL },
        { "[fe80:0:0:0:1:2:3:4]:80/app", "[fe80:0:0:0:1:2:3:4]:80/app", "[fe80:0:0:0:1:2:3:4]:80/app", NULL },
        { "localhost/a/b/c:t", "localhost/a/b/c:t", "localhost/a/b/c:t", NULL },
        { "localhost/library/x", "localhost/library/x", "localhost/library/x", NULL },
        { "127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t", NULL },
        { "127.0.0.1:5000/library/x", "127.0.0.1:5000/library/x", "127.0.0.1:5000/library/x", NULL },
        { "gcr.io/a/b/c:t", "gcr.io/a/b/c:t", "gcr.io/a/b/c:t", NULL },
        { "gcr.io/library/x", "gcr.io/library/x", "gcr.io/library/x", NULL },
        { "ubuntu@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "docker.io/library/ubuntu@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "ubuntu@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
        { "ubuntu:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "docker.io/library/ubuntu:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "ubuntu:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
        { "gcr.io/a/b:1@sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "gcr.io/a/b:1@sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "gcr.io/a/b:1@sha512:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
        { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", "docker.io/library/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde", NULL },
        { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefa", "docker.io/library/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefa", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefa", NULL },
        { "x/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "docker.io/x/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "x/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "docker.io/library/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
        { "", NULL, NULL, "invalid reference format" },
        { ":", NULL, NULL, "invalid reference format" },
        { "@", NULL, NULL, "invalid reference format" },
        { "/", NULL, NULL, "invalid reference format" },
        { ":tag", NULL, NULL, "invalid reference format" },
        { "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL, NULL, "invalid reference format" },
        { "ubuntu:", NULL, NULL, "invalid reference format" },
        { "ubuntu:-x", NULL, NULL, "invalid reference format" },
        { "ubuntu:.x", NULL, NULL, "invalid reference format" },
        { "ubuntu:a b", NULL, NULL, "invalid reference format" },
        { "ubuntu:v11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111", NULL, NULL, "invalid reference format" },
        { "ubuntu@", NULL, NULL, "invalid reference format" },
        { "ubuntu@sha256", NULL, NULL, "invalid reference format" },
        { "-a", NULL, NULL, "invalid reference format" },
        { "a-", NULL, NULL, "invalid reference format" },
        { ".a", NULL, NULL, "invalid reference format" },
        { "a.", NULL, NULL, "invalid reference format" },
        { "_a", NULL, NULL, "invalid reference format" },
        { "a_", NULL, NULL, "invalid reference format" },
        { "a___b", NULL, NULL, "invalid reference format" },
        { "a..b", NULL, NULL, "invalid reference format" },
        { "a._b", NULL, NULL, "invalid reference format" },
        { "a-.b", NULL, NULL, "invalid reference format" },
        { "a//b", NULL, NULL, "invalid reference format" },
        { "a/", NULL, NULL, "invalid reference format" },
        { "/a", NULL, NULL, "invalid reference format" },
        { "me//app", NULL, NULL, "invalid reference format" },
        { "gcr.io/", NULL, NULL, "invalid reference format" },
        { "gcr.io//a", NULL, NULL, "invalid reference format" },
        { "gcr.io:/a", NULL, NULL, "invalid reference format" },
        { "gcr.io:x/a", NULL, NULL, "invalid reference format" },
        { "-host.io/a", NULL, NULL, "invalid reference format" },
        { "host-.io/a", NULL, NULL, "invalid reference format" },
        { "a..io/a", NULL, NULL, "invalid reference format" },
        { "[::1/a", NULL, NULL, "invalid reference format" },
        { "[]/a", NULL, NULL, "invalid reference format" },
        { "[::1]x/a", NULL, NULL, "invalid reference format" },
        { "http://a/b", NULL, NULL, "invalid reference format" },
        { "a b", NULL, NULL, "invalid reference format" },
        { "ubuntu:1:2", NULL, NULL, "invalid reference format" },
        { "ubuntu:a/b", NULL, NULL, "invalid reference format" },
        { "a\001b", NULL, NULL, "invalid reference format" },
        { "\303\251", NULL, NULL, "invalid reference format" },
        { "ubuntu:\303\251", NULL, NULL, "invalid reference format" },
        { "my_reg.io/app", NULL, NULL, "invalid reference format" },
        { "host.io:5000/", NULL, NULL, "invalid reference format" },
        { "docker.io/", NULL, NULL, "invalid reference format" },
        { "a@b@c", NULL, NULL, "invalid reference format" },
        { "host:5000:tag/x", NULL, NULL, "invalid reference format" },
        { "host.io:5000/x:t:u", NULL, NULL, "invalid reference format" },
        { "Ubuntu", NULL, NULL, "must be lowercase" },
        { "library/Foo", NULL, NULL, "must be lowercase" },
        { "me/App:1", NULL, NULL, "must be lowercase" },
        { "ghcr.io/Me/app", NULL, NULL, "must be lowercase" },
        { "UBUNTU:latest", NULL, NULL, "must be lowercase" },
        { "localhost/X", NULL, NULL, "must be lowercase" },
        { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", NULL, NULL, "cannot specify 64-byte hexadecimal strings" },
        { "ubuntu@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd", NULL, NULL, "invalid reference format" },
        { "ubuntu@md5:0123456789abcdef0123456789abcdef", NULL, NULL, "invalid reference format" },
        { "gcr.io/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, "must not be more than 255" },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, "must not be more than 255" },
};
/* clang-format on */

static void every_name_reads_as_in_docker(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_reference_ Reference reference = { 0 }, again = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *full = NULL, *familiar = NULL;
                int r = reference_parse(cases[i].text, &reference, &err);

                if (cases[i].error) {
                        if (r >= 0 || !strstr(error_message(&err), cases[i].error))
                                fail_msg("'%s': %s", cases[i].text, r >= 0 ? "was accepted" : error_message(&err));
                        assert_int_equal(err.code, ERROR_INVALID);
                        continue;
                }
                if (r < 0)
                        fail_msg("'%s': %s", cases[i].text, error_message(&err));
                full = reference_text(&reference);
                familiar = reference_familiar(&reference);
                assert_string_equal(full, cases[i].full);
                assert_string_equal(familiar, cases[i].familiar);
                assert_int_equal(reference_parse(familiar, &again, &err), 0);
                assert_true(reference_equal(&reference, &again));
        }
}

static void targets_get_a_tag_and_no_digest(void **state)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(reference_parse_target("app", &reference, &err), 0);
        assert_string_equal(reference.tag, "latest");
        reference_done(&reference);
        assert_int_equal(reference_parse_target("app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &reference, &err), -1);
        assert_non_null(strstr(error_message(&err), "digest reference"));
}

static void id_prefixes_are_hexadecimal(void **state)
{
        assert_string_equal(reference_id_prefix("sha256:ab12"), "ab12");
        assert_string_equal(reference_id_prefix("cafe"), "cafe");
        assert_null(reference_id_prefix(""));
        assert_null(reference_id_prefix("sha256:"));
        assert_null(reference_id_prefix("CAFE"));
        assert_null(reference_id_prefix("cafe:1"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_name_reads_as_in_docker),
                cmocka_unit_test(targets_get_a_tag_and_no_digest),
                cmocka_unit_test(id_prefixes_are_hexadecimal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
