/* Options as people type them, in docker's syntax: what they become, and which are refused with the word that is wrong. */
#include "../fs/scratch.h"

#include <signal.h>

#include "container/attach.h"
#include "container/private.h"

typedef int AddFunction(ContainerSpec *spec, const char *text, Error *err);

static void refuse(AddFunction *add, const char *text, const char *words)
{
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        Error err = ERROR_INIT;

        if (add(&spec, text, &err) == 0)
                fail_msg("'%s' was taken", text);
        assert_int_equal(err.code, ERROR_INVALID);
        if (!strstr(error_message(&err), words))
                fail_msg("'%s' is not in '%s'", words, error_message(&err));
        error_done(&err);
}

static void test_volume(void **state)
{
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        _cleanup_free_ char *here = getcwd(NULL, 0), *relative = NULL;
        Error err = ERROR_INIT;

        assert_int_equal(container_spec_add_volume(&spec, "/anonymous", &err), 0);
        assert_int_equal(container_spec_add_volume(&spec, "named:/v", &err), 0);
        assert_int_equal(container_spec_add_volume(&spec, "/host:/v:ro,z", &err), 0);
        assert_int_equal(container_spec_add_volume(&spec, "./sub:/v", &err), 0);
        relative = xasprintf("%s/sub:/v", here);
        assert_string_equal(spec.config.volumes.items[0], "/anonymous");
        assert_string_equal(spec.host.binds.items[0], "named:/v");
        assert_string_equal(spec.host.binds.items[1], "/host:/v:ro,z");
        assert_string_equal(spec.host.binds.items[2], relative);
        refuse(container_spec_add_volume, "named:relative", "named:relative");
        refuse(container_spec_add_volume, "a:/b:ro:x", "a:/b:ro:x");
        refuse(container_spec_add_volume, ":/b", ":/b");
        refuse(container_spec_add_volume, "", "''");
}

static void test_mount(void **state)
{
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        const HostMount *mount;
        Error err = ERROR_INIT;

        assert_int_equal(container_spec_add_mount(&spec, "type=bind,src=/host,dst=/in,readonly,bind-propagation=rslave", &err), 0);
        assert_int_equal(container_spec_add_mount(&spec, "target=/v,volume-nocopy=true,source=name", &err), 0);
        assert_int_equal(container_spec_add_mount(&spec, "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=700", &err), 0);
        mount = &spec.host.mounts.items[0];
        assert_true(mount->read_only && streq(mount->propagation, "rslave") && streq(mount->source, "/host") && streq(mount->target, "/in"));
        mount = &spec.host.mounts.items[1];
        assert_true(streq(mount->type, "volume") && mount->no_copy && streq(mount->source, "name"));
        mount = &spec.host.mounts.items[2];
        assert_int_equal(mount->tmpfs_size, 1 << 20);
        assert_int_equal(mount->tmpfs_mode, 0700);
        refuse(container_spec_add_mount, "type=bind,dst=/x", "source is required");
        refuse(container_spec_add_mount, "type=bind,src=/x", "target is required");
        refuse(container_spec_add_mount, "type=nfs,src=/x,dst=/y", "unknown type 'nfs'");
        refuse(container_spec_add_mount, "type=bind,src=/x,dst=/y,readonly=perhaps", "perhaps");
        refuse(container_spec_add_mount, "type=bind,source", "source");
        refuse(container_spec_add_mount, "type=bind,colour=red", "colour");
}

static void test_host_tmpfs_device(void **state)
{
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        Error err = ERROR_INIT;

        assert_int_equal(container_spec_add_host(&spec, "a:1.2.3.4", &err), 0);
        assert_int_equal(container_spec_add_host(&spec, "b=::1", &err), 0);
        assert_int_equal(container_spec_add_host(&spec, "c:[fe80::1]", &err), 0);
        assert_int_equal(container_spec_add_host(&spec, "d:host-gateway", &err), 0);
        assert_string_equal(spec.host.extra_hosts.items[1], "b:::1");
        assert_string_equal(spec.host.extra_hosts.items[2], "c:fe80::1");
        refuse(container_spec_add_host, "a", "\"a\"");
        refuse(container_spec_add_host, ":1.2.3.4", ":1.2.3.4");
        refuse(container_spec_add_host, "a:", "a:");
        refuse(container_spec_add_host, "a:1.2.3", "1.2.3");
        refuse(container_spec_add_host, "a=1.2.3.4.5", "1.2.3.4.5");

        assert_int_equal(container_spec_add_tmpfs(&spec, "/t:size=1m,exec", &err), 0);
        assert_string_equal(string_map_get(&spec.host.tmpfs, "/t"), "size=1m,exec");
        refuse(container_spec_add_tmpfs, "t", "'t'");

        assert_int_equal(container_spec_add_device(&spec, "/dev/null:r", &err), 0);
        assert_int_equal(container_spec_add_device(&spec, "/dev/null:/dev/x:rw", &err), 0);
        assert_string_equal(spec.host.devices.items[0].container_path, "/dev/null");
        assert_string_equal(spec.host.devices.items[0].permissions, "r");
        assert_string_equal(spec.host.devices.items[1].container_path, "/dev/x");
        refuse(container_spec_add_device, "/dev/null:/dev/x:q", "/dev/null:/dev/x:q");
        refuse(container_spec_add_device, "/dev/null:x", "/dev/null:x");
}

