#include "cli/run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "json/json.h"

#define ENV_FILE_MAX ((size_t)1 << 20)

#define FIELD(member) offsetof(RunFlags, member)

const Option run_shared_options[] = {
        { "add-host", 0, OPTION_LIST, FIELD(add_hosts), .help = "Add a custom host-to-IP mapping (host:ip)" },
        { "annotation", 0, OPTION_LIST, FIELD(annotations), .meta = "map", .help = "Add an annotation to the container (passed through to the OCI runtime)" },
        { "attach", 'a', OPTION_LIST, FIELD(attach), .help = "Attach to STDIN, STDOUT or STDERR", .choices = "stdin|stdout|stderr" },
        { "cap-add", 0, OPTION_LIST, FIELD(cap_add), .help = "Add Linux capabilities" },
        { "cap-drop", 0, OPTION_LIST, FIELD(cap_drop), .help = "Drop Linux capabilities" },
        { "cgroup-parent", 0, OPTION_STRING, FIELD(cgroup_parent), .help = "Optional parent cgroup for the container" },
        { "cidfile", 0, OPTION_STRING, FIELD(cidfile), .help = "Write the container ID to the file", .flags = OPTION_FILE },
        { "cpu-period", 0, OPTION_INT, FIELD(cpu_period), .help = "Limit CPU CFS (Completely Fair Scheduler) period" },
        { "cpu-quota", 0, OPTION_INT, FIELD(cpu_quota), .help = "Limit CPU CFS (Completely Fair Scheduler) quota" },
        { "cpu-shares", 'c', OPTION_INT, FIELD(cpu_shares), .help = "CPU shares (relative weight)" },
        { "cpus", 0, OPTION_DECIMAL, FIELD(cpus), .help = "Number of CPUs" },
        { "cpuset-cpus", 0, OPTION_STRING, FIELD(cpuset_cpus), .help = "CPUs in which to allow execution (0-3, 0,1)" },
        { "cpuset-mems", 0, OPTION_STRING, FIELD(cpuset_mems), .help = "MEMs in which to allow execution (0-3, 0,1)" },
        { "device", 0, OPTION_LIST, FIELD(devices), .help = "Add a host device to the container" },
        { "dns", 0, OPTION_LIST, FIELD(dns), .help = "Set custom DNS servers" },
        { "dns-option", 0, OPTION_LIST, FIELD(dns_options), .help = "Set DNS options" },
        { "dns-search", 0, OPTION_LIST, FIELD(dns_search), .help = "Set custom DNS search domains" },
        { "domainname", 0, OPTION_STRING, FIELD(domainname), .help = "Container NIS domain name" },
        { "entrypoint", 0, OPTION_STRING, FIELD(entrypoint), .help = "Overwrite the default ENTRYPOINT of the image" },
        { "env", 'e', OPTION_LIST, FIELD(env), .help = "Set environment variables" },
        { "env-file", 0, OPTION_LIST, FIELD(env_files), .help = "Read in a file of environment variables", .flags = OPTION_FILE },
        { "expose", 0, OPTION_LIST, FIELD(expose), .help = "Expose a port or a range of ports" },
        { "group-add", 0, OPTION_LIST, FIELD(group_add), .help = "Add additional groups to join" },
        { "health-cmd", 0, OPTION_STRING, FIELD(health_cmd), .help = "Command to run to check health" },
        { "health-interval", 0, OPTION_DURATION, FIELD(health_interval), .help = "Time between running the check (ms|s|m|h)" },
        { "health-retries", 0, OPTION_INT, FIELD(health_retries), .help = "Consecutive failures needed to report unhealthy" },
        { "health-start-interval", 0, OPTION_DURATION, FIELD(health_start_interval),
          .help = "Time between running the check during the start period (ms|s|m|h)" },
        { "health-start-period", 0, OPTION_DURATION, FIELD(health_start_period), .help = "Time for the container to start before failures count (ms|s|m|h)" },
        { "health-timeout", 0, OPTION_DURATION, FIELD(health_timeout), .help = "Maximum time to allow one check to run (ms|s|m|h)" },
        { "hostname", 'h', OPTION_STRING, FIELD(hostname), .help = "Container host name" },
        { "init", 0, OPTION_BOOL, FIELD(init), .help = "Run an init inside the container that forwards signals and reaps processes" },
        { "interactive", 'i', OPTION_BOOL, FIELD(interactive), .help = "Keep STDIN open even if not attached" },
        { "ipc", 0, OPTION_STRING, FIELD(ipc), .help = "IPC mode to use" },
        { "label", 'l', OPTION_LIST, FIELD(labels), .help = "Set meta data on a container" },
        { "label-file", 0, OPTION_LIST, FIELD(label_files), .help = "Read in a line delimited file of labels", .flags = OPTION_FILE },
        { "log-driver", 0, OPTION_STRING, FIELD(log_driver), .help = "Logging driver for the container", .choices = "json-file|none" },
        { "log-opt", 0, OPTION_LIST, FIELD(log_opts), .help = "Log driver options" },
        { "memory", 'm', OPTION_SIZE, FIELD(memory), .help = "Memory limit" },
        { "memory-reservation", 0, OPTION_SIZE, FIELD(memory_reservation), .help = "Memory soft limit" },
        { "memory-swap", 0, OPTION_SIZE, FIELD(memory_swap), .help = "Swap limit equal to memory plus swap: '-1' to enable unlimited swap" },
        { "mount", 0, OPTION_LIST, FIELD(mounts), .meta = "mount", .help = "Attach a filesystem mount to the container" },
        { "name", 0, OPTION_STRING, FIELD(name), .help = "Assign a name to the container" },
        { "net", 0, OPTION_STRING, FIELD(network), .help = "Connect a container to a network", .choices = "host|none", .flags = OPTION_HIDDEN },
        { "network", 0, OPTION_STRING, FIELD(network), .meta = "network", .help = "Connect a container to a network", .choices = "host|none" },
        { "no-healthcheck", 0, OPTION_BOOL, FIELD(no_healthcheck), .help = "Disable any container-specified HEALTHCHECK" },
        { "oom-score-adj", 0, OPTION_INT, FIELD(oom_score_adj), .help = "Tune host's OOM preferences (-1000 to 1000)" },
        { "pid", 0, OPTION_STRING, FIELD(pid), .help = "PID namespace to use" },
        { "pids-limit", 0, OPTION_INT, FIELD(pids_limit), .help = "Tune container pids limit (set -1 for unlimited)" },
        { "platform", 0, OPTION_STRING, FIELD(platform), .help = "Choose the platform of an image that has several" },
        { "privileged", 0, OPTION_BOOL, FIELD(privileged), .help = "Give extended privileges to this container" },
        { "publish", 'p', OPTION_LIST, FIELD(publish), .help = "Publish a container's port(s) to the host" },
        { "publish-all", 'P', OPTION_BOOL, FIELD(publish_all), .help = "Publish all exposed ports to random ports" },
        { "pull", 0, OPTION_STRING, FIELD(pull), .help = "Pull image before running (missing, never)", .value = "missing", .choices = "missing|never" },
        { "quiet", 'q', OPTION_BOOL, FIELD(quiet), .help = "Suppress the pull output" },
        { "read-only", 0, OPTION_BOOL, FIELD(read_only), .help = "Mount the container's root filesystem as read only" },
        { "restart", 0, OPTION_STRING, FIELD(restart), .help = "Restart policy to apply when a container exits", .value = "no",
          .choices = "no|always|on-failure|unless-stopped" },
        { "rm", 0, OPTION_BOOL, FIELD(rm), .help = "Automatically remove the container and its anonymous volumes when it exits" },
        { "runtime", 0, OPTION_STRING, FIELD(runtime), .help = "Runtime to use for this container", .choices = "crun|runc" },
        { "security-opt", 0, OPTION_LIST, FIELD(security_opts), .help = "Security options" },
        { "shm-size", 0, OPTION_SIZE, FIELD(shm_size), .help = "Size of /dev/shm" },
        { "stop-signal", 0, OPTION_STRING, FIELD(stop_signal), .help = "Signal to stop the container" },
        { "stop-timeout", 0, OPTION_INT, FIELD(stop_timeout), .help = "Timeout (in seconds) to stop a container" },
        { "sysctl", 0, OPTION_LIST, FIELD(sysctls), .meta = "map", .help = "Sysctl options" },
        { "tmpfs", 0, OPTION_LIST, FIELD(tmpfs), .help = "Mount a tmpfs directory" },
        { "tty", 't', OPTION_BOOL, FIELD(tty), .help = "Allocate a pseudo-TTY" },
        { "ulimit", 0, OPTION_LIST, FIELD(ulimits), .meta = "ulimit", .help = "Ulimit options" },
        { "user", 'u', OPTION_STRING, FIELD(user), .help = "Username or UID (format: <name|uid>[:<group|gid>])" },
        { "uts", 0, OPTION_STRING, FIELD(uts), .help = "UTS namespace to use" },
        { "volume", 'v', OPTION_LIST, FIELD(volumes), .help = "Bind mount a volume" },
        { "volumes-from", 0, OPTION_LIST, FIELD(volumes_from), .help = "Mount volumes from the specified container(s)" },
        { "workdir", 'w', OPTION_STRING, FIELD(workdir), .help = "Working directory inside the container" },
        OPTION_TABLE_END,
};

