/*
 * What the runtime is told: config.json for each option of a container, against tests/golden/runtime/<name>.json. A difference is a container that sees, may do
 * or is limited to something else than before. MICA_GOLDEN_UPDATE=1 writes the files anew, to be looked at before they are committed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/mem.h"
#include "runtime/private.h"
#include "json/json.h"

static const RuntimeDriver plain_driver = { .name = "runc" };

/* A machine that does not depend on this one: every capability, cgroup v1, and no seccomp but where a case asks for it. */
static Runtime machine(CgroupMode mode)
{
        return (Runtime){ .driver = &plain_driver,
                          .program = (char *)"/usr/sbin/runc",
                          .state_dir = (char *)"/run/mica",
                          .run_dir = (char *)"/run/mica/runc",
                          .cgroups = { .mode = mode, .swap = true, .root = CGROUP_ROOT },
                          .capabilities = ~UINT64_C(0) };
}

static void basics(RunSpec *spec)
{
        spec->root = "/root/fs";
        strlist_add(&spec->args, "sh");
        strlist_add(&spec->args, "-c");
        strlist_add(&spec->args, "echo \"quoted\" <&> ü");
        strlist_add(&spec->env, "PATH=/bin");
        spec->cwd = xstrdup("/work");
        spec->hostname = xstrdup("box");
        spec->seccomp = xstrdup("unconfined");
        spec->network = RUN_NETWORK_NONE;
}

static void with_user(RunSpec *spec)
{
        spec->uid = 1000;
        spec->gid = 50;
        spec->groups = xreallocarray(NULL, 2, sizeof(*spec->groups));
        spec->groups[0] = 50;
        spec->groups[1] = 4294967294u;
        spec->n_groups = 2;
        spec->umask = 027;
}

static void with_terminal(RunSpec *spec)
{
        spec->terminal = true;
        spec->terminal_rows = 33;
        spec->terminal_columns = 99;
}

static void with_host_namespaces(RunSpec *spec)
{
        spec->network = RUN_NETWORK_HOST;
        spec->host_pid = spec->host_ipc = spec->host_uts = true;
}

static void with_network_path(RunSpec *spec)
{
        spec->network = RUN_NETWORK_PATH;
        spec->network_path = xstrdup("/run/netns/x");
}

static void with_capabilities(RunSpec *spec)
{
        strlist_add(&spec->cap_drop, "all");
        strlist_add(&spec->cap_add, "net_admin");
        strlist_add(&spec->cap_add, "CAP_SYS_TIME");
        spec->no_new_privileges = true;
}

static void with_limits(RunSpec *spec)
{
        run_spec_add_limit(spec, "nofile", 100, 200);
        run_spec_add_limit(spec, "core", 0, 0);
        spec->resources = (RunResources){ .memory = 16 << 20,
                                          .memory_reservation = 8 << 20,
                                          .memory_swap = 32 << 20,
                                          .cpu_quota_us = 50000,
                                          .cpu_period_us = 100000,
                                          .cpu_shares = 512,
                                          .cpuset_cpus = xstrdup("0-1"),
                                          .cpuset_mems = xstrdup("0"),
                                          .pids_limit = 5 };
        spec->oom_score_adj = -500;
        spec->cgroup_parent = xstrdup("/group/");
}

static void with_mounts(RunSpec *spec)
{
        RunMount *tmpfs = run_spec_add_mount(spec, "tmpfs", "tmpfs", "/deep/er/tmp"), *shared;

        strlist_add(&tmpfs->options, "size=1m");
        run_spec_add_bind(spec, "/host/data", "/deep", true);
        shared = run_spec_add_mount(spec, "bind", "/host/shared", "/shared");
        strlist_add(&shared->options, "rbind");
        strlist_add(&shared->options, "rshared");
        run_spec_add_bind(spec, "/host/shm", "/dev/shm", false); /* instead of the default one */
        spec->read_only = true;
        spec->shm_size = 1 << 20;
}

static void with_sysctls(RunSpec *spec)
{
        strlist_add(&spec->sysctls, "net.ipv4.ip_forward=1");
        strlist_add(&spec->annotations, "org.example=yes=no");
        strlist_add(&spec->annotations, "run.oci.handler=krun"); /* steers the runtime: not the user's to set */
}

static void with_device(RunSpec *spec)
{
        run_spec_add_device(spec, "/dev/null", "/dev/nothing", "r");
}

static void with_no_default_mounts(RunSpec *spec)
{
        spec->no_default_mounts = true;
}

