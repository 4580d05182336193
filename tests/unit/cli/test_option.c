/* The option parser: a command line that docker understands must mean the same here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/option.h"

typedef struct Sample {
        bool interactive, tty, sig_proxy;
        const char *name, *shell;
        int64_t number, memory, timeout, cpus;
        StrList env, hosts;
} Sample;

static const Option table_a[] = {
        { "cpus", 0, OPTION_DECIMAL, offsetof(Sample, cpus), .help = "" },
        { "env", 'e', OPTION_LIST, offsetof(Sample, env), .help = "" },
        { "host", 0, OPTION_CSV, offsetof(Sample, hosts), .help = "" },
        { "interactive", 'i', OPTION_BOOL, offsetof(Sample, interactive), .help = "" },
        { "memory", 'm', OPTION_SIZE, offsetof(Sample, memory), .help = "" },
        { "name", 0, OPTION_STRING, offsetof(Sample, name), .help = "" },
        { "number", 'n', OPTION_INT, offsetof(Sample, number), .help = "", .value = "-1" },
        OPTION_TABLE_END,
};
static const Option table_b[] = {
        { "shell", 0, OPTION_STRING, offsetof(Sample, shell), .help = "", .implied = "on-error" },
        { "sig-proxy", 0, OPTION_BOOL, offsetof(Sample, sig_proxy), .help = "", .value = "true" },
        { "timeout", 't', OPTION_DURATION, offsetof(Sample, timeout), .help = "" },
        { "tty", 'T', OPTION_BOOL, offsetof(Sample, tty), .help = "" },
        OPTION_TABLE_END,
};
static const Option *const tables[] = { table_a, table_b, NULL };

#define PARSE(stop, ...) \
        const char *argv[] = { __VA_ARGS__ }; \
        Sample sample = { 0 }; \
        OptionResult result = { 0 }; \
        Error err = ERROR_INIT; \
        int r = options_parse(tables, &sample, stop, (int)ARRAY_LEN(argv), (char *const *)argv, &result, &err)
#define DONE \
        do { \
                options_done(tables, &sample); \
                option_result_done(&result); \
                error_done(&err); \
        } while (0)

static void forms_of_values(void **state)
{
        PARSE(false, "-iT", "-e", "A=1", "-eB=2", "-e=C=3", "--env=D=4", "--env", "E=5", "--name=x", "arg", "--number", "7", "-m1.5g", "-t", "1m30s",
              "--cpus=1.25", "--host", "a,b", "--host=c");
        assert_int_equal(r, 0);
        assert_true(sample.interactive && sample.tty && sample.sig_proxy);
        assert_int_equal(sample.env.n_items, 5);
        assert_string_equal(sample.env.items[1], "B=2");
        assert_string_equal(sample.env.items[2], "C=3");
        assert_string_equal(sample.name, "x");
        assert_int_equal(sample.number, 7);
        assert_int_equal(sample.memory, 1536LL << 20);
        assert_int_equal(sample.timeout, 90 * NSEC_PER_SEC);
        assert_int_equal(sample.cpus, 1250000000);
        assert_int_equal(sample.hosts.n_items, 3);
        assert_int_equal(result.args.n_items, 1);
        assert_true(strlist_has(&result.given, "env"));
        assert_false(strlist_has(&result.given, "sig-proxy"));
        DONE;
}

static void bools_take_values_with_equals_only(void **state)
{
        PARSE(false, "--sig-proxy=false", "-i=0", "--tty", "false");
        assert_int_equal(r, 0);
        assert_false(sample.sig_proxy);
        assert_false(sample.interactive);
        assert_true(sample.tty);
        assert_int_equal(result.args.n_items, 1);
        DONE;
}

static void options_end_where_they_must(void **state)
{
        {
                PARSE(true, "-i", "image", "-e", "--help");
                assert_int_equal(r, 0);
                assert_int_equal(result.args.n_items, 3);
                assert_false(result.help);
                DONE;
        }
        {
                PARSE(false, "a", "--", "-i", "--x");
                assert_int_equal(r, 0);
                assert_int_equal(result.args.n_items, 3);
                assert_false(sample.interactive);
                DONE;
        }
        {
                PARSE(false, "-", "b");
                assert_int_equal(r, 0);
                assert_string_equal(result.args.items[0], "-");
                DONE;
        }
}

static void a_value_can_be_implied(void **state)
{
        {
                PARSE(false, "--shell", "x");
                assert_int_equal(r, 0);
                assert_string_equal(sample.shell, "on-error");
                assert_int_equal(result.args.n_items, 1);
                DONE;
        }
        {
                PARSE(false, "--shell=3");
                assert_int_equal(r, 0);
                assert_string_equal(sample.shell, "3");
                DONE;
        }
}

static void errors_have_dockers_words(void **state)
{
        static const struct {
                const char *arg, *message;
        } cases[] = {
                { "--interactiv", "unknown flag: --interactiv (did you mean --interactive?)" },
                { "--zzzzz", "unknown flag: --zzzzz" },
                { "-iZ", "unknown shorthand flag: 'Z' in -iZ" },
                { "--name", "flag needs an argument: --name" },
                { "-ie", "flag needs an argument: 'e' in -ie" },
                { "--=x", "bad flag syntax: --=x" },
                { "--tty=perhaps", "invalid argument \"perhaps\" for \"-T, --tty\" flag: invalid syntax" },
                { "--cpus=1.2.3", "invalid argument \"1.2.3\" for \"--cpus\" flag: not a decimal number with at most nine digits after the point" },
                { "-m=lots", "invalid argument \"lots\" for \"-m, --memory\" flag: invalid size" },
                { "--number=99999999999999999999", "invalid argument \"99999999999999999999\" for \"-n, --number\" flag: value out of range" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                PARSE(false, cases[i].arg);
                assert_int_equal(r, -1);
                assert_string_equal(error_message(&err), cases[i].message);
                DONE;
        }
}

static void help_stops_parsing(void **state)
{
        PARSE(false, "--help", "--zzz");
        assert_int_equal(r, 0);
        assert_true(result.help);
        DONE;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(forms_of_values),        cmocka_unit_test(bools_take_values_with_equals_only), cmocka_unit_test(options_end_where_they_must),
                cmocka_unit_test(a_value_can_be_implied), cmocka_unit_test(errors_have_dockers_words),          cmocka_unit_test(help_stops_parsing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
