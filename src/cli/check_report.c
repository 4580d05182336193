#include "cli/check_report.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "cli/call_report.h"
#include "crypto/encode.h"
#include "json/writer.h"

/* The rule that a Dockerfile which cannot be built breaks, where a format wants one. */
#define BUILD_ERROR_RULE "BuildError"
#define BUILD_ERROR_TEXT "The Dockerfile cannot be built"

/* --- text --- */

static const LintWarning **by_line(const LintResult *lint)
{
        const LintWarning **order = NEW_ARRAY(const LintWarning *, lint->n_warnings + 1);

        for (size_t i = 0; i < lint->n_warnings; i++) {
                size_t at = i;

                for (; at > 0 && order[at - 1]->range.start > lint->warnings[i].range.start; at--)
                        order[at] = order[at - 1];
                order[at] = &lint->warnings[i];
        }
        return order;
}

static int write_text(const BuildCallResult *result, Buf *out, Error *err)
{
        const LintResult *lint = &result->lint;
        _cleanup_free_ const LintWarning **order = by_line(lint);
        _cleanup_(source_lines_done) SourceLines lines;

        source_lines_init(&lines, result->text.data ? result->text.data : "", result->text.size);
        if (lint->n_warnings == 1)
                buf_puts(out, "Check complete, 1 warning has been found!\n");
        else if (lint->n_warnings)
                buf_putf(out, "Check complete, %zu warnings have been found!\n", lint->n_warnings);
        for (size_t i = 0; i < lint->n_warnings; i++) {
                const LintWarning *warning = order[i];
                _cleanup_free_ char *detail = str_printable(warning->detail, strlen(warning->detail));

                buf_putf(out, "\nWARNING: %s", warning->rule->name);
                if (!str_empty(warning->rule->url))
                        buf_putf(out, " - %s", warning->rule->url);
                buf_putf(out, "\n%s\n", detail);
                source_lines_render(&lines, result->path, &warning->range, 1, out);
        }
        if (lint->has_build_error)
                buf_puts(out, lint->n_warnings ? "\n" : "");
        else if (!lint->n_warnings)
                buf_puts(out, "Check complete, no warnings found.\n");
        return 0;
}

int check_report_error(const BuildCallResult *result, Error *err)
{
        const Diagnosis *diag = &result->lint.build_error;
        _cleanup_free_ char *message = diagnosis_message(diag), *shown = str_printable(message, strlen(message));
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);

        buf_putf(&text, "%s\n", shown);
        diagnosis_render(diag, result->path, result->text.data ? result->text.data : "", result->text.size, &text);
        while (text.size && text.data[text.size - 1] == '\n')
                text.data[--text.size] = '\0';
        return error_set(err, ERROR_INVALID, "%s", buf_str(&text));
}

/* --- BuildKit's JSON --- */

static void write_source(const BuildCallResult *result, JsonWriter *json)
{
        _cleanup_free_ char *data = base64_encode(BASE64_STANDARD, result->text.data, result->text.size);

        json_writer_begin_object(json);
        json_writer_member_string(json, "filename", result->filename);
        if (*data)
                json_writer_member_string(json, "data", data);
        json_writer_member_string(json, "language", "Dockerfile");
        json_writer_end_object(json);
}

static int write_json(const BuildCallResult *result, Buf *out, Error *err)
{
        const LintResult *lint = &result->lint;
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        JsonWriter json;

        json_writer_init(&json, &flat, JSON_WRITE_COMPACT);
        json_writer_begin_object(&json);
        json_writer_key(&json, "warnings");
        if (lint->n_warnings)
                json_writer_begin_array(&json);
        else
                json_writer_null(&json);
        for (size_t i = 0; i < lint->n_warnings; i++) {
                const LintWarning *warning = &lint->warnings[i];

                json_writer_begin_object(&json);
                json_writer_member_string(&json, "ruleName", warning->rule->name);
                json_writer_member_string(&json, "description", warning->rule->description);
                if (!str_empty(warning->rule->url))
                        json_writer_member_string(&json, "url", warning->rule->url);
                json_writer_member_string(&json, "detail", warning->detail);
                json_writer_key(&json, "location");
                call_report_location(&json, &warning->range, 1);
                json_writer_end_object(&json);
        }
        if (lint->n_warnings)
                json_writer_end_array(&json);
        json_writer_key(&json, "sources");
        json_writer_begin_array(&json);
        write_source(result, &json);
        json_writer_end_array(&json);
        if (lint->has_build_error) {
                _cleanup_free_ char *message = diagnosis_message(&lint->build_error);

                json_writer_key(&json, "buildError");
                json_writer_begin_object(&json);
                json_writer_member_string(&json, "message", message);
                json_writer_key(&json, "location");
                call_report_location(&json, lint->build_error.ranges, lint->build_error.n_ranges);
                json_writer_end_object(&json);
        }
        json_writer_end_object(&json);
        return call_report_finish(&json, &flat, out, err);
}

/* --- SARIF --- */

/* A path as a relative reference (RFC 3986), or a file: URI when it is absolute. New string. */
static char *path_uri(const char *path)
{
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        if (*path == '/')
                buf_puts(&out, "file://");
        for (; *path; path++)
                if (isalnum((unsigned char)*path) || strchr("/-._~", *path))
                        buf_putc(&out, *path);
                else
                        buf_putf(&out, "%%%02X", (unsigned char)*path);
        return buf_detach(&out);
}

static void sarif_text(JsonWriter *json, const char *key, const char *text)
{
        json_writer_key(json, key);
        json_writer_begin_object(json);
        json_writer_member_string(json, "text", text);
        json_writer_end_object(json);
}