/* --- environment and labels --- */

/* `removes`: a "NAME" that we do not have is kept, and takes the variable away from the image or the container (docker's -e, but not its --env-file). */
static int add_env(StrList *env, const char *item, bool removes, Error *err)
{
        const char *equals = strchr(item, '='), *value;

        if (equals == item || !*item)
                return error_set(err, ERROR_INVALID, "invalid environment variable: %s", item);
        if (equals) {
                _cleanup_free_ char *name = xstrndup(item, (size_t)(equals - item));

                strlist_env_set(env, name, equals + 1);
                return 0;
        }
        value = getenv(item);
        if (value)
                strlist_env_set(env, item, value);
        else
                strlist_env_unset(env, item);
        if (!value && removes)
                strlist_add(env, item);
        return 0;
}

/* Calls `each` for every line of a file that is neither empty nor a comment. */
static int each_line(const char *path, int (*each)(void *user, const char *line, Error *err), void *user, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(ENV_FILE_MAX);
        int r = file_read(AT_FDCWD, path, &text);
        unsigned number = 0;

        if (r < 0)
                return error_errno(err, r, "cannot read '%s'", path);
        /* Editors of Windows begin a file with a mark that is not part of the first name */
        for (char *line = text.data && str_starts(text.data, "\xef\xbb\xbf") ? text.data + 3 : text.data, *next; line && *line; line = next) {
                size_t size = strcspn(line, "\n");

                next = line + size + (line[size] == '\n');
                line[size] = '\0';
                number++;
                if (size && line[size - 1] == '\r')
                        line[size - 1] = '\0';
                if (!str_is_utf8(line, strlen(line)))
                        return error_set(err, ERROR_INVALID, "'%s', line %u: not UTF-8", path, number);
                line += strspn(line, " \t");
                if (*line && *line != '#' && each(user, line, err) < 0)
                        return error_wrap(err, "'%s', line %u", path, number);
        }
        return 0;
}