static const struct Case {
        const char *name;
        void (*change)(RunSpec *spec);
        CgroupMode mode;
} cases[] = {
        { "plain", NULL, CGROUP_V1 },
        { "plain-v2", NULL, CGROUP_V2 },
        { "plain-none", NULL, CGROUP_NONE },
        { "user", with_user, CGROUP_HYBRID },
        { "terminal", with_terminal, CGROUP_V1 },
        { "host-namespaces", with_host_namespaces, CGROUP_V1 },
        { "network-path", with_network_path, CGROUP_V1 },
        { "capabilities", with_capabilities, CGROUP_V1 },
        { "limits", with_limits, CGROUP_V2 },
        { "mounts", with_mounts, CGROUP_V1 },
        { "sysctls", with_sysctls, CGROUP_V1 },
        { "no-default-mounts", with_no_default_mounts, CGROUP_V1 },
};

static char *pretty(const Buf *text)
{
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_error_ Error err = ERROR_INIT;

        if (json_value_parse(text->data, text->size, NULL, &value, &err) < 0)
                fail_msg("%s", error_message(&err));
        return json_value_text(value, JSON_WRITE_INDENT_2 | JSON_WRITE_NO_HTML);
}

static void compare(const char *name, const char *text)
{
        _cleanup_free_ char *path = xasprintf("%s/%s.json", GOLDEN_DIR, name);
        _cleanup_buf_ Buf expected = BUF_INIT(1 << 20);
        _cleanup_free_ char *with_end = xasprintf("%s\n", text);

        if (getenv("MICA_GOLDEN_UPDATE"))
                assert_int_equal(file_write_atomic(AT_FDCWD, path, with_end, strlen(with_end), 0644, false), 0);
        assert_int_equal(file_read(AT_FDCWD, path, &expected), 0);
        if (!streq(buf_str(&expected), with_end))
                fail_msg("%s: expected\n%s\nactual\n%s", path, buf_str(&expected), with_end);
}

static void test_every_option(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_run_spec_ RunSpec spec = { 0 };
                _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *actual = NULL;
                Runtime runtime = machine(cases[i].mode);

                basics(&spec);
                if (cases[i].change)
                        cases[i].change(&spec);
                if (runtime_config(&runtime, &spec, "0123", &text, &err) < 0)
                        fail_msg("%s: %s", cases[i].name, error_message(&err));
                actual = pretty(&text);
                compare(cases[i].name, actual);
        }
}

static void test_process_of_exec(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *actual = NULL;
        Runtime runtime = machine(CGROUP_V1);

        basics(&spec);
        with_user(&spec);
        assert_int_equal(runtime_process_config(&runtime, &spec, &text, &err), 0);
        actual = pretty(&text);
        compare("exec-process", actual);
}

/* A device of the host, under the name and with the rights asked for; its mode and owner are this machine's. */
static void test_device(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        Runtime runtime = machine(CGROUP_V1);
        const JsonValue *device, *rule;

        basics(&spec);
        with_device(&spec);
        assert_int_equal(runtime_config(&runtime, &spec, "0123", &text, &err), 0);
        assert_int_equal(json_value_parse(text.data, text.size, NULL, &value, &err), 0);
        device = json_value_at(json_value_find(value, "linux.devices"), 0);
        assert_string_equal(json_value_string(json_value_get(device, "path")), "/dev/nothing");
        assert_string_equal(json_value_string(json_value_get(device, "type")), "c");
        assert_int_equal(json_value_int(json_value_get(device, "major"), -1), 1);
        assert_int_equal(json_value_int(json_value_get(device, "minor"), -1), 3);
        rule = json_value_at(json_value_find(value, "linux.resources.devices"), 1);
        assert_true(json_value_bool(json_value_get(rule, "allow")));
        assert_string_equal(json_value_string(json_value_get(rule, "access")), "r");
        assert_int_equal(json_value_int(json_value_get(rule, "minor"), -1), 3);
}

/* A privileged container gets everything, and nothing is hidden from it; devices are this machine's, so they are only counted. */
static void test_privileged(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(8 << 20);
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        Runtime runtime = machine(CGROUP_V2);
        const JsonValue *namespaces, *os;

        basics(&spec);
        free(spec.seccomp);
        spec.seccomp = NULL;
        spec.privileged = true;
        assert_int_equal(runtime_config(&runtime, &spec, "0123", &text, &err), 0);
        assert_int_equal(json_value_parse(text.data, text.size, NULL, &value, &err), 0);
        os = json_value_get(value, "linux");
        assert_null(json_value_get(os, "maskedPaths"));
        assert_null(json_value_get(os, "readonlyPaths"));
        assert_null(json_value_get(os, "seccomp"));
        assert_int_equal(json_value_size(json_value_find(value, "process.capabilities.bounding")), 41);
        assert_true(json_value_bool(json_value_get(json_value_at(json_value_find(value, "linux.resources.devices"), 0), "allow")));
        namespaces = json_value_get(os, "namespaces");
        for (size_t i = 0; i < json_value_size(namespaces); i++)
                assert_string_not_equal(json_value_string(json_value_get(json_value_at(namespaces, i), "type")), "cgroup");
}

