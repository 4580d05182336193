/* From an image's config and the user's wishes to a container's record, as moby's daemon/create.go and runconfig merge them. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "container/private.h"
#include "crypto/random.h"
#include "fs/userns.h"
#include "oci/config.h"
#include "store/rootfs.h"

static void replace(char **to, const char *from)
{
        free(*to);
        *to = xstrdup(from ? from : "");
}

/* The image's variables first, changed and followed by the user's. "NAME" alone takes one away. */
static void merge_env(StrList *env, const StrList *image_env)
{
        StrList merged = { 0 };

        strlist_copy(&merged, image_env);
        if (!strlist_env_get(&merged, "PATH"))
                strlist_env_set(&merged, "PATH", IMAGE_DEFAULT_PATH);
        for (size_t i = 0; i < env->n_items; i++) {
                const char *equals = strchr(env->items[i], '=');
                _cleanup_free_ char *name = equals ? xstrndup(env->items[i], (size_t)(equals - env->items[i])) : xstrdup(env->items[i]);

                if (equals)
                        strlist_env_set(&merged, name, equals + 1);
                else
                        strlist_env_unset(&merged, name);
        }
        strlist_done(env);
        *env = merged;
}

static void merge_sets(StrList *to, const StrList *from)
{
        for (size_t i = 0; i < from->n_items; i++)
                if (!strlist_has(to, from->items[i]))
                        strlist_add(to, from->items[i]);
}

/* runconfig.Merge: an entrypoint given by the user drops the image's command. */
static int merge_command(ContainerConfig *config, const RunConfig *image, Error *err)
{
        bool cleared = config->entrypoint.n_items == 1 && streq(config->entrypoint.items[0], "");

        if (cleared) {
                strlist_done(&config->entrypoint);
        } else if (config->entrypoint.n_items == 0) {
                if (config->cmd.n_items == 0)
                        strlist_copy(&config->cmd, &image->cmd);
                strlist_copy(&config->entrypoint, &image->entrypoint);
        }
        if (config->entrypoint.n_items == 0 && config->cmd.n_items == 0)
                return error_set(err, ERROR_INVALID, "no command specified");
        return 0;
}

static int merge_image(ContainerConfig *config, const RunConfig *image, Error *err)
{
        if (str_empty(config->user))
                replace(&config->user, image->user);
        if (str_empty(config->working_dir))
                replace(&config->working_dir, image->working_dir);
        if (str_empty(config->stop_signal) && !str_empty(image->stop_signal))
                replace(&config->stop_signal, image->stop_signal);
        if (!config->stop_timeout && image->stop_timeout)
                config->stop_timeout = xmemdup(image->stop_timeout, sizeof(*image->stop_timeout));
        if (config->shell.n_items == 0)
                strlist_copy(&config->shell, &image->shell);
        if (!config->healthcheck && image->healthcheck) {
                config->healthcheck = NEW(HealthConfig);
                json_object_copy(health_config_fields, image->healthcheck, config->healthcheck);
        }
        merge_env(&config->env, &image->env);
        merge_sets(&config->volumes, &image->volumes);
        merge_sets(&config->exposed_ports, &image->exposed_ports);
        for (size_t i = 0; i < image->labels.n_items; i++)
                if (!string_map_get(&config->labels, image->labels.items[i].key))
                        string_map_set(&config->labels, image->labels.items[i].key, image->labels.items[i].value);
        return merge_command(config, image, err);
}

static const NetworkMode *find_network(const char *name)
{
        if (str_empty(name) || streq(name, "default"))
                name = CONTAINER_NETWORK_DEFAULT;
        for (size_t i = 0; i < container_n_network_modes; i++)
                if (streq(container_network_modes[i].name, name))
                        return &container_network_modes[i];
        return NULL;
}

static bool publishes(const HostConfig *host)
{
        return host->publish_all_ports || (!str_empty(host->port_bindings) && !streq(host->port_bindings, "{}"));
}

/* What json-file takes in docker. What mica's does not look at (tags, labels) only adds to what another logging driver would send. */
static int check_log(const HostLogConfig *log, Error *err)
{
        static const char *const known[] = { "compress", "env", "env-regex", "labels", "labels-regex", "max-file", "max-size", "tag" };

        for (size_t i = 0; streq(log->type, "json-file") && i < log->config.n_items; i++)
                if (!str_is_one_of(log->config.items[i].key, known, ARRAY_LEN(known)))
                        return error_set(err, ERROR_INVALID, "unknown log opt '%s' for json-file log driver", log->config.items[i].key);
        return 0;
}

