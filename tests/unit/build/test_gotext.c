/* History texts are part of image ids: one wrong escape and the same Dockerfile has another id than with BuildKit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/macros.h"
#include "build/gotext.h"

static void quotes_as_go_does(void **state)
{
        static const struct {
                const char *in, *out;
        } cases[] = {
                { "", "\"\"" },
                { "plain", "\"plain\"" },
                { "a\"b\\c", "\"a\\\"b\\\\c\"" },
                { "\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\"" },
                { "\x01\x7f", "\"\\x01\\x7f\"" },
                { "\xff", "\"\\xff\"" },
                { "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
                { "\xc2\xad", "\"\\u00ad\"" },
                { "\xe2\x80\xa8", "\"\\u2028\"" },
                { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
                { "\xc0\x80", "\"\\xc0\\x80\"" },
                { "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);

                go_quote(cases[i].in, &out);
                assert_string_equal(buf_str(&out), cases[i].out);
        }
}

static void prints_lists(void **state)
{
        static const char *const items[] = { "a", "b c" };
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        (void)state;
        go_quote_list(items, 2, &out);
        go_print_list(items, 2, &out);
        go_quote_list(items, 0, &out);
        assert_string_equal(buf_str(&out), "[\"a\" \"b c\"][a b c][]");
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(quotes_as_go_does), cmocka_unit_test(prints_lists) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
