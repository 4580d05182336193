/*
 * COPY and ADD as steps: where the sources are, the two keys (by chain, by content), and the work itself.
 */
#include <string.h>

#include "base/mem.h"
#include "build/cache_import.h"
#include "build/download.h"
#include "build/engine.h"
#include "build/git_add.h"
#include "fs/ids.h"

static bool is_url(const char *source)
{
        return str_starts(source, "http://") || str_starts(source, "https://");
}

/* Sources that are files of the context, or of what --from names; the others come from the network. */
static size_t count_local(const Work *work)
{
        const CopyInstruction *copy = &work->instruction->copy;
        size_t n = 0;

        for (size_t i = 0; i < copy->n_sources; i++)
                n += work->instruction->kind == INSTRUCTION_COPY || (!is_url(copy->sources[i].text) && !git_add_takes(copy->sources[i].text));
        return n;
}

static int source_of(BuildStage *stage, const Work *work, BuildStage **ret_stage, SourceTree **ret_tree, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;

        *ret_stage = NULL;
        *ret_tree = NULL;
        if (str_empty(copy->from) && stage->build->context_stage && count_local(work)) {
                *ret_stage = stage->build->context_stage;
                return 0;
        }
        return str_empty(copy->from) ? 0 : build_source(stage, work->instruction, copy->from, ret_stage, ret_tree, err);
}

int copy_step_sources(BuildStage *stage, Work *work, BuildStage **ret_blocker, Error *err)
{
        BuildStage *source;
        SourceTree *tree;

        if (source_of(stage, work, &source, &tree, err) < 0)
                return -1;
        if (!source || source->status == STAGE_DONE)
                return 0;
        *ret_blocker = source;
        return 1;
}

/* What the instruction says, without the files. */
static int plan_options(BuildStage *stage, Work *work, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;
        CopyPlan *plan = &work->plan;

        plan->destination = stem_path(&stage->stem, copy->destination.text);
        plan->chown = str_empty(copy->chown) ? NULL : xstrdup(copy->chown);
        plan->epoch = stage->build->epoch;
        plan->link = copy->link && str_empty(copy->chmod); /* with --chmod BuildKit copies the ordinary way */
        plan->tmp = lease_tmp_path(stage->build->lease, err);
        if (!plan->tmp)
                return -1;
        if (!str_empty(copy->chmod)) {
                if (chmod_parse(&work->chmod, copy->chmod, err) < 0)
                        return -1;
                plan->chmod = &work->chmod;
        }
        if (copy->n_exclude) {
                _cleanup_strlist_ StrList patterns = { 0 };

                for (size_t i = 0; i < copy->n_exclude; i++)
                        strlist_add(&patterns, copy->exclude[i]);
                if (ignore_matcher_new(&plan->exclude, &patterns, err) < 0)
                        return error_wrap(err, "--exclude");
        }
        return 0;
}

/* Says more when the file is there and .dockerignore hides it. */
static int explain_missing(BuildStage *stage, const char *source, Error *err)
{
        _cleanup_free_ char *rooted = xasprintf("/%s", source);
        _cleanup_free_ char *clean = path_clean(rooted);
        const IgnoreMatcher *ignore = stage->build->ignore;

        if (err->code != ERROR_NOT_FOUND || !ignore || !clean[1] || !ignore_matcher_match(ignore, clean + 1))
                return -1;
        return error_set(err, ERROR_NOT_FOUND, "\"%s\": not found in the build context: .dockerignore excludes it", clean);
}

static int plan_word(BuildStage *stage, Work *work, SourceTree *tree, const char *source, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;
        bool add = work->instruction->kind == INSTRUCTION_ADD;
        bool unpack = add && copy->unpack != TRISTATE_FALSE;

        int is_git = add ? git_add(stage->build, work, source, err) : 0;

        if (is_git)
                return is_git < 0 ? -1 : 0;
        if (add && is_url(source))
                return download_add(stage->build, work, source, err);
        if (is_url(source))
                return error_set(err, ERROR_INVALID, "source can't be a URL for COPY");
        if (!tree && build_context(stage->build, &tree, err) < 0)
                return -1;
        if (copy_plan_add_source(&work->plan, tree, source, copy->parents, unpack, err) < 0)
                return str_empty(copy->from) ? explain_missing(stage, source, err) : -1;
        return 0;
}

static int plan_files(BuildStage *stage, Work *work, SourceTree *tree, Error *err)
{
        const CopyInstruction *copy = &work->instruction->copy;

        for (size_t i = 0; i < copy->n_sources; i++)
                if (plan_word(stage, work, tree, copy->sources[i].text, err) < 0)
                        return -1;
        for (size_t i = 0; i < copy->n_files; i++)
                copy_plan_add_bytes(&work->plan, copy->files[i].name, copy->files[i].data, copy->files[i].size);
        return 0;
}

/* --- keys --- */

