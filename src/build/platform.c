/*
 * Before anything runs: can the programs of every platform that a RUN is left for run on this machine? A step that the cache answers needs no processor.
 */
#include "base/mem.h"
#include "build/engine.h"
#include "runtime/foreign.h"

/* The first RUN of a stage that is left. */
static const Instruction *first_run(const BuildStage *stage)
{
        for (size_t i = stage->next; i < stage->n_steps; i++)
                if (stage->steps[i].instruction->kind == INSTRUCTION_RUN)
                        return stage->steps[i].instruction;
        return NULL;
}

static int check_stage(Build *build, const BuildStage *stage, StrList *known, Error *err)
{
        const Instruction *run = first_run(stage);
        const char *text = stage_platform(stage);
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_free_ char *directory = NULL, *why = NULL;
        int r;

        if (!run || streq(text, build->host_text) || strlist_has(known, text))
                return 0;
        if (platform_parse(text, &platform, err) < 0)
                return -1;
        directory = build_make_dir(build, "platform", err);
        r = directory ? platform_runs(&platform, directory, err) : -1;
        if (r > 0)
                strlist_add(known, text);
        if (r != 0)
                return r < 0 ? -1 : 0;
        why = platform_why_not(&platform);
        diagnosis_add_range(&build->diagnosis, run->range);
        return error_set(err, ERROR_UNSUPPORTED, "%s. Without RUN, or with FROM --platform=$BUILDPLATFORM for the stages that have one, it can be built here",
                         why);
}

int build_check_platforms(Build *build, BuildStage *const *pending, size_t n_pending, Error *err)
{
        _cleanup_strlist_ StrList known = { 0 };

        for (size_t i = 0; i < n_pending; i++)
                if (check_stage(build, pending[i], &known, err) < 0)
                        return -1;
        return 0;
}
