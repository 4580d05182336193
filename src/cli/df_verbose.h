/*
 * mica system df -v: every image, container, volume and build cache record with its size.
 */
#pragma once

#include "cli/context.h"
#include "engine/df.h"

/* `format`: a template or "json" over one object of all parts ({{range .Images}}…), as docker's; NULL or "table": tables. */
int df_print_verbose(Cli *cli, Store *store, const char *format, const DfReport *report, Error *err);
