/*
 * mica build: options in, progress and the image's id out.
 */
#include <sys/stat.h>

#include "base/mem.h"
#include "build/build.h"
#include "cli/build_call.h"
#include "cli/build_explain.h"
#include "cli/build_graph.h"
#include "cli/build_output.h"
#include "cli/build_progress.h"
#include "cli/build_request.h"
#include "cli/build_shell.h"
#include "cli/build_vcs.h"
#include "cli/build_watch_loop.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "engine/build_cache.h"
#include "fs/userns.h"

/* A build that ran nothing added nothing. What goes wrong here is no failure of the build. */
static void keep_cache_limits(Cli *cli, Store *store)
{
        _cleanup_(config_freep) Config *config = NULL;
        _cleanup_error_ Error err = ERROR_INIT;

        if (config_load(&config, &err) < 0 || engine_cache_gc(store, config, NULL, &err) < 0)
                cli_note(cli, "cannot keep the build cache within its limits: %s", error_message(&err));
}

/* What each event of a build is for. */
typedef struct Watchers {
        BuildProgress *progress;
        BuildNotes notes;
} Watchers;

static void on_event(void *user, const BuildEvent *event)
{
        Watchers *watchers = user;

        build_notes_event(&watchers->notes, event);
        build_progress_event(watchers->progress, event);
}

static int on_shell(void *user, const BuildShell *shell, Error *err)
{
        return build_shell_open(((Watchers *)user)->progress, shell, err);
}

static void watchers_done(Watchers *watchers)
{
        build_progress_close(watchers->progress);
        build_notes_done(&watchers->notes);
}

static int check_flags(const BuildFlags *flags, const char *path, Error *err)
{
        struct stat st;

        if (flags->explain && flags->quiet)
                return error_set(err, ERROR_INVALID, "--explain and --quiet cannot be used together: both print on standard output");
        if (flags->debug_shell && (streq(path, "-") || (flags->file && streq(flags->file, "-"))))
                return error_set(err, ERROR_INVALID, "--debug-shell needs standard input for the shell: give the Dockerfile and the context as files");
        if (!flags->watch)
                return 0;
        if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
                return error_set(err, ERROR_INVALID, "--watch needs a directory as the build context, which '%s' is not", path);
        if (flags->call || flags->check || flags->graph)
                return error_set(err, ERROR_INVALID, "--watch builds: it cannot be used with --call, --check or --graph");
        return 0;
}

/* apt-get and its like say "Invalid argument" where they become another user who is not there. */
static void explain_ids(Cli *cli)
{
        _cleanup_free_ char *advice = NULL;

        if (!userns_entered() || userns_has_uid(1))
                return;
        advice = userns_advice();
        cli_note(cli, "note: a RUN fails when it needs another user than root: %s", advice);
}

/* `inputs` (may be NULL) gets what the build used, also when it fails. */
static int build_once(Cli *cli, const BuildFlags *flags, BuildRequest *request, BuildInputs *inputs, Error *err)
{
        _cleanup_(watchers_done) Watchers watchers = { 0 };
        _cleanup_(build_result_done) BuildResult result = { 0 };
        _cleanup_(explain_view_done) ExplainView explain = { 0 };
        char id[DIGEST_TEXT_SIZE];
        Store *store = NULL;
        int r;

        if (build_progress_open(flags->quiet ? "quiet" : flags->progress, flags->timings, &watchers.progress, err) < 0)
                return -1;
        if (flags->explain && explain_view_parse(flags->explain, &explain, err) < 0)
                return -1;
        request->options.explain = flags->explain ? explain_view_take : NULL;
        request->options.explain_user = &explain;
        request->options.inputs = inputs;
        request->options.event = on_event;
        request->options.shell = on_shell;
        request->options.user = &watchers;
        request->options.cancel = interrupt_flag();
        if (cli_store(cli, &store, err) < 0)
                return -1;
        r = build_run(store, &request->options, &result, err);
        build_progress_close(TAKE_PTR(watchers.progress));
        if (explain.text)
                fputs(explain.text, cli->out);
        if (r < 0 && err->code == ERROR_EXIT)
                explain_ids(cli);
        if (r < 0 || result.n_cached < result.n_steps)
                keep_cache_limits(cli, store);
        if (r < 0 || build_write_files(flags, &result, &watchers.notes, err) < 0)
                return -1;
        if (flags->quiet && build_prints_id(request, &result))
                fprintf(cli->out, "%s\n", digest_format(&result.id, id));
        return 0;
}

static int run_build(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const BuildFlags *flags = data;
        _cleanup_(build_request_done) BuildRequest request = { 0 };
        const volatile sig_atomic_t *cancel;
        int r;

        if (build_request_make(flags, args->items[0], &request, err) < 0 || check_flags(flags, args->items[0], err) < 0 ||
            build_take_vcs(cli, args->items[0], flags->file && !streq(flags->file, "-") ? flags->file : NULL, &request.options, err) < 0)
                return -1;
        r = build_call_run(cli, flags, &request.options, err);
        if (r != BUILD_CALL_NONE)
                return r;
        if (flags->graph)
                return build_graph_run(cli, flags->graph, &request.options, err);
        cancel = interrupt_flag();
        if (flags->watch)
                return build_watch_loop(cli, flags, &request, build_once, err);
        r = build_once(cli, flags, &request, NULL, err);
        return r < 0 && err->code == ERROR_CANCELLED && *cancel ? (cli_report(cli, err), 128 + (int)*cancel) : r;
}

const Command command_build = {
        .usage = "[OPTIONS] PATH | URL | -",
        .summary = "Build an image from a Dockerfile",
        .details =
                "PATH is the directory of the build context. URL is a git repository (https://….git, git://, ssh://, user@host:path; behind it #ref:directory "
                "or "
                "?ref=&subdir=&checksum=…), or a tar or a Dockerfile on a web server. - reads a tar (in any compression) or a Dockerfile alone from standard "
                "input, and -f - a Dockerfile beside a context.\n\n"
                "Instructions, flags, variables and the build cache follow BuildKit. RUN uses the host's network unless --network=none says otherwise.",
        .example = "mica build -t app:1.0 .\n"
                   "mica build --target test --build-arg VERSION=2 -f docker/Dockerfile .\n"
                   "mica build --secret id=token,env=TOKEN -t app .\n"
                   "mica build -t app https://github.com/owner/app.git#v1.0:docker\n"
                   "git archive HEAD | mica build -t app -",
        .options = { build_options },
        .options_size = sizeof(BuildFlags),
        .min_args = 1,
        .max_args = 1,
        .flags = COMMAND_DIRECTORIES | COMMAND_NAMESPACE,
        .run = run_build,
};
