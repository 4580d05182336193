/*
 * From rules to a filter program, by libseccomp as the runtimes do it. The library is loaded when a program has to be made, which is once per profile and boot:
 * linking it would cost every start of mica.
 */
#include <dlfcn.h>
#include <errno.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/mem.h"
#include "runtime/seccomp_profile.h"

/* What is used of libseccomp.so.2, whose interface is stable under that name. */
typedef struct Library {
        void *handle;
        typeof(seccomp_init) *init;
        typeof(seccomp_release) *release;
        typeof(seccomp_arch_add) *arch_add;
        typeof(seccomp_arch_remove) *arch_remove;
        typeof(seccomp_arch_native) *arch_native;
        typeof(seccomp_arch_resolve_name) *arch_resolve_name;
        typeof(seccomp_attr_set) *attr_set;
        typeof(seccomp_rule_add_array) *rule_add_array;
        typeof(seccomp_syscall_resolve_name) *syscall_resolve_name;
        typeof(seccomp_export_bpf) *export_bpf;
} Library;

static int library_open(Library *library, Error *err)
{
        const struct {
                const char *name;
                void *slot;
        } symbols[] = {
                { "seccomp_init", &library->init },
                { "seccomp_release", &library->release },
                { "seccomp_arch_add", &library->arch_add },
                { "seccomp_arch_remove", &library->arch_remove },
                { "seccomp_arch_native", &library->arch_native },
                { "seccomp_arch_resolve_name", &library->arch_resolve_name },
                { "seccomp_attr_set", &library->attr_set },
                { "seccomp_rule_add_array", &library->rule_add_array },
                { "seccomp_syscall_resolve_name", &library->syscall_resolve_name },
                { "seccomp_export_bpf", &library->export_bpf },
        };

        library->handle = dlopen("libseccomp.so.2", RTLD_NOW | RTLD_LOCAL);
        if (!library->handle)
                return error_set(err, ERROR_UNSUPPORTED, "cannot load libseccomp.so.2");
        for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
                void *symbol = dlsym(library->handle, symbols[i].name);

                if (!symbol)
                        return error_set(err, ERROR_UNSUPPORTED, "libseccomp.so.2 has no '%s'", symbols[i].name);
                memcpy(symbols[i].slot, &symbol, sizeof(symbol));
        }
        return 0;
}

static void library_close(Library *library)
{
        if (library->handle)
                dlclose(library->handle);
}

