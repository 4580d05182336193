#include "cli/context.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"

int cli_store(Cli *cli, Store **ret, Error *err)
{
        if (!cli->store && store_open(&(StoreOptions){ .root = cli->root }, &cli->store, err) < 0)
                return -1;
        *ret = cli->store;
        return 0;
}

void cli_context_done(Cli *cli)
{
        store_close(cli->store);
        cli->store = NULL;
}

int cli_source_date_epoch(int64_t *ret, Error *err)
{
        const char *text = getenv("SOURCE_DATE_EPOCH");
        uint64_t value;

        *ret = -1;
        if (str_empty(text))
                return 0;
        if (str_to_u64(text, &value) < 0 || value > INT64_MAX / NSEC_PER_SEC)
                return error_set(err, ERROR_INVALID, "SOURCE_DATE_EPOCH must be a number of seconds, not '%s'", text);
        *ret = (int64_t)value;
        return 0;
}

int cli_each_argument(Cli *cli, const StrList *args, int (*each)(Cli *cli, const char *arg, void *user, Error *err), void *user)
{
        int status = 0;

        for (size_t i = 0; i < args->n_items; i++) {
                _cleanup_error_ Error err = ERROR_INIT;

                if (each(cli, args->items[i], user, &err) < 0) {
                        cli_report(cli, &err);
                        status = EXIT_FAILURE;
                }
        }
        return status;
}

char *cli_size(uint64_t size)
{
        static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
        double value = (double)size;
        size_t unit = 0;

        /* 999.5 would be printed as "1e+03". */
        for (; value >= 999.5 && unit + 1 < ARRAY_LEN(units); unit++)
                value /= 1000;
        return xasprintf("%.3g%s", value, units[unit]);
}

char *cli_time(Timestamp t)
{
        time_t seconds = (time_t)(t / NSEC_PER_SEC);
        struct tm local;
        char text[64];

        if (!localtime_r(&seconds, &local) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z %Z", &local) == 0)
                return xstrdup("");
        return xstrdup(text);
}

char *cli_ago(Timestamp t)
{
        return t ? timestamp_ago(t, clock_now()) : xstrdup("N/A");
}

char *cli_ellipsis(const char *s, size_t width)
{
        size_t n = 0, cut = 0, i = 0;

        for (; s[i]; i++) {
                if (((unsigned char)s[i] & 0xc0) == 0x80)
                        continue;
                if (n == width - 1)
                        cut = i;
                n++;
        }
        return n <= width ? xstrdup(s) : xasprintf("%.*s…", (int)cut, s);
}

char *cli_id(const Digest *id, bool no_trunc, char *buffer)
{
        return no_trunc ? digest_format(id, buffer) : digest_short(id, buffer);
}
