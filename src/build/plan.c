/*
 * The graph: which stages there are, what each starts from and reads, and which of them the target needs.
 */
#include <string.h>

#include "base/mem.h"
#include "build/context.h"
#include "build/engine.h"
#include "build/named.h"
#include "build/sbom.h"
#include "dockerfile/from.h"
#include "http/client.h"

BuildStage *stage_new(BuildTarget *target)
{
        Build *build = target->build;
        BuildStage *stage = NEW(BuildStage);

        stage->build = build;
        stage->target = target;
        stage->index = SIZE_MAX;
        stage->label = xstrdup("");
        pthread_mutex_init(&stage->tree_lock, NULL);
        GROW(build->stages, build->stages_capacity, build->n_stages + 1);
        build->stages[build->n_stages++] = stage;
        return stage;
}

void stage_rewind(BuildStage *stage)
{
        work_free(TAKE_PTR(stage->work));
        for (size_t i = 0; i < stage->n_works; i++)
                work_free(stage->works[i]);
        stage->n_works = stage->n_layers = stage->next = 0;
        if (stage->begun)
                stem_done(&stage->stem);
        stage->stem = (Stem){ 0 };
        stage->begun = false;
        stage->counter = 0;
        stage->status = STAGE_WAITING;
        stage->chain = stage->last_key = (Digest){ 0 };
        stage->vertex = NULL;
        diagnosis_done(&stage->diagnosis);
}

void stage_free(BuildStage *stage)
{
        if (!stage)
                return;
        stage_rewind(stage);
        free(stage->works);
        source_tree_free(stage->tree);
        rootfs_free(stage->rootfs);
        image_config_done(&stage->image);
        for (size_t i = 0; i < stage->n_triggers; i++) {
                instruction_free(stage->trigger_instructions[i]);
                dockerfile_free(stage->triggers[i]);
        }
        free(stage->triggers);
        free(stage->trigger_instructions);
        free(stage->steps);
        free(stage->layers);
        free(stage->label);
        free(stage->base_name);
        free(stage->platform);
        pthread_mutex_destroy(&stage->tree_lock);
        free(stage);
}

/* --- what an instruction reads --- */

/* An image that is copied from without being a stage; one pseudo stage for each name. */
static BuildStage *image_stage(BuildTarget *target, const char *name)
{
        Build *build = target->build;
        BuildStage *stage;

        for (size_t i = build->parsed->n_items * build->n_targets; i < build->n_stages; i++)
                if (build->stages[i]->target == target && streq(build->stages[i]->base_name, name))
                        return build->stages[i];
        stage = stage_new(target);
        stage->base_name = xstrdup(name);
        return stage;
}

/* What a stage asks for, whatever it starts from: decides which named contexts there are for it. */
static const char *asked_platform(const BuildStage *stage)
{
        return stage->platform ? stage->platform : stage->target->text;
}

/* The same for a name: that of the stage of this name, or what the target is built for. */
static const char *platform_of_name(const BuildTarget *target, const char *name)
{
        const Build *build = target->build;

        for (size_t i = build->parsed->n_items; i-- > 0;)
                if (build->parsed->items[i].name && strcasecmp(build->parsed->items[i].name, name) == 0)
                        return asked_platform(build->stages[target->first + i]);
        return target->text;
}

int build_source(BuildStage *reader, const Instruction *instruction, const char *from, BuildStage **ret_stage, SourceTree **ret_tree, Error *err)
{
        Build *build = reader->build;
        const char *platform = platform_of_name(reader->target, from), *target = named_value(build, from, platform, "target:");
        int index, directory = named_directory(build, from, platform, ret_tree, err);
        size_t at;

        *ret_stage = sbom_scanned(reader, from);
        if (*ret_stage)
                return 0;
        if (directory)
                return directory < 0 ? -1 : 0;
        if (target) {
                if (stages_target(build->parsed, target, &at, err) < 0)
                        return -1;
                *ret_stage = build->stages[reader->target->first + at];
                return 0;
        }
        if (named_find(build, from, platform)) {
                *ret_stage = image_stage(reader->target, from);
                return 0;
        }
        if (stages_find_source(build->parsed, instruction, from, &index, &build->diagnosis, err) < 0)
                return -1;
        *ret_stage = index >= 0 ? build->stages[reader->target->first + (size_t)index] : image_stage(reader->target, from);
        return 0;
}

