/*
 * What docker's default profile denies and containers-common's allows: podman leaves making of namespaces and mounts to the capabilities, docker does not, so
 * that a hole in the kernel's user namespaces is not open to every container. Which calls those are is moby's profiles/seccomp/default.json.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "runtime/seccomp_profile.h"

#define NEVER (-1)

/* Calls that are denied with EPERM unless the container has the capability. */
static const struct Denied {
        int capability;
        const char *names[16];
} denied[] = {
        { CAP_SYS_ADMIN,
          { "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "setns", "umount", "umount2", "unshare" } },
        { CAP_SYS_BOOT, { "reboot" } },
        { CAP_SYS_NICE, { "get_mempolicy", "mbind", "set_mempolicy" } },
        { CAP_SYS_PTRACE, { "pidfd_getfd" } },
        { CAP_SYSLOG, { "syslog" } },
        { NEVER, { "keyctl", "pivot_root" } },
};

static const uint64_t namespace_flags[] = { CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS };

/* Address families that reach past the network namespace (vsock), or are a large part of the kernel that nobody needs (af_alg). */
static const uint64_t denied_families[] = { AF_ALG, AF_VSOCK };

static bool may(CapSet bounding, int capability)
{
        return capability != NEVER && (bounding >> capability & 1);
}

static void forget(SeccompProfile *seccomp, const char *name)
{
        for (size_t i = 0; i < seccomp->n_rules; i++) {
                StrList *names = &seccomp->rules[i].names;

                for (size_t k = names->n_items; k-- > 0;)
                        if (streq(names->items[k], name))
                                strlist_remove(names, k);
        }
}

static SeccompRule *add_rule(SeccompProfile *seccomp, const char *name, const char *action, int64_t errno_ret)
{
        SeccompRule *rule;

        seccomp->rules = xreallocarray(seccomp->rules, seccomp->n_rules + 1, sizeof(*seccomp->rules));
        rule = &seccomp->rules[seccomp->n_rules++];
        *rule = (SeccompRule){ .action = xstrdup(action), .errno_ret = errno_ret };
        strlist_add(&rule->names, name);
        return rule;
}

static void set_condition(SeccompRule *rule, uint64_t index, const char *op, uint64_t value, uint64_t value_two)
{
        rule->args = NEW_ARRAY(SeccompArg, 1);
        rule->n_args = 1;
        rule->args[0] = (SeccompArg){ .index = index, .value = value, .value_two = value_two, .op = xstrdup(op) };
}

/* New processes, but no new namespaces; clone3 has its flags in memory, where no filter can look: without it the C library falls back to clone. */
static void deny_namespaces(SeccompProfile *seccomp, uint64_t flags_index)
{
        uint64_t all = 0;

        forget(seccomp, "clone");
        forget(seccomp, "clone3");
        for (size_t i = 0; i < ARRAY_LEN(namespace_flags); i++) {
                set_condition(add_rule(seccomp, "clone", "SCMP_ACT_ERRNO", EPERM), flags_index, "SCMP_CMP_MASKED_EQ", namespace_flags[i], namespace_flags[i]);
                all |= namespace_flags[i];
        }
        set_condition(add_rule(seccomp, "clone", "SCMP_ACT_ALLOW", -1), flags_index, "SCMP_CMP_MASKED_EQ", all, 0);
        add_rule(seccomp, "clone3", "SCMP_ACT_ERRNO", ENOSYS);
}

static bool is_allowed_outright(const SeccompProfile *seccomp, const char *name)
{
        for (size_t i = 0; i < seccomp->n_rules; i++)
                if (seccomp->rules[i].n_args == 0 && streq(seccomp->rules[i].action, "SCMP_ACT_ALLOW") && strlist_has(&seccomp->rules[i].names, name))
                        return true;
        return false;
}

/* Every family but the denied ones, which are in ascending order. */
static void deny_families(SeccompProfile *seccomp)
{
        forget(seccomp, "socket");
        set_condition(add_rule(seccomp, "socket", "SCMP_ACT_ALLOW", -1), 0, "SCMP_CMP_LT", denied_families[0], 0);
        for (size_t i = 0; i < ARRAY_LEN(denied_families); i++)
                set_condition(add_rule(seccomp, "socket", "SCMP_ACT_ERRNO", EPERM), 0, "SCMP_CMP_EQ", denied_families[i], 0);
        for (uint64_t family = denied_families[0] + 1; family < denied_families[ARRAY_LEN(denied_families) - 1]; family++)
                set_condition(add_rule(seccomp, "socket", "SCMP_ACT_ALLOW", -1), 0, "SCMP_CMP_EQ", family, 0);
        set_condition(add_rule(seccomp, "socket", "SCMP_ACT_ALLOW", -1), 0, "SCMP_CMP_GT", denied_families[ARRAY_LEN(denied_families) - 1], 0);
}

void seccomp_profile_tighten(SeccompProfile *seccomp, CapSet bounding)
{
        bool s390 = seccomp->architectures.n_items > 0 && str_starts(seccomp->architectures.items[0], "SCMP_ARCH_S390");

        for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
                if (may(bounding, denied[i].capability))
                        continue;
                for (size_t k = 0; k < ARRAY_LEN(denied[i].names) && denied[i].names[k]; k++) {
                        forget(seccomp, denied[i].names[k]);
                        add_rule(seccomp, denied[i].names[k], "SCMP_ACT_ERRNO", EPERM);
                }
        }
        if (!may(bounding, CAP_SYS_ADMIN))
                deny_namespaces(seccomp, s390 ? 1 : 0);
        if (is_allowed_outright(seccomp, "socket")) /* without CAP_AUDIT_WRITE the profile has conditions of its own */
                deny_families(seccomp);
}
