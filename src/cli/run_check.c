/*
 * What of run's and create's options does not go together, and what docker has there and mica has not: that is said, and nothing is dropped silently.
 */
#include <string.h>

#include "base/mem.h"
#include "cli/run_options.h"

#define NO_NETWORKS "networks with addresses and names are not there yet, --network host and --network none are"
#define NO_BLKIO "the bandwidth of disks is not limited by mica"
#define NO_REALTIME "processor time of the real-time scheduler is not given by mica"

#define FIELD(member) offsetof(RunFlags, member)
#define NOT_THERE "Not there: "
#define REFUSED(name, why) \
        { \
                name, 0, OPTION_LIST, FIELD(refused), .help = NOT_THERE why, .flags = OPTION_HIDDEN \
        }

/* The help of a REFUSED one says why, or what there is instead. */
const Option run_refused_options[] = {
        REFUSED("blkio-weight", NO_BLKIO),
        REFUSED("blkio-weight-device", NO_BLKIO),
        REFUSED("cgroupns", "a container has a cgroup namespace of its own with cgroup v2, and the host's with v1"),
        REFUSED("cpu-rt-period", NO_REALTIME),
        REFUSED("cpu-rt-runtime", NO_REALTIME),
        REFUSED("device-cgroup-rule", "devices are given by name, with --device"),
        REFUSED("device-read-bps", NO_BLKIO),
        REFUSED("device-read-iops", NO_BLKIO),
        REFUSED("device-write-bps", NO_BLKIO),
        REFUSED("device-write-iops", NO_BLKIO),
        { "disable-content-trust", 0, OPTION_BOOL, FIELD(disable_content_trust), .help = "Skip image verification", .value = "true", .flags = OPTION_HIDDEN },
        REFUSED("gpus", "there are no device drivers: the device files are given with --device"),
        REFUSED("ip", NO_NETWORKS),
        REFUSED("ip6", NO_NETWORKS),
        { "isolation", 0, OPTION_STRING, FIELD(isolation), .help = "Container isolation technology", .flags = OPTION_HIDDEN },
        REFUSED("kernel-memory", "kernels have it no more; --memory counts what the kernel needs as well"),
        REFUSED("link", NO_NETWORKS),
        REFUSED("link-local-ip", NO_NETWORKS),
        REFUSED("mac-address", NO_NETWORKS),
        REFUSED("memory-swappiness", "cgroup v2 does not have it; --memory-swap limits the swap"),
        REFUSED("net-alias", NO_NETWORKS),
        REFUSED("network-alias", NO_NETWORKS),
        { "oom-kill-disable", 0, OPTION_BOOL, FIELD(oom_kill_disable), .help = "Disable OOM Killer", .flags = OPTION_HIDDEN },
        REFUSED("storage-opt", "the size of a writable layer is not limited by mica"),
        { "userns", 0, OPTION_STRING, FIELD(userns), .help = "User namespace to use", .flags = OPTION_HIDDEN },
        { "volume-driver", 0, OPTION_STRING, FIELD(volume_driver), .help = "Optional volume driver for the container", .flags = OPTION_HIDDEN },
        OPTION_TABLE_END,
};

/* What is the default anyway is fine. */
static int check_refused(const RunFlags *flags, const StrList *given, Error *err)
{
        for (const Option *option = run_refused_options; option->name; option++)
                if (option->offset == FIELD(refused) && strlist_has(given, option->name))
                        return error_set(err, ERROR_UNSUPPORTED, "--%s is not there: %s", option->name, str_after(option->help, NOT_THERE));
        if (flags->oom_kill_disable)
                return error_set(err, ERROR_UNSUPPORTED,
                                 "--oom-kill-disable is not there: cgroup v2 does not have it; --oom-score-adj lets others be killed first");
        if (!str_empty(flags->isolation) && !streq(flags->isolation, "default"))
                return error_set(err, ERROR_UNSUPPORTED, "invalid isolation: \"%s\": linux only supports 'default'", flags->isolation);
        if (!str_empty(flags->userns) && !streq(flags->userns, "host"))
                return error_set(err, ERROR_UNSUPPORTED, "--userns: invalid USER mode '%s': it can be host only", flags->userns);
        if (!str_empty(flags->volume_driver) && !streq(flags->volume_driver, "local"))
                return error_set(err, ERROR_UNSUPPORTED, "there is no volume driver '%s': the only one is local", flags->volume_driver);
        return 0;
}

int run_flags_check(const RunFlags *flags, const StrList *given, Error *err)
{
        if (check_refused(flags, given, err) < 0)
                return -1;
        if (flags->cpus && (flags->cpu_period || flags->cpu_quota))
                return error_set(err, ERROR_INVALID, "conflicting options: nano CPUs and CPU period or quota cannot both be set");
        if (flags->rm && flags->restart && !streq(flags->restart, "no") && *flags->restart)
                return error_set(err, ERROR_INVALID, "conflicting options: cannot specify both --restart and --rm");
        if (flags->memory && flags->memory < (int64_t)(6 * MIB))
                return error_set(err, ERROR_INVALID, "minimum memory limit allowed is 6MB");
        if (flags->shm_size < 0 || flags->memory_reservation < 0) /* the parser takes -1 for --memory-swap */
                return error_set(err, ERROR_INVALID, "invalid size '-1' for %s: only --memory-swap can be without a limit",
                                 flags->shm_size < 0 ? "--shm-size" : "--memory-reservation");
        if (flags->memory_swap && !flags->memory)
                return error_set(err, ERROR_INVALID, "you should always set the memory limit when using memoryswap limit, see usage");
        if (flags->oom_score_adj < -1000 || flags->oom_score_adj > 1000)
                return error_set(err, ERROR_INVALID, "invalid value %lld, range for oom score adj is [-1000, 1000]", (long long)flags->oom_score_adj);
        if (streq(flags->pull, "always"))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "--pull always asks a registry, which mica cannot do yet: leave it out, and the image in the store is used ('mica images')");
        if (!streq(flags->pull, "missing") && !streq(flags->pull, "never"))
                return error_set(err, ERROR_INVALID, "invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"", flags->pull);
        if (streq_ptr(flags->uts, "host") && !str_empty(flags->hostname))
                return error_set(err, ERROR_INVALID, "conflicting options: hostname and the UTS mode");
        if (!str_empty(flags->workdir) && *flags->workdir != '/')
                return error_set(err, ERROR_INVALID, "the working directory '%s' is invalid, it needs to be an absolute path", flags->workdir);
        for (size_t i = 0; i < flags->dns.n_items; i++)
                if (!str_is_ip_address(flags->dns.items[i]))
                        return error_set(err, ERROR_INVALID, "invalid argument \"%s\" for \"--dns\" flag: it must be an IP address", flags->dns.items[i]);
        if (flags->detach_keys && detach_keys_check(flags->detach_keys, err) < 0)
                return -1;
        return 0;
}
