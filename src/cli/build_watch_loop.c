#include "cli/build_watch_loop.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/build_watch.h"
#include "cli/interrupt.h"

/* Lines that say what changed. */
#define CHANGES_SHOWN 10

/* What the build writes by itself must not start it again. The files need not be there yet. */
static void add_own(StrList *own, const char *path)
{
        const char *slash = path ? strrchr(path, '/') : NULL;
        _cleanup_free_ char *dir = slash ? xstrndup(path, MAX((size_t)(slash - path), (size_t)1)) : xstrdup(".");
        char *real = path ? realpath(dir, NULL) : NULL;

        if (real)
                strlist_addf(own, "%s/%s", streq(real, "/") ? "" : real, slash ? slash + 1 : path);
        free(real);
}

static void own_paths(const BuildFlags *flags, const BuildRequest *request, StrList *own)
{
        add_own(own, flags->iidfile);
        add_own(own, flags->metadata_file);
        for (size_t i = 0; i < request->options.n_outputs; i++)
                add_own(own, request->options.outputs[i].dest);
        for (size_t i = 0; i < request->options.n_cache_to; i++)
                add_own(own, request->options.cache_to[i].dest);
}

/* Each with the prefix, below an empty line. */
static void tell(const StrList *lines, const char *prefix)
{
        for (size_t i = 0; i < lines->n_items && i < CHANGES_SHOWN; i++) {
                _cleanup_free_ char *shown = str_printable(lines->items[i], strlen(lines->items[i]));

                fprintf(stderr, "%s%s%s\n", i ? "" : "\n", prefix, shown);
        }
        if (lines->n_items > CHANGES_SHOWN)
                fprintf(stderr, "and %zu more\n", lines->n_items - CHANGES_SHOWN);
}

/* 1: build again; 0: the user has had enough. */
static int wait_for_change(BuildWatch *watch, const volatile sig_atomic_t *cancel, Error *err)
{
        _cleanup_strlist_ StrList changes = { 0 };
        int r;

        tell(&build_watch_inputs(watch)->elsewhere, "not watched, but asked at each build: ");
        fprintf(stderr, "\nwatching %zu director%s for changes (Ctrl-C ends)\n", build_watch_size(watch), build_watch_size(watch) == 1 ? "y" : "ies");
        r = build_watch_wait(watch, cancel, &changes, err);
        if (r > 0) {
                tell(&changes, "");
                fputc('\n', stderr);
        }
        return r;
}

int build_watch_loop(Cli *cli, const BuildFlags *flags, BuildRequest *request, BuildOnce *once, Error *err)
{
        const volatile sig_atomic_t *cancel = interrupt_flag();
        _cleanup_(build_watch_freep) BuildWatch *watch = NULL;
        _cleanup_strlist_ StrList own = { 0 };

        own_paths(flags, request, &own);
        if (build_watch_new(&own, &watch, err) < 0)
                return -1;
        for (;;) {
                _cleanup_(build_inputs_done) BuildInputs inputs = { 0 };
                int r = once(cli, flags, request, &inputs, err);

                fflush(cli->out);
                if (*cancel) {
                        error_done(err);
                        break;
                }
                /* Nothing was read: it is no build that could go better another time. */
                if (r < 0 && !inputs.files.n_items)
                        return -1;
                if (r < 0)
                        cli_report(cli, err);
                if (build_watch_set(watch, &inputs, err) < 0)
                        return -1;
                r = wait_for_change(watch, cancel, err);
                if (r < 0)
                        return -1;
                if (r == 0)
                        break;
        }
        return 128 + (int)*cancel;
}
