/*
 * Port words of EXPOSE: "80", "80/udp", "7000-7010/tcp", and the deprecated "[ip:]host:container". Private to this folder.
 */
#pragma once

#include "base/error.h"
#include "base/str.h"

typedef struct ExposeFindings {
        bool proto_case;  /* "80/TCP" */
        bool host_format; /* an address or host port */
} ExposeFindings;

/* Appends "80/tcp" for every port of the word. Errors: INVALID, LIMIT. */
int expose_parse(StrList *ports, const char *word, ExposeFindings *ret, Error *err);
