/*
 * Finding the ends of things in JSON text, without understanding them. Private to json/.
 * The text must have passed the reader before, except for json_scan_limits(), which is what runs first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "json/json.h"

/* Values that one document may hold: what keeps the tree of a hostile 8 MiB of "[[],[],…" within some 50 MB. */
#define JSON_VALUES_MAX 200000

const char *json_scan_space(const char *p, const char *end);
const char *json_scan_string(const char *p, const char *end); /* from the opening quote to behind the closing one */
const char *json_scan_value(const char *p, const char *end);  /* to behind the value that starts at p */

/* Refuses text that nests too deeply or holds too many values, before any memory is spent on it. */
int json_scan_limits(const char *text, size_t size, unsigned depth_max, Error *err);
