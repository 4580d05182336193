#include "build/hosts.h"

#include <string.h>

#include "base/mem.h"

static int add_host(const char *option, Buf *to, Error *err)
{
        const char *mark = strpbrk(option, ":=");
        _cleanup_free_ char *address = NULL;
        size_t size;

        if (!mark || mark == option || !mark[1])
                return error_set(err, ERROR_INVALID, "--add-host '%s': must be NAME:ADDRESS", option);
        size = strlen(mark + 1);
        if (mark[1] == '[' && mark[size] == ']')
                address = xstrndup(mark + 2, size - 2);
        else
                address = xstrdup(streq(mark + 1, "host-gateway") ? "127.0.0.1" : mark + 1);
        if (!str_is_ip_address(address) || option[strcspn(option, " \t\r\n#")])
                return error_set(err, ERROR_INVALID, "--add-host '%s': '%s' is not an IP address", option, mark + 1);
        if (to)
                buf_putf(to, "%s\t%.*s\n", address, (int)(mark - option), option);
        return 0;
}

int hosts_write(const char *host_name, const StrList *add_hosts, Buf *to, Error *err)
{
        if (to)
                buf_putf(to, "127.0.0.1\tlocalhost %s\n::1\tlocalhost ip6-localhost ip6-loopback\n", host_name);
        for (size_t i = 0; i < add_hosts->n_items; i++)
                if (add_host(add_hosts->items[i], to, err) < 0)
                        return -1;
        return 0;
}
