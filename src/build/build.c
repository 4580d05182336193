/*
 * One build from its options to its result.
 */
#include "build/build.h"

#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "build/cache_export.h"
#include "build/cache_import.h"
#include "build/debug_shell.h"
#include "build/engine.h"
#include "build/explain.h"
#include "build/git.h"
#include "build/git_add.h"
#include "build/intake.h"
#include "build/lint.h"
#include "build/named.h"
#include "build/sbom.h"
#include "build/ssh.h"
#include "fs/mount.h"

void build_options_done(BuildOptions *options)
{
        build_annotations_done(&options->annotations);
        build_provenance_done(&options->provenance);
        build_sbom_done(&options->sbom);
        string_map_done(&options->vcs);
        strlist_done(&options->platforms);
        strlist_done(&options->tags);
        strlist_done(&options->build_args);
        strlist_done(&options->labels);
        strlist_done(&options->add_hosts);
        strlist_done(&options->allow);
        strlist_done(&options->no_cache_filter);
}

void build_result_done(BuildResult *result)
{
        free(result->platform);
        free(result->descriptor);
        string_map_done(&result->provenance);
        strlist_done(&result->names);
        *result = (BuildResult){ 0 };
}

Build *build_new(Store *store, const BuildOptions *options)
{
        Build *build = NEW(Build);

        build->store = store;
        build->options = options;
        build->stop_fd = -1;
        build->epoch = -1;
        build->started = clock_now();
        build->progress = progress_new(options);
        build->sources = sources_new();
        build->named = map_new(named_tree_free);
        build->results = map_new(free);
        build->claims = map_new(NULL);
        build->git_refs = map_new(git_answer_free);
        build->checkouts = map_new(git_tree_free);
        pthread_mutex_init(&build->lock, NULL);
        return build;
}

static void drop_secrets(Build *build)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (build->secret_dir)
                (void)mount_detach(build->secret_dir, &ignored);
        free(build->secret_dir);
}

void build_free(Build *build)
{
        if (!build)
                return;
        for (size_t i = 0; i < build->n_stages; i++)
                stage_free(build->stages[i]);
        free(build->stages);
        map_free(build->checkouts);
        rootfs_free(build->context_root);
        free(build->context_asked);
        map_free(build->git_refs);
        ssh_agents_free(build);
        source_tree_free(build->context);
        map_free(build->named);
        file_digests_free(build->digests);
        map_free(build->results);
        map_free(build->claims);
        cache_imports_free(build->imports);
        runtime_close(build->runtime);
        ignore_matcher_free(build->ignore);
        strlist_done(&build->ignore_patterns);
        for (size_t i = 0; i < build->n_targets; i++) {
                target_sboms_done(&build->targets[i]);
                global_scope_free(build->targets[i].global);
                platform_done(&build->targets[i].platform);
                free(build->targets[i].text);
        }
        free(build->targets);
        stages_free(build->parsed);
        dockerfile_free(build->dockerfile);
        buf_done(&build->dockerfile_text);
        diagnosis_done(&build->diagnosis);
        platform_done(&build->host);
        free(build->host_text);
        free(build->dockerfile_name);
        drop_secrets(build);
        strlist_done(&build->names);
        intake_close(build);
        sources_free(build->sources);
        progress_free(build->progress);
        if (build->stop_fd >= 0)
                close(build->stop_fd);
        lease_free(build->lease);
        pthread_mutex_destroy(&build->lock);
        free(build);
}
int build_explain(const Build *build, const Diagnosis *diagnosis, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        ErrorCode code = err->code;
        int errnum = err->errnum, status = err->status;

        if (code == ERROR_CANCELLED || !diagnosis->n_ranges || !build->dockerfile_text.size)
                return -1;
        buf_putf(&text, "%s\n", error_message(err));
        diagnosis_render(diagnosis, build->dockerfile_name, build->dockerfile_text.data, build->dockerfile_text.size, &text);
        while (text.size && text.data[text.size - 1] == '\n')
                text.data[--text.size] = '\0';
        error_set(err, code, "%s", buf_str(&text));
        err->errnum = errnum;
        err->status = status;
        return -1;
}

/* What the build has learnt about files is worth keeping, also when it failed; a failure to keep it costs time only. */
static void save_digests(Build *build)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (build->digests && file_digests_save(build->digests, &ignored) < 0)
                log_debug("cannot save the digests of context files: %s", error_message(&ignored));
}

/* Steps that were completed before a failure stay in the cache. */
static void keep_finished(Build *build)
{
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (build->lease)
                lease_settle(build->lease); /* what failed may have filled the disk */
        if (build->lease && lease_sync(build->lease, &ignored) < 0)
                log_debug("cannot keep the finished steps of a failed build: %s", error_message(&ignored));
}

static int run_all(Build *build, BuildResult *ret, Error *err)
{
        if (lease_new(build->store, "build", &build->lease, err) < 0 || build_load(build, err) < 0 || build_plan(build, err) < 0 ||
            debug_shell_plan(build, err) < 0 || build_lint(build, err) < 0 || build_sbom_plan(build, err) < 0)
                return -1;
        if (build_execute(build, err) < 0 || build_sbom_scan(build, err) < 0) {
                keep_finished(build);
                return -1;
        }
        if (build_check(build, err) < 0 || build_finish(build, ret, err) < 0 || intake_pin(build, err) < 0)
                return -1;
        return cache_export_all(build, err);
}

int build_run(Store *store, const BuildOptions *options, BuildResult *ret, Error *err)
{
        _cleanup_(build_freep) Build *build = build_new(store, options);
        BuildResult result = { 0 };
        int done = run_all(build, &result, err);

        save_digests(build);
        if (done == 0 || err->code != ERROR_CANCELLED)
                explain_build(build);
        if (options->inputs && build->reads_files)
                build_inputs_collect(build, options->inputs);
        if (done < 0) {
                build_result_done(&result);
                return build_explain(build, &build->diagnosis, err);
        }
        *ret = result;
        return 0;
}
