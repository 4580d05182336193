/*
 * A stage, step by step, from what FROM says on: most steps change the config and its history only (evolve.h); what makes a layer is in work.c.
 */
#include "base/mem.h"
#include "build/debug_shell.h"
#include "build/stage_private.h"

Digest *stage_diff_ids(const BuildStage *stage)
{
        Digest *ids = NEW_ARRAY(Digest, stage->n_layers + 1);

        for (size_t i = 0; i < stage->n_layers; i++)
                ids[i] = stage->layers[i].diff_id;
        return ids;
}

void stage_add_layer(BuildStage *stage, const Layer *layer)
{
        GROW(stage->layers, stage->layers_capacity, stage->n_layers + 1);
        stage->layers[stage->n_layers++] = *layer;
        stage->chain = chain_id_next(&stage->chain, &layer->diff_id);
}

size_t stage_n_base_layers(const BuildStage *stage)
{
        while (stage->base)
                stage = stage->base;
        return stage->n_layers - stage->n_works;
}

const char *stage_platform(const BuildStage *stage)
{
        while (stage->base)
                stage = stage->base;
        return stage->platform ? stage->platform : stage->target->text;
}

/* --- the beginning: FROM --- */

static void begin_from_image(BuildStage *stage)
{
        Build *build = stage->build;
        const ImageConfig *image = &stage->image;
        size_t at = 0;

        stem_init_image(&stage->stem, image, stage->target->global, build->epoch);
        for (size_t i = 0; i < image->rootfs.diff_ids.n_items; i++) {
                Layer layer = { .diff_id = image->rootfs.diff_ids.items[i] };

                while (at < image->history.n_items && image->history.items[at].empty_layer)
                        at++;
                if (at < image->history.n_items && image->history.items[at].created.set)
                        layer.created = image->history.items[at].created.time;
                at++;
                stage_add_layer(stage, &layer);
        }
        if (!streq(stage->base_name, "scratch") && stage->parsed) {
                _cleanup_free_ char *title = NULL;

                stage->counter++;
                title = stage_base_title(stage);
                stage->vertex = stage_step_vertex(stage, stage->parsed->from, title);
                progress_cached(build->progress, stage->vertex);
        }
}

static void begin_from_stage(BuildStage *stage)
{
        const BuildStage *base = stage->base;

        stem_init_stage(&stage->stem, &base->stem);
        for (size_t i = 0; i < base->n_layers; i++)
                stage_add_layer(stage, &base->layers[i]);
        stage->vertex = base->vertex;
        stage->last_key = base->last_key;
}

/* --- errors --- */

/* The whole instruction is shown when nothing more exact is known. */
static int fail_at(BuildStage *stage, const Instruction *in, Error *err)
{
        if (!stage->diagnosis.n_ranges)
                diagnosis_add_range(&stage->diagnosis, in->range);
        return build_explain(stage->build, &stage->diagnosis, err);
}

/* --- all steps --- */

static int config_step(BuildStage *stage, const Step *step, Error *err)
{
        _cleanup_(instruction_freep) Instruction *in = NULL;
        ExpandEnv env = stage_scope_env(&stage->stem.scope);

        if (instruction_expand(&in, step->instruction, &env, NULL, &stage->diagnosis, err) < 0)
                return -1;
        if (step->instruction->kind == INSTRUCTION_WORKDIR)
                stage->counter++;
        return stem_apply(&stage->stem, in, NULL, &stage->diagnosis, err);
}

/* WORKDIR is judged after expansion: "$DIR" may be "/". */
static int makes_layer(BuildStage *stage, const Step *step, Error *err)
{
        _cleanup_(instruction_freep) Instruction *in = NULL;
        ExpandEnv env = stage_scope_env(&stage->stem.scope);

        if (step->instruction->kind != INSTRUCTION_WORKDIR)
                return stem_makes_layer(&stage->stem, step->instruction);
        if (instruction_expand(&in, step->instruction, &env, NULL, &stage->diagnosis, err) < 0)
                return -1;
        return stem_makes_layer(&stage->stem, in);
}

/* A hundred steps must not hold a hundred arenas. */
static void keep_work(BuildStage *stage)
{
        Work *work = TAKE_PTR(stage->work);

        instruction_free(TAKE_PTR(work->instruction));
        strlist_done(&work->run_args);
        run_script_done(&work->script);
        GROW(stage->works, stage->works_capacity, stage->n_works + 1);
        stage->works[stage->n_works++] = work;
}

/* One step. Returns an Advance, or -1. */
static int step_advance(BuildStage *stage, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err)
{
        const Step *step = &stage->steps[stage->next];
        Work *work = stage->work;
        int result = work ? 1 : makes_layer(stage, step, err);

        if (result < 0)
                return -1;
        if (step->debug && probe)
                return ADVANCE_NEEDS_WORK;
        if (result == 0 && step->debug && debug_shell_before(stage, NULL, err) < 0)
                return -1;
        if (result == 0)
                return config_step(stage, step, err) < 0 ? -1 : ADVANCE_DONE;
        if (!work && work_begin(stage, step, &work, err) < 0)
                return -1;
        result = work_advance(stage, work, probe, ret_blocker, ret_key, err);
        if (result == ADVANCE_DONE)
                keep_work(stage);
        return result;
}

int stage_advance(BuildStage *stage, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err)
{
        *ret_blocker = NULL;
        if (stage->base && stage->base->status != STAGE_DONE) {
                *ret_blocker = stage->base;
                return ADVANCE_BLOCKED;
        }
        if (!stage->begun) {
                stage->begun = true;
                if (stage->base)
                        begin_from_stage(stage);
                else
                        begin_from_image(stage);
        }
        while (stage->next < stage->n_steps) {
                int result;

                if (build_check(stage->build, err) < 0)
                        return -1;
                result = step_advance(stage, probe, ret_blocker, ret_key, err);
                if (result < 0) {
                        if (stage->work)
                                progress_fail(stage->build->progress, stage->work->vertex, error_message(err));
                        return fail_at(stage, stage->steps[stage->next].instruction, err);
                }
                if (result != ADVANCE_DONE)
                        return result;
                stage->next++;
        }
        return ADVANCE_DONE;
}
