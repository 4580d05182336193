/* From a container's record and its mounted root to what runtime/ runs. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/private.h"
#include "fs/ids.h"
#include "fs/path.h"
#include "fs/userns.h"

/* /etc/passwd of a large site; more is not a user database. */
#define USER_FILE_SIZE_MAX ((size_t)16 << 20)

static void read_user_file(int root_fd, const char *path, Buf *text)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (inroot_read(root_fd, path, text, &ignored) < 0)
                buf_reset(text);
}

int container_resolve_user(int root_fd, const char *user, const StrList *group_add, RunSpec *spec, char **ret_home, Error *err)
{
        _cleanup_buf_ Buf passwd = BUF_INIT(USER_FILE_SIZE_MAX), group = BUF_INIT(USER_FILE_SIZE_MAX);
        _cleanup_ids_ Ids ids = { 0 };

        read_user_file(root_fd, "etc/passwd", &passwd);
        read_user_file(root_fd, "etc/group", &group);
        if (ids_resolve(user ? user : "", passwd.data, passwd.size, group.data, group.size, &ids, err) < 0)
                return -1;
        spec->uid = ids.uid;
        spec->gid = ids.gid;
        spec->groups = xreallocarray(NULL, ids.n_groups + (group_add ? group_add->n_items : 0) + 1, sizeof(*spec->groups));
        spec->n_groups = ids.n_groups;
        if (ids.n_groups > 0)
                memcpy(spec->groups, ids.groups, ids.n_groups * sizeof(*ids.groups));
        for (size_t i = 0; group_add && i < group_add->n_items; i++)
                if (ids_resolve_group(group_add->items[i], group.data, group.size, &spec->groups[spec->n_groups++], err) < 0)
                        return -1;
        if (ret_home)
                *ret_home = xstrdup(ids.home ? ids.home : "/");
        return 0;
}

/* --- /etc/hostname, /etc/hosts, /etc/resolv.conf --- */

static int write_file(const Container *container, const char *name, const Buf *text, Error *err)
{
        _cleanup_free_ char *path = container_file(container, name);
        int r = file_write_atomic(AT_FDCWD, path, buf_str(text), text->size, 0644, false);

        return r < 0 ? error_errno(err, r, "cannot write '%s'", path) : 0;
}

static void write_hosts(const Container *container, Buf *text)
{
        const HostConfig *host = &container->data.host;

        if (!streq(host->network_mode, "host") || file_read(AT_FDCWD, "/etc/hosts", text) < 0) {
                buf_reset(text);
                buf_puts(text, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
                               "ip6-loopback\nfe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\n"
                               "ff02::2\tip6-allrouters\n");
        }
        if (text->size > 0 && text->data[text->size - 1] != '\n')
                buf_putc(text, '\n');
        for (size_t i = 0; i < host->extra_hosts.n_items; i++) {
                const char *item = host->extra_hosts.items[i], *split = strchr(item, ':');

                if (!split)
                        continue;
                buf_putf(text, "%s\t%.*s\n", streq(split + 1, "host-gateway") ? "127.0.0.1" : split + 1, (int)(split - item), item);
        }
}

static void write_resolver(const Container *container, Buf *text)
{
        const HostConfig *host = &container->data.host;

        if (host->dns.n_items + host->dns_search.n_items + host->dns_options.n_items == 0) {
                if (file_read(AT_FDCWD, "/etc/resolv.conf", text) < 0)
                        buf_reset(text);
                return;
        }
        if (host->dns_search.n_items > 0 && !strlist_has(&host->dns_search, ".")) { /* "." alone is docker's word for none */
                _cleanup_free_ char *all = strlist_join(&host->dns_search, " ");

                buf_putf(text, "search %s\n", all);
        }
        for (size_t i = 0; i < host->dns.n_items; i++)
                buf_putf(text, "nameserver %s\n", host->dns.items[i]);
        if (host->dns_options.n_items > 0) {
                _cleanup_free_ char *all = strlist_join(&host->dns_options, " ");

                buf_putf(text, "options %s\n", all);
        }
}

