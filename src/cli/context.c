#include "cli/context.h"

#include <stdlib.h>

int cli_store(Cli *cli, Store **ret, Error *err)
{
        if (!cli->store && store_open(&(StoreOptions){ .root = cli->root }, &cli->store, err) < 0)
                return -1;
        *ret = cli->store;
        return 0;
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

void cli_context_done(Cli *cli)
{
        store_close(cli->store);
        cli->store = NULL;
}
