/*
 * What `mica build --call` prints beside checks: outline, targets and the list of requests, as buildx prints them and as BuildKit's JSON.
 */
#pragma once

#include "build/call.h"
#include "json/writer.h"

/* Append the text, or the JSON indented by two spaces. */
int call_report_outline(const BuildCallResult *result, bool json, Buf *out, Error *err);
int call_report_targets(const BuildCallResult *result, bool json, Buf *out, Error *err);
int call_report_describe(bool json, Buf *out, Error *err);

/* --- shared with the report of checks --- */

/* BuildKit's location: one range for each line, lines only. */
void call_report_location(JsonWriter *json, const SourceRange *ranges, size_t n_ranges);
/* Ends `json`, which writes to `flat`, and appends it indented by two spaces, with a newline. */
int call_report_finish(JsonWriter *json, const Buf *flat, Buf *out, Error *err);
