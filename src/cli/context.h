/*
 * What commands share beside the table: the store, opened when the first command asks for it.
 */
#pragma once

#include "cli/command.h"
#include "store/store.h"

/* The store that --root names, opened at the first call. *ret belongs to the context. */
int cli_store(Cli *cli, Store **ret, Error *err);

/* SOURCE_DATE_EPOCH in seconds, or -1 when it is not set. Errors: INVALID. */
int cli_source_date_epoch(int64_t *ret, Error *err);

/* Frees what the context holds: called once at the end. */
void cli_context_done(Cli *cli);
