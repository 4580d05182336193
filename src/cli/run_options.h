/*
 * The options that run and create share, and what they become: a ContainerSpec.
 */
#pragma once

#include "cli/option.h"
#include "container/container.h"

typedef struct RunFlags {
        StrList add_hosts, annotations, attach, cap_add, cap_drop;
        const char *cgroup_parent, *cidfile, *cpuset_cpus, *cpuset_mems, *domainname, *entrypoint;
        int64_t cpu_period, cpu_quota, cpu_shares, cpus;
        StrList devices, dns, dns_options, dns_search, env, env_files, expose, group_add;
        const char *health_cmd;
        int64_t health_interval, health_retries, health_start_interval, health_start_period, health_timeout;
        const char *hostname;
        bool init, interactive, no_healthcheck, oom_kill_disable, privileged, publish_all, quiet, read_only, rm, tty;
        const char *ipc;
        StrList labels, label_files, log_opts;
        const char *log_driver;
        int64_t memory, memory_reservation, memory_swap, oom_score_adj, pids_limit, shm_size, stop_timeout;
        StrList mounts, publish, security_opts, sysctls, tmpfs, ulimits, volumes, volumes_from;
        const char *name, *network, *pid, *platform, *pull, *restart, *runtime, *stop_signal, *user, *uts, *workdir;
        /* of docker, and refused or without effect here: run_check.c */
        StrList refused;
        bool disable_content_trust;
        const char *isolation, *userns, *volume_driver;
        /* run alone */
        bool detach, sig_proxy;
        const char *detach_keys;
} RunFlags;

extern const Option run_shared_options[];
extern const Option run_refused_options[];

/*
 * Fills a spec (all zero before) from the options and the arguments IMAGE [COMMAND] [ARG...]. `given` tells which options were on the command line.
 * Errors: INVALID.
 */
int run_flags_to_spec(const RunFlags *flags, const StrList *given, const StrList *args, ContainerSpec *spec, Error *err);

/* What does not go together, is out of range, or is not there. Errors: INVALID, UNSUPPORTED. */
int run_flags_check(const RunFlags *flags, const StrList *given, Error *err);

/* Its part for --publish, --publish-all and --expose. */
int run_ports_to_spec(const RunFlags *flags, ContainerSpec *spec, Error *err);

/*
 * -e and --env-file: "NAME" alone takes the value from our environment. When it has none, -e keeps the bare name, which takes the variable away from what the
 * image or the container has, and a line of a file is left out. Files first.
 */
int env_from_options(const StrList *files, const StrList *items, StrList *env, Error *err);
