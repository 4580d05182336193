/* docker ps: which containers pass which filters, in what order, and what is said of each. */
#include "../store/fixture.h"

#include "container/private.h"

#define HEX60 "000000000000000000000000000000000000000000000000000000000000"

/* Containers by name; ids "aaaa0…", "bbbb0…"; created one second after another. */
static const struct {
        const char *id, *name, *config, *state;
} containers[] = {
        { "aaaa" HEX60, "alpha", "\"Config\":{\"Image\":\"img\",\"Labels\":{\"team\":\"a\",\"tier\":\"web\"},\"ExposedPorts\":{\"80/tcp\":{}}}",
          "{\"Status\":\"created\"}" },
        { "bbbb" HEX60, "beta",
          "\"Config\":{\"Image\":\"img\",\"Labels\":{\"team\":\"b\"}},\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"data\",\"Source\":\"/s\",\"Destination\":\"/"
          "d\"}]",
          "{\"Status\":\"exited\",\"ExitCode\":3,\"Finished\":1}" },
        { "cccc" HEX60, "alphabet", "\"Config\":{\"Image\":\"img\",\"Labels\":{}}", "{\"Status\":\"exited\",\"ExitCode\":0,\"Finished\":1}" },
        { "dddd" HEX60, "dead-one", "\"Config\":{\"Image\":\"img\",\"Labels\":{\"team\":\"a\"}}", "{\"Status\":\"dead\"}" },
};

static int fill(void **state)
{
        Fixture *fixture;
        Error err = ERROR_INIT;

        if (fixture_setup(state) != 0)
                return -1;
        fixture = *state;
        for (size_t i = 0; i < ARRAY_LEN(containers); i++) {
                ContainerRecord record = { .name = (char *)containers[i].name,
                                           .created = (Timestamp)(i + 1) * NSEC_PER_SEC,
                                           .state = (char *)containers[i].state };
                _cleanup_free_ char *config = xasprintf("{\"Path\":\"sleep\",\"Args\":[\"%zu\",\"or two\"],%s,\"HostConfig\":{\"NetworkMode\":\"none\"}}", i,
                                                        containers[i].config);
                char *dir;

                record.config = config;
                memcpy(record.id, containers[i].id, 65);
                assert_ok(container_dir_make(fixture->store, record.id, &dir, &err));
                free(dir);
                assert_ok(container_record_put(fixture->store, &record, &err));
        }
        return 0;
}

static int add_name(void *user, const ContainerInfo *info, Error *err)
{
        Buf *names = user;

        buf_putf(names, "%s%s", names->size ? " " : "", info->name);
        return 0;
}

/* The names that come out, newest first, separated by spaces. New string. */
static char *list(Store *store, bool all, int64_t last, const char *const *texts)
{
        _cleanup_strlist_ StrList filters = { 0 };
        ListOptions options = { .all = all, .last = last, .filters = &filters };
        Buf names = BUF_INIT(4096);
        Error err = ERROR_INIT;

        for (; *texts; texts++)
                strlist_add(&filters, *texts);
        assert_ok(container_list(store, &options, add_name, &names, &err));
        return names.data ? buf_detach(&names) : xstrdup("");
}

static void test_filters(void **state)
{
        static const struct {
                const char *filters[4];
                const char *expected;
        } table[] = {
                { { NULL }, "dead-one alphabet beta alpha" },
                { { "name=alpha" }, "alphabet alpha" },
                { { "name=^alpha$" }, "alpha" },
                { { "name=^/alpha$" }, "alpha" },
                { { "name=bet" }, "alphabet beta" },
                { { "name=bet$" }, "alphabet" },
                { { "name=^(beta|dead.*)$" }, "dead-one beta" },
                { { "name=beta", "name=dead" }, "dead-one beta" }, /* one name: either */
                { { "label=team=a" }, "dead-one alpha" },
                { { "label=team" }, "dead-one beta alpha" },
                { { "label=team=a", "label=tier=web" }, "alpha" }, /* labels: all */
                { { "label=team=a", "status=created" }, "alpha" }, /* different filters: both */
                { { "status=exited" }, "alphabet beta" },
                { { "status=exited", "status=dead" }, "dead-one alphabet beta" },
                { { "exited=3" }, "beta" },
                { { "exited=0" }, "alphabet" },
                { { "id=bb" }, "beta" },
                { { "before=alphabet" }, "beta alpha" },
                { { "since=beta" }, "dead-one alphabet" },
                { { "volume=data" }, "beta" },
                { { "volume=/d" }, "beta" },
                { { "network=none" }, "dead-one alphabet beta alpha" },
                { { "network=host" }, "" },
                { { "expose=80" }, "alpha" },
                { { "expose=80/udp" }, "" },
                { { "health=none" }, "dead-one alphabet beta alpha" },
                { { "health=healthy" }, "" },
                { { "ancestor=nothing" }, "" },
                { { "is-task=false" }, "dead-one alphabet beta alpha" },
        };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_free_ char *names = list(fixture->store, true, 0, table[i].filters);

                if (!streq(names, table[i].expected))
                        fail_msg("%s: '%s' instead of '%s'", table[i].filters[0], names, table[i].expected);
        }
}