int container_write_files(const Container *container, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(8 << 20);
        const ContainerConfig *config = &container->data.config;

        buf_putf(&text, "%s%s%s\n", config->hostname, str_empty(config->domainname) ? "" : ".", str_empty(config->domainname) ? "" : config->domainname);
        if (write_file(container, "hostname", &text, err) < 0)
                return -1;
        buf_reset(&text);
        write_hosts(container, &text);
        if (write_file(container, "hosts", &text, err) < 0)
                return -1;
        buf_reset(&text);
        write_resolver(container, &text);
        return write_file(container, "resolv.conf", &text, err);
}

/* --- the spec --- */

static int add_security(const HostConfig *host, RunSpec *spec, Error *err)
{
        for (size_t i = 0; i < host->security_opt.n_items; i++) {
                const char *option = host->security_opt.items[i], *value;

                if (streq(option, "no-new-privileges")) {
                        spec->no_new_privileges = true;
                } else if ((value = str_after(option, "no-new-privileges=")) || (value = str_after(option, "no-new-privileges:"))) {
                        if (str_to_bool(value, &spec->no_new_privileges) < 0)
                                return error_set(err, ERROR_INVALID, "invalid --security-opt: %s: say true or false", option);
                } else if ((value = str_after(option, "seccomp=")) || (value = str_after(option, "seccomp:"))) {
                        free(spec->seccomp);
                        spec->seccomp = streq(value, "builtin") ? NULL : xstrdup(value);
                } else if (streq(option, "systempaths=unconfined")) {
                        spec->unmasked = true;
                } else if (!str_starts(option, "apparmor=") && !str_starts(option, "label=") && !str_starts(option, "apparmor:") &&
                           !str_starts(option, "label:")) { /* these two confine no container here */
                        return error_set(err, ERROR_INVALID, "invalid --security-opt: %s", option);
                }
        }
        return 0;
}

static void add_resources(const HostConfig *host, RunSpec *spec)
{
        RunResources *r = &spec->resources;

        r->memory = host->memory;
        r->memory_reservation = host->memory_reservation;
        /* docker: a memory limit alone allows as much swap again */
        r->memory_swap = host->memory_swap ? host->memory_swap : host->memory * 2;
        r->cpu_shares = (uint64_t)host->cpu_shares;
        r->cpu_quota_us = host->cpu_quota;
        r->cpu_period_us = host->cpu_period;
        if (host->nano_cpus) {
                r->cpu_period_us = 100000;
                r->cpu_quota_us = host->nano_cpus / 10000;
        }
        r->cpuset_cpus = str_empty(host->cpuset_cpus) ? NULL : xstrdup(host->cpuset_cpus);
        r->cpuset_mems = str_empty(host->cpuset_mems) ? NULL : xstrdup(host->cpuset_mems);
        r->pids_limit = host->pids_limit;
}

static void add_mount_point(const MountPoint *point, RunSpec *spec)
{
        RunMount *mount;

        if (streq(point->type, "tmpfs")) {
                _cleanup_strlist_ StrList extra = { 0 };

                mount = run_spec_add_mount(spec, "tmpfs", "tmpfs", point->destination);
                strlist_add(&mount->options, "nosuid");
                strlist_add(&mount->options, "nodev");
                strlist_split(&extra, point->tmpfs_options ? point->tmpfs_options : "", ',');
                if (!strstr(point->tmpfs_options ? point->tmpfs_options : "", "exec"))
                        strlist_add(&mount->options, "noexec");
                for (size_t i = 0; i < extra.n_items; i++)
                        if (*extra.items[i] && !streq(extra.items[i], "size=0"))
                                strlist_add(&mount->options, extra.items[i]);
                if (!point->rw)
                        strlist_add(&mount->options, "ro");
                return;
        }
        mount = run_spec_add_mount(spec, "bind", point->source, point->destination);
        strlist_add(&mount->options, point->non_recursive ? "bind" : "rbind");
        strlist_add(&mount->options, str_empty(point->propagation) ? "rprivate" : point->propagation);
        if (!point->rw)
                strlist_add(&mount->options, "ro");
}