static int check_host(HostConfig *host, Error *err)
{
        const NetworkMode *network = find_network(host->network_mode);

        if (!network)
                return error_set(err, ERROR_UNSUPPORTED, "network '%s' is not known: bridge networks are not there yet, --network host and --network none are",
                                 host->network_mode);
        if ((str_empty(host->network_mode) || streq(host->network_mode, "default")) && publishes(host))
                return error_set(err, ERROR_UNSUPPORTED,
                                 "cannot publish ports: bridge networks are not there yet. With --network host the ports that the program listens on are the "
                                 "host's own, and -p is not needed");
        replace(&host->network_mode, network->name);
        if (!str_empty(host->pid_mode) && !streq(host->pid_mode, "host") && !streq(host->pid_mode, "private"))
                return error_set(err, ERROR_UNSUPPORTED, "--pid: invalid PID mode '%s'", host->pid_mode);
        if (!str_empty(host->ipc_mode) && !streq(host->ipc_mode, "host") && !streq(host->ipc_mode, "private") && !streq(host->ipc_mode, "shareable"))
                return error_set(err, ERROR_UNSUPPORTED, "--ipc: invalid IPC mode '%s'", host->ipc_mode);
        if (!str_empty(host->uts_mode) && !streq(host->uts_mode, "host"))
                return error_set(err, ERROR_INVALID, "--uts: invalid UTS mode '%s'", host->uts_mode);
        if (host->memory && host->memory < 6 * (int64_t)MIB)
                return error_set(err, ERROR_INVALID, "Minimum memory limit allowed is 6MB");
        if (host->memory_swap > 0 && host->memory_swap < host->memory)
                return error_set(err, ERROR_INVALID, "Minimum memoryswap limit should be larger than memory limit, see usage");
        if (host->memory_swap > 0 && host->memory == 0)
                return error_set(err, ERROR_INVALID, "You should always set the Memory limit when using Memoryswap limit, see usage");
        if (host->memory > 0 && host->memory_reservation > host->memory)
                return error_set(err, ERROR_INVALID, "Minimum memory limit can not be less than memory reservation limit, see usage");
        if (host->nano_cpus < 0 || host->nano_cpus > sysconf(_SC_NPROCESSORS_ONLN) * INT64_C(1000000000) || (host->nano_cpus && host->nano_cpus < 10000000))
                return error_set(err, ERROR_INVALID, "Range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
                                 sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_ONLN));
        if (host->nano_cpus && (host->cpu_quota || host->cpu_period))
                return error_set(err, ERROR_INVALID, "Conflicting options: Nano CPUs and CPU Period cannot both be set");
        if (host->auto_remove && !str_empty(host->restart_policy.name) && !streq(host->restart_policy.name, "no"))
                return error_set(err, ERROR_INVALID, "can't create 'AutoRemove' container with restart policy");
        if (str_empty(host->log_config.type))
                replace(&host->log_config.type, "json-file");
        if (!streq(host->log_config.type, "json-file") && !streq(host->log_config.type, "none"))
                return error_set(err, ERROR_UNSUPPORTED, "log driver '%s' is not known: json-file and none are", host->log_config.type);
        if (str_empty(host->restart_policy.name))
                replace(&host->restart_policy.name, "no");
        return check_log(&host->log_config, err);
}

/* Recorded, so that whoever looks at the container later drives the runtime that knows it. */
static bool is_limited(const HostConfig *host)
{
        return host->memory || host->memory_reservation || host->memory_swap || host->nano_cpus || host->cpu_quota || host->cpu_period || host->cpu_shares ||
               !str_empty(host->cpuset_cpus) || !str_empty(host->cpuset_mems) || host->pids_limit > 0;
}

static int choose_runtime(HostConfig *host, StrList *warnings, Error *err)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        RuntimeOptions options = { .name = str_empty(host->runtime) ? NULL : host->runtime };

        if (runtime_open(&options, &runtime, err) < 0)
                return -1;
        if (str_empty(host->runtime))
                replace(&host->runtime, runtime_name(runtime));
        if (warnings && userns_entered() && is_limited(host) && !runtime_limits_hold(runtime))
                strlist_add(warnings, "Limits on memory, processors and processes need a cgroup that you may write, and there is none: they are left out");
        return 0;
}

static void set_process(ContainerData *data)
{
        StrList all = { 0 };

        strlist_copy(&all, &data->config.entrypoint);
        strlist_copy(&all, &data->config.cmd);
        replace(&data->path, all.items[0]);
        for (size_t i = 1; i < all.n_items; i++)
                strlist_add(&data->args, all.items[i]);
        strlist_done(&all);
}

