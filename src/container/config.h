/*
 * What a container is made from, in the shape of the Docker Engine API (POST /containers/create, GET /containers/{id}/json): the command line fills these
 * structs, the API reads them from JSON by the tables below, and the same text is what the store keeps.
 *
 * Zero is docker's default everywhere, where nothing else is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "oci/config.h"
#include "json/dispatch.h"

/* --- "Config": what runs --- */

typedef struct ContainerConfig {
        char *hostname, *domainname; /* NULL or "": the first 12 digits of the id */
        char *user;                  /* "" or NULL: the image's */
        bool attach_stdin, attach_stdout, attach_stderr;
        StrList exposed_ports; /* a set: "80/tcp" */
        bool tty, open_stdin, stdin_once;
        StrList env; /* "NAME=value"; "NAME" alone removes the image's */
        StrList cmd;
        HealthConfig *healthcheck;
        char *image;     /* as the user typed it */
        StrList volumes; /* a set of paths: anonymous volumes (-v /path) */
        char *working_dir;
        StrList entrypoint; /* one item "" clears the image's (--entrypoint "") */
        StringMap labels;
        char *stop_signal;     /* "SIGTERM", "TERM", "15" */
        int64_t *stop_timeout; /* seconds; NULL: 10 */
        StrList shell;
        StringMap unknown;
} ContainerConfig;

extern const JsonField container_config_fields[];
void container_config_done(ContainerConfig *config);

/* --- "HostConfig": how it is run here --- */

typedef struct HostDevice {
        char *host_path, *container_path, *permissions;
} HostDevice;

typedef struct HostUlimit {
        char *name;         /* "nofile" */
        int64_t soft, hard; /* -1: unlimited */
} HostUlimit;

/* "Mounts": what --mount says. */
typedef struct HostMount {
        char *type; /* "bind", "volume", "tmpfs" */
        char *source, *target;
        bool read_only;
        char *propagation;  /* bind: "rprivate", … or NULL */
        bool non_recursive; /* bind */
        bool create_source; /* bind: make a missing source directory */
        bool no_copy;       /* volume: do not fill a new one from the image */
        int64_t tmpfs_size; /* bytes */
        int64_t tmpfs_mode;
} HostMount;

typedef struct HostRestartPolicy {
        char *name; /* "no", "always", "on-failure", "unless-stopped" */
        int64_t maximum_retry_count;
} HostRestartPolicy;

typedef struct HostLogConfig {
        char *type;       /* "json-file" or "none" */
        StringMap config; /* max-size, max-file */
} HostLogConfig;

typedef struct HostConfig {
        StrList binds; /* "source:/target[:options]": -v with a source. Checked by container_create() */
        char *container_id_file;
        HostLogConfig log_config;
        char *network_mode;  /* one of container_network_modes[]; NULL or "default": "host" until bridge networks exist */
        char *port_bindings; /* JSON text: {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}. An error without a network_mode, until bridge networks exist */
        HostRestartPolicy restart_policy;
        bool auto_remove;
        StrList volumes_from;
        StrList cap_add, cap_drop;
        StrList dns, dns_options, dns_search;
        StrList extra_hosts; /* "name:address" */
        StrList group_add;
        char *ipc_mode, *pid_mode, *uts_mode; /* "host", or NULL */
        bool privileged, publish_all_ports, readonly_rootfs;
        StrList security_opt; /* "seccomp=unconfined", "seccomp=/file", "no-new-privileges[=true]", "apparmor=…" and "label=…" (taken and without effect) */
        StringMap tmpfs;      /* path -> options */
        int64_t shm_size;     /* bytes */
        StringMap sysctls;
        char *runtime; /* "crun", "runc", or NULL */
        char *cgroup_parent;
        int64_t cpu_shares, cpu_period, cpu_quota, nano_cpus;
        char *cpuset_cpus, *cpuset_mems;
        int64_t memory, memory_reservation, memory_swap; /* bytes */
        int64_t pids_limit;
        int64_t oom_score_adj;
        JSON_ITEMS(HostDevice) devices;
        JSON_ITEMS(HostUlimit) ulimits;
        JSON_ITEMS(HostMount) mounts;
        bool init;
        StringMap annotations;
        StringMap unknown;
} HostConfig;

extern const JsonField host_config_fields[];
void host_config_done(HostConfig *host);

typedef struct ContainerSpec {
        char *name; /* NULL: one is made up ("brave_turing") */
        ContainerConfig config;
        HostConfig host;
        char *platform;       /* "linux/amd64" or NULL */
        bool started_at_once; /* by the process that makes it: with `auto_remove` the container goes when the process does, and its row is not waited for */
} ContainerSpec;

void container_spec_done(ContainerSpec *spec);
#define _cleanup_container_spec_ _cleanup_(container_spec_done)

/* --- option texts, as the command line gives them --- */

/* -v/--volume: "/path" (anonymous volume), "source:/target[:options]". A relative source "./x" is made absolute. Errors: INVALID in docker's words. */
int container_spec_add_volume(ContainerSpec *spec, const char *text, Error *err);
/* --mount type=…,source=…,target=…,readonly,… */
int container_spec_add_mount(ContainerSpec *spec, const char *text, Error *err);
/* --add-host name:address, name=address, name:[v6 address], name:host-gateway: kept as "name:address". */
int container_spec_add_host(ContainerSpec *spec, const char *text, Error *err);
/* --tmpfs /path[:options] */
int container_spec_add_tmpfs(ContainerSpec *spec, const char *text, Error *err);
/* --device host[:container][:rwm] */
int container_spec_add_device(ContainerSpec *spec, const char *text, Error *err);
/* --ulimit name=soft[:hard] */
int container_spec_add_ulimit(ContainerSpec *spec, const char *text, Error *err);
/* --restart no|always|unless-stopped|on-failure[:n] */
int container_spec_set_restart(ContainerSpec *spec, const char *text, Error *err);

/* "TERM", "sigterm", "15", "SIGRTMIN+3" -> its number. INVALID "invalid signal: x". */
int signal_parse(const char *text, int *ret, Error *err);

/* --- networks --- */

/* One row per value of --network. A new mode is one row here and one function that readies the namespace (later issue: bridge). */
typedef struct NetworkMode {
        const char *name;
        const char *help;
        int network;               /* RunNetwork */
        const char *ports_warning; /* what whoever publishes ports with it is told; NULL: they are published */
} NetworkMode;
extern const NetworkMode container_network_modes[];
extern const size_t container_n_network_modes;
#define CONTAINER_NETWORK_DEFAULT "host"
