/*
 * A stage, step by step: expand, change the config, and for steps that make a layer: key, cache, work.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "build/cache_import.h"
#include "build/debug_shell.h"
#include "build/edges.h"
#include "build/engine.h"
#include "build/schedule.h"
#include "oci/reference.h"

/* Part of every key: raise it when the same inputs begin to make other layers. */
#define KEY_FORMAT 2

void work_free(Work *work)
{
        if (!work)
                return;
        instruction_free(work->instruction);
        free(work->title);
        strlist_done(&work->run_args);
        run_script_done(&work->script);
        copy_plan_done(&work->plan);
        free(work->parents);
        strlist_done(&work->cache_ids);
        explain_step_done(&work->explain);
        for (size_t i = 0; i < work->n_mount_plans; i++)
                copy_plan_done(&work->mount_plans[i]);
        free(work->mount_plans);
        free(work);
}

void work_add_parent(Work *work, const BuildStage *source)
{
        if (!digest_is_set(&source->last_key))
                return;
        for (size_t i = 0; i < work->n_parents; i++)
                if (digest_equal(&work->parents[i], &source->last_key))
                        return;
        GROW(work->parents, work->parents_capacity, work->n_parents + 1);
        work->parents[work->n_parents++] = source->last_key;
}

Hash *key_begin(const BuildStage *stage, const char *kind, bool alone)
{
        Hash *hash = hash_new(DIGEST_SHA256);

        hash_field_str(hash, "mica build step");
        hash_field_u64(hash, KEY_FORMAT);
        hash_field_str(hash, kind);
        hash_field_str(hash, stage_platform(stage));
        hash_field_u64(hash, (uint64_t)stage->build->epoch);
        hash_field_digest(hash, alone ? &(Digest){ 0 } : &stage->chain);
        return hash;
}

Digest *stage_diff_ids(const BuildStage *stage)
{
        Digest *ids = NEW_ARRAY(Digest, stage->n_layers + 1);

        for (size_t i = 0; i < stage->n_layers; i++)
                ids[i] = stage->layers[i].diff_id;
        return ids;
}

static void add_layer(BuildStage *stage, const Layer *layer)
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

/* --- names on the display --- */

/*
 * "builder " or, in a build for several platforms, "linux/amd64 builder "; a stage that runs on another platform than it builds for is "linux/amd64->arm64".
 * New string.
 */
static char *title_prefix(const BuildStage *stage)
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

/* "[builder 2/5] RUN make", with variables expanded as far as that is possible. */
static char *step_title(BuildStage *stage, const Step *step)
{
        const Instruction *in = step->instruction;
        ExpandEnv env = stage_scope_env(&stage->stem.scope);
        ExpandOptions options = { .escape = in->escape, .raw_quotes = in->kind == INSTRUCTION_RUN, .skip_unset = in->kind == INSTRUCTION_RUN };
        _cleanup_free_ char *shown = NULL, *prefix = title_prefix(stage);
        _cleanup_error_ Error ignored = ERROR_INIT;
        size_t keyword = strcspn(in->original, " \t");
        int width = snprintf(NULL, 0, "%u", stage->n_counted);

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
        return xasprintf("[%s%*u/%u] %s%s", prefix, width, stage->counter, stage->n_counted, step->is_trigger ? "ONBUILD " : "", shown);
}

static BuildVertex *step_vertex(BuildStage *stage, const Instruction *in, const char *title)
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
                add_layer(stage, &layer);
        }
        if (!streq(stage->base_name, "scratch") && stage->parsed) {
                _cleanup_reference_ Reference reference = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;
                _cleanup_free_ char *name = reference_parse_tagged(stage->base_name, &reference, &ignored) < 0 ? xstrdup(stage->base_name)
                                                                                                               : reference_text(&reference);
                _cleanup_free_ char *title = NULL, *prefix = title_prefix(stage);
                int width = snprintf(NULL, 0, "%u", stage->n_counted);

                stage->counter++;
                title = xasprintf("[%s%*u/%u] FROM %s", prefix, width, stage->counter, stage->n_counted, name);
                stage->vertex = step_vertex(stage, stage->parsed->from, title);
                progress_cached(build->progress, stage->vertex);
        }
}

