#include "dockerfile/expose.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "dockerfile/limits.h"
#include "dockerfile/text.h"

/* Go's ParseInt within 0..65535. */
static int parse_port(const char *text, size_t size, int *ret)
{
        _cleanup_free_ char *number = xstrndup(text, size);
        int64_t n;

        if (str_to_i64(*number == '+' && number[1] != '-' ? number + 1 : number, &n) < 0 || n < 0 || n > 65535)
                return -1;
        *ret = (int)n;
        return 0;
}

static int parse_range(const char *text, int *ret_first, int *ret_last)
{
        const char *dash = strchr(text, '-');

        if (parse_port(text, dash ? (size_t)(dash - text) : strlen(text), ret_first) < 0)
                return -1;
        *ret_last = *ret_first;
        if (!dash)
                return 0;
        if (parse_port(dash + 1, strlen(dash + 1), ret_last) < 0 || *ret_last < *ret_first)
                return -1;
        return 0;
}

static int check_host(const char *ip, const char *host, const char *container, int first, int last, Error *err)
{
        _cleanup_free_ char *bare = NULL;
        size_t n = strlen(ip);
        int host_first, host_last;

        if (*ip == '[') {
                if (ip[n - 1] != ']')
                        return error_set(err, ERROR_INVALID, "invalid IP address %s: address %s:: missing ']' in address", ip, ip);
                bare = xstrndup(ip + 1, n - 2);
        } else {
                bare = xstrdup(ip);
        }
        if (*bare && !str_is_ip_address(bare))
                return error_set(err, ERROR_INVALID, "invalid IP address: %s", bare);
        if (!*host)
                return 0;
        if (parse_range(host, &host_first, &host_last) < 0)
                return error_set(err, ERROR_INVALID, "invalid hostPort: %s", host);
        if (last - first != host_last - host_first && last != first)
                return error_set(err, ERROR_INVALID, "invalid ranges specified for container and host Ports: %s and %s", container, host);
        return 0;
}

static int invalid_port(const char *word, const char *problem, const char *what, Error *err)
{
        _cleanup_free_ char *quoted = text_quoted(word);

        return error_set(err, ERROR_INVALID, "invalid port: %s: %s%s", quoted, problem, what);
}

int expose_parse(StrList *ports, const char *word, ExposeFindings *ret, Error *err)
{
        _cleanup_free_ char *copy = xstrdup(word), *proto = NULL;
        const char *ip = "", *host = "";
        char *container = copy, *colon = strrchr(copy, ':'), *slash;
        int first, last;

        if (colon) {
                *colon = '\0';
                container = colon + 1;
                host = copy;
                colon = strrchr(copy, ':');
                if (colon) {
                        *colon = '\0';
                        host = colon + 1;
                        ip = copy;
                }
        }
        slash = strchr(container, '/');
        if (slash)
                *slash = '\0';
        if (!*container)
                return invalid_port(word, "no port specified", "", err);
        proto = str_lower(slash && slash[1] ? slash + 1 : "tcp");
        if (!streq(proto, "tcp") && !streq(proto, "udp") && !streq(proto, "sctp"))
                return invalid_port(word, "invalid proto: ", slash + 1, err);
        ret->proto_case = slash && slash[1] && !streq(slash + 1, proto);
        ret->host_format = *ip || *host;
        if (*ip && *ip != '[' && !str_is_ip_address(ip))
                return error_set(err, ERROR_INVALID, "invalid IP address: %s", ip);
        if (parse_range(container, &first, &last) < 0)
                return error_set(err, ERROR_INVALID, "invalid containerPort: %s", container);
        if (check_host(ip, host, container, first, last, err) < 0)
                return -1;
        if (ports->n_items + (size_t)(last - first) >= LIMIT_EXPOSE_PORTS)
                return error_set(err, ERROR_LIMIT, "EXPOSE with more than %d ports", LIMIT_EXPOSE_PORTS);
        for (int port = first; port <= last; port++)
                strlist_addf(ports, "%d/%s", port, proto);
        return 0;
}
