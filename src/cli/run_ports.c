/*
 * -p/--publish and --expose, with docker's ranges: "80", "8000-8010/udp", "8080:80", "127.0.0.1:8000-8002:80-82", "[::1]::80".
 */
#include <string.h>

#include "base/mem.h"
#include "cli/run_options.h"
#include "json/json.h"

#define PORT_MAX 65535

typedef struct PortRange {
        uint32_t first, last; /* both included */
} PortRange;

static bool parse_range(const char *text, PortRange *ret)
{
        const char *dash = strchr(text, '-');
        _cleanup_free_ char *first = dash ? xstrndup(text, (size_t)(dash - text)) : xstrdup(text);

        return str_to_u32(first, &ret->first) == 0 && str_to_u32(dash ? dash + 1 : text, &ret->last) == 0 && ret->first <= ret->last && ret->last <= PORT_MAX;
}

/* Cuts "/udp" off `text`. Static, or NULL when it is no protocol. */
static const char *take_protocol(char *text)
{
        static const char *const known[] = { "sctp", "tcp", "udp" };
        char *slash = strrchr(text, '/');

        if (!slash)
                return "tcp";
        *slash = '\0';
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
                if (strcasecmp(known[i], slash + 1) == 0)
                        return known[i];
        return NULL;
}

static void expose(StrList *exposed, uint32_t port, const char *protocol)
{
        _cleanup_free_ char *key = xasprintf("%u/%s", port, protocol);

        if (!strlist_has(exposed, key))
                strlist_add(exposed, key);
}

static int add_exposed(StrList *exposed, const char *text, Error *err)
{
        _cleanup_free_ char *copy = xstrdup(text);
        const char *protocol = take_protocol(copy);
        PortRange range;

        if (!protocol)
                return error_set(err, ERROR_INVALID, "invalid protocol for --expose: %s: it must be tcp, udp or sctp", text);
        if (strchr(copy, ':'))
                return error_set(err, ERROR_INVALID, "invalid port format for --expose: %s: --expose names ports of the container only, -p maps them", text);
        if (!parse_range(copy, &range) || range.first == 0)
                return error_set(err, ERROR_INVALID, "invalid range format for --expose: %s: it must be a port from 1 to %d, or two with '-' between", text,
                                 PORT_MAX);
        for (uint32_t port = range.first; port <= range.last; port++)
                expose(exposed, port, protocol);
        return 0;
}

static void add_binding(JsonValue *bindings, uint32_t port, const char *protocol, const char *address, const char *host_port)
{
        _cleanup_free_ char *key = xasprintf("%u/%s", port, protocol);
        JsonValue *list = json_value_get(bindings, key), *binding = json_value_new_object();

        if (!list) {
                list = json_value_new_array();
                json_value_set(bindings, key, list);
        }
        json_value_set_string(binding, "HostIp", address);
        json_value_set_string(binding, "HostPort", host_port);
        json_value_append(list, binding);
}

/* "[ip:][host]:container" in parts that point into `text`, which is changed; *address and *host are "" when they are not given. */
static int split(char *text, const char *whole, const char **address, const char **host, const char **inside, Error *err)
{
        char *last = strrchr(text, ':'), *before;

        *address = *host = "";
        *inside = text;
        if (!last)
                return 0;
        *last = '\0';
        *inside = last + 1;
        *host = text;
        before = strrchr(text, ':');
        if (!before)
                return 0;
        *before = '\0';
        *host = before + 1;
        *address = text;
        if (*text == '[' && before > text && before[-1] == ']') {
                before[-1] = '\0';
                *address = text + 1;
        }
        if (**address && !str_is_ip_address(*address))
                return error_set(err, ERROR_INVALID, "invalid IP address in -p %s: %s", whole, *address);
        return 0;
}

static int add_published(JsonValue *bindings, StrList *exposed, const char *text, Error *err)
{
        _cleanup_free_ char *copy = xstrdup(text);
        const char *protocol = take_protocol(copy), *address, *host, *inside;
        PortRange ports, hosts = { 0 };

        if (!protocol)
                return error_set(err, ERROR_INVALID, "invalid protocol in -p %s: it must be tcp, udp or sctp", text);
        if (split(copy, text, &address, &host, &inside, err) < 0)
                return -1;
        if (!parse_range(inside, &ports) || ports.first == 0)
                return error_set(err, ERROR_INVALID, "invalid containerPort: %s", text);
        if (*host && !parse_range(host, &hosts))
                return error_set(err, ERROR_INVALID, "invalid hostPort: %s in -p %s", host, text);
        /* One port of the container may be given any one of several of the host */
        if (*host && ports.first != ports.last && hosts.last - hosts.first != ports.last - ports.first)
                return error_set(err, ERROR_INVALID, "invalid ranges specified for container and host Ports: %s", text);
        for (uint32_t port = ports.first; port <= ports.last; port++) {
                _cleanup_free_ char *host_port = !*host                      ? xstrdup("")
                                                 : ports.first == ports.last ? xstrdup(host)
                                                                             : xasprintf("%u", hosts.first + (port - ports.first));

                expose(exposed, port, protocol);
                add_binding(bindings, port, protocol, address, host_port);
        }
        return 0;
}

int run_ports_to_spec(const RunFlags *flags, ContainerSpec *spec, Error *err)
{
        _cleanup_json_ JsonValue *bindings = json_value_new_object();

        for (size_t i = 0; i < flags->expose.n_items; i++)
                if (add_exposed(&spec->config.exposed_ports, flags->expose.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < flags->publish.n_items; i++)
                if (add_published(bindings, &spec->config.exposed_ports, flags->publish.items[i], err) < 0)
                        return -1;
        if (json_value_size(bindings))
                spec->host.port_bindings = json_value_text(bindings, JSON_WRITE_SORTED);
        spec->host.publish_all_ports = flags->publish_all;
        return 0;
}