/* --- needs --- */

static int need_stage(BuildStage *stage, Error *err);

static int need_from(BuildStage *reader, const Instruction *instruction, const char *from, Error *err)
{
        BuildStage *source;
        SourceTree *tree;

        if (str_empty(from))
                return 0;
        if (build_source(reader, instruction, from, &source, &tree, err) < 0)
                return -1;
        if (!source || need_stage(source, err) == 0)
                return 0;
        /* An image that is only copied from has no FROM to point at. */
        if (!source->parsed)
                diagnosis_add_range(&reader->build->diagnosis, instruction->range);
        return -1;
}

static int need_sources(BuildStage *stage, const Instruction *instruction, Error *err)
{
        if (instruction->kind == INSTRUCTION_COPY)
                return need_from(stage, instruction, instruction->copy.from, err);
        if (instruction->kind != INSTRUCTION_RUN)
                return 0;
        /* Told before anything runs, not after half an hour of it. */
        if (run_check_allowed(stage->build, &instruction->run, err) < 0) {
                diagnosis_add_range(&stage->build->diagnosis, instruction->range);
                return -1;
        }
        for (size_t i = 0; i < instruction->run.n_mounts; i++)
                if (need_from(stage, instruction, instruction->run.mounts[i].from, err) < 0)
                        return -1;
        return 0;
}

static int add_trigger(BuildStage *stage, const char *text, Error *err)
{
        Build *build = stage->build;
        const Instruction *from = stage->parsed->from;
        _cleanup_(dockerfile_freep) Dockerfile *trigger = NULL;
        Instruction *instruction = NULL;

        if (dockerfile_parse_trigger(&trigger, build->dockerfile_name, text, from->range, &build->diagnosis, err) < 0)
                return error_wrap(err, "ONBUILD of '%s'", stage->base_name);
        if (instruction_parse(&instruction, trigger, trigger->nodes[0], &build->diagnosis, err) < 0)
                return error_wrap(err, "ONBUILD of '%s'", stage->base_name);
        stage->triggers = xreallocarray(stage->triggers, stage->n_triggers + 1, sizeof(*stage->triggers));
        stage->trigger_instructions = xreallocarray(stage->trigger_instructions, stage->n_triggers + 1, sizeof(*stage->trigger_instructions));
        stage->triggers[stage->n_triggers] = TAKE_PTR(trigger);
        stage->trigger_instructions[stage->n_triggers++] = instruction;
        return 0;
}

/* The triggers of what the stage starts from: an image's OnBuild, or the ONBUILD instructions of a stage (its own base's are used up by it). */
static int add_triggers(BuildStage *stage, Error *err)
{
        if (!stage->base) {
                for (size_t i = 0; i < stage->image.config.on_build.n_items; i++)
                        if (add_trigger(stage, stage->image.config.on_build.items[i], err) < 0)
                                return -1;
                return 0;
        }
        for (size_t i = 0; i < stage->base->parsed->n_instructions; i++) {
                const Instruction *in = &stage->base->parsed->instructions[i];

                if (in->kind == INSTRUCTION_ONBUILD && add_trigger(stage, in->onbuild.expression, err) < 0)
                        return -1;
        }
        return 0;
}

static bool counts(const Instruction *instruction)
{
        return instruction->kind == INSTRUCTION_RUN || instruction->kind == INSTRUCTION_COPY || instruction->kind == INSTRUCTION_ADD ||
               instruction->kind == INSTRUCTION_WORKDIR;
}

