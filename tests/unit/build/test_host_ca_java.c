/* A key store that Java does not read means that no Maven build reaches its repository behind a network with a CA of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/macros.h"
#include "build/host_ca_java.h"

static void every_certificate_is_an_entry(void **state)
{
        static const char pem[] = "# a comment\n-----BEGIN CERTIFICATE-----\nYWJj\nZGVm\n-----END CERTIFICATE-----\n\n"
                                  "-----BEGIN CERTIFICATE-----\r\nZw==\r\n-----END CERTIFICATE-----";
        static const char wanted[] = "\xfe\xed\xfe\xed\0\0\0\2\0\0\0\2"
                                     "\0\0\0\2\0\6host-0\0\0\0\0\0\0\0\0\0\5X.509\0\0\0\6abcdef"
                                     "\0\0\0\2\0\6host-1\0\0\0\0\0\0\0\0\0\5X.509\0\0\0\1g"
                                     "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"; /* and the terminator: twenty zeros */
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(4096);

        (void)state;
        assert_int_equal(host_ca_java_store(pem, strlen(pem), &out, &err), 0);
        assert_int_equal(out.size, sizeof(wanted));
        assert_memory_equal(out.data, wanted, sizeof(wanted));
}

static void damage_is_told(void **state)
{
        static const char *const cases[] = {
                "-----BEGIN CERTIFICATE-----\nYWJj\n",
                "-----BEGIN CERTIFICATE-----\nYW!j\n-----END CERTIFICATE-----\n",
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_buf_ Buf out = BUF_INIT(4096);

                assert_int_equal(host_ca_java_store(cases[i], strlen(cases[i]), &out, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
        }
}

static void a_full_buffer_is_told(void **state)
{
        static const char pem[] = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(16);

        (void)state;
        assert_int_equal(host_ca_java_store(pem, strlen(pem), &out, &err), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_certificate_is_an_entry),
                cmocka_unit_test(damage_is_told),
                cmocka_unit_test(a_full_buffer_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
