/* The user that a container runs as: a wrong answer here is root where none was meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "fs/ids.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "# comment:x:1:1\n\n"
                             "bin:x:2:3:bin:/bin:/sbin/nologin\n"
                             "bad:x:number:1::/:\n"
                             "short\n"
                             "1000:x:77:78:a name of digits:/n:\n"
                             "adm:x:500:501:adm:/adm:/bin/sh";
static const char group[] = "root:x:0:\nwheel:x:10:root,adm\nbin:x:3:\nteam:x:600:adm,bin\nbad:x:y:adm\nadm:x:501:";

static const struct {
        const char *spec;
        int code;
        uint32_t uid, gid;
        size_t n_groups;
        const char *home;
} cases[] = {
        { "", ERROR_NONE, 0, 0, 1, "/root" },
        { "root", ERROR_NONE, 0, 0, 1, "/root" },
        { "0", ERROR_NONE, 0, 0, 1, "/root" },
        { "adm", ERROR_NONE, 500, 501, 2, "/adm" },
        { "500", ERROR_NONE, 500, 501, 2, "/adm" },
        { "adm:bin", ERROR_NONE, 500, 3, 0, "/adm" },
        { "adm:0", ERROR_NONE, 500, 0, 0, "/adm" },
        { "adm:", ERROR_NONE, 500, 501, 2, "/adm" },
        { "4242", ERROR_NONE, 4242, 0, 0, NULL },
        { "4242:4243", ERROR_NONE, 4242, 4243, 0, NULL },
        { "4242:team", ERROR_NONE, 4242, 600, 0, NULL },
        { "1000", ERROR_NONE, 77, 78, 0, "/n" }, /* it is a name here */
        { ":team", ERROR_NONE, 0, 600, 0, "/root" },
        { "2147483647:2147483647", ERROR_NONE, 2147483647, 2147483647, 0, NULL },
        { "2147483648", ERROR_INVALID, 0, 0, 0, NULL },
        { "-1", ERROR_INVALID, 0, 0, 0, NULL },
        { "99999999999999999999", ERROR_INVALID, 0, 0, 0, NULL },
        { "adm:4294967296", ERROR_INVALID, 0, 0, 0, NULL },
        { "nobody", ERROR_NOT_FOUND, 0, 0, 0, NULL },
        { "bad", ERROR_NOT_FOUND, 0, 0, 0, NULL },
        { "short", ERROR_NOT_FOUND, 0, 0, 0, NULL },
        { "adm:nogroup", ERROR_NOT_FOUND, 0, 0, 0, NULL },
        { "a:b:c", ERROR_INVALID, 0, 0, 0, NULL },
};

static void test_table(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_ids_ Ids ids = { 0 };
                int r = ids_resolve(cases[i].spec, passwd, strlen(passwd), group, strlen(group), &ids, &err);

                if (r != (cases[i].code ? -1 : 0) || (int)err.code != cases[i].code || ids.uid != cases[i].uid || ids.gid != cases[i].gid ||
                    ids.n_groups != cases[i].n_groups || (ids.home ? !cases[i].home || strcmp(ids.home, cases[i].home) : cases[i].home != NULL))
                        fail_msg("'%s' gives %d, code %d, %u:%u, %zu groups, home %s: %s", cases[i].spec, r, (int)err.code, ids.uid, ids.gid, ids.n_groups,
                                 ids.home ? ids.home : "-", error_message(&err));
        }
}

static void test_no_files_and_hostile_ones(void **state)
{
        static const char bytes[] = "a\0b:x:1:1\n:::::::::::\n\xff:x:3:4::/\nx:x:4294967295:4294967295:::\nlast:x:9:9";
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_ids_ Ids ids = { 0 };

        assert_int_equal(ids_resolve("7:8", NULL, 0, NULL, 0, &ids, &err), 0);
        assert_int_equal(ids.gid, 8);
        assert_int_equal(ids_resolve("root", NULL, 0, NULL, 0, &ids, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        assert_int_equal(ids_resolve("a", bytes, sizeof(bytes) - 1, bytes, sizeof(bytes) - 1, &ids, &err), -1);
        assert_int_equal(ids_resolve("last", bytes, sizeof(bytes) - 1, bytes, sizeof(bytes) - 1, &ids, &err), 0);
        assert_int_equal(ids.uid, 9);
}

/* What COPY --chown makes: root only where root was meant. */
static void test_owners(void **state)
{
        static const struct {
                const char *spec;
                uint32_t uid, gid;
        } owners[] = {
                { "adm", 500, 501 },      { "adm:bin", 500, 3 },  { "adm:nogroup", 500, 501 }, { "adm:77", 500, 77 }, { "500", 500, 500 },
                { "500:team", 500, 600 }, { "1000", 1000, 1000 }, { ":team", 0, 600 },         { "nobody", 0, 0 },    { "nobody:9", 0, 9 },
                { "root", 0, 0 },         { "7:root", 7, 0 },     { "adm:", 500, 0 },          { "bad", 0, 0 },       { "2147483647", 2147483647, 2147483647 },
        };
        static const char *const refused[] = { "2147483648", "-1", "adm:4294967294" };
        uint32_t uid, gid;

        for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(ids_resolve_owner(owners[i].spec, passwd, strlen(passwd), group, strlen(group), &uid, &gid, &err), 0);
                if (uid != owners[i].uid || gid != owners[i].gid)
                        fail_msg("'%s' gives %u:%u", owners[i].spec, uid, gid);
        }
        for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(ids_resolve_owner(refused[i], NULL, 0, NULL, 0, &uid, &gid, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_owners), cmocka_unit_test(test_no_files_and_hostile_ones) };

        return cmocka_run_group_tests_name("fs/ids", tests, NULL, NULL);
}
