#include "container/config.h"

#include <stddef.h>

#include "base/mem.h"
#include "container/private.h"

#define CONFIG(name, type, member) \
        { \
                name, JSON_FIELD_##type, offsetof(ContainerConfig, member), 0 \
        }
#define HOST(name, type, member) \
        { \
                name, JSON_FIELD_##type, offsetof(HostConfig, member), 0 \
        }

/* github.com/moby/moby api/types/container Config, in its order. */
const JsonField container_config_fields[] = {
        CONFIG("Hostname", STRING, hostname),
        CONFIG("Domainname", STRING, domainname),
        CONFIG("User", STRING, user),
        CONFIG("AttachStdin", BOOL, attach_stdin),
        CONFIG("AttachStdout", BOOL, attach_stdout),
        CONFIG("AttachStderr", BOOL, attach_stderr),
        { "ExposedPorts", JSON_FIELD_SET, offsetof(ContainerConfig, exposed_ports), JSON_OMIT_EMPTY },
        CONFIG("Tty", BOOL, tty),
        CONFIG("OpenStdin", BOOL, open_stdin),
        CONFIG("StdinOnce", BOOL, stdin_once),
        CONFIG("Env", STRINGS, env),
        CONFIG("Cmd", STRINGS, cmd),
        { "Healthcheck", JSON_FIELD_OBJECT_PTR, offsetof(ContainerConfig, healthcheck), JSON_OMIT_EMPTY, health_config_fields, sizeof(HealthConfig), NULL },
        CONFIG("Image", STRING, image),
        { "Volumes", JSON_FIELD_SET, offsetof(ContainerConfig, volumes), 0 },
        CONFIG("WorkingDir", STRING, working_dir),
        CONFIG("Entrypoint", STRINGS, entrypoint),
        { "Labels", JSON_FIELD_STRING_MAP, offsetof(ContainerConfig, labels), 0 },
        { "StopSignal", JSON_FIELD_STRING, offsetof(ContainerConfig, stop_signal), JSON_OMIT_EMPTY },
        { "StopTimeout", JSON_FIELD_INT_PTR, offsetof(ContainerConfig, stop_timeout), JSON_OMIT_EMPTY },
        { "Shell", JSON_FIELD_STRINGS, offsetof(ContainerConfig, shell), JSON_OMIT_EMPTY },
        { "", JSON_FIELD_UNKNOWN, offsetof(ContainerConfig, unknown), 0 },
        JSON_FIELD_END,
};

static const JsonField log_config_fields[] = {
        { "Type", JSON_FIELD_STRING, offsetof(HostLogConfig, type), 0 },
        { "Config", JSON_FIELD_STRING_MAP, offsetof(HostLogConfig, config), 0 },
        JSON_FIELD_END,
};

static const JsonField restart_policy_fields[] = {
        { "Name", JSON_FIELD_STRING, offsetof(HostRestartPolicy, name), 0 },
        { "MaximumRetryCount", JSON_FIELD_INT, offsetof(HostRestartPolicy, maximum_retry_count), 0 },
        JSON_FIELD_END,
};

static const JsonField device_fields[] = {
        { "PathOnHost", JSON_FIELD_STRING, offsetof(HostDevice, host_path), 0 },
        { "PathInContainer", JSON_FIELD_STRING, offsetof(HostDevice, container_path), 0 },
        { "CgroupPermissions", JSON_FIELD_STRING, offsetof(HostDevice, permissions), 0 },
        JSON_FIELD_END,
};

static const JsonField ulimit_fields[] = {
        { "Name", JSON_FIELD_STRING, offsetof(HostUlimit, name), 0 },
        { "Hard", JSON_FIELD_INT, offsetof(HostUlimit, hard), 0 },
        { "Soft", JSON_FIELD_INT, offsetof(HostUlimit, soft), 0 },
        JSON_FIELD_END,
};