static void list_steps(BuildStage *stage)
{
        const Stage *parsed = stage->parsed;

        stage->steps = NEW_ARRAY(Step, stage->n_triggers + parsed->n_instructions + 1);
        for (size_t i = 0; i < stage->n_triggers; i++)
                stage->steps[stage->n_steps++] = (Step){ .instruction = stage->trigger_instructions[i], .is_trigger = true };
        for (size_t i = 0; i < parsed->n_instructions && !stage->replaced; i++)
                stage->steps[stage->n_steps++] = (Step){ .instruction = &parsed->instructions[i] };
        stage->n_counted = !stage->base && !streq(stage->base_name, "scratch");
        for (size_t i = 0; i < stage->n_steps; i++)
                stage->n_counted += stage->steps[i].instruction->kind < INSTRUCTION_KINDS && counts(stage->steps[i].instruction);
}

/* What was resolved for an earlier stage is what this one starts from as well. */
static bool same_base(BuildStage *stage)
{
        const Build *build = stage->build;

        for (size_t i = 0; i < build->n_stages; i++) {
                const BuildStage *other = build->stages[i];

                if (other == stage || !other->resolved || other->target != stage->target || !streq(other->base_name, stage->base_name) ||
                    !streq_ptr(other->platform, stage->platform))
                        continue;
                image_config_copy(&stage->image, &other->image);
                stage->image_id = other->image_id;
                stage->missing = other->missing;
                return true;
        }
        return false;
}

static int find_base(BuildStage *stage, BuildVertex *vertex, const BuildNamedContext *named, Error *err)
{
        Build *build = stage->build;
        const char *platform = stage->platform ? stage->platform : build->options->platforms.n_items ? stage->target->text : NULL;

        if (named)
                return named_image(build, vertex, named, platform, &stage->target->platform, &stage->image, &stage->image_id, err);
        if (base_resolve(build, stage->base_name, platform, &stage->image, &stage->image_id, err) == 0)
                return 0;
        named = err->code == ERROR_NOT_FOUND ? named_elsewhere(build, stage->base_name) : NULL;
        return named ? error_wrap(err, "the build context '%s' is not for %s", named->name, asked_platform(stage)) : -1;
}

static int load_base(BuildStage *stage, Error *err)
{
        Build *build = stage->build;
        const BuildNamedContext *named = named_find(build, stage->base_name, asked_platform(stage));
        _cleanup_free_ char *title = NULL, *shown = NULL;
        BuildVertex *vertex;

        if (streq(stage->base_name, "scratch")) {
                _cleanup_platform_ Platform wanted = { 0 };

                if (stage->platform && platform_parse(stage->platform, &wanted, err) < 0)
                        return -1;
                image_config_init(&stage->image, stage->platform ? &wanted : &stage->target->platform);
                return 0;
        }
        stage->resolved = true;
        if (same_base(stage))
                return 0;
        shown = named ? http_url_shown(named->value) : NULL;
        title = named ? xasprintf("[context %s] load %s", named->name, shown) : xasprintf("[internal] load metadata for %s", stage->base_name);
        vertex = progress_vertex(build->progress, &(VertexInfo){ .name = title });
        progress_start(build->progress, vertex);
        if (find_base(stage, vertex, named, err) < 0) {
                if (build->plan_only && err->code == ERROR_NOT_FOUND) {
                        error_done(err);
                        stage->missing = true;
                        image_config_init(&stage->image, &stage->target->platform);
                        return 0;
                }
                if (stage->parsed)
                        diagnosis_add_range(&build->diagnosis, stage->parsed->from->range);
                progress_fail(build->progress, vertex, error_message(err));
                return -1;
        }
        progress_done(build->progress, vertex);
        return 0;
}

static int need_stage(BuildStage *stage, Error *err)
{
        if (stage->needed)
                return 0;
        stage->needed = true;
        if (stage->base ? need_stage(stage->base, err) < 0 : load_base(stage, err) < 0)
                return -1;
        if (!stage->parsed)
                return 0;
        if (!stage->replaced && add_triggers(stage, err) < 0)
                return -1;
        list_steps(stage);
        for (size_t i = 0; i < stage->n_steps; i++)
                if (need_sources(stage, stage->steps[i].instruction, err) < 0)
                        return -1;
        return 0;
}

/* --- all stages --- */

