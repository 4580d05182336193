#include "cli/build_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/build_timings.h"
#include "cli/terminal.h"

struct BuildProgress {
        const BuildView *view; /* NULL: quiet */
        void *state;
        BuildTimings *timings; /* or NULL */
        bool timings_json;
};

static const BuildView *const views[] = { &build_view_plain, &build_view_rawjson, &build_view_tty };

int build_progress_open(const char *mode, const char *timings, BuildProgress **ret, Error *err)
{
        BuildProgress *progress;
        const BuildView *view = NULL;

        if (streq(mode, "auto") && !str_empty(getenv("BUILDKIT_PROGRESS")))
                mode = getenv("BUILDKIT_PROGRESS");
        if (timings && !streq(timings, "text") && !streq(timings, "json"))
                return error_set(err, ERROR_INVALID, "unknown form of timings '%s'; known are text and json", timings);
        if (streq(mode, "auto") || streq(mode, ""))
                mode = terminal_is_smart(STDERR_FILENO) ? "tty" : "plain";
        else if (streq(mode, "tty") && !terminal_is_smart(STDERR_FILENO))
                return error_set(err, ERROR_INVALID, "cannot show progress 'tty': standard error is not a terminal; use --progress plain");
        for (size_t i = 0; i < ARRAY_LEN(views); i++)
                if (streq(views[i]->mode, mode))
                        view = views[i];
        if (!view && !streq(mode, "quiet") && !streq(mode, "none"))
                return error_set(err, ERROR_INVALID, "unknown progress mode '%s'; known are auto, tty, plain, rawjson and quiet", mode);
        progress = NEW(BuildProgress);
        progress->view = view;
        progress->timings = timings ? build_timings_new() : NULL;
        progress->timings_json = timings && streq(timings, "json");
        if (view)
                progress->state = view->open();
        *ret = progress;
        return 0;
}

void build_progress_event(void *user, const BuildEvent *event)
{
        BuildProgress *progress = user;

        if (progress->timings)
                build_timings_event(progress->timings, event);
        if (progress->view)
                progress->view->event(progress->state, event);
}

void build_progress_suspend(BuildProgress *progress, bool suspended)
{
        if (progress->view && progress->view->suspend)
                progress->view->suspend(progress->state, suspended);
}

void build_progress_close(BuildProgress *progress)
{
        if (!progress)
                return;
        if (progress->view)
                progress->view->close(progress->state);
        if (progress->timings) {
                Buf text = BUF_INIT(BUF_MAX_DEFAULT);

                build_timings_write(progress->timings, progress->timings_json, &text);
                fwrite(buf_str(&text), 1, text.size, stderr);
                buf_done(&text);
        }
        build_timings_free(progress->timings);
        free(progress);
}

char *build_seconds(int64_t ns, char *buffer)
{
        snprintf(buffer, 24, "%" PRId64 ".%" PRId64 "s", ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / (NSEC_PER_SEC / 10));
        return buffer;
}

char *build_warning_line(const BuildWarning *warning)
{
        _cleanup_free_ char *line = warning->line ? xasprintf(" (line %u)", warning->line) : xstrdup("");

        return xasprintf(" - %s%s%s%s", warning->rule ? warning->rule : "", warning->rule ? ": " : "", warning->message, line);
}

char *build_warnings_text(const StrList *warnings)
{
        _cleanup_free_ char *lines = NULL;

        if (warnings->n_items == 0)
                return NULL;
        lines = strlist_join(warnings, "\n");
        return xasprintf("\n %zu warning%s found:\n%s\n", warnings->n_items, warnings->n_items == 1 ? "" : "s", lines);
}
