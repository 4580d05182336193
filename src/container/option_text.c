/* Options as texts of the command line, in docker's syntax, to members of ContainerSpec. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "container/config.h"

/* "./x" and "../x" are paths on the host; so is anything that starts with '/'. What is left is the name of a volume. */
static char *absolute_source(const char *source)
{
        char here[PATH_MAX];

        if (*source != '.' || !getcwd(here, sizeof(here)))
                return xstrdup(source);
        while (str_starts(source, "./"))
                source += 2;
        return streq(source, ".") ? xstrdup(here) : xasprintf("%s/%s", here, source);
}

int container_spec_add_volume(ContainerSpec *spec, const char *text, Error *err)
{
        _cleanup_strlist_ StrList parts = { 0 };
        _cleanup_free_ char *source = NULL;

        strlist_split(&parts, text, ':');
        if (parts.n_items == 1 && *text == '/') {
                strlist_add(&spec->config.volumes, text);
                return 0;
        }
        if (parts.n_items < 2 || parts.n_items > 3 || str_empty(parts.items[0]) || parts.items[1][0] != '/')
                return error_set(err, ERROR_INVALID, "invalid volume specification: '%s': it must be source:/target[:options] or /target", text);
        source = absolute_source(parts.items[0]);
        strlist_addf(&spec->host.binds, "%s:%s%s%s", source, parts.items[1], parts.n_items == 3 ? ":" : "", parts.n_items == 3 ? parts.items[2] : "");
        return 0;
}

static int parse_bool(const char *key, const char *value, bool *ret, Error *err)
{
        if (!value || streq(value, "true") || streq(value, "1"))
                *ret = true;
        else if (streq(value, "false") || streq(value, "0"))
                *ret = false;
        else
                return error_set(err, ERROR_INVALID, "invalid value for %s: '%s'", key, value);
        return 0;
}

static int parse_mount_member(HostMount *mount, const char *key, const char *value, Error *err)
{
        const struct {
                const char *key;
                char **member;
        } strings[] = { { "type", &mount->type },
                        { "source", &mount->source },
                        { "src", &mount->source },
                        { "target", &mount->target },
                        { "destination", &mount->target },
                        { "dst", &mount->target },
                        { "bind-propagation", &mount->propagation } };
        const struct {
                const char *key;
                bool *member;
        } bools[] = { { "readonly", &mount->read_only },
                      { "ro", &mount->read_only },
                      { "bind-nonrecursive", &mount->non_recursive },
                      { "bind-create-src", &mount->create_source },
                      { "volume-nocopy", &mount->no_copy } };
        uint64_t number;

        for (size_t i = 0; i < ARRAY_LEN(bools); i++)
                if (streq(key, bools[i].key))
                        return parse_bool(key, value, bools[i].member, err);
        if (!value)
                return error_set(err, ERROR_INVALID, "invalid field '%s' must be a key=value pair", key);
        for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
                if (streq(key, strings[i].key)) {
                        free(*strings[i].member);
                        *strings[i].member = xstrdup(value);
                        return 0;
                }
        }
        if (streq(key, "tmpfs-size") && str_to_size(value, &number) == 0 && number <= INT64_MAX) {
                mount->tmpfs_size = (int64_t)number;
                return 0;
        }
        if (streq(key, "tmpfs-mode") && str_to_u64_base(value, 8, &number) == 0) {
                mount->tmpfs_mode = (int64_t)number;
                return 0;
        }
        return error_set(err, ERROR_INVALID, "unexpected key '%s' in '%s=%s'", key, key, value);
}

int container_spec_add_mount(ContainerSpec *spec, const char *text, Error *err)
{
        HostMount *mount = json_items_add(&spec->host.mounts, sizeof(HostMount));
        _cleanup_strlist_ StrList parts = { 0 };

        strlist_split(&parts, text, ',');
        for (size_t i = 0; i < parts.n_items; i++) {
                char *equals = strchr(parts.items[i], '=');
                _cleanup_free_ char *key = NULL;

                if (equals)
                        *equals = '\0';
                key = str_lower(parts.items[i]);
                if (parse_mount_member(mount, key, equals ? equals + 1 : NULL, err) < 0)
                        return error_wrap(err, "invalid argument '%s' for --mount", text);
        }
        if (!mount->type)
                mount->type = xstrdup("volume");
        if (!streq(mount->type, "bind") && (mount->propagation || mount->non_recursive || mount->create_source))
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: cannot mix 'bind-*' options with mount type '%s'", text, mount->type);
        if (!streq(mount->type, "volume") && mount->no_copy)
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: cannot mix 'volume-*' options with mount type '%s'", text,
                                 mount->type);
        if (!streq(mount->type, "tmpfs") && (mount->tmpfs_size || mount->tmpfs_mode))
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: cannot mix 'tmpfs-*' options with mount type '%s'", text, mount->type);
        if (streq(mount->type, "tmpfs") && !str_empty(mount->source))
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: a tmpfs has no source", text);
        if (!streq(mount->type, "bind") && !streq(mount->type, "volume") && !streq(mount->type, "tmpfs"))
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: unknown type '%s'", text, mount->type);
        if (str_empty(mount->target) || *mount->target != '/')
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: target is required, and must be absolute", text);
        if (streq(mount->type, "bind") && str_empty(mount->source))
                return error_set(err, ERROR_INVALID, "invalid argument '%s' for --mount: source is required", text);
        if (streq(mount->type, "bind")) {
                char *source = absolute_source(mount->source);

                free(mount->source);
                mount->source = source;
        }
        return 0;
}