static const struct Action {
        const char *name;
        uint32_t value;
        bool takes_errno;
} actions[] = {
        { "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false },
        { "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true },
        { "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false },
        { "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false },
        { "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false },
        { "SCMP_ACT_LOG", SCMP_ACT_LOG, false },
        { "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true },
        { "SCMP_ACT_TRAP", SCMP_ACT_TRAP, false },
};

static const struct Comparison {
        const char *name;
        enum scmp_compare value;
} comparisons[] = {
        { "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
        { "SCMP_CMP_LE", SCMP_CMP_LE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
        { "SCMP_CMP_NE", SCMP_CMP_NE },
};

static int find_action(const char *name, int64_t errno_ret, uint32_t *ret, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
                if (!streq(actions[i].name, name))
                        continue;
                *ret = actions[i].value | (actions[i].takes_errno ? (uint32_t)(errno_ret >= 0 ? errno_ret : EPERM) & 0xffff : 0);
                return 0;
        }
        return error_set(err, ERROR_UNSUPPORTED, "the seccomp action '%s' cannot be compiled", name);
}

static int find_comparison(const char *name, enum scmp_compare *ret, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(comparisons); i++) {
                if (streq(comparisons[i].name, name)) {
                        *ret = comparisons[i].value;
                        return 0;
                }
        }
        return error_set(err, ERROR_INVALID, "unknown comparison '%s' in a seccomp rule", name);
}

static int check(int r, const char *what, Error *err)
{
        return r < 0 ? error_set(err, ERROR_UNSUPPORTED, "libseccomp cannot %s: %s", what, strerror(-r)) : 0;
}

static int add_architectures(const Library *library, scmp_filter_ctx filter, const SeccompProfile *seccomp, Error *err)
{
        bool native = false;

        for (size_t i = 0; i < seccomp->architectures.n_items; i++) {
                const char *name = str_after(seccomp->architectures.items[i], "SCMP_ARCH_");
                _cleanup_free_ char *lower = str_lower(name ? name : seccomp->architectures.items[i]);
                uint32_t arch = library->arch_resolve_name(lower);
                int r;

                if (arch == 0)
                        return error_set(err, ERROR_UNSUPPORTED, "libseccomp does not know the architecture '%s'", seccomp->architectures.items[i]);
                native |= arch == library->arch_native();
                r = library->arch_add(filter, arch);
                if (r < 0 && r != -EEXIST)
                        return check(r, "add an architecture", err);
        }
        return native ? 0 : check(library->arch_remove(filter, library->arch_native()), "remove the native architecture", err);
}

static int add_rule(const Library *library, scmp_filter_ctx filter, const SeccompRule *rule, uint32_t default_action, Error *err)
{
        struct scmp_arg_cmp args[6] = { 0 };
        bool same_argument_twice = false;
        unsigned seen = 0;
        uint32_t action;

        if (find_action(rule->action, rule->errno_ret, &action, err) < 0)
                return -1;
        if (action == default_action)
                return 0; /* libseccomp refuses rules that say what holds anyway */
        if (rule->n_args > ARRAY_LEN(args))
                return error_set(err, ERROR_INVALID, "a seccomp rule has more than %zu arguments", ARRAY_LEN(args));
        for (size_t i = 0; i < rule->n_args; i++) {
                const SeccompArg *arg = &rule->args[i];

                args[i] = (struct scmp_arg_cmp){ .arg = (unsigned)arg->index, .datum_a = arg->value, .datum_b = arg->value_two };
                if (find_comparison(arg->op, &args[i].op, err) < 0)
                        return -1;
                same_argument_twice |= seen >> arg->index & 1;
                seen |= 1u << arg->index;
        }
        for (size_t i = 0; i < rule->names.n_items; i++) {
                int number = library->syscall_resolve_name(rule->names.items[i]);

                if (number == __NR_SCMP_ERROR)
                        continue; /* newer than this libseccomp: the default action holds, as with the runtimes */
                if (!same_argument_twice) {
                        if (check(library->rule_add_array(filter, action, number, (unsigned)rule->n_args, args), "add a rule", err) < 0)
                                return -1;
                        continue;
                }
                for (size_t k = 0; k < rule->n_args; k++) /* conditions on one argument are alternatives (runtime-spec) */
                        if (check(library->rule_add_array(filter, action, number, 1, &args[k]), "add a rule", err) < 0)
                                return -1;
        }
        return 0;
}

static int export_program(const Library *library, scmp_filter_ctx filter, Buf *out, Error *err)
{
        _cleanup_close_ int fd = fd_memory("seccomp", "", 0);
        int r;

        if (fd < 0)
                return error_errno(err, fd, "cannot make a file in memory");
        if (check(library->export_bpf(filter, fd), "make a filter program", err) < 0)
                return -1;
        lseek(fd, 0, SEEK_SET);
        r = fd_read_to_buf(fd, out);
        return r < 0 ? error_errno(err, r, "cannot read a seccomp program") : 0;
}

int seccomp_profile_compile(const SeccompProfile *seccomp, Buf *out, Error *err)
{
        _cleanup_(library_close) Library library = { 0 };
        uint32_t default_action;
        scmp_filter_ctx filter;
        int result = -1;

        if (seccomp->flags.n_items > 0)
                return error_set(err, ERROR_UNSUPPORTED, "a profile with flags is compiled by the runtime");
        if (library_open(&library, err) < 0 || find_action(seccomp->default_action, seccomp->default_errno_ret, &default_action, err) < 0)
                return -1;
        filter = library.init(default_action);
        if (!filter)
                return error_set(err, ERROR_UNSUPPORTED, "libseccomp cannot make a filter");
        /* no_new_privs is the runtime's decision; a binary tree costs a system call 9 comparisons instead of 350 */
        library.attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
        library.attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
        if (add_architectures(&library, filter, seccomp, err) < 0)
                goto out;
        for (size_t i = 0; i < seccomp->n_rules; i++)
                if (add_rule(&library, filter, &seccomp->rules[i], default_action, err) < 0)
                        goto out;
        result = export_program(&library, filter, out, err);
out:
        library.release(filter);
        return result;
}
