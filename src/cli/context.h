/*
 * What commands share beside the table: the store, opened when the first command asks for it.
 */
#pragma once

#include "cli/command.h"

/* Frees what the context holds: called once at the end. */
void cli_context_done(Cli *cli);