static int env_line(void *user, const char *line, Error *err)
{
        size_t name = strcspn(line, "=");

        if (strcspn(line, " \t") < name)
                return error_set(err, ERROR_INVALID, "variable '%.*s' contains whitespaces", (int)name, line);
        return add_env(user, line, false, err);
}

int env_from_options(const StrList *files, const StrList *items, StrList *env, Error *err)
{
        for (size_t i = 0; i < files->n_items; i++)
                if (each_line(files->items[i], env_line, env, err) < 0)
                        return -1;
        for (size_t i = 0; i < items->n_items; i++)
                if (add_env(env, items->items[i], true, err) < 0)
                        return -1;
        return 0;
}

static void set_pair(StringMap *map, const char *item)
{
        const char *equals = strchr(item, '=');
        _cleanup_free_ char *key = equals ? xstrndup(item, (size_t)(equals - item)) : xstrdup(item);

        string_map_set(map, key, equals ? equals + 1 : "");
}

static int label_line(void *user, const char *line, Error *err)
{
        if (!*line || *line == '=')
                return error_set(err, ERROR_INVALID, "invalid label '%s': empty name", line);
        set_pair(user, line);
        return 0;
}

static int set_labels(const RunFlags *flags, StringMap *labels, Error *err)
{
        for (size_t i = 0; i < flags->label_files.n_items; i++)
                if (each_line(flags->label_files.items[i], label_line, labels, err) < 0)
                        return -1;
        for (size_t i = 0; i < flags->labels.n_items; i++)
                if (label_line(labels, flags->labels.items[i], err) < 0)
                        return -1;
        return 0;
}