static void sarif_rule(JsonWriter *json, const char *name, const char *description, const char *url, const char *level)
{
        json_writer_begin_object(json);
        json_writer_member_string(json, "id", name);
        sarif_text(json, "shortDescription", description);
        if (!str_empty(url))
                json_writer_member_string(json, "helpUri", url);
        json_writer_key(json, "defaultConfiguration");
        json_writer_begin_object(json);
        json_writer_member_string(json, "level", level);
        json_writer_end_object(json);
        json_writer_end_object(json);
}

static void sarif_driver(JsonWriter *json)
{
        json_writer_key(json, "tool");
        json_writer_begin_object(json);
        json_writer_key(json, "driver");
        json_writer_begin_object(json);
        json_writer_member_string(json, "name", "mica");
        json_writer_member_string(json, "version", MICA_VERSION);
        json_writer_key(json, "rules");
        json_writer_begin_array(json);
        for (int id = 0; id < LINT_RULES; id++) {
                const LintRule *rule = lint_rule((LintRuleId)id);

                sarif_rule(json, rule->name, rule->description, rule->url, "warning");
        }
        sarif_rule(json, BUILD_ERROR_RULE, BUILD_ERROR_TEXT, NULL, "error");
        json_writer_end_array(json);
        json_writer_end_object(json);
        json_writer_end_object(json);
}

static void sarif_result(JsonWriter *json, const char *uri, const char *rule, int index, const char *level, const char *text, const SourceRange *range)
{
        json_writer_begin_object(json);
        json_writer_member_string(json, "ruleId", rule);
        json_writer_member_int(json, "ruleIndex", index);
        json_writer_member_string(json, "level", level);
        sarif_text(json, "message", text);
        json_writer_key(json, "locations");
        json_writer_begin_array(json);
        json_writer_begin_object(json);
        json_writer_key(json, "physicalLocation");
        json_writer_begin_object(json);
        json_writer_key(json, "artifactLocation");
        json_writer_begin_object(json);
        json_writer_member_string(json, "uri", uri);
        json_writer_end_object(json);
        if (range && range->start) {
                json_writer_key(json, "region");
                json_writer_begin_object(json);
                json_writer_member_int(json, "startLine", range->start);
                json_writer_member_int(json, "endLine", MAX(range->start, range->end));
                json_writer_end_object(json);
        }
        json_writer_end_object(json);
        json_writer_end_object(json);
        json_writer_end_array(json);
        json_writer_end_object(json);
}

static int write_sarif(const BuildCallResult *result, Buf *out, Error *err)
{
        const LintResult *lint = &result->lint;
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_free_ char *uri = path_uri(result->path);
        JsonWriter json;

        json_writer_init(&json, &flat, JSON_WRITE_NO_HTML);
        json_writer_begin_object(&json);
        json_writer_member_string(&json, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
        json_writer_member_string(&json, "version", "2.1.0");
        json_writer_key(&json, "runs");
        json_writer_begin_array(&json);
        json_writer_begin_object(&json);
        sarif_driver(&json);
        json_writer_key(&json, "results");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < lint->n_warnings; i++)
                sarif_result(&json, uri, lint->warnings[i].rule->name, (int)lint->warnings[i].id, "warning", lint->warnings[i].detail,
                             &lint->warnings[i].range);
        if (lint->has_build_error) {
                _cleanup_free_ char *message = diagnosis_message(&lint->build_error);

                sarif_result(&json, uri, BUILD_ERROR_RULE, LINT_RULES, "error", message, lint->build_error.n_ranges ? lint->build_error.ranges : NULL);
        }
        json_writer_end_array(&json);
        json_writer_end_object(&json);
        json_writer_end_array(&json);
        json_writer_end_object(&json);
        return call_report_finish(&json, &flat, out, err);
}

/* --- GitHub Actions --- */

/* Percent-encodes what would end a property or the message. */
static void put_escaped(Buf *out, const char *text, const char *special)
{
        for (; *text; text++)
                if (strchr(special, *text))
                        buf_putf(out, "%%%02X", (unsigned char)*text);
                else
                        buf_putc(out, *text);
}

static void put_annotation(Buf *out, const char *level, const char *path, const SourceRange *range, const char *title, const char *text)
{
        buf_putf(out, "::%s file=", level);
        put_escaped(out, path, "%\r\n:,");
        if (range && range->start)
                buf_putf(out, ",line=%u,endLine=%u", range->start, MAX(range->start, range->end));
        buf_puts(out, ",title=");
        put_escaped(out, title, "%\r\n:,");
        buf_puts(out, "::");
        put_escaped(out, text, "%\r\n");
        buf_putc(out, '\n');
}

static int write_github(const BuildCallResult *result, Buf *out, Error *err)
{
        const LintResult *lint = &result->lint;
        _cleanup_free_ const LintWarning **order = by_line(lint);

        for (size_t i = 0; i < lint->n_warnings; i++)
                put_annotation(out, "warning", result->path, &order[i]->range, order[i]->rule->name, order[i]->detail);
        if (lint->has_build_error) {
                _cleanup_free_ char *message = diagnosis_message(&lint->build_error);

                put_annotation(out, "error", result->path, lint->build_error.n_ranges ? lint->build_error.ranges : NULL, BUILD_ERROR_RULE, message);
        }
        return 0;
}

static const CheckFormat check_formats[] = { { "text", write_text }, { "json", write_json }, { "sarif", write_sarif }, { "github", write_github } };

int check_format_find(const char *name, const CheckFormat **ret, Error *err)
{
        for (size_t i = 0; i < ARRAY_LEN(check_formats); i++)
                if (streq(check_formats[i].name, name)) {
                        *ret = &check_formats[i];
                        return 0;
                }
        return error_set(err, ERROR_INVALID, "unknown format '%s' of checks; known are text, json, sarif and github", name);
}
