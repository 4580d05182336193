/*
 * What docker's templates know and its JSON does not say: the types of the members of an inspected object.
 *
 * docker runs a template over Go's structures first. There a list that is nothing prints as "[]" and a map as "map[]", a member that the JSON leaves out
 * while it is empty is there, and the id is called ID as well as Id. {{json .X}} of all that is null, as in docker.
 *
 * Adding one: a row, sorted by name. Names mean the same wherever they stand.
 */
#include "base/macros.h"
#include "format/private.h"

/* Source: github.com/docker/docker api/types of version 26: Config, HostConfig, NetworkSettings, ContainerState, ImageInspect. */
static const TypedMember members[] = {
        { "Aliases", "[]" },
        { "Annotations", "map[]" },
        { "ArgsEscaped", "false" },
        { "Binds", "[]" },
        { "CapAdd", "[]" },
        { "CapDrop", "[]" },
        { "Cmd", "[]" },
        { "DNSNames", "[]" },
        { "DeviceCgroupRules", "[]" },
        { "DeviceRequests", "[]" },
        { "Driver", "" },
        { "DriverOpts", "map[]" },
        { "Entrypoint", "[]" },
        { "Env", "[]" },
        { "ExecIDs", "[]" },
        { "ExposedPorts", "map[]" },
        { "ExtraHosts", "[]" },
        { "GroupAdd", "[]" },
        { "Health", "<nil>" },
        { "Healthcheck", "<nil>" },
        { "ID", NULL, "Id" },
        { "Init", "<nil>" },
        { "Labels", "map[]" },
        { "Links", "[]" },
        { "Mounts", "[]" },
        { "Name", "" },
        { "Networks", "map[]" },
        { "OnBuild", "[]" },
        { "PortBindings", "map[]" },
        { "Ports", "map[]" },
        { "SecondaryIPAddresses", "[]" },
        { "SecondaryIPv6Addresses", "[]" },
        { "SecurityOpt", "[]" },
        { "Shell", "[]" },
        { "SizeRootFs", "<nil>" },
        { "SizeRw", "<nil>" },
        { "StopSignal", "" },
        { "StopTimeout", "<nil>" },
        { "Sysctls", "map[]" },
        { "Tmpfs", "map[]" },
        { "Variant", "" },
        { "Volumes", "map[]" },
        { "VolumesFrom", "[]" },
};

const TypedMember *typed_member_find(const char *name)
{
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
                if (streq(members[i].name, name))
                        return &members[i];
        return NULL;
}
