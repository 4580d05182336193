/*
 * What commands share beside the table: the store, opened when the first command asks for it, and small conventions of output.
 */
#pragma once

#include "base/clock.h"
#include "cli/command.h"
#include "store/store.h"

/* The store of --root or MICA_ROOT. Belongs to the context. */
int cli_store(Cli *cli, Store **ret, Error *err);

/* Frees what the context holds: called once at the end. */
void cli_context_done(Cli *cli);

/* SOURCE_DATE_EPOCH in seconds, or -1 when it is not set. Errors: INVALID. */
int cli_source_date_epoch(int64_t *ret, Error *err);

/*
 * Calls `each` for every argument, reports failures and goes on, as docker does with several names. Returns the exit status.
 */
int cli_each_argument(Cli *cli, const StrList *args, int (*each)(Cli *cli, const char *arg, void *user, Error *err), void *user);

/* Sizes as docker's lists show them: powers of 1000, three significant digits ("7.66MB"). New string. */
char *cli_size(uint64_t size);
/* "2024-01-31 12:00:00 +0100 CET", Go's way to print a time, in local time. New string. */
char *cli_time(Timestamp t);
/* "2 hours ago", or "N/A" for none. New string. */
char *cli_ago(Timestamp t);
/* At most `width` characters, the last one "…" when something was cut. New string. */
char *cli_ellipsis(const char *s, size_t width);
/* With `no_trunc` "sha256:…", else 12 digits. `buffer` has DIGEST_TEXT_SIZE bytes. */
char *cli_id(const Digest *id, bool no_trunc, char *buffer);