/* What the instruction reads, as far as it is known without looking into the source: its chain and the words. Only when all sources are files of it. */
static void fast_key(BuildStage *stage, Work *work, const BuildStage *source)
{
        const CopyInstruction *copy = &work->instruction->copy;
        _cleanup_(hash_freep) Hash *hash = key_begin(stage, "COPY --from by chain", work->plan.link);

        hash_field_digest(hash, &source->chain);
        hash_field_str(hash, work->plan.destination);
        hash_field_str(hash, copy->chown);
        hash_field_str(hash, copy->chmod);
        hash_field_u64(hash, (uint64_t)(work->instruction->kind == INSTRUCTION_ADD && copy->unpack != TRISTATE_FALSE) << 2 | (uint64_t)copy->link << 1 |
                                     copy->parents);
        hash_field_u64(hash, copy->n_exclude);
        for (size_t i = 0; i < copy->n_exclude; i++)
                hash_field_str(hash, copy->exclude[i]);
        hash_field_u64(hash, copy->n_sources);
        for (size_t i = 0; i < copy->n_sources; i++)
                hash_field_str(hash, copy->sources[i].text);
        hash_field_u64(hash, copy->n_files);
        for (size_t i = 0; i < copy->n_files; i++) {
                hash_field_str(hash, copy->files[i].name);
                hash_field(hash, copy->files[i].data, copy->files[i].size);
        }
        work->fast_key = hash_digest(hash);
}

typedef struct Hashing {
        Build *build;
        BuildVertex *vertex;
        atomic_uint_fast64_t done;
} Hashing;

static bool hashing(void *user, uint64_t size)
{
        Hashing *state = user;
        uint64_t before = atomic_fetch_add(&state->done, size);
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (before / (16 * MIB) != (before + size) / (16 * MIB) && state->vertex)
                progress_status(state->build->progress, state->vertex, "reading files", before + size, 0, false);
        return build_check(state->build, &ignored) == 0;
}

static BuildVertex *context_vertex(Build *build)
{
        pthread_mutex_lock(&build->lock);
        if (!build->context_vertex)
                build->context_vertex = progress_vertex(build->progress, &(VertexInfo){ .name = "[internal] load build context" });
        pthread_mutex_unlock(&build->lock);
        return build->context_vertex;
}

static int content_key(BuildStage *stage, Work *work, SourceTree *tree, bool from_context, Error *err)
{
        _cleanup_(hash_freep) Hash *hash = key_begin(stage, instruction_kind_name(work->instruction->kind), work->plan.link);
        Hashing state = { .build = stage->build, .vertex = from_context ? context_vertex(stage->build) : NULL };

        if (state.vertex)
                progress_start(stage->build->progress, state.vertex);
        if (plan_files(stage, work, tree, err) < 0 || copy_plan_hash(&work->plan, hash, hashing, &state, err) < 0)
                return -1;
        if (state.vertex && atomic_load(&state.done))
                progress_status(stage->build->progress, state.vertex, "reading files", atomic_load(&state.done), atomic_load(&state.done), true);
        if (state.vertex)
                progress_done(stage->build->progress, state.vertex);
        work->key = hash_digest(hash);
        work->keyed = true;
        return 0;
}

/* Files of another stage are looked at only when the chain's key is not known: that needs a mount, so it is no job for the probe. */
int copy_step_key(BuildStage *stage, Work *work, bool probe, Error *err)
{
        BuildStage *source;
        SourceTree *tree;

        if (work->keyed)
                return 0;
        if (source_of(stage, work, &source, &tree, err) < 0)
                return -1;
        if (!work->planned && plan_options(stage, work, err) < 0)
                return -1;
        work->planned = true;
        if (source) {
                Layer known;
                int found;

                work_add_parent(work, source);
                if (!digest_is_set(&work->fast_key) && count_local(work) == work->instruction->copy.n_sources)
                        fast_key(stage, work, source);
                /* Asked here as well, so that a known step never mounts its source. */
                found = probe ? 1
                        : stage->no_cache || !digest_is_set(&work->fast_key)
                                ? 0
                                : cache_get_dated(stage->build->lease, &work->fast_key, &known.diff_id, &known.created, err);
                if (found == 0 && !stage->no_cache && digest_is_set(&work->fast_key))
                        found = cache_imports_find(stage->build, &work->fast_key, &known, err);
                if (found)
                        return found < 0 ? -1 : 0;
                if (stage_tree(source, &tree, err) < 0)
                        return -1;
        }
        return content_key(stage, work, tree, !source && !tree && count_local(work), err);
}

/* --- work --- */

int copy_step_run(BuildStage *stage, Work *work, Digest *ret_diff_id, Error *err)
{
        _cleanup_(rootfs_freep) Rootfs *rootfs = NULL;
        _cleanup_(dest_freep) Dest *dest = NULL;
        CopyOwner owner = { .set = work->plan.chown != NULL };
        int root_fd = -1;

        if (download_missing(stage->build, work, err) < 0 || git_add_missing(stage->build, work, err) < 0)
                return -1;
        if (!work->plan.link) {
                if (stage_mount(stage, NULL, NULL, NULL, &rootfs, err) < 0)
                        return -1;
                root_fd = rootfs_fd(rootfs);
        }
        if (owner.set) {
                if (root_owner(stage->n_layers > 0 ? root_fd : -1, work->plan.chown, &owner.uid, &owner.gid, err) < 0)
                        return error_wrap(err, "--chown=%s", work->plan.chown);
        }
        dest = dest_new(root_fd);
        if (copy_plan_apply(&work->plan, dest, &owner, clock_now(), err) < 0)
                return -1;
        return build_write_layer(stage, work, dest, ret_diff_id, err);
}