/* --- the rest --- */

static int set_health(const RunFlags *flags, ContainerSpec *spec, Error *err)
{
        bool any = flags->health_cmd || flags->health_interval || flags->health_retries || flags->health_start_interval || flags->health_start_period ||
                   flags->health_timeout;
        HealthConfig *health;

        if (!any && !flags->no_healthcheck)
                return 0;
        if (any && flags->no_healthcheck)
                return error_set(err, ERROR_INVALID, "--no-healthcheck conflicts with --health-* options");
        if (flags->health_interval < 0 || flags->health_timeout < 0 || flags->health_start_period < 0 || flags->health_start_interval < 0 ||
            flags->health_retries < 0)
                return error_set(err, ERROR_INVALID, "--health-* options cannot be negative");
        health = NEW(HealthConfig);
        spec->config.healthcheck = health;
        if (flags->no_healthcheck) {
                strlist_add(&health->test, "NONE");
                return 0;
        }
        if (flags->health_cmd) {
                strlist_add(&health->test, "CMD-SHELL");
                strlist_add(&health->test, flags->health_cmd);
        }
        health->interval = flags->health_interval;
        health->timeout = flags->health_timeout;
        health->start_period = flags->health_start_period;
        health->start_interval = flags->health_start_interval;
        health->retries = flags->health_retries;
        return 0;
}

static int set_attach(const RunFlags *flags, ContainerConfig *config, Error *err)
{
        for (size_t i = 0; i < flags->attach.n_items; i++) {
                _cleanup_free_ char *name = str_lower(flags->attach.items[i]);

                if (streq(name, "stdin"))
                        config->attach_stdin = true;
                else if (streq(name, "stdout"))
                        config->attach_stdout = true;
                else if (streq(name, "stderr"))
                        config->attach_stderr = true;
                else
                        return error_set(err, ERROR_INVALID, "invalid argument \"%s\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR",
                                         flags->attach.items[i]);
        }
        if (flags->attach.n_items == 0 && !flags->detach) {
                config->attach_stdout = config->attach_stderr = true;
                config->attach_stdin = flags->interactive;
        }
        config->open_stdin = flags->interactive;
        config->stdin_once = flags->interactive && config->attach_stdin;
        config->tty = flags->tty;
        return 0;
}

static int add_each(ContainerSpec *spec, const StrList *items, int (*add)(ContainerSpec *spec, const char *text, Error *err), Error *err)
{
        for (size_t i = 0; i < items->n_items; i++)
                if (add(spec, items->items[i], err) < 0)
                        return -1;
        return 0;
}

static void set_pairs(StringMap *map, const StrList *items)
{
        for (size_t i = 0; i < items->n_items; i++)
                set_pair(map, items->items[i]);
}

