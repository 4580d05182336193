/*
 * The result of build checks as text: for people (as buildx prints it), as BuildKit's JSON, as SARIF 2.1.0 for editors and code scanning, and as annotations
 * of GitHub Actions.
 *
 * To add a format: a row in check_formats[] of check_report.c with a function that appends to a buffer.
 */
#pragma once

#include "build/call.h"

typedef struct CheckFormat {
        const char *name;
        int (*write)(const BuildCallResult *result, Buf *out, Error *err);
} CheckFormat;

/* By name ("text", "json", "sarif", "github"). Errors: INVALID, with the names there are. */
int check_format_find(const char *name, const CheckFormat **ret, Error *err);

/* The build error with its source lines, as an error of the command. Returns -1. */
int check_report_error(const BuildCallResult *result, Error *err);
