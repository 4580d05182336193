/*
 * docker's objects whole: members that a container of mica never sets are there with docker's empty value, because scripts name them.
 *
 * Also the other way: where docker has null for a list that is empty, or a number that stands for the default, this has it too.
 */
#include <string.h>

#include "container/private.h"

/* Source: github.com/docker/docker api/types of version 26, in its order, with the values of a container that was created without options. */
static const char *const shapes[] = {
        [SHAPE_CONFIG] = "{\"Hostname\":\"\",\"Domainname\":\"\",\"User\":\"\",\"AttachStdin\":false,\"AttachStdout\":false,\"AttachStderr\":false,"
                         "\"Tty\":false,\"OpenStdin\":false,\"StdinOnce\":false,\"Env\":null,\"Cmd\":null,\"Image\":\"\",\"Volumes\":null,\"WorkingDir\":\"\","
                         "\"Entrypoint\":null,\"OnBuild\":null,\"Labels\":{}}",
        [SHAPE_HOST] =
                "{\"Binds\":null,\"ContainerIDFile\":\"\",\"LogConfig\":{},\"NetworkMode\":\"\",\"PortBindings\":{},\"RestartPolicy\":{},\"AutoRemove\":false,"
                "\"VolumeDriver\":\"\",\"VolumesFrom\":null,\"ConsoleSize\":[0,0],\"CapAdd\":null,\"CapDrop\":null,\"Dns\":[],\"DnsOptions\":[],"
                "\"DnsSearch\":[],\"ExtraHosts\":null,\"GroupAdd\":null,\"IpcMode\":\"private\",\"Cgroup\":\"\",\"Links\":null,\"OomScoreAdj\":0,"
                "\"PidMode\":\"\",\"Privileged\":false,\"PublishAllPorts\":false,\"ReadonlyRootfs\":false,\"SecurityOpt\":null,\"UTSMode\":\"\","
                "\"UsernsMode\":\"\",\"ShmSize\":67108864,\"Runtime\":\"\",\"Isolation\":\"\",\"CpuShares\":0,\"Memory\":0,\"NanoCpus\":0,"
                "\"CgroupParent\":\"\",\"BlkioWeight\":0,\"BlkioWeightDevice\":[],\"BlkioDeviceReadBps\":[],\"BlkioDeviceWriteBps\":[],"
                "\"BlkioDeviceReadIOps\":[],\"BlkioDeviceWriteIOps\":[],\"CpuPeriod\":0,\"CpuQuota\":0,\"CpuRealtimePeriod\":0,\"CpuRealtimeRuntime\":0,"
                "\"CpusetCpus\":\"\",\"CpusetMems\":\"\",\"Devices\":[],\"DeviceCgroupRules\":null,\"DeviceRequests\":null,\"MemoryReservation\":0,"
                "\"MemorySwap\":0,\"MemorySwappiness\":null,\"OomKillDisable\":false,\"PidsLimit\":null,\"Ulimits\":[],\"CpuCount\":0,\"CpuPercent\":0,"
                "\"IOMaximumIOps\":0,\"IOMaximumBandwidth\":0}",
        [SHAPE_NETWORKS] = "{\"Bridge\":\"\",\"SandboxID\":\"\",\"SandboxKey\":\"\",\"Ports\":{},\"HairpinMode\":false,\"LinkLocalIPv6Address\":\"\","
                           "\"LinkLocalIPv6PrefixLen\":0,\"SecondaryIPAddresses\":null,\"SecondaryIPv6Addresses\":null,\"EndpointID\":\"\",\"Gateway\":\"\","
                           "\"GlobalIPv6Address\":\"\",\"GlobalIPv6PrefixLen\":0,\"IPAddress\":\"\",\"IPPrefixLen\":0,\"IPv6Gateway\":\"\",\"MacAddress\":\"\","
                           "\"Networks\":{}}",
        [SHAPE_ENDPOINT] = "{\"IPAMConfig\":null,\"Links\":null,\"Aliases\":null,\"MacAddress\":\"\",\"NetworkID\":\"\",\"EndpointID\":\"\",\"Gateway\":\"\","
                           "\"IPAddress\":\"\",\"IPPrefixLen\":0,\"IPv6Gateway\":\"\",\"GlobalIPv6Address\":\"\",\"GlobalIPv6PrefixLen\":0,\"DriverOpts\":null,"
                           "\"DNSNames\":null}",
};

static bool is_empty(const JsonValue *value)
{
        switch (json_value_type(value)) {
        case JSON_TYPE_NULL:
                return true;
        case JSON_TYPE_BOOL:
                return !json_value_bool(value);
        case JSON_TYPE_INT:
                return json_value_int(value, 0) == 0;
        case JSON_TYPE_STRING:
                return *json_value_string(value) == '\0';
        default:
                return json_value_size(value) == 0;
        }
}

JsonValue *inspect_shape(ObjectShape shape, JsonValue *object)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_json_ JsonValue *given = object;
        JsonValue *whole = NULL, *value;
        const char *key;

        if (json_value_parse(shapes[shape], strlen(shapes[shape]), NULL, &whole, &ignored) < 0)
                return TAKE_PTR(given);
        for (void *at = NULL; json_value_next(given, &at, &key, &value);)
                if (!json_value_get(whole, key) || !is_empty(value))
                        json_value_set(whole, key, json_value_ref(value));
        return whole;
}