int container_spec_add_host(ContainerSpec *spec, const char *text, Error *err)
{
        /* As docker: an "=" splits first, since a v6 address has colons */
        const char *split = strchr(text, '=') ? strchr(text, '=') : strchr(text, ':');
        _cleanup_free_ char *address = NULL;
        size_t n;

        if (!split || split == text || !split[1])
                return error_set(err, ERROR_INVALID, "bad format for --add-host: \"%s\": it must be name:address", text);
        n = strlen(split + 1);
        address = split[1] == '[' && split[n] == ']' ? xstrndup(split + 2, n - 2) : xstrdup(split + 1);
        if (!streq(address, "host-gateway") && !str_is_ip_address(address))
                return error_set(err, ERROR_INVALID, "invalid IP address in --add-host: \"%s\"", address);
        strlist_addf(&spec->host.extra_hosts, "%.*s:%s", (int)(split - text), text, address);
        return 0;
}

int container_spec_add_tmpfs(ContainerSpec *spec, const char *text, Error *err)
{
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *path = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);

        if (*path != '/')
                return error_set(err, ERROR_INVALID, "invalid tmpfs '%s': the path must be absolute", text);
        string_map_set(&spec->host.tmpfs, path, colon ? colon + 1 : "");
        return 0;
}

static bool is_device_mode(const char *s)
{
        return *s && s[strspn(s, "rwm")] == '\0';
}

int container_spec_add_device(ContainerSpec *spec, const char *text, Error *err)
{
        _cleanup_strlist_ StrList parts = { 0 };
        HostDevice *device;
        const char *target, *mode = "rwm";

        strlist_split(&parts, text, ':');
        if (parts.n_items < 1 || parts.n_items > 3 || str_empty(parts.items[0]))
                return error_set(err, ERROR_INVALID, "invalid device specification: %s", text);
        target = parts.items[0];
        if (parts.n_items == 2 && is_device_mode(parts.items[1]))
                mode = parts.items[1];
        else if (parts.n_items >= 2 && *parts.items[1])
                target = parts.items[1];
        if (parts.n_items == 3)
                mode = parts.items[2];
        if (!is_device_mode(mode) || *target != '/')
                return error_set(err, ERROR_INVALID, "invalid device specification: %s", text);
        device = json_items_add(&spec->host.devices, sizeof(HostDevice));
        *device = (HostDevice){ .host_path = xstrdup(parts.items[0]), .container_path = xstrdup(target), .permissions = xstrdup(mode) };
        return 0;
}

int container_spec_add_ulimit(ContainerSpec *spec, const char *text, Error *err)
{
        const char *equals = strchr(text, '=');
        _cleanup_strlist_ StrList parts = { 0 };
        int64_t soft, hard;
        HostUlimit *ulimit;

        if (!equals || equals == text)
                return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);
        strlist_split(&parts, equals + 1, ':');
        if (parts.n_items > 2 || str_to_i64(parts.items[0], &soft) < 0 || str_to_i64(parts.items[parts.n_items - 1], &hard) < 0 || soft < -1 || hard < -1)
                return error_set(err, ERROR_INVALID, "invalid ulimit argument: %s", text);
        if (hard >= 0 && (soft > hard || soft < 0))
                return error_set(err, ERROR_INVALID, "ulimit soft limit must be less than or equal to hard limit: %jd > %jd", (intmax_t)soft, (intmax_t)hard);
        ulimit = json_items_add(&spec->host.ulimits, sizeof(HostUlimit));
        *ulimit = (HostUlimit){ .name = xstrndup(text, (size_t)(equals - text)), .soft = soft, .hard = hard };
        return 0;
}

int container_spec_set_restart(ContainerSpec *spec, const char *text, Error *err)
{
        static const char *const names[] = { "always", "no", "on-failure", "unless-stopped" };
        const char *colon = strchr(text, ':');
        _cleanup_free_ char *name = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
        HostRestartPolicy *policy = &spec->host.restart_policy;
        int64_t count = 0;

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (!streq(names[i], name))
                        continue;
                if (colon && (!streq(name, "on-failure") || str_to_i64(colon + 1, &count) < 0 || count < 0))
                        return error_set(err, ERROR_INVALID, "invalid restart policy '%s': only on-failure takes a number", text);
                free(policy->name);
                policy->name = TAKE_PTR(name);
                policy->maximum_retry_count = count;
                return 0;
        }
        return error_set(err, ERROR_INVALID, "invalid restart policy '%s': it must be no, always, unless-stopped or on-failure[:n]", text);
}

int signal_parse(const char *text, int *ret, Error *err)
{
        _cleanup_free_ char *upper = str_upper(text);
        const char *name = str_starts(upper, "SIG") ? upper + 3 : upper;
        uint32_t number;

        if (str_to_u32(text, &number) == 0 && number > 0 && number <= (uint32_t)SIGRTMAX) {
                *ret = (int)number;
                return 0;
        }
        for (int i = 1; i < NSIG; i++) {
                const char *known = sigabbrev_np(i);

                if (known && streq(known, name)) {
                        *ret = i;
                        return 0;
                }
        }
        if (str_starts(name, "RTMIN") && (name[5] == '\0' || (name[5] == '+' && str_to_u32(name + 6, &number) == 0 && number <= 30))) {
                *ret = SIGRTMIN + (name[5] ? (int)number : 0);
                return 0;
        }
        if (str_starts(name, "RTMAX") && (name[5] == '\0' || (name[5] == '-' && str_to_u32(name + 6, &number) == 0 && number <= 30))) {
                *ret = SIGRTMAX - (name[5] ? (int)number : 0);
                return 0;
        }
        return error_set(err, ERROR_INVALID, "invalid signal: %s", text);
}
