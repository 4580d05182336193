#include "cli/build_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/terminal.h"

struct BuildProgress {
        const BuildView *view; /* NULL: quiet */
        void *state;
};

static const BuildView *const views[] = { &build_view_plain, &build_view_tty };

int build_progress_open(const char *mode, BuildProgress **ret, Error *err)
{
        BuildProgress *progress;
        const BuildView *view = NULL;

        if (streq(mode, "auto") || streq(mode, ""))
                mode = terminal_is_smart(STDERR_FILENO) ? "tty" : "plain";
        else if (streq(mode, "tty") && !terminal_is_smart(STDERR_FILENO))
                return error_set(err, ERROR_INVALID, "cannot show progress 'tty': standard error is not a terminal; use --progress plain");
        for (size_t i = 0; i < ARRAY_LEN(views); i++)
                if (streq(views[i]->mode, mode))
                        view = views[i];
        if (!view && !streq(mode, "quiet") && !streq(mode, "none"))
                return error_set(err, ERROR_INVALID, "unknown progress mode '%s'; known are auto, tty, plain and quiet", mode);
        progress = NEW(BuildProgress);
        progress->view = view;
        if (view)
                progress->state = view->open();
        *ret = progress;
        return 0;
}

void build_progress_event(void *user, const BuildEvent *event)
{
        BuildProgress *progress = user;

        if (progress->view)
                progress->view->event(progress->state, event);
}

void build_progress_close(BuildProgress *progress)
{
        if (!progress)
                return;
        if (progress->view)
                progress->view->close(progress->state);
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