static int put_record(Store *store, Container *container, const char *wanted_name, Error *err)
{
        _cleanup_buf_ Buf config = BUF_INIT(BUF_MAX_DEFAULT), state = BUF_INIT(1 << 20);
        ContainerRecord record = { .image = container->image, .created = container->created, .transient = container->transient };

        if (json_object_text(container_data_fields, &container->data, JSON_WRITE_NO_HTML, &config, err) < 0 ||
            json_object_text(container_state_fields, &container->state, JSON_WRITE_NO_HTML, &state, err) < 0)
                return -1;
        memcpy(record.id, container->id, sizeof(record.id));
        record.config = config.data;
        record.state = state.data;
        for (unsigned attempt = 0;; attempt++) {
                free(container->name);
                container->name = wanted_name ? xstrdup(*wanted_name == '/' ? wanted_name + 1 : wanted_name) : container_make_name(attempt);
                record.name = container->name;
                if (container_record_put(store, &record, err) == 0)
                        return 0;
                if (wanted_name || err->code != ERROR_EXISTS || attempt >= 100)
                        return -1;
                error_done(err);
        }
}

int container_make(Store *store, const ContainerSpec *spec, Container **ret, StrList *warnings, Error *err)
{
        _cleanup_(container_freep) Container *container = NEW(Container);
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(8 << 20);
        ContainerData *data = &container->data;
        int signal_number;

        if (spec->name && container_check_name(*spec->name == '/' ? spec->name + 1 : spec->name, err) < 0)
                return -1;
        if (container_choose_image(store, spec, &image, &data->foreign, warnings, err) < 0 || image_config(store, image, &text, err) < 0 ||
            image_config_parse(text.data, text.size, &config, err) < 0)
                return -1;
        json_object_copy(container_config_fields, &spec->config, &data->config);
        json_object_copy(host_config_fields, &spec->host, &data->host);
        random_id(container->id);
        container->image = image->id;
        container->created = clock_now();
        container->state.status = xstrdup("created");
        container->transient = spec->started_at_once && data->host.auto_remove;
        if (container->transient)
                container_set_starter(container, getpid());
        data->platform = xstrdup(image->os ? image->os : "linux");
        for (size_t i = 0; i < image->n_diff_ids; i++) {
                char digest[DIGEST_TEXT_SIZE];

                strlist_add(&data->layers, digest_format(&image->diff_ids[i], digest));
        }
        if (merge_image(&data->config, &config.config, err) < 0 || check_host(&data->host, err) < 0)
                return -1;
        if (!str_empty(data->config.stop_signal) && signal_parse(data->config.stop_signal, &signal_number, err) < 0)
                return -1;
        if (str_empty(data->config.hostname)) {
                char host[256];

                if (streq(data->host.network_mode, "host") && gethostname(host, sizeof(host)) == 0) /* docker: the host's network has the host's name */
                        replace(&data->config.hostname, host);
                else
                        data->config.hostname = xstrndup(container->id, 12);
        }
        set_process(data);
        if (choose_runtime(&data->host, warnings, err) < 0)
                return -1;
        if (container_plan_mounts(store, data, err) < 0)
                return -1;
        /* The directory first: a row without one would be a container that cannot start */
        if (container_dir_make(store, container->id, &container->dir, err) < 0)
                return -1;
        if (put_record(store, container, spec->name, err) < 0) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                /* When the disk failed the row may be there after the next start. Then it is a container; else the directory goes at a collection */
                if (err->code == ERROR_EXISTS || err->code == ERROR_NOT_FOUND)
                        container_dir_remove(store, container->id, &ignored);
                return -1;
        }
        if (warnings && spec->config.healthcheck && spec->config.healthcheck->test.n_items > 0 && !streq(spec->config.healthcheck->test.items[0], "NONE"))
                strlist_add(warnings, "The health check is recorded, but nothing runs it yet");
        if (warnings && publishes(&data->host) && find_network(data->host.network_mode)->ports_warning)
                strlist_add(warnings, find_network(data->host.network_mode)->ports_warning);
        *ret = TAKE_PTR(container);
        return 0;
}

int container_create(Store *store, const ContainerSpec *spec, char **ret_id, StrList *warnings, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;

        if (container_make(store, spec, &container, warnings, err) < 0)
                return -1;
        *ret_id = xstrdup(container->id);
        return 0;
}