static void set_host(const RunFlags *flags, HostConfig *host)
{
        host->container_id_file = xstrdup_or_null(flags->cidfile);
        host->log_config.type = xstrdup_or_null(flags->log_driver);
        set_pairs(&host->log_config.config, &flags->log_opts);
        host->network_mode = xstrdup_or_null(flags->network);
        host->auto_remove = flags->rm;
        strlist_copy(&host->volumes_from, &flags->volumes_from);
        strlist_copy(&host->cap_add, &flags->cap_add);
        strlist_copy(&host->cap_drop, &flags->cap_drop);
        strlist_copy(&host->dns, &flags->dns);
        strlist_copy(&host->dns_options, &flags->dns_options);
        strlist_copy(&host->dns_search, &flags->dns_search);
        strlist_copy(&host->group_add, &flags->group_add);
        host->ipc_mode = xstrdup_or_null(flags->ipc);
        host->pid_mode = xstrdup_or_null(flags->pid);
        host->uts_mode = xstrdup_or_null(flags->uts);
        host->privileged = flags->privileged;
        host->readonly_rootfs = flags->read_only;
        strlist_copy(&host->security_opt, &flags->security_opts);
        host->shm_size = flags->shm_size;
        set_pairs(&host->sysctls, &flags->sysctls);
        host->runtime = xstrdup_or_null(flags->runtime);
        host->cgroup_parent = xstrdup_or_null(flags->cgroup_parent);
        host->cpu_shares = flags->cpu_shares;
        host->cpu_period = flags->cpu_period;
        host->cpu_quota = flags->cpu_quota;
        host->nano_cpus = flags->cpus;
        host->cpuset_cpus = xstrdup_or_null(flags->cpuset_cpus);
        host->cpuset_mems = xstrdup_or_null(flags->cpuset_mems);
        host->memory = flags->memory;
        host->memory_reservation = flags->memory_reservation;
        host->memory_swap = flags->memory_swap;
        host->pids_limit = flags->pids_limit;
        host->oom_score_adj = flags->oom_score_adj;
        host->init = flags->init;
        set_pairs(&host->annotations, &flags->annotations);
}

int run_flags_to_spec(const RunFlags *flags, const StrList *given, const StrList *args, ContainerSpec *spec, Error *err)
{
        ContainerConfig *config = &spec->config;

        if (run_flags_check(flags, given, err) < 0)
                return -1;
        spec->name = str_empty(flags->name) ? NULL : xstrdup(flags->name); /* --name "$NAME" */
        spec->platform = xstrdup_or_null(flags->platform);
        config->image = xstrdup(args->items[0]);
        for (size_t i = 1; i < args->n_items; i++)
                strlist_add(&config->cmd, args->items[i]);
        config->hostname = xstrdup_or_null(flags->hostname);
        config->domainname = xstrdup_or_null(flags->domainname);
        config->user = xstrdup_or_null(flags->user);
        config->working_dir = xstrdup_or_null(flags->workdir);
        config->stop_signal = xstrdup_or_null(flags->stop_signal);
        if (flags->entrypoint)
                strlist_add(&config->entrypoint, flags->entrypoint);
        if (strlist_has(given, "stop-timeout")) {
                config->stop_timeout = NEW(int64_t);
                *config->stop_timeout = flags->stop_timeout;
        }
        set_host(flags, &spec->host);
        if (env_from_options(&flags->env_files, &flags->env, &config->env, err) < 0 || set_labels(flags, &config->labels, err) < 0 ||
            run_ports_to_spec(flags, spec, err) < 0 || set_health(flags, spec, err) < 0 || set_attach(flags, config, err) < 0)
                return -1;
        if (add_each(spec, &flags->add_hosts, container_spec_add_host, err) < 0 || add_each(spec, &flags->volumes, container_spec_add_volume, err) < 0 ||
            add_each(spec, &flags->mounts, container_spec_add_mount, err) < 0 || add_each(spec, &flags->tmpfs, container_spec_add_tmpfs, err) < 0 ||
            add_each(spec, &flags->devices, container_spec_add_device, err) < 0 || add_each(spec, &flags->ulimits, container_spec_add_ulimit, err) < 0)
                return -1;
        return container_spec_set_restart(spec, flags->restart, err);
}
