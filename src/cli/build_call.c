#include "cli/build_call.h"

#include <string.h>

#include "base/mem.h"
#include "cli/call_report.h"
#include "cli/check_report.h"

typedef struct Call {
        char *name, *format;
        bool ignore_status;
} Call;

static void call_done(Call *call)
{
        free(call->name);
        free(call->format);
}

/* "check,format=json,ignorestatus=true" */
static int parse_call(const char *text, Call *ret, Error *err)
{
        _cleanup_strlist_ StrList fields = { 0 };

        strlist_split(&fields, text, ',');
        for (size_t i = 0; i < fields.n_items; i++) {
                const char *field = fields.items[i], *value = strchr(field, '=');

                if (!value && ret->name)
                        return error_set(err, ERROR_INVALID, "invalid --call '%s': '%s' and '%s' are two requests", text, ret->name, field);
                if (!value) {
                        ret->name = xstrdup(field);
                } else if (str_starts(field, "format=")) {
                        free(ret->format);
                        ret->format = xstrdup(value + 1);
                } else if (str_starts(field, "ignorestatus=")) {
                        if (str_to_bool(value + 1, &ret->ignore_status) < 0)
                                return error_set(err, ERROR_INVALID, "invalid ignorestatus value '%s': use true or false", value + 1);
                } else {
                        return error_set(err, ERROR_INVALID, "invalid --call '%s': unknown field '%s'; known are format and ignorestatus", text, field);
                }
        }
        return 0;
}

static int read_flags(const BuildFlags *flags, Call *call, Error *err)
{
        if (!str_empty(flags->call) && parse_call(flags->call, call, err) < 0)
                return -1;
        if (flags->check && call->name && !streq(call->name, "check") && !streq(call->name, "lint"))
                return error_set(err, ERROR_INVALID, "--check and --call=%s ask for different things: give one of them", call->name);
        if (!call->name)
                call->name = xstrdup(flags->check ? "check" : "build");
        if (!flags->format)
                return 0;
        if (call->format && !streq(call->format, flags->format))
                return error_set(err, ERROR_INVALID, "--format=%s and --call=…,format=%s disagree", flags->format, call->format);
        free(call->format);
        call->format = xstrdup(flags->format);
        return 0;
}

static int check(Store *store, const BuildOptions *options, const Call *call, Buf *out, Error *err)
{
        _cleanup_(build_call_result_done) BuildCallResult result = { 0 };
        const CheckFormat *format;

        if (check_format_find(str_empty(call->format) ? "text" : call->format, &format, err) < 0 ||
            build_call(store, options, BUILD_CALL_CHECK, &result, err) < 0 || format->write(&result, out, err) < 0)
                return -1;
        if (result.lint.has_build_error)
                return check_report_error(&result, err);
        return result.lint.n_warnings && !call->ignore_status;
}

static int outline(Store *store, const BuildOptions *options, bool json, Buf *out, Error *err)
{
        _cleanup_(build_call_result_done) BuildCallResult result = { 0 };

        return build_call(store, options, BUILD_CALL_OUTLINE, &result, err) < 0 ? -1 : call_report_outline(&result, json, out, err);
}

static int targets(Store *store, const BuildOptions *options, bool json, Buf *out, Error *err)
{
        _cleanup_(build_call_result_done) BuildCallResult result = { 0 };

        return build_call(store, options, BUILD_CALL_TARGETS, &result, err) < 0 ? -1 : call_report_targets(&result, json, out, err);
}

static int describe(Store *store, const BuildOptions *options, bool json, Buf *out, Error *err)
{
        return call_report_describe(json, out, err);
}

static const struct {
        const char *name;
        int (*answer)(Store *store, const BuildOptions *options, bool json, Buf *out, Error *err);
} calls[] = { { "outline", outline }, { "targets", targets }, { "subrequests.describe", describe } };

static int answer(Store *store, const BuildOptions *options, const Call *call, Buf *out, Error *err)
{
        bool json = call->format && streq(call->format, "json");

        if (streq(call->name, "check") || streq(call->name, "lint"))
                return check(store, options, call, out, err);
        for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
                if (!streq(calls[i].name, call->name))
                        continue;
                if (!json && !str_empty(call->format) && !streq(call->format, "text"))
                        return error_set(err, ERROR_INVALID, "unknown format '%s' of %s; known are text and json", call->format, call->name);
                return calls[i].answer(store, options, json, out, err);
        }
        return error_set(err, ERROR_INVALID, "unknown request '%s' of --call; known are build, check, outline, targets and subrequests.describe", call->name);
}

/* Checks need no store: without one, nothing is known of base images. But a context that is no directory is unpacked in one. */
static int open_store(const Cli *cli, const BuildOptions *options, Store **ret, Error *err)
{
        bool needed = build_call_needs_store(options);
        _cleanup_error_ Error no_store = ERROR_INIT;

        if (store_open(&(StoreOptions){ .root = cli->root, .existing = !needed }, ret, &no_store) < 0 && needed)
                return error_move(err, &no_store);
        return 0;
}

int build_call_run(Cli *cli, const BuildFlags *flags, const BuildOptions *options, Error *err)
{
        _cleanup_(call_done) Call call = { 0 };
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        int result;

        if (read_flags(flags, &call, err) < 0)
                return -1;
        if (streq(call.name, "build"))
                return call.format ? error_set(err, ERROR_INVALID, "--format is for --check and --call; a build has --progress") : BUILD_CALL_NONE;
        if (open_store(cli, options, &store, err) < 0)
                return -1;
        result = answer(store, options, &call, &out, err);
        /* What was found is printed even when the Dockerfile is wrong. */
        if (out.size)
                fwrite(out.data, 1, out.size, cli->out);
        return result;
}
