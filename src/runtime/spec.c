/* A RunSpec: adding a mount to it, and giving back what it owns. */
#include "runtime/runtime.h"

#include <string.h>

#include "base/mem.h"

static void mount_done(RunMount *mount)
{
        free(mount->type);
        free(mount->source);
        free(mount->target);
        strlist_done(&mount->options);
}

static void device_done(RunDevice *device)
{
        free(device->host_path);
        free(device->path);
        free(device->permissions);
}

void run_spec_done(RunSpec *spec)
{
        strlist_done(&spec->args);
        strlist_done(&spec->env);
        free(spec->cwd);
        free(spec->groups);
        free(spec->hostname);
        strlist_done(&spec->cap_add);
        strlist_done(&spec->cap_drop);
        free(spec->seccomp);
        free(spec->network_path);
        for (size_t i = 0; i < spec->n_mounts; i++)
                mount_done(&spec->mounts[i]);
        free(spec->mounts);
        for (size_t i = 0; i < spec->n_limits; i++)
                free(spec->limits[i].name);
        free(spec->limits);
        for (size_t i = 0; i < spec->n_devices; i++)
                device_done(&spec->devices[i]);
        free(spec->devices);
        free(spec->resources.cpuset_cpus);
        free(spec->resources.cpuset_mems);
        strlist_done(&spec->sysctls);
        free(spec->cgroup_parent);
        strlist_done(&spec->annotations);
        *spec = (RunSpec){ 0 };
}

RunMount *run_spec_add_mount(RunSpec *spec, const char *type, const char *source, const char *target)
{
        RunMount *mount;

        spec->mounts = xreallocarray(spec->mounts, spec->n_mounts + 1, sizeof(*spec->mounts));
        mount = &spec->mounts[spec->n_mounts++];
        *mount = (RunMount){ .type = xstrdup(type), .source = xstrdup_or_null(source), .target = xstrdup(target) };
        return mount;
}

void run_spec_add_bind(RunSpec *spec, const char *source, const char *target, bool read_only)
{
        RunMount *mount = run_spec_add_mount(spec, "bind", source, target);

        strlist_add(&mount->options, "rbind");
        strlist_add(&mount->options, "rprivate");
        if (read_only)
                strlist_add(&mount->options, "ro");
}

void run_spec_add_limit(RunSpec *spec, const char *name, uint64_t soft, uint64_t hard)
{
        spec->limits = xreallocarray(spec->limits, spec->n_limits + 1, sizeof(*spec->limits));
        spec->limits[spec->n_limits++] = (RunLimit){ .name = xstrdup(name), .soft = soft, .hard = hard };
}

void run_spec_add_device(RunSpec *spec, const char *host_path, const char *path, const char *permissions)
{
        spec->devices = xreallocarray(spec->devices, spec->n_devices + 1, sizeof(*spec->devices));
        spec->devices[spec->n_devices++] = (RunDevice){ .host_path = xstrdup(host_path), .path = xstrdup(path), .permissions = xstrdup(permissions) };
}
