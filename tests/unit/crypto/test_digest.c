/* Digests name everything in the store: a wrong one loses or mixes up layers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/random.h"

#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA256_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA512_ABC "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

/* FIPS 180-4 examples. */
static void test_known_values(void **state)
{
        char text[DIGEST_TEXT_SIZE];
        Digest d = digest_of("abc", 3);

        assert_string_equal(digest_format(&d, text), "sha256:" SHA256_ABC);
        assert_string_equal(digest_hex(&d, text), SHA256_ABC);
        assert_string_equal(digest_short(&d, text), "ba7816bf8f01");
        d = digest_of(NULL, 0);
        assert_string_equal(digest_hex(&d, text), SHA256_EMPTY);

        Hash *hash = hash_new(DIGEST_SHA512);

        hash_add(hash, "a", 1);
        Digest early = hash_digest(hash);
        hash_add(hash, "bc", 2);
        d = hash_digest(hash);
        assert_string_equal(digest_format(&d, text), "sha512:" SHA512_ABC);
        assert_int_equal(digest_size(&d), 64);
        assert_false(digest_equal(&early, &d));
        hash_free(hash);
        hash_free(NULL);

        d = (Digest){ 0 };
        assert_false(digest_is_set(&d));
        assert_int_equal(digest_size(&d), 0);
        assert_string_equal(digest_format(&d, text), "");
        assert_string_equal(digest_short(&d, text), "");
}

static void test_parse(void **state)
{
        static const char *const bad[] = {
                "",
                "sha256",
                "sha256:",
                ":" SHA256_ABC,
                "md5:00",
                "sha256:" SHA256_ABC "0",
                "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "sha25:" SHA256_ABC,
                "sha512:" SHA256_ABC,
                " sha256:" SHA256_ABC,
                "sha256:" SHA256_ABC "\n",
                "sha256:../../../../../../../../../../../../../etc/passwd",
        };
        _cleanup_error_ Error err = ERROR_INIT;
        char text[DIGEST_TEXT_SIZE];
        Digest d = { 0 }, abc = digest_of("abc", 3);

        assert_int_equal(digest_parse("sha256:" SHA256_ABC, &d, &err), 0);
        assert_true(digest_equal(&d, &abc));
        assert_int_equal(digest_compare(&d, &abc), 0);
        assert_int_equal(digest_parse("sha512:" SHA512_ABC, &d, &err), 0);
        assert_string_equal(digest_format(&d, text), "sha512:" SHA512_ABC);
        assert_int_equal(digest_parse_hex(DIGEST_SHA256, SHA256_ABC, &d, &err), 0);
        assert_true(digest_equal(&d, &abc));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                d = abc;
                assert_int_equal(digest_parse(bad[i], &d, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
                assert_true(digest_equal(&d, &abc));
                error_done(&err);
        }
        assert_int_equal(digest_parse_hex(DIGEST_NONE, SHA256_ABC, &d, &err), -1);
}

static Digest fields(const char *a, const char *b)
{
        Hash *hash = hash_new(DIGEST_SHA256);
        Digest d;

        hash_field_str(hash, a);
        hash_field_str(hash, b);
        d = hash_digest(hash);
        hash_free(hash);
        return d;
}

/* Two different instructions with one cache key would give the user a wrong image. */
static void test_fields_are_framed(void **state)
{
        Digest d[] = { fields("ab", "c"), fields("a", "bc"), fields("abc", ""), fields("abc", NULL), fields(NULL, "abc") };
        Digest unset = { 0 }, set = digest_of("x", 1);
        Hash *a = hash_new(DIGEST_SHA256), *b = hash_new(DIGEST_SHA256);

        for (size_t i = 0; i < ARRAY_LEN(d); i++)
                for (size_t k = 0; k < i; k++)
                        assert_false(digest_equal(&d[i], &d[k]));
        hash_field_digest(a, &unset);
        hash_field_digest(b, &set);
        hash_field_u64(a, 1);
        hash_field_u64(b, 1);
        Digest da = hash_digest(a), db = hash_digest(b);
        assert_false(digest_equal(&da, &db));
        hash_free(a);
        hash_free(b);
}

/* The framing is part of every stored cache key: changing it throws all caches away. */
static void test_field_bytes(void **state)
{
        Digest d = fields("ab", NULL), expected = digest_of("\x02\0\0\0\0\0\0\0ab\xff\xff\xff\xff\xff\xff\xff\xff", 18);

        assert_true(digest_equal(&d, &expected));
}

static void test_random(void **state)
{
        char a[RANDOM_ID_SIZE], b[RANDOM_ID_SIZE], odd[8];

        assert_int_equal(strlen(random_id(a)), 64);
        assert_int_equal(strspn(a, "0123456789abcdef"), 64);
        assert_true(strspn(a, "0123456789") < 12);
        assert_string_not_equal(a, random_id(b));
        assert_int_equal(strlen(random_hex(odd, 7)), 7);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_known_values), cmocka_unit_test(test_parse),  cmocka_unit_test(test_fields_are_framed),
                cmocka_unit_test(test_field_bytes),  cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