static void begin_from_stage(BuildStage *stage)
{
        const BuildStage *base = stage->base;

        stem_init_stage(&stage->stem, &base->stem);
        for (size_t i = 0; i < base->n_layers; i++)
                add_layer(stage, &base->layers[i]);
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

/* --- one step that makes a layer --- */

static int work_expand(BuildStage *stage, const Step *step, Work **ret, Error *err)
{
        Work *work = NEW(Work);
        ExpandEnv env = stage_scope_env(&stage->stem.scope);

        stage->work = work;
        work->written = step->instruction;
        stage->counter++;
        work->title = step_title(stage, step);
        work->vertex = step_vertex(stage, step->instruction, work->title);
        if (instruction_expand(&work->instruction, step->instruction, &env, NULL, &stage->diagnosis, err) < 0)
                return -1;
        if (work->instruction->kind == INSTRUCTION_RUN && run_step_prepare(stage, work, err) < 0)
                return -1;
        *ret = work;
        return 0;
}

static int work_sources(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err)
{
        switch (work->instruction->kind) {
        case INSTRUCTION_RUN:
                return run_step_sources(stage, work, ret_blocker, err);
        case INSTRUCTION_COPY:
        case INSTRUCTION_ADD:
                return copy_step_sources(stage, work, ret_blocker, err);
        default:
                return 0;
        }
}

static int work_key(BuildStage *stage, Work *work, bool probe, Error *err)
{
        switch (work->instruction->kind) {
        case INSTRUCTION_RUN:
                return run_step_key(stage, work, probe, err);
        case INSTRUCTION_WORKDIR:
                return workdir_step_key(stage, work, err);
        default:
                return copy_step_key(stage, work, probe, err);
        }
}

static int work_run(BuildStage *stage, Work *work, Digest *ret, Error *err)
{
        switch (work->instruction->kind) {
        case INSTRUCTION_RUN:
                return run_step_run(stage, work, ret, err);
        case INSTRUCTION_WORKDIR:
                return workdir_step_run(stage, work, ret, err);
        default:
                return copy_step_run(stage, work, ret, err);
        }
}

/* What this build has made under a key already. Call with the build's lock held. */
static Layer *made_here(Build *build, const Digest *key)
{
        return digest_is_set(key) ? map_getn(build->results, key, sizeof(*key)) : NULL;
}

static int remember(BuildStage *stage, const Work *work, const Digest *key, const Layer *layer, Error *err)
{
        Build *build = stage->build;
        size_t n_parents = work->n_parents + digest_is_set(&stage->last_key);
        _cleanup_free_ Digest *parents = NEW_ARRAY(Digest, n_parents + 1);
        CacheRecord record = {
                .key = *key,
                .diff_id = layer->diff_id,
                .source_key = digest_equal(key, &work->key) ? (Digest){ 0 } : work->key,
                .description = work->title,
                .kind = (char *)"regular",
                .created = layer->created,
                .last_used = clock_now(),
                .n_used = 1,
                .parents = parents,
                .n_parents = n_parents,
        };
        LayerInfo info;

        if (!digest_is_set(key))
                return 0;
        parents[0] = stage->last_key;
        if (work->n_parents)
                memcpy(parents + n_parents - work->n_parents, work->parents, work->n_parents * sizeof(*parents));
        if (layer_info(build->store, &layer->diff_id, &info, err) == 0)
                record.size = info.disk_size;
        else
                error_done(err);
        pthread_mutex_lock(&build->lock);
        map_setn(build->results, key, sizeof(*key), xmemdup(layer, sizeof(*layer)));
        pthread_mutex_unlock(&build->lock);
        return cache_put(build->lease, &record, err);
}

/* 1 when the key is known: from this build, from the store, or from a cache that was exported. */
static int look_up(BuildStage *stage, Work *work, const Digest *key, Layer *ret, bool *ret_fresh, Error *err)
{
        int found;

        Build *build = stage->build;
        const Layer *made;

        if (!digest_is_set(key))
                return 0;
        pthread_mutex_lock(&build->lock);
        made = made_here(build, key);
        if (made)
                *ret = *made;
        pthread_mutex_unlock(&build->lock);
        *ret_fresh = made != NULL;
        if (made)
                return 1;
        if (stage->no_cache)
                return 0;
        found = cache_get_dated(build->lease, key, &ret->diff_id, &ret->created, err);
        if (found == 0)
                found = cache_imports_find(build, key, ret, err);
        else
                return found;
        work->imported = found > 0;
        return found > 0 && remember(stage, work, key, ret, err) < 0 ? -1 : found;
}

/* The layer is known: the config gets its history entry, the stage its layer. */
static int work_finish(BuildStage *stage, Work *work, const Layer *layer, bool cached, Error *err)
{
        Build *build = stage->build;

        if (stem_apply(&stage->stem, work->instruction, &work->run_args, &stage->diagnosis, err) < 0)
                return -1;
        if (build->epoch < 0)
                stem_date_last(&stage->stem, layer->created);
        add_layer(stage, layer);
        work->below_key = stage->last_key;
        work->layer = *layer;
        work->cached = cached;
        stage->last_key = work->keyed || !digest_is_set(&work->fast_key) ? work->key : work->fast_key;
        pthread_mutex_lock(&build->lock);
        build->n_steps++;
        build->n_cached += cached;
        pthread_mutex_unlock(&build->lock);
        edges_note_inputs(stage, work);
        if (cached)
                progress_cached(build->progress, work->vertex);
        else
                progress_done(build->progress, work->vertex);
        stage->vertex = work->vertex;
        return 0;
}

static int execute(BuildStage *stage, Work *work, Layer *layer, Error *err)
{
        Build *build = stage->build;

        if (build_check(build, err) < 0)
                return -1;
        edges_note_inputs(stage, work);
        progress_start(build->progress, work->vertex);
        if (work_run(stage, work, &layer->diff_id, err) < 0)
                return -1;
        layer->created = clock_now_or_epoch(build->epoch);
        return remember(stage, work, &work->key, layer, err) < 0 || remember(stage, work, &work->fast_key, layer, err) < 0 ? -1 : 0;
}

/* Marks a key as being worked on. False when another stage is doing it. */
static bool claim(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];
        bool free_to_go;

        pthread_mutex_lock(&build->lock);
        free_to_go = !map_has(build->claims, digest_format(key, text));
        if (free_to_go)
                map_set(build->claims, text, build);
        pthread_mutex_unlock(&build->lock);
        return free_to_go;
}