/* docker nests the options by type; ours are flat, so that one table reads and writes them: BindOptions and its like are read by the API. */
static const JsonField mount_fields[] = {
        { "Type", JSON_FIELD_STRING, offsetof(HostMount, type), 0 },
        { "Source", JSON_FIELD_STRING, offsetof(HostMount, source), JSON_OMIT_EMPTY },
        { "Target", JSON_FIELD_STRING, offsetof(HostMount, target), 0 },
        { "ReadOnly", JSON_FIELD_BOOL, offsetof(HostMount, read_only), JSON_OMIT_EMPTY },
        { "Propagation", JSON_FIELD_STRING, offsetof(HostMount, propagation), JSON_OMIT_EMPTY },
        { "NonRecursive", JSON_FIELD_BOOL, offsetof(HostMount, non_recursive), JSON_OMIT_EMPTY },
        { "CreateMountpoint", JSON_FIELD_BOOL, offsetof(HostMount, create_source), JSON_OMIT_EMPTY },
        { "NoCopy", JSON_FIELD_BOOL, offsetof(HostMount, no_copy), JSON_OMIT_EMPTY },
        { "SizeBytes", JSON_FIELD_INT, offsetof(HostMount, tmpfs_size), JSON_OMIT_EMPTY },
        { "Mode", JSON_FIELD_INT, offsetof(HostMount, tmpfs_mode), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

/* api/types/container HostConfig, in its order. */
const JsonField host_config_fields[] = {
        HOST("Binds", STRINGS, binds),
        HOST("ContainerIDFile", STRING, container_id_file),
        { "LogConfig", JSON_FIELD_OBJECT, offsetof(HostConfig, log_config), 0, log_config_fields, 0, NULL },
        HOST("NetworkMode", STRING, network_mode),
        { "PortBindings", JSON_FIELD_RAW, offsetof(HostConfig, port_bindings), JSON_OMIT_EMPTY },
        { "RestartPolicy", JSON_FIELD_OBJECT, offsetof(HostConfig, restart_policy), 0, restart_policy_fields, 0, NULL },
        HOST("AutoRemove", BOOL, auto_remove),
        HOST("VolumesFrom", STRINGS, volumes_from),
        HOST("CapAdd", STRINGS, cap_add),
        HOST("CapDrop", STRINGS, cap_drop),
        HOST("Dns", STRINGS, dns),
        HOST("DnsOptions", STRINGS, dns_options),
        HOST("DnsSearch", STRINGS, dns_search),
        HOST("ExtraHosts", STRINGS, extra_hosts),
        HOST("GroupAdd", STRINGS, group_add),
        HOST("IpcMode", STRING, ipc_mode),
        HOST("OomScoreAdj", INT, oom_score_adj),
        HOST("PidMode", STRING, pid_mode),
        HOST("Privileged", BOOL, privileged),
        HOST("PublishAllPorts", BOOL, publish_all_ports),
        HOST("ReadonlyRootfs", BOOL, readonly_rootfs),
        HOST("SecurityOpt", STRINGS, security_opt),
        { "Tmpfs", JSON_FIELD_STRING_MAP, offsetof(HostConfig, tmpfs), JSON_OMIT_EMPTY },
        HOST("UTSMode", STRING, uts_mode),
        HOST("ShmSize", INT, shm_size),
        { "Sysctls", JSON_FIELD_STRING_MAP, offsetof(HostConfig, sysctls), JSON_OMIT_EMPTY },
        { "Runtime", JSON_FIELD_STRING, offsetof(HostConfig, runtime), JSON_OMIT_EMPTY },
        HOST("CpuShares", INT, cpu_shares),
        HOST("Memory", INT, memory),
        HOST("NanoCpus", INT, nano_cpus),
        HOST("CgroupParent", STRING, cgroup_parent),
        HOST("CpuPeriod", INT, cpu_period),
        HOST("CpuQuota", INT, cpu_quota),
        HOST("CpusetCpus", STRING, cpuset_cpus),
        HOST("CpusetMems", STRING, cpuset_mems),
        { "Devices", JSON_FIELD_OBJECTS, offsetof(HostConfig, devices), 0, device_fields, sizeof(HostDevice), NULL },
        HOST("MemoryReservation", INT, memory_reservation),
        HOST("MemorySwap", INT, memory_swap),
        HOST("PidsLimit", INT, pids_limit),
        { "Ulimits", JSON_FIELD_OBJECTS, offsetof(HostConfig, ulimits), 0, ulimit_fields, sizeof(HostUlimit), NULL },
        { "Mounts", JSON_FIELD_OBJECTS, offsetof(HostConfig, mounts), JSON_OMIT_EMPTY, mount_fields, sizeof(HostMount), NULL },
        { "Init", JSON_FIELD_BOOL, offsetof(HostConfig, init), JSON_OMIT_EMPTY },
        { "Annotations", JSON_FIELD_STRING_MAP, offsetof(HostConfig, annotations), JSON_OMIT_EMPTY },
        { "", JSON_FIELD_UNKNOWN, offsetof(HostConfig, unknown), 0 },
        JSON_FIELD_END,
};

static const JsonField mount_point_fields[] = {
        { "Type", JSON_FIELD_STRING, offsetof(MountPoint, type), 0 },
        { "Name", JSON_FIELD_STRING, offsetof(MountPoint, name), JSON_OMIT_EMPTY },
        { "Source", JSON_FIELD_STRING, offsetof(MountPoint, source), 0 },
        { "Destination", JSON_FIELD_STRING, offsetof(MountPoint, destination), 0 },
        { "Mode", JSON_FIELD_STRING, offsetof(MountPoint, mode), 0 },
        { "RW", JSON_FIELD_BOOL, offsetof(MountPoint, rw), 0 },
        { "Propagation", JSON_FIELD_STRING, offsetof(MountPoint, propagation), 0 },
        { "Options", JSON_FIELD_STRING, offsetof(MountPoint, tmpfs_options), JSON_OMIT_EMPTY },
        { "Anonymous", JSON_FIELD_BOOL, offsetof(MountPoint, anonymous), JSON_OMIT_EMPTY },
        { "NoCopy", JSON_FIELD_BOOL, offsetof(MountPoint, no_copy), JSON_OMIT_EMPTY },
        { "NonRecursive", JSON_FIELD_BOOL, offsetof(MountPoint, non_recursive), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

const JsonField container_data_fields[] = {
        { "Path", JSON_FIELD_STRING, offsetof(ContainerData, path), 0 },
        { "Args", JSON_FIELD_STRINGS, offsetof(ContainerData, args), 0 },
        { "Config", JSON_FIELD_OBJECT, offsetof(ContainerData, config), 0, container_config_fields, 0, NULL },
        { "HostConfig", JSON_FIELD_OBJECT, offsetof(ContainerData, host), 0, host_config_fields, 0, NULL },
        { "Mounts", JSON_FIELD_OBJECTS, offsetof(ContainerData, mounts), 0, mount_point_fields, sizeof(MountPoint), NULL },
        { "Layers", JSON_FIELD_STRINGS, offsetof(ContainerData, layers), 0 },
        { "Platform", JSON_FIELD_STRING, offsetof(ContainerData, platform), 0 },
        { "ForeignPlatform", JSON_FIELD_STRING, offsetof(ContainerData, foreign), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

const JsonField container_state_fields[] = {
        { "Status", JSON_FIELD_STRING, offsetof(ContainerState, status), JSON_MANDATORY },
        { "Pid", JSON_FIELD_INT, offsetof(ContainerState, pid), 0 },
        { "PidStart", JSON_FIELD_INT, offsetof(ContainerState, pid_start), 0 },
        { "ExitCode", JSON_FIELD_INT, offsetof(ContainerState, exit_code), 0 },
        { "OOMKilled", JSON_FIELD_BOOL, offsetof(ContainerState, oom_killed), 0 },
        { "Error", JSON_FIELD_STRING, offsetof(ContainerState, error), 0 },
        { "Started", JSON_FIELD_INT, offsetof(ContainerState, started), 0 },
        { "Finished", JSON_FIELD_INT, offsetof(ContainerState, finished), 0 },
        { "RestartCount", JSON_FIELD_INT, offsetof(ContainerState, restart_count), 0 },
        { "Starter", JSON_FIELD_INT, offsetof(ContainerState, starter), JSON_OMIT_EMPTY },
        { "StarterStart", JSON_FIELD_INT, offsetof(ContainerState, starter_start), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

void container_config_done(ContainerConfig *config)
{
        json_object_done(container_config_fields, config);
}

void host_config_done(HostConfig *host)
{
        json_object_done(host_config_fields, host);
}

void container_state_done(ContainerState *state)
{
        json_object_done(container_state_fields, state);
}

void container_spec_done(ContainerSpec *spec)
{
        free(spec->name);
        free(spec->platform);
        container_config_done(&spec->config);
        host_config_done(&spec->host);
        *spec = (ContainerSpec){ 0 };
}

/* How each mode readies the network is container_run_spec()'s switch on `network`. */
const NetworkMode container_network_modes[] = {
        { "host", "the host's network (the default until bridge networks exist)", RUN_NETWORK_HOST,
          "Published ports are discarded when using host network mode" },
        { "none", "no network but the loopback interface", RUN_NETWORK_NONE, "Published ports are discarded when using no network" },
};
const size_t container_n_network_modes = ARRAY_LEN(container_network_modes);