static void expect_refusal(Runtime *runtime, const RunSpec *spec, ErrorCode code, const char *words)
{
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(runtime_config(runtime, spec, "0123", &text, &err), -1);
        assert_int_equal(err.code, code);
        if (!strstr(error_message(&err), words))
                fail_msg("'%s' is not in '%s'", words, error_message(&err));
}

/* A limit that cannot be kept, a name that nobody knows: said, never dropped. */
static void test_refusals(void **state)
{
        _cleanup_run_spec_ RunSpec limited = { 0 }, unknown_limit = { 0 }, unknown_capability = { 0 }, nothing = { 0 }, bad_sysctl = { 0 }, no_device = { 0 };
        Runtime without = machine(CGROUP_NONE), with = machine(CGROUP_V1);

        basics(&limited);
        limited.resources.pids_limit = 5;
        expect_refusal(&without, &limited, ERROR_UNSUPPORTED, "need a cgroup");
        basics(&unknown_limit);
        run_spec_add_limit(&unknown_limit, "files", 1, 1);
        expect_refusal(&with, &unknown_limit, ERROR_INVALID, "invalid ulimit type: 'files'");
        basics(&unknown_capability);
        strlist_add(&unknown_capability.cap_add, "FLY");
        expect_refusal(&with, &unknown_capability, ERROR_INVALID, "'FLY'");
        expect_refusal(&with, &nothing, ERROR_INVALID, "no command");
        basics(&bad_sysctl);
        strlist_add(&bad_sysctl.sysctls, "kernel");
        expect_refusal(&with, &bad_sysctl, ERROR_INVALID, "'kernel'");
        basics(&no_device);
        run_spec_add_device(&no_device, "/etc/passwd", "/dev/x", "r");
        expect_refusal(&with, &no_device, ERROR_INVALID, "is not a device");
}

/* Without swap accounting docker limits memory alone, instead of failing in the runtime. */
static void test_no_swap_accounting(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
        _cleanup_error_ Error err = ERROR_INIT;
        Runtime runtime = machine(CGROUP_V1);

        runtime.cgroups.swap = false;
        basics(&spec);
        spec.resources = (RunResources){ .memory = 16 << 20, .memory_swap = 32 << 20 };
        assert_int_equal(runtime_config(&runtime, &spec, "0123", &text, &err), 0);
        assert_non_null(strstr(buf_str(&text), "\"limit\":16777216"));
        assert_null(strstr(buf_str(&text), "\"swap\""));
}

/* "-1" of --ulimit: no limit, and not the largest number that JSON libraries like. */
static void test_no_limit(void **state)
{
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);
        _cleanup_error_ Error err = ERROR_INIT;
        Runtime runtime = machine(CGROUP_V1);

        basics(&spec);
        run_spec_add_limit(&spec, "stack", UINT64_MAX, UINT64_MAX);
        assert_int_equal(runtime_config(&runtime, &spec, "0123", &text, &err), 0);
        assert_non_null(strstr(buf_str(&text), "{\"type\":\"RLIMIT_STACK\",\"hard\":18446744073709551615,\"soft\":18446744073709551615}"));
}

/* docker's --cap-add and --cap-drop, in every combination people write. */
static void test_capabilities(void **state)
{
        static const struct {
                const char *add, *drop;
                bool privileged;
                CapSet own, expected;
        } table[] = {
                { "", "", false, ~UINT64_C(0), 0xa80425fb },
                { "", "ALL", false, ~UINT64_C(0), 0 },
                { "SYS_ADMIN", "", false, ~UINT64_C(0), 0xa82425fb },
                { "cap_sys_admin", "chown", false, ~UINT64_C(0), 0xa82425fa },
                { "CHOWN", "ALL", false, ~UINT64_C(0), 1 },
                { "ALL", "", false, ~UINT64_C(0), ~UINT64_C(0) },
                { "ALL", "CHOWN", false, ~UINT64_C(0), ~UINT64_C(1) },
                { "", "", true, 0xff, 0xff }, /* nobody can give away what he does not have */
                { "", "", false, 0xff, 0xfb },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_strlist_ StrList add = { 0 }, drop = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                CapSet set = 0;

                if (*table[i].add)
                        strlist_add(&add, table[i].add);
                if (*table[i].drop)
                        strlist_add(&drop, table[i].drop);
                assert_int_equal(capabilities_resolve(&add, &drop, table[i].privileged, table[i].own, &set, &err), 0);
                if (set != table[i].expected)
                        fail_msg("add '%s' drop '%s': %jx instead of %jx", table[i].add, table[i].drop, (uintmax_t)set, (uintmax_t)table[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_option), cmocka_unit_test(test_process_of_exec), cmocka_unit_test(test_device),
                cmocka_unit_test(test_privileged),   cmocka_unit_test(test_refusals),        cmocka_unit_test(test_no_swap_accounting),
                cmocka_unit_test(test_capabilities), cmocka_unit_test(test_no_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
