/*
 * A step that makes a layer: what it reads, its key, the question to the caches, and the work when none of them knows.
 */
#include <string.h>

#include "base/mem.h"
#include "build/cache_import.h"
#include "build/debug_shell.h"
#include "build/edges.h"
#include "build/schedule.h"
#include "build/stage_private.h"

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

int work_begin(BuildStage *stage, const Step *step, Work **ret, Error *err)
{
        Work *work = NEW(Work);
        ExpandEnv env = stage_scope_env(&stage->stem.scope);

        stage->work = work;
        work->written = step->instruction;
        stage->counter++;
        work->title = stage_step_title(stage, step);
        work->vertex = stage_step_vertex(stage, step->instruction, work->title);
        if (instruction_expand(&work->instruction, step->instruction, &env, NULL, &stage->diagnosis, err) < 0)
                return -1;
        if (work->instruction->kind == INSTRUCTION_RUN && run_step_prepare(stage, work, err) < 0)
                return -1;
        *ret = work;
        return 0;
}

/* What each kind of step brings in. */
typedef struct StepKind {
        int (*sources)(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err); /* 1 when blocked; NULL: it reads nothing but its stage */
        int (*key)(BuildStage *stage, Work *work, bool probe, Error *err);
        int (*run)(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err);
} StepKind;

static const StepKind step_kinds[INSTRUCTION_KINDS] = {
        [INSTRUCTION_RUN] = { run_step_sources, run_step_key, run_step_run },
        [INSTRUCTION_COPY] = { copy_step_sources, copy_step_key, copy_step_run },
        [INSTRUCTION_ADD] = { copy_step_sources, copy_step_key, copy_step_run },
        [INSTRUCTION_WORKDIR] = { NULL, workdir_step_key, workdir_step_run },
};

/* Whether this build has made it already, in whatever stage. */
static bool made_here(Build *build, const Digest *key, Layer *ret)
{
        const Layer *made;

        pthread_mutex_lock(&build->lock);
        made = map_getn(build->results, key, sizeof(*key));
        if (made)
                *ret = *made;
        pthread_mutex_unlock(&build->lock);
        return made != NULL;
}

/* From now on the key has this layer: for the other stages, and in the store when the lease is synced. Nothing for a key that is not set. */
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
static int look_up(BuildStage *stage, Work *work, const Digest *key, Layer *ret, Error *err)
{
        Build *build = stage->build;
        int found;

        if (!digest_is_set(key))
                return 0;
        if (made_here(build, key, ret))
                return 1;
        if (stage->no_cache)
                return 0;
        found = cache_get_dated(build->lease, key, &ret->diff_id, &ret->created, err);
        if (found != 0)
                return found;
        found = cache_imports_find(build, key, ret, err);
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
        stage_add_layer(stage, layer);
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
        if (step_kinds[work->instruction->kind].run(stage, work, &layer->diff_id, err) < 0)
                return -1;
        layer->created = clock_now_or_epoch(build->epoch);
        return remember(stage, work, &work->key, layer, err) < 0 || remember(stage, work, &work->fast_key, layer, err) < 0 ? -1 : 0;
}

int work_advance(BuildStage *stage, Work *work, bool probe, BuildStage **ret_blocker, Digest *ret_key, Error *err)
{
        Layer layer = { 0 };
        const StepKind *kind = &step_kinds[work->instruction->kind];
        int found = kind->sources ? kind->sources(stage, work, ret_blocker, err) : 0, result;

        if (found)
                return found < 0 ? -1 : ADVANCE_BLOCKED;
        if (stage->steps[stage->next].debug && debug_shell_before(stage, work, err) < 0)
                return -1;
        if (kind->key(stage, work, probe, err) < 0)
                return -1;
        explain_note_step(stage, work);
        found = look_up(stage, work, &work->fast_key, &layer, err);
        if (found == 0)
                found = look_up(stage, work, &work->key, &layer, err);
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
        if (!build_claim(stage->build, &work->key)) {
                *ret_key = work->key;
                *ret_blocker = NULL;
                return ADVANCE_BLOCKED;
        }
        if (made_here(stage->build, &work->key, &layer)) { /* another stage has done it, and let go of the key, since the question above */
                build_release(stage->build, &work->key);
                return work_finish(stage, work, &layer, true, err) < 0 ? -1 : ADVANCE_DONE;
        }
        result = execute(stage, work, &layer, err);
        build_release(stage->build, &work->key);
        if (result < 0)
                return -1;
        return work_finish(stage, work, &layer, false, err) < 0 ? -1 : ADVANCE_DONE;
}