static void test_what_is_shown_without_all(void **state)
{
        Fixture *fixture = *state;
        static const char *const none[] = { NULL }, *const exited[] = { "exited=3", NULL }, *const label[] = { "label=team", NULL };
        _cleanup_free_ char *running = list(fixture->store, false, 0, none), *by_code = list(fixture->store, false, 0, exited),
                            *by_label = list(fixture->store, false, 0, label), *last = list(fixture->store, false, 2, none),
                            *last_labelled = list(fixture->store, false, 1, label);

        assert_string_equal(running, "");
        assert_string_equal(by_code, "beta"); /* as docker: that filter asks for stopped ones */
        assert_string_equal(by_label, "");
        assert_string_equal(last, "dead-one alphabet");
        assert_string_equal(last_labelled, "dead-one");
}

static int check_beta(void *user, const ContainerInfo *info, Error *err)
{
        if (!streq(info->name, "beta"))
                return 0;
        assert_string_equal(info->command, "sleep 1 'or two'");
        assert_string_equal(info->state, "exited");
        assert_true(str_starts(info->status, "Exited (3) "));
        assert_int_equal(info->exit_code, 3);
        assert_string_equal(info->networks, "none");
        assert_string_equal(info->mounts.items[0], "data");
        *(bool *)user = true;
        return 0;
}

static void test_what_is_said(void **state)
{
        Fixture *fixture = *state;
        ListOptions options = { .all = true };
        bool seen = false;
        Error err = ERROR_INIT;

        assert_ok(container_list(fixture->store, &options, check_beta, &seen, &err));
        assert_true(seen);
}

static void test_bad_filters(void **state)
{
        static const char *const bad[] = { "colour=red", "name", "status=sleepy", "exited=x", "before=nobody" };
        Fixture *fixture = *state;

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_strlist_ StrList filters = { 0 };
                ListOptions options = { .all = true, .filters = &filters };
                _cleanup_buf_ Buf names = BUF_INIT(4096);
                Error err = ERROR_INIT;

                strlist_add(&filters, bad[i]);
                if (container_list(fixture->store, &options, add_name, &names, &err) == 0)
                        fail_msg("'%s' was taken", bad[i]);
                error_done(&err);
        }
}

/* Only what has stopped and was asked for goes; a word that is no filter removes nothing. */
static void test_prune(void **state)
{
        Fixture *fixture = *state;
        _cleanup_strlist_ StrList label = { 0 }, not_label = { 0 }, wrong = { 0 };
        static const char *const none[] = { NULL };
        _cleanup_free_ char *after_label = NULL, *after_all = NULL;
        Error err = ERROR_INIT;
        uint64_t size;

        strlist_add(&wrong, "colour=red");
        assert_fails(container_prune(fixture->store, &wrong, NULL, NULL, &size, &err), ERROR_INVALID);
        strlist_add(&label, "label=tier=web");
        assert_ok(container_prune(fixture->store, &label, NULL, NULL, &size, &err));
        after_label = list(fixture->store, true, 0, none);
        assert_string_equal(after_label, "dead-one alphabet beta");
        strlist_add(&not_label, "label!=team=b");
        assert_ok(container_prune(fixture->store, &not_label, NULL, NULL, &size, &err));
        after_all = list(fixture->store, true, 0, none);
        assert_string_equal(after_all, "beta");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fill, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = { TEST(test_filters), TEST(test_what_is_shown_without_all), TEST(test_what_is_said), TEST(test_bad_filters),
                                            TEST(test_prune) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
