/* Credentials and signatures travel as base64: what one decoder accepts and another does not is a hole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "crypto/encode.h"

static void test_hex(void **state)
{
        uint8_t bytes[4];
        char text[7];

        assert_string_equal(hex_encode_to("\x00\xff\x1a", 3, text), "00ff1a");
        assert_int_equal(hex_decode_to("00ff1a", 6, bytes), 0);
        assert_memory_equal(bytes, "\x00\xff\x1a", 3);
        assert_int_equal(hex_decode_to("0", 1, bytes), -EINVAL);
        assert_int_equal(hex_decode_to("0F", 2, bytes), -EINVAL);
        assert_int_equal(hex_decode_to("0g", 2, bytes), -EINVAL);
        assert_int_equal(hex_decode_to("", 0, bytes), 0);
}

/* RFC 4648 section 10. */
static void test_vectors(void **state)
{
        static const char *const pairs[][3] = {
                { "", "", "" },
                { "f", "Zg==", "Zg" },
                { "fo", "Zm8=", "Zm8" },
                { "foo", "Zm9v", "Zm9v" },
                { "foob", "Zm9vYg==", "Zm9vYg" },
                { "fooba", "Zm9vYmE=", "Zm9vYmE" },
                { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
                { "\xfb\xff\xfe", "+//+", "-__-" },
        };

        for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
                for (int form = 0; form < 2; form++) {
                        const char *text = pairs[i][1 + form];
                        _cleanup_free_ char *made = base64_encode((Base64Form)form, pairs[i][0], strlen(pairs[i][0]));
                        _cleanup_buf_ Buf out = BUF_INIT(64);

                        assert_string_equal(made, text);
                        assert_int_equal(base64_decode((Base64Form)form, text, strlen(text), &out), 0);
                        assert_string_equal(buf_str(&out), pairs[i][0]);
                }
        }
}

static void test_strict(void **state)
{
        static const char *const bad_standard[] = { "Z", "Zg", "Zg=", "Zg===", "====", "Zh==", "Zm9", "Zm9v\n", " Zm9v", "Zm-_", "Z=g=", "Zg==Zg==" };
        static const char *const bad_url[] = { "Z", "Zg==", "Zh", "Zm8=", "+//+", "Zm9vY" };
        _cleanup_buf_ Buf out = BUF_INIT(64);

        for (size_t i = 0; i < ARRAY_LEN(bad_standard); i++)
                assert_int_equal(base64_decode(BASE64_STANDARD, bad_standard[i], strlen(bad_standard[i]), &out), -EINVAL);
        for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
                assert_int_equal(base64_decode(BASE64_URL, bad_url[i], strlen(bad_url[i]), &out), -EINVAL);
        assert_int_equal(out.size, 0);

        _cleanup_buf_ Buf small = BUF_INIT(2);

        assert_int_equal(base64_decode(BASE64_STANDARD, "Zm9v", 4, &small), -EFBIG);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_hex), cmocka_unit_test(test_vectors), cmocka_unit_test(test_strict) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
