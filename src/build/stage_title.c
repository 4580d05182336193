/* What the display calls the steps of a stage. */
#include <stdio.h>

#include "base/mem.h"
#include "build/stage_private.h"
#include "oci/reference.h"

/*
 * "builder " or, in a build for several platforms, "linux/amd64 builder "; a stage that runs on another platform than it builds for is "linux/amd64->arm64".
 * New string.
 */
static char *stage_words(const BuildStage *stage)
{
        const char *runs_on = stage_platform(stage), *for_what = stage->target->text;
        size_t same = 0;

        if (stage->build->n_targets == 1)
                return xasprintf("%s%s", stage->label, *stage->label ? " " : "");
        if (streq(runs_on, for_what))
                return xasprintf("%s %s%s", runs_on, stage->label, *stage->label ? " " : "");
        while (runs_on[same] && runs_on[same] == for_what[same] && runs_on[same] != '/')
                same++;
        if (runs_on[same] == '/' && for_what[same] == '/')
                for_what += same + 1;
        return xasprintf("%s->%s %s%s", runs_on, for_what, stage->label, *stage->label ? " " : "");
}

/* "[builder 2/5]": the step that the stage is at. New string. */
static char *title_prefix(const BuildStage *stage)
{
        _cleanup_free_ char *words = stage_words(stage);
        int width = snprintf(NULL, 0, "%u", stage->n_counted);

        return xasprintf("[%s%*u/%u]", words, width, stage->counter, stage->n_counted);
}

char *stage_base_title(const BuildStage *stage)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *prefix = title_prefix(stage), *name = NULL;

        name = reference_parse_tagged(stage->base_name, &reference, &ignored) < 0 ? xstrdup(stage->base_name) : reference_text(&reference);
        return xasprintf("%s FROM %s", prefix, name);
}

char *stage_step_title(BuildStage *stage, const Step *step)
{
        const Instruction *in = step->instruction;
        ExpandEnv env = stage_scope_env(&stage->stem.scope);
        ExpandOptions options = { .escape = in->escape, .raw_quotes = in->kind == INSTRUCTION_RUN, .skip_unset = in->kind == INSTRUCTION_RUN };
        _cleanup_free_ char *shown = NULL, *prefix = title_prefix(stage);
        _cleanup_error_ Error ignored = ERROR_INIT;
        size_t keyword = strcspn(in->original, " \t");

        if (expand_word(&shown, in->original, &env, &options, NULL, &ignored) < 0)
                shown = xstrdup(in->original);
        for (size_t i = 0; i < keyword && shown[i]; i++)
                if (shown[i] >= 'a' && shown[i] <= 'z')
                        shown[i] = (char)(shown[i] - 'a' + 'A');
        for (char *at = shown; *at; at++)
                if (*at == '\n')
                        *at = ' ';
        if (in->kind == INSTRUCTION_ADD)
                str_cut_passwords(shown);
        return xasprintf("%s %s%s", prefix, step->is_trigger ? "ONBUILD " : "", shown);
}

BuildVertex *stage_step_vertex(BuildStage *stage, const Instruction *in, const char *title)
{
        unsigned input = stage->vertex ? stage->vertex->id : 0;

        return progress_vertex(stage->build->progress, &(VertexInfo){
                                                               .name = title,
                                                               .stage = *stage->label ? stage->label : NULL,
                                                               .step = stage->counter,
                                                               .n_steps = stage->n_counted,
                                                               .line = in->range.start,
                                                               .end_line = in->range.end,
                                                               .inputs = &input,
                                                               .n_inputs = input ? 1 : 0,
                                                       });
}