/* One way to write a platform, so that equal stages of different targets have equal keys. */
static int normalize_platform(BuildStage *stage, const ExpandUse *use, Error *err)
{
        _cleanup_platform_ Platform platform = { 0 };

        if (from_check_platform(stage->target->global, stage->parsed->from, stage->platform, use, &stage->build->diagnosis, err) < 0)
                return -1;
        if (!stage->platform)
                return 0;
        if (platform_parse(stage->platform, &platform, err) < 0)
                return -1;
        free(stage->platform);
        stage->platform = platform_format(&platform, false);
        return 0;
}

/* A named context with the name of a stage stands in its place. */
static void replace_stage(BuildStage *stage)
{
        const char *name = stage->parsed->name;

        if (!name || !named_find(stage->build, name, asked_platform(stage)))
                return;
        free(stage->base_name);
        stage->base_name = xstrdup(name);
        stage->replaced = true;
}

static int plan_bases(BuildTarget *target, Error *err)
{
        Build *build = target->build;
        size_t n = build->parsed->n_items;

        target->first = build->n_stages;
        for (size_t i = 0; i < n; i++) {
                _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
                BuildStage *stage = stage_new(target);

                stage->index = i;
                stage->parsed = &build->parsed->items[i];
                if (global_scope_from(target->global, stage->parsed->from, &stage->base_name, &stage->platform, NULL, &use, &build->diagnosis, err) < 0 ||
                    normalize_platform(stage, &use, err) < 0 || from_check_name(stage->parsed->from, &build->diagnosis, err) < 0)
                        return -1;
                replace_stage(stage);
                free(stage->label);
                stage->label = n == 1 ? xstrdup("") : stage->parsed->name ? xstrdup(stage->parsed->name) : xasprintf("stage-%zu", i);
                stage->no_cache = build->options->no_cache || (stage->parsed->name && strlist_has(&build->options->no_cache_filter, stage->parsed->name));
        }
        return 0;
}

static int plan_reachable(BuildTarget *target, size_t wanted, Error *err)
{
        Build *build = target->build;
        BuildStage **stages = build->stages + target->first;
        size_t n = build->parsed->n_items;
        _cleanup_free_ const char **names = NEW_ARRAY(const char *, n);
        _cleanup_free_ bool *needed = NEW_ARRAY(bool, n);
        _cleanup_free_ int *base_of = NEW_ARRAY(int, n);

        for (size_t i = 0; i < n; i++) {
                const char *named = named_value(build, stages[i]->base_name, asked_platform(stages[i]), "target:");

                names[i] = named ? named : stages[i]->base_name;
        }
        if (stages_reachable(build->parsed, names, wanted, needed, base_of, &build->diagnosis, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++) {
                const BuildNamedContext *named = named_find(build, stages[i]->base_name, asked_platform(stages[i]));

                if (base_of[i] < 0 && !named && !stages[i]->replaced && from_check_base(stages[i]->parsed->from, names[i], &build->diagnosis, err) < 0)
                        return -1;
                if (base_of[i] >= 0 && (!named || !stages[base_of[i]]->replaced || str_starts(named->value, "target:")))
                        stages[i]->base = stages[base_of[i]];
        }
        return 0;
}

/* Images that are only copied from come after the stages of the Dockerfile in the list, but depend on nothing: so they go first. */
BuildStage *build_stage_in_order(const Build *build, size_t i)
{
        size_t n_parsed = build->parsed->n_items * build->n_targets;

        return build->stages[(i + n_parsed) % build->n_stages];
}

int build_plan(Build *build, Error *err)
{
        size_t wanted;

        for (size_t i = 0; i < build->n_targets; i++)
                if (plan_bases(&build->targets[i], err) < 0)
                        return -1;
        if (stages_target(build->parsed, build->options->target, &wanted, err) < 0)
                return -1;
        context_make_stage(build);
        for (size_t i = 0; i < build->n_targets; i++) {
                BuildTarget *target = &build->targets[i];

                if (plan_reachable(target, wanted, err) < 0)
                        return -1;
                target->stage = build->stages[target->first + wanted];
                if (need_stage(target->stage, err) < 0)
                        return build->n_targets > 1 ? error_wrap(err, "for %s", target->text) : -1;
        }
        return 0;
}
