/*
 * The attributes of --mount, --output and --attest: one line of comma-separated values as Go's encoding/csv reads it.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

/* Splits one record: fields in double quotes may hold commas, "" is a quote in them. Appends. Errors: INVALID. */
int csv_split(const char *value, StrList *fields, Error *err);
