/*
 * config.json of an OCI bundle (runtime-spec 1.0.2 config.md and config-linux.md), with docker's defaults: moby's oci/defaults.go says which mounts, devices,
 * masked and read-only paths those are.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/userns.h"
#include "runtime/private.h"
#include "runtime/seccomp_profile.h"

#define DEFAULT_SHM_SIZE (64 * MIB)
#define TTY_GROUP "gid=5" /* Debian's and most others' */

static const struct DefaultMount {
        const char *target, *type, *source;
        const char *options[8];
} default_mounts[] = {
        { "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
        { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
        { "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", TTY_GROUP } },
        { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
        { "/sys/fs/cgroup", "cgroup", "cgroup", { "ro", "nosuid", "noexec", "nodev" } },
        { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
        { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777" } }, /* and size= */
};

static const char *const masked_paths[] = {
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
};

static const char *const read_only_paths[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };

static const struct LimitName {
        const char *name, *oci;
        int resource;
} limit_names[] = {
        { "as", "RLIMIT_AS", RLIMIT_AS },
        { "core", "RLIMIT_CORE", RLIMIT_CORE },
        { "cpu", "RLIMIT_CPU", RLIMIT_CPU },
        { "data", "RLIMIT_DATA", RLIMIT_DATA },
        { "fsize", "RLIMIT_FSIZE", RLIMIT_FSIZE },
        { "locks", "RLIMIT_LOCKS", RLIMIT_LOCKS },
        { "memlock", "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK },
        { "msgqueue", "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
        { "nice", "RLIMIT_NICE", RLIMIT_NICE },
        { "nofile", "RLIMIT_NOFILE", RLIMIT_NOFILE },
        { "nproc", "RLIMIT_NPROC", RLIMIT_NPROC },
        { "rss", "RLIMIT_RSS", RLIMIT_RSS },
        { "rtprio", "RLIMIT_RTPRIO", RLIMIT_RTPRIO },
        { "rttime", "RLIMIT_RTTIME", RLIMIT_RTTIME },
        { "sigpending", "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
        { "stack", "RLIMIT_STACK", RLIMIT_STACK },
};

static void write_names(JsonWriter *writer, const char *key, const char *const *items, size_t n)
{
        json_writer_key(writer, key);
        json_writer_begin_array(writer);
        for (size_t i = 0; i < n; i++)
                json_writer_string(writer, items[i]);
        json_writer_end_array(writer);
}

/* --- process --- */

static void write_capability_list(JsonWriter *writer, const char *key, CapSet set)
{
        json_writer_key(writer, key);
        json_writer_begin_array(writer);
        for (unsigned i = 0; capability_name(i); i++)
                if (set >> i & 1)
                        json_writer_string(writer, capability_name(i));
        json_writer_end_array(writer);
}

/* As moby's oci.SetCapabilities: what execve(2) would leave a user who is not root is nothing, so only the bounding set is given. */
static void write_capabilities(JsonWriter *writer, CapSet set, bool root)
{
        json_writer_key(writer, "capabilities");
        json_writer_begin_object(writer);
        write_capability_list(writer, "bounding", set);
        if (root) {
                write_capability_list(writer, "effective", set);
                write_capability_list(writer, "permitted", set);
        }
        json_writer_end_object(writer);
}

static int write_limits(JsonWriter *writer, const RunSpec *spec, CapSet own, Error *err)
{
        json_writer_key(writer, "rlimits");
        json_writer_begin_array(writer);
        for (size_t i = 0; i < spec->n_limits; i++) {
                const RunLimit *limit = &spec->limits[i];
                uint64_t soft = limit->soft, hard = MAX(limit->soft, limit->hard);
                const struct LimitName *name = NULL;
                struct rlimit ours;

                for (size_t k = 0; k < ARRAY_LEN(limit_names) && !name; k++)
                        if (streq(limit_names[k].name, limit->name))
                                name = &limit_names[k];
                if (!name)
                        return error_set(err, ERROR_INVALID, "invalid ulimit type: '%s'", limit->name);
                if ((!(own >> CAP_SYS_RESOURCE & 1) || userns_inside()) && getrlimit((unsigned)name->resource, &ours) == 0 && hard > ours.rlim_max) {
                        log_debug("ulimit %s is %ju instead of %ju: this process may not raise it", limit->name, (uintmax_t)ours.rlim_max, (uintmax_t)hard);
                        hard = ours.rlim_max;
                        soft = MIN(soft, hard);
                }
                json_writer_begin_object(writer);
                json_writer_member_string(writer, "type", name->oci);
                json_writer_member_uint(writer, "hard", hard);
                json_writer_member_uint(writer, "soft", soft);
                json_writer_end_object(writer);
        }
        json_writer_end_array(writer);
        return 0;
}

/* Without root's rights the kernel lets a process only become a likelier victim than it is. */
static int64_t possible_oom_score_adj(int64_t wanted)
{
        _cleanup_buf_ Buf text = BUF_INIT(64);
        int64_t current;

        if (!userns_inside() || file_read(AT_FDCWD, "/proc/self/oom_score_adj", &text) < 0)
                return wanted;
        current = strtol(buf_str(&text), NULL, 10);
        if (wanted < current)
                log_debug("the score for the lack of memory is %jd instead of %jd: this process may not lower it", (intmax_t)current, (intmax_t)wanted);
        return MAX(wanted, current);
}

static int check_user(const RunSpec *spec, Error *err)
{
        _cleanup_free_ char *advice = NULL;

        if (userns_has_uid(spec->uid) && userns_has_gid(spec->gid))
                return 0;
        advice = userns_advice();
        return error_set(err, ERROR_UNSUPPORTED, "cannot run as user %u of group %u, which are not among your ids: %s", spec->uid, spec->gid, advice);
}

/* Also the whole of the file that `exec --process` takes. */
static int write_process(JsonWriter *writer, const RunSpec *spec, CapSet capabilities, CapSet own, bool with_init, Error *err)
{
        if (check_user(spec, err) < 0)
                return -1;
        json_writer_begin_object(writer);
        json_writer_member_bool(writer, "terminal", spec->terminal);
        if (spec->terminal && spec->terminal_rows && spec->terminal_columns) {
                json_writer_key(writer, "consoleSize");
                json_writer_begin_object(writer);
                json_writer_member_uint(writer, "height", spec->terminal_rows);
                json_writer_member_uint(writer, "width", spec->terminal_columns);
                json_writer_end_object(writer);
        }
        json_writer_key(writer, "user");
        json_writer_begin_object(writer);
        json_writer_member_uint(writer, "uid", spec->uid);
        json_writer_member_uint(writer, "gid", spec->gid);
        if (spec->umask)
                json_writer_member_uint(writer, "umask", spec->umask);
        /* The group itself is one of them, as docker and BuildKit have it: programs that look only there find it. */
        json_writer_key(writer, "additionalGids");
        json_writer_begin_array(writer);
        json_writer_uint(writer, spec->gid);
        for (size_t i = 0; i < spec->n_groups; i++)
                if (spec->groups[i] != spec->gid && userns_has_gid(spec->groups[i]))
                        json_writer_uint(writer, spec->groups[i]);
        json_writer_end_array(writer);
        json_writer_end_object(writer);
        json_writer_key(writer, "args");
        json_writer_begin_array(writer);
        if (with_init) {
                json_writer_string(writer, RUNTIME_INIT_TARGET);
                json_writer_string(writer, "--");
        }
        for (size_t i = 0; i < spec->args.n_items; i++)
                json_writer_string(writer, spec->args.items[i]);
        json_writer_end_array(writer);
        json_writer_key(writer, "env");
        json_writer_strings(writer, &spec->env);
        json_writer_member_string(writer, "cwd", str_empty(spec->cwd) ? "/" : spec->cwd);
        write_capabilities(writer, capabilities, spec->uid == 0);
        if (write_limits(writer, spec, own, err) < 0)
                return -1;
        json_writer_member_bool(writer, "noNewPrivileges", spec->no_new_privileges);
        if (spec->oom_score_adj)
                json_writer_member_int(writer, "oomScoreAdj", possible_oom_score_adj(spec->oom_score_adj));
        json_writer_end_object(writer);
        return 0;
}

/* --- mounts --- */

static void write_mount(JsonWriter *writer, const char *target, const char *type, const char *source, const char *const *options, size_t n, const char *extra)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "destination", target);
        json_writer_member_string(writer, "type", type);
        json_writer_member_string(writer, "source", source ? source : type);
        json_writer_key(writer, "options");
        json_writer_begin_array(writer);
        for (size_t i = 0; i < n && options[i]; i++)
                json_writer_string(writer, options[i]);
        if (extra)
                json_writer_string(writer, extra);
        json_writer_end_array(writer);
        json_writer_end_object(writer);
}

static bool spec_mounts_on(const RunSpec *spec, const char *target)
{
        for (size_t i = 0; i < spec->n_mounts; i++)
                if (streq(spec->mounts[i].target, target))
                        return true;
        return false;
}

/*
 * What is the host's own is bound instead of mounted. A user namespace may mount /proc, /sys and message queues only of a process, network or IPC namespace of
 * its own: the host's can but be bound there, when the host has them.
 */
static bool is_bound(const Runtime *runtime, const RunSpec *spec, const struct DefaultMount *mount)
{
        if (streq(mount->type, "proc"))
                return runtime->user_namespace && spec->host_pid;
        if (streq(mount->type, "sysfs"))
                return runtime->user_namespace && spec->network == RUN_NETWORK_HOST;
        if (streq(mount->type, "mqueue")) /* the queues are those of the namespace, wherever they are mounted */
                return runtime->user_namespace && spec->host_ipc;
        return spec->host_ipc && streq(mount->target, "/dev/shm");
}

static void write_default_mounts(JsonWriter *writer, const Runtime *runtime, const RunSpec *spec)
{
        for (size_t i = 0; i < ARRAY_LEN(default_mounts); i++) {
                const struct DefaultMount *mount = &default_mounts[i];
                bool bound = is_bound(runtime, spec, mount);
                const char *options[ARRAY_LEN(mount->options) + 1];
                _cleanup_free_ char *size = NULL;
                size_t n = 0;

                if (spec_mounts_on(spec, mount->target) || (spec->no_default_mounts && i > 1))
                        continue;
                if (streq(mount->type, "cgroup") && runtime->cgroups.mode == CGROUP_NONE)
                        continue;
                if (bound && access(mount->target, F_OK) < 0)
                        continue;
                if (bound)
                        options[n++] = "rbind";
                else if (streq(mount->target, "/dev/shm"))
                        size = xasprintf("size=%ju", (uintmax_t)(spec->shm_size ? spec->shm_size : DEFAULT_SHM_SIZE));
                for (size_t k = 0; k < ARRAY_LEN(mount->options) && mount->options[k]; k++)
                        if (!(spec->privileged && streq(mount->options[k], "ro")) && !(streq(mount->options[k], TTY_GROUP) && !userns_has_gid(5)) &&
                            !(bound && str_starts(mount->options[k], "mode=")))
                                options[n++] = mount->options[k];
                write_mount(writer, mount->target, bound ? "bind" : mount->type, bound ? mount->target : mount->source, options, n, size);
        }
}

/* Parents before what is mounted below them, the order of the caller otherwise: a stable sort by depth. */
static void write_spec_mounts(JsonWriter *writer, const RunSpec *spec)
{
        size_t done = 0;

        for (size_t depth = 0; done < spec->n_mounts; depth++) {
                for (size_t i = 0; i < spec->n_mounts; i++) {
                        const RunMount *mount = &spec->mounts[i];
                        size_t slashes = 0;

                        for (const char *p = mount->target; *p; p++)
                                slashes += *p == '/' && p[1];
                        if (slashes != depth)
                                continue;
                        write_mount(writer, mount->target, mount->type, mount->source, (const char *const *)mount->options.items, mount->options.n_items, NULL);
                        done++;
                }
        }
}

static void write_mounts(JsonWriter *writer, const Runtime *runtime, const RunSpec *spec, const char *init)
{
        json_writer_key(writer, "mounts");
        json_writer_begin_array(writer);
        write_default_mounts(writer, runtime, spec);
        if (init)
                write_mount(writer, RUNTIME_INIT_TARGET, "bind", init, (const char *const[]){ "bind", "ro" }, 2, NULL);
        write_spec_mounts(writer, spec);
        json_writer_end_array(writer);
}

/* --- linux --- */

static bool has_resources(const RunResources *r)
{
        return r->memory || r->memory_reservation || r->memory_swap || r->cpu_quota_us || r->cpu_period_us || r->cpu_shares || r->cpuset_cpus ||
               r->cpuset_mems || r->pids_limit > 0;
}

static int write_resources(JsonWriter *writer, const Runtime *runtime, const RunSpec *spec, Error *err)
{
        const RunResources *r = &spec->resources;

        json_writer_key(writer, "resources");
        json_writer_begin_object(writer);
        if (runtime_write_device_rules(writer, spec, err) < 0)
                return -1;
        if (r->memory || r->memory_reservation || r->memory_swap) {
                json_writer_key(writer, "memory");
                json_writer_begin_object(writer);
                if (r->memory)
                        json_writer_member_int(writer, "limit", r->memory);
                if (r->memory_reservation)
                        json_writer_member_int(writer, "reservation", r->memory_reservation);
                if (r->memory_swap && runtime->cgroups.swap)
                        json_writer_member_int(writer, "swap", r->memory_swap);
                else if (r->memory_swap)
                        log_debug("this kernel has no limit on swap (swapaccount=1): memory is limited without it"); /* as docker */
                json_writer_end_object(writer);
        }
        if (r->cpu_quota_us || r->cpu_period_us || r->cpu_shares || r->cpuset_cpus || r->cpuset_mems) {
                json_writer_key(writer, "cpu");
                json_writer_begin_object(writer);
                if (r->cpu_shares)
                        json_writer_member_uint(writer, "shares", r->cpu_shares);
                if (r->cpu_quota_us)
                        json_writer_member_int(writer, "quota", r->cpu_quota_us);
                if (r->cpu_period_us)
                        json_writer_member_int(writer, "period", r->cpu_period_us);
                if (!str_empty(r->cpuset_cpus))
                        json_writer_member_string(writer, "cpus", r->cpuset_cpus);
                if (!str_empty(r->cpuset_mems))
                        json_writer_member_string(writer, "mems", r->cpuset_mems);
                json_writer_end_object(writer);
        }
        if (r->pids_limit > 0) {
                json_writer_key(writer, "pids");
                json_writer_begin_object(writer);
                json_writer_member_int(writer, "limit", r->pids_limit);
                json_writer_end_object(writer);
        }
        json_writer_end_object(writer);
        return 0;
}

static void write_namespace(JsonWriter *writer, const char *type, const char *path)
{
        json_writer_begin_object(writer);
        json_writer_member_string(writer, "type", type);
        if (path)
                json_writer_member_string(writer, "path", path);
        json_writer_end_object(writer);
}

static void write_namespaces(JsonWriter *writer, const Runtime *runtime, const RunSpec *spec)
{
        json_writer_key(writer, "namespaces");
        json_writer_begin_array(writer);
        write_namespace(writer, "mount", NULL);
        if (!spec->host_pid)
                write_namespace(writer, "pid", NULL);
        if (!spec->host_ipc)
                write_namespace(writer, "ipc", NULL);
        if (!spec->host_uts)
                write_namespace(writer, "uts", NULL);
        if (spec->network == RUN_NETWORK_NONE)
                write_namespace(writer, "network", NULL);
        else if (spec->network == RUN_NETWORK_PATH)
                write_namespace(writer, "network", spec->network_path);
        if (runtime->cgroups.mode == CGROUP_V2 && !spec->privileged)
                write_namespace(writer, "cgroup", NULL);
        json_writer_end_array(writer);
}

static int write_sysctls(JsonWriter *writer, const RunSpec *spec, Error *err)
{
        json_writer_key(writer, "sysctl");
        json_writer_begin_object(writer);
        for (size_t i = 0; i < spec->sysctls.n_items; i++) {
                const char *equals = strchr(spec->sysctls.items[i], '=');
                _cleanup_free_ char *name = NULL;

                if (!equals)
                        return error_set(err, ERROR_INVALID, "invalid sysctl '%s': it must be name=value", spec->sysctls.items[i]);
                name = xstrndup(spec->sysctls.items[i], (size_t)(equals - spec->sysctls.items[i]));
                json_writer_member_string(writer, name, equals + 1);
        }
        json_writer_end_object(writer);
        return 0;
}

static int write_linux(JsonWriter *writer, const Runtime *runtime, const RunSpec *spec, const char *id, CapSet capabilities, bool with_rules, Error *err)
{
        json_writer_key(writer, "linux");
        json_writer_begin_object(writer);
        if (runtime->cgroups.mode != CGROUP_NONE) {
                _cleanup_free_ char *path = cgroup_path(&runtime->cgroups, spec->cgroup_parent, id);

                json_writer_member_string(writer, "cgroupsPath", path);
                if (write_resources(writer, runtime, spec, err) < 0)
                        return -1;
        } else if (has_resources(&spec->resources) && !runtime->user_namespace) { /* there, who sets one is told: runtime_limits_hold() */
                return error_set(err, ERROR_UNSUPPORTED, "limits on memory, processors and processes need a cgroup that mica may write; there is none here");
        }
        write_namespaces(writer, runtime, spec);
        if (runtime_write_devices(writer, spec, err) < 0 || (spec->sysctls.n_items > 0 && write_sysctls(writer, spec, err) < 0))
                return -1;
        if (!spec->privileged && !spec->unmasked) {
                write_names(writer, "maskedPaths", masked_paths, ARRAY_LEN(masked_paths));
                write_names(writer, "readonlyPaths", read_only_paths, ARRAY_LEN(read_only_paths));
        }
        if (with_rules) {
                _cleanup_seccomp_profile_ SeccompProfile rules = { 0 };

                if (seccomp_profile_load(spec->seccomp, capabilities, &rules, err) < 0)
                        return -1;
                json_writer_key(writer, "seccomp");
                seccomp_profile_write(&rules, writer);
        }
        for (size_t i = 0; i < spec->n_mounts; i++) { /* a shared or slave bind needs the same of the root */
                const StrList *options = &spec->mounts[i].options;
                bool shared = strlist_has(options, "shared") || strlist_has(options, "rshared");

                if (shared || strlist_has(options, "slave") || strlist_has(options, "rslave")) {
                        json_writer_member_string(writer, "rootfsPropagation", shared ? "shared" : "slave");
                        break;
                }
        }
        json_writer_end_object(writer);
        return 0;
}

static void write_annotations(JsonWriter *writer, const RunSpec *spec, const char *program)
{
        json_writer_key(writer, "annotations");
        json_writer_begin_object(writer);
        for (size_t i = 0; i < spec->annotations.n_items; i++) {
                const char *equals = strchr(spec->annotations.items[i], '=');
                _cleanup_free_ char *name = equals ? xstrndup(spec->annotations.items[i], (size_t)(equals - spec->annotations.items[i])) : NULL;

                if (name && !str_starts(name, "run.oci.")) /* those steer crun itself */
                        json_writer_member_string(writer, name, equals + 1);
        }
        if (program)
                json_writer_member_string(writer, "run.oci.seccomp_bpf_data", program);
        json_writer_end_object(writer);
}

/* Decides how the seccomp filter travels: *ret_program ready made, or as rules (*ret_rules), or not at all. */
static int choose_seccomp(const Runtime *runtime, const RunSpec *spec, CapSet capabilities, char **ret_program, bool *ret_rules, Error *err)
{
        _cleanup_free_ char *cache = NULL;

        if ((spec->privileged && !spec->seccomp) || streq_ptr(spec->seccomp, "unconfined"))
                return 0;
        if (!runtime->driver->takes_program) {
                *ret_rules = true;
                return 0;
        }
        cache = xasprintf("%s/seccomp", runtime->state_dir);
        if (seccomp_profile_program(spec->seccomp, capabilities, cache, ret_program, err) == 0)
                return 0;
        if (err->code != ERROR_UNSUPPORTED)
                return -1;
        log_debug("the runtime compiles the seccomp profile: %s", error_message(err));
        error_done(err);
        *ret_rules = true;
        return 0;
}

int runtime_config(Runtime *runtime, const RunSpec *spec, const char *id, Buf *buf, Error *err)
{
        _cleanup_free_ char *program = NULL, *init = NULL;
        bool with_rules = false;
        CapSet capabilities;
        JsonWriter writer;

        if (spec->args.n_items == 0)
                return error_set(err, ERROR_INVALID, "no command specified");
        if (capabilities_resolve(&spec->cap_add, &spec->cap_drop, spec->privileged, runtime->capabilities, &capabilities, err) < 0 ||
            choose_seccomp(runtime, spec, capabilities, &program, &with_rules, err) < 0)
                return -1;
        if (spec->init) {
                init = runtime_find_init();
                if (!init)
                        return error_set(err, ERROR_NOT_FOUND,
                                         "there is no init program: install mica's own 'mica-init' beside mica, or the package catatonit or tini");
        }
        json_writer_init(&writer, buf, JSON_WRITE_NO_HTML);
        json_writer_begin_object(&writer);
        json_writer_member_string(&writer, "ociVersion", "1.0.2");
        json_writer_key(&writer, "process");
        if (write_process(&writer, spec, capabilities, runtime->capabilities, init != NULL, err) < 0)
                return -1;
        json_writer_key(&writer, "root");
        json_writer_begin_object(&writer);
        json_writer_member_string(&writer, "path", spec->root);
        json_writer_member_bool(&writer, "readonly", spec->read_only);
        json_writer_end_object(&writer);
        if (!str_empty(spec->hostname) && !spec->host_uts)
                json_writer_member_string(&writer, "hostname", spec->hostname);
        write_mounts(&writer, runtime, spec, init);
        if (write_linux(&writer, runtime, spec, id, capabilities, with_rules, err) < 0)
                return -1;
        write_annotations(&writer, spec, program);
        json_writer_end_object(&writer);
        return json_writer_finish(&writer, err);
}

int runtime_process_config(Runtime *runtime, const RunSpec *spec, Buf *buf, Error *err)
{
        CapSet capabilities;
        JsonWriter writer;

        if (capabilities_resolve(&spec->cap_add, &spec->cap_drop, spec->privileged, runtime->capabilities, &capabilities, err) < 0)
                return -1;
        json_writer_init(&writer, buf, JSON_WRITE_NO_HTML);
        if (write_process(&writer, spec, capabilities, runtime->capabilities, false, err) < 0)
                return -1;
        return json_writer_finish(&writer, err);
}
