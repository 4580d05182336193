#include "runtime/caps.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/mem.h"

/* Indexed by number (linux/capability.h). */
static const char *const names[] = {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_LINUX_IMMUTABLE",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_BROADCAST",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_IPC_LOCK",
        "CAP_IPC_OWNER",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_CHROOT",
        "CAP_SYS_PTRACE",
        "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MKNOD",
        "CAP_LEASE",
        "CAP_AUDIT_WRITE",
        "CAP_AUDIT_CONTROL",
        "CAP_SETFCAP",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
};

#define BIT(cap) (UINT64_C(1) << (cap))

/* moby's daemon: oci/caps/defaults.go names the same fourteen. */
static const CapSet default_set = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) |
                                  BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) |
                                  BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

const char *capability_name(unsigned number)
{
        return number < ARRAY_LEN(names) ? names[number] : NULL;
}

CapSet capabilities_default(void)
{
        return default_set;
}

CapSet capabilities_of_process(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { 0 };
        CapSet set = 0;

        if (syscall(SYS_capget, &header, data) < 0)
                return 0;
        for (unsigned i = 0; i < ARRAY_LEN(names); i++)
                if (prctl(PR_CAPBSET_READ, i) == 1)
                        set |= BIT(i);
        return set & (data[0].permitted | (CapSet)data[1].permitted << 32);
}

/* Sets *ret_all for "ALL", else adds the bit of the name. */
static int parse_names(const StrList *list, const char *what, CapSet *set, bool *ret_all, Error *err)
{
        for (size_t i = 0; i < list->n_items; i++) {
                _cleanup_free_ char *upper = str_upper(list->items[i]);
                const char *bare = str_starts(upper, "CAP_") ? upper + 4 : upper;
                bool found = false;

                if (streq(bare, "ALL")) {
                        *ret_all = true;
                        continue;
                }
                for (unsigned n = 0; n < ARRAY_LEN(names) && !found; n++) {
                        if (!streq(names[n] + 4, bare))
                                continue;
                        *set |= BIT(n);
                        found = true;
                }
                if (!found)
                        return error_set(err, ERROR_INVALID, "invalid capability to %s: unknown capability '%s'", what, list->items[i]);
        }
        return 0;
}

int capabilities_resolve(const StrList *add, const StrList *drop, bool privileged, CapSet own, CapSet *ret, Error *err)
{
        CapSet added = 0, dropped = 0, set;
        bool add_all = false, drop_all = false;

        if (parse_names(add, "add", &added, &add_all, err) < 0 || parse_names(drop, "drop", &dropped, &drop_all, err) < 0)
                return -1;
        if (privileged)
                set = ~UINT64_C(0);
        else if (drop_all)
                set = add_all ? ~UINT64_C(0) : added;
        else
                set = ((add_all ? ~UINT64_C(0) : default_set) & ~dropped) | (add_all ? 0 : added);
        *ret = set & own;
        return 0;
}
