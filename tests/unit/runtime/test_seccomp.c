/* Profiles: which rules hold for whom, and that the program made of them stops what it should. */
#include "../fs/scratch.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "crypto/encode.h"
#include "runtime/seccomp_profile.h"

#define PROFILE \
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" \
        "{\"names\":[\"mkdir\",\"mkdirat\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5}," \
        "{\"names\":[\"rmdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errno\":\"ENOSYS\",\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}," \
        "{\"name\":\"chroot\",\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"caps\":[\"CAP_SYS_CHROOT\"]}}," \
        "{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":8,\"op\":\"SCMP_CMP_EQ\"}]}," \
        "{\"names\":[\"a_call_of_the_future\"],\"action\":\"SCMP_ACT_ERRNO\"}," \
        "{\"names\":[\"acct\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"minKernel\":\"999.0\"}}," \
        "{\"names\":[\"acct\"],\"action\":\"SCMP_ACT_ERRNO\",\"includes\":{\"arches\":[\"vax\"]}}]}"

static char *profile_file(const Scratch *scratch, const char *text)
{
        make_file(scratch->fd, "profile.json", text);
        return xasprintf("%s/profile.json", scratch->path);
}

static bool has_rule(const SeccompProfile *profile, const char *name)
{
        for (size_t i = 0; i < profile->n_rules; i++)
                if (strlist_has(&profile->rules[i].names, name))
                        return true;
        return false;
}

static void test_rules_hold_by_capability_kernel_and_machine(void **state)
{
        _cleanup_free_ char *path = profile_file(*state, PROFILE);
        _cleanup_seccomp_profile_ SeccompProfile plain = { 0 }, admin = { 0 };
        Error err = ERROR_INIT;

        assert_int_equal(seccomp_profile_load(path, 0, &plain, &err), 0);
        assert_true(has_rule(&plain, "mkdir") && has_rule(&plain, "rmdir") && has_rule(&plain, "personality"));
        assert_false(has_rule(&plain, "chroot") || has_rule(&plain, "acct"));
        assert_int_equal(plain.rules[0].errno_ret, 5);
        assert_int_equal(plain.rules[1].errno_ret, ENOSYS);
        assert_true(plain.architectures.n_items >= 1);
        assert_int_equal(seccomp_profile_load(path, UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_SYS_CHROOT, &admin, &err), 0);
        assert_true(has_rule(&admin, "chroot"));
        assert_false(has_rule(&admin, "rmdir"));
}

/* Runs `call` behind the filter in a process of its own; its errno, 0 when it went through, -1 when it was killed. */
static int behind(const char *base64, int (*call)(void))
{
        _cleanup_buf_ Buf program = BUF_INIT(1 << 20);
        int status;
        pid_t pid;

        assert_int_equal(base64_decode(BASE64_STANDARD, base64, strlen(base64), &program), 0);
        pid = fork();
        if (pid == 0) {
                struct sock_fprog filter = { .len = (unsigned short)(program.size / sizeof(struct sock_filter)), .filter = (void *)program.data };

                if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0)
                        _exit(255);
                _exit(call() < 0 ? errno : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int call_mkdir(void)
{
        return mkdir("/no/such/place", 0700);
}

static int call_rmdir(void)
{
        return (int)syscall(SYS_rmdir, "/no/such/place");
}

static int call_personality(void)
{
        return (int)syscall(SYS_personality, 8);
}

static int call_personality_query(void)
{
        return (int)syscall(SYS_personality, 0xffffffff);
}

static int call_unshare(void)
{
        return unshare(CLONE_NEWUTS);
}

/* A child that ends at once. */
static int do_clone(unsigned long flags)
{
        long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

        if (pid == 0)
                _exit(0);
        return (int)pid;
}

static int call_clone_namespace(void)
{
        return do_clone(CLONE_NEWUSER | CLONE_NEWPID);
}

static int call_clone_plain(void)
{
        return do_clone(0);
}

static int call_clone3(void)
{
        return (int)syscall(SYS_clone3, NULL, 0);
}

static int call_keyctl(void)
{
        return (int)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static int call_mbind(void)
{
        return (int)syscall(SYS_mbind, NULL, 0, 0, NULL, 0, 0);
}

static int call_bpf(void)
{
        return (int)syscall(SYS_bpf, 0, NULL, 0);
}

static int call_socket_inet(void)
{
        return socket(AF_INET, SOCK_DGRAM, 0);
}

static int call_socket_vsock(void)
{
        return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static int call_socket_alg(void)
{
        return socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static int call_getpid(void)
{
        return (int)syscall(SYS_getpid);
}

static void test_the_program_does_what_the_rules_say(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_free_ char *path = profile_file(scratch, PROFILE), *cache = xasprintf("%s/cache/deep", scratch->path), *program = NULL, *again = NULL;
        Error err = ERROR_INIT;

        if (seccomp_profile_program(path, 0, cache, &program, &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_int_equal(behind(program, call_mkdir), 5);
        assert_int_equal(behind(program, call_rmdir), ENOSYS);
        assert_int_equal(behind(program, call_personality), EPERM);
        assert_int_equal(behind(program, call_personality_query), 0);
        assert_int_equal(behind(program, call_getpid), 0);
        assert_int_equal(seccomp_profile_program(path, 0, cache, &again, &err), 0); /* from the cache */
        assert_string_equal(program, again);
}

/* A profile that was changed must never be served from the cache of the old one. */
static void test_a_changed_profile_is_compiled_again(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_free_ char *path = profile_file(scratch, PROFILE), *program = NULL, *changed = NULL;
        Error err = ERROR_INIT;

        assert_int_equal(seccomp_profile_program(path, 0, scratch->path, &program, &err), 0);
        assert_int_equal(unlinkat(scratch->fd, "profile.json", 0), 0);
        make_file(scratch->fd, "profile.json",
                  "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"rmdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":7}]}");
        assert_int_equal(seccomp_profile_program(path, 0, scratch->path, &changed, &err), 0);
        assert_int_equal(behind(changed, call_rmdir), 7);
        assert_int_equal(behind(changed, call_mkdir), ENOENT);
}

static void test_the_default_profile_is_dockers(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_free_ char *plain = NULL, *admin = NULL;
        CapSet set = capabilities_default();
        Error err = ERROR_INIT;

        if (access(SECCOMP_DEFAULT_PROFILE, R_OK) < 0)
                skip();
        assert_int_equal(seccomp_profile_program(NULL, set, scratch->path, &plain, &err), 0);
        assert_int_equal(behind(plain, call_unshare), EPERM);
        assert_int_equal(behind(plain, call_clone_namespace), EPERM);
        assert_int_equal(behind(plain, call_clone_plain), 0);
        assert_int_equal(behind(plain, call_clone3), ENOSYS);
        assert_int_equal(behind(plain, call_keyctl), EPERM);
        assert_int_equal(behind(plain, call_mbind), EPERM);
        assert_int_equal(behind(plain, call_socket_inet), 0);
        assert_int_equal(behind(plain, call_socket_vsock), EPERM);
        assert_int_equal(behind(plain, call_socket_alg), EPERM);
        assert_int_equal(behind(plain, call_bpf), EPERM);
        assert_int_equal(behind(plain, call_mkdir), ENOENT);
        assert_int_equal(seccomp_profile_program(NULL, set | UINT64_C(1) << CAP_SYS_ADMIN, scratch->path, &admin, &err), 0);
        assert_string_not_equal(plain, admin);
        if (geteuid() == 0)
                assert_int_equal(behind(admin, call_unshare), 0);
}

/* Who names the file himself gets what is in it. */
static void test_a_profile_that_is_named_is_taken_as_it_is(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_free_ char *program = NULL;
        Error err = ERROR_INIT;

        if (access(SECCOMP_DEFAULT_PROFILE, R_OK) < 0 || geteuid() != 0)
                skip();
        assert_int_equal(seccomp_profile_program(SECCOMP_DEFAULT_PROFILE, capabilities_default(), scratch->path, &program, &err), 0);
        assert_int_equal(behind(program, call_unshare), 0);
}

static void test_bad_profiles_are_named(void **state)
{
        static const struct {
                const char *text, *words;
        } table[] = {
                { "{", "profile.json" },
                { "{\"syscalls\":[]}", "defaultAction" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"action\":\"SCMP_ACT_ERRNO\"}]}", "names" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[1],\"action\":\"SCMP_ACT_ERRNO\"}]}", "strings" },
                { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"X\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]"
                  "}",
                  "index" },
        };
        const Scratch *scratch = *state;

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_seccomp_profile_ SeccompProfile profile = { 0 };
                _cleanup_free_ char *path = profile_file(scratch, table[i].text);
                Error err = ERROR_INIT;

                assert_int_equal(seccomp_profile_load(path, 0, &profile, &err), -1);
                if (!strstr(error_message(&err), table[i].words))
                        fail_msg("'%s' is not in '%s'", table[i].words, error_message(&err));
                error_done(&err);
                unlinkat(scratch->fd, "profile.json", 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                SCRATCH_TEST(test_rules_hold_by_capability_kernel_and_machine), SCRATCH_TEST(test_the_program_does_what_the_rules_say),
                SCRATCH_TEST(test_a_changed_profile_is_compiled_again),         SCRATCH_TEST(test_the_default_profile_is_dockers),
                SCRATCH_TEST(test_a_profile_that_is_named_is_taken_as_it_is),   SCRATCH_TEST(test_bad_profiles_are_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