static void release(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];

        pthread_mutex_lock(&build->lock);
        map_remove(build->claims, digest_format(key, text));
        pthread_mutex_unlock(&build->lock);
        scheduler_wake(build->scheduler);
}

bool scheduler_key_is_free(Build *build, const Digest *key)
{
        char text[DIGEST_TEXT_SIZE];
        bool is_free;

        pthread_mutex_lock(&build->lock);
        is_free = !map_has(build->claims, digest_format(key, text));
        pthread_mutex_unlock(&build->lock);
        return is_free;
}

/* Returns an Advance, or -1. ADVANCE_DONE: the step is complete. */
static int work_advance(BuildStage *stage, Work *work, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err)
{
        Layer layer = { 0 };
        bool fresh = false;
        int found = work_sources(stage, work, ret_blocker, err), result;

        if (found)
                return found < 0 ? -1 : ADVANCE_BLOCKED;
        if (stage->steps[stage->next].debug && debug_shell_before(stage, work, err) < 0)
                return -1;
        if (work_key(stage, work, probe, err) < 0)
                return -1;
        explain_note_step(stage, work);
        found = look_up(stage, work, &work->fast_key, &layer, &fresh, err);
        if (found == 0)
                found = look_up(stage, work, &work->key, &layer, &fresh, err);
        if (found < 0)
                return -1;
        if (found) {
                /* A hit by content: next time the shorter key answers. */
                if (digest_is_set(&work->fast_key) && work->keyed && remember(stage, work, &work->fast_key, &layer, err) < 0)
                        return -1;
                return work_finish(stage, work, &layer, true, err) < 0 ? -1 : ADVANCE_DONE;
        }
        if (probe)
                return ADVANCE_NEEDS_WORK;
        if (!claim(stage->build, &work->key)) {
                *ret_key = work->key;
                *ret_blocker = NULL;
                return ADVANCE_BLOCKED;
        }
        result = execute(stage, work, &layer, err);
        release(stage->build, &work->key);
        if (result < 0)
                return -1;
        return work_finish(stage, work, &layer, false, err) < 0 ? -1 : ADVANCE_DONE;
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
static void work_keep(BuildStage *stage)
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
        if (!work && work_expand(stage, step, &work, err) < 0)
                return -1;
        result = work_advance(stage, work, probe, ret_blocker, ret_key, err);
        if (result == ADVANCE_DONE) {
                work_keep(stage);
        }
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