static void test_ulimit_and_restart(void **state)
{
        _cleanup_container_spec_ ContainerSpec spec = { 0 };
        Error err = ERROR_INIT;

        assert_int_equal(container_spec_add_ulimit(&spec, "nofile=100:200", &err), 0);
        assert_int_equal(container_spec_add_ulimit(&spec, "core=-1", &err), 0);
        assert_true(spec.host.ulimits.items[0].soft == 100 && spec.host.ulimits.items[0].hard == 200);
        assert_true(spec.host.ulimits.items[1].soft == -1 && spec.host.ulimits.items[1].hard == -1);
        refuse(container_spec_add_ulimit, "nofile=5:3", "5 > 3");
        refuse(container_spec_add_ulimit, "nofile", "nofile");
        refuse(container_spec_add_ulimit, "nofile=1:2:3", "nofile=1:2:3");
        refuse(container_spec_add_ulimit, "=1", "=1");

        assert_int_equal(container_spec_set_restart(&spec, "on-failure:3", &err), 0);
        assert_string_equal(spec.host.restart_policy.name, "on-failure");
        assert_int_equal(spec.host.restart_policy.maximum_retry_count, 3);
        refuse(container_spec_set_restart, "always:3", "always:3");
        refuse(container_spec_set_restart, "on-failure:x", "on-failure:x");
        refuse(container_spec_set_restart, "sometimes", "sometimes");
}

static void test_signals(void **state)
{
        static const struct {
                const char *text;
                int number;
        } good[] = {
                { "TERM", SIGTERM }, { "sigterm", SIGTERM }, { "SIGKILL", SIGKILL }, { "9", 9 }, { "USR1", SIGUSR1 }, { "RTMIN", -1 }, { "SIGRTMIN+3", -1 }
        };
        static const char *const bad[] = { "", "0", "65", "999", "-1", "FOO", "SIG", "RTMIN+99", "TERM " };

        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                int number = 0, expected = good[i].number >= 0 ? good[i].number : SIGRTMIN + (strchr(good[i].text, '+') ? 3 : 0);
                Error err = ERROR_INIT;

                assert_int_equal(signal_parse(good[i].text, &number, &err), 0);
                assert_int_equal(number, expected);
        }
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                Error err = ERROR_INIT;
                int number;

                if (signal_parse(bad[i], &number, &err) == 0)
                        fail_msg("'%s' was taken as %d", bad[i], number);
                error_done(&err);
        }
}

static void test_detach_keys(void **state)
{
        static const char *const bad[] = { "ctrl-", "ctrl-1", "ab", "ctrl-p,,q", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a" };
        uint8_t keys[16];
        Error err = ERROR_INIT;

        assert_int_equal(detach_keys_parse(NULL, keys, &err), 2);
        assert_true(keys[0] == 16 && keys[1] == 17);
        assert_int_equal(detach_keys_parse("ctrl-x,y,ctrl-[", keys, &err), 3);
        assert_true(keys[0] == 24 && keys[1] == 'y' && keys[2] == 27);
        assert_int_equal(detach_keys_parse("", keys, &err), 0); /* none: there is no way to detach */
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                assert_int_equal(detach_keys_parse(bad[i], keys, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
                error_done(&err);
        }
}

static void test_names(void **state)
{
        static const char *const bad[] = { "", "a", "-ab", "a b", "a/b", "ä" };
        Error err = ERROR_INIT;

        for (unsigned i = 0; i < 200; i++) {
                _cleanup_free_ char *name = container_make_name(i % 5);

                assert_int_equal(container_check_name(name, &err), 0);
        }
        assert_int_equal(container_check_name("web.1_x-Y", &err), 0);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                assert_int_equal(container_check_name(bad[i], &err), -1);
                error_done(&err);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_volume),
                cmocka_unit_test(test_mount),
                cmocka_unit_test(test_host_tmpfs_device),
                cmocka_unit_test(test_ulimit_and_restart),
                cmocka_unit_test(test_signals),
                cmocka_unit_test(test_detach_keys),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