static bool has_target(const Container *container, const char *target)
{
        for (size_t i = 0; i < container->data.mounts.n_items; i++)
                if (streq(container->data.mounts.items[i].destination, target))
                        return true;
        return false;
}

static void add_mounts(const Container *container, RunSpec *spec)
{
        static const struct {
                const char *file, *target;
        } files[] = { { "resolv.conf", "/etc/resolv.conf" }, { "hostname", "/etc/hostname" }, { "hosts", "/etc/hosts" } };

        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                _cleanup_free_ char *source = container_file(container, files[i].file);

                if (!has_target(container, files[i].target))
                        run_spec_add_bind(spec, source, files[i].target, false);
        }
        for (size_t i = 0; i < container->data.mounts.n_items; i++)
                add_mount_point(&container->data.mounts.items[i], spec);
}

int container_run_spec(Container *container, const char *root, int root_fd, RunSpec *spec, Error *err)
{
        const ContainerConfig *config = &container->data.config;
        const HostConfig *host = &container->data.host;
        _cleanup_free_ char *home = NULL;

        spec->root = root;
        spec->read_only = host->readonly_rootfs;
        strlist_add(&spec->args, container->data.path);
        strlist_copy(&spec->args, &container->data.args);
        if (container_resolve_user(root_fd, config->user, &host->group_add, spec, &home, err) < 0)
                return -1;
        strlist_copy(&spec->env, &config->env);
        if (!strlist_env_get(&spec->env, "HOSTNAME"))
                strlist_env_set(&spec->env, "HOSTNAME", config->hostname);
        if (config->tty && !strlist_env_get(&spec->env, "TERM"))
                strlist_env_set(&spec->env, "TERM", "xterm");
        if (!strlist_env_get(&spec->env, "HOME"))
                strlist_env_set(&spec->env, "HOME", home);
        spec->cwd = xstrdup(str_empty(config->working_dir) ? "/" : config->working_dir);
        spec->hostname = xstrdup(config->hostname);
        spec->terminal = config->tty;
        spec->privileged = host->privileged;
        strlist_copy(&spec->cap_add, &host->cap_add);
        strlist_copy(&spec->cap_drop, &host->cap_drop);
        if (add_security(host, spec, err) < 0)
                return -1;
        spec->init = host->init;
        for (size_t i = 0; i < container_n_network_modes; i++)
                if (streq(container_network_modes[i].name, host->network_mode))
                        spec->network = (RunNetwork)container_network_modes[i].network;
        spec->host_pid = streq_ptr(host->pid_mode, "host");
        spec->host_ipc = streq_ptr(host->ipc_mode, "host");
        spec->host_uts = streq_ptr(host->uts_mode, "host");
        spec->shm_size = (uint64_t)host->shm_size;
        spec->oom_score_adj = host->oom_score_adj;
        for (size_t i = 0; i < host->ulimits.n_items; i++) {
                const HostUlimit *limit = &host->ulimits.items[i];

                run_spec_add_limit(spec, limit->name, limit->soft < 0 ? UINT64_MAX : (uint64_t)limit->soft,
                                   limit->hard < 0 ? UINT64_MAX : (uint64_t)limit->hard);
        }
        for (size_t i = 0; i < host->devices.n_items; i++)
                run_spec_add_device(spec, host->devices.items[i].host_path, host->devices.items[i].container_path, host->devices.items[i].permissions);
        add_resources(host, spec);
        if (!str_empty(config->domainname) && !spec->host_uts && !userns_inside()) /* only the machine's root may set it */
                strlist_addf(&spec->sysctls, "kernel.domainname=%s", config->domainname);
        for (size_t i = 0; i < host->sysctls.n_items; i++)
                strlist_addf(&spec->sysctls, "%s=%s", host->sysctls.items[i].key, host->sysctls.items[i].value);
        for (size_t i = 0; i < host->annotations.n_items; i++)
                strlist_addf(&spec->annotations, "%s=%s", host->annotations.items[i].key, host->annotations.items[i].value);
        spec->cgroup_parent = str_empty(host->cgroup_parent) ? NULL : xstrdup(host->cgroup_parent);
        add_mounts(container, spec);
        return 0;
}
