#include "dockerfile/outline.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/from.h"

/* What one stage declares and reads. */
typedef struct OutlineStage {
        StageScope scope;
        bool walked, collected;
        LintBase base;
        OutlineList args, secrets, ssh, caches;
        StrList used;    /* arguments that count: declared here, or named by FROM; in the end also those that their values are made of */
        Map *used_names; /* the same as a set; NULL while it is empty */
        size_t *sources; /* stages that it copies or mounts from */
        size_t n_sources, capacity;
} OutlineStage;

typedef struct Outliner {
        const Stages *stages;
        const LintOptions *options;
        Diagnosis *diag;
        GlobalScope *global;
        GlobalScope *platform; /* what is set before the first ARG */
        Map *set;              /* names of the global ARGs that have a value so far */
        OutlineStage *items;
        int *base_of;
        char **base_names;
        OutlineList global_args;
        size_t uses_capacity;
        StrList *global_uses; /* for each of global_args: the arguments that its value is made of */
} Outliner;

static void list_done(OutlineList *list)
{
        for (size_t i = 0; i < list->n_items; i++) {
                free(list->items[i].name);
                free(list->items[i].value);
                free(list->items[i].description);
        }
        free(list->items);
        map_free(list->index);
        *list = (OutlineList){ 0 };
}

void outline_done(Outline *outline)
{
        free(outline->name);
        free(outline->description);
        list_done(&outline->args);
        list_done(&outline->secrets);
        list_done(&outline->ssh);
        list_done(&outline->caches);
        *outline = OUTLINE_INIT;
}

static OutlineItem *list_find(const OutlineList *list, const char *name)
{
        size_t place = list->index ? (size_t)(uintptr_t)map_get(list->index, name) : 0;

        return place ? &list->items[place - 1] : NULL;
}

/* The first of a name stays, unless `replace`. */
static void list_add(OutlineList *list, const OutlineItem *item, bool replace)
{
        OutlineItem copy = { xstrdup(item->name), xstrdup_or_null(item->value), xstrdup_or_null(item->description), item->required, item->range };
        OutlineItem *old = list_find(list, item->name);

        if (!old) {
                GROW(list->items, list->capacity, list->n_items + 1);
                list->items[list->n_items++] = copy;
                if (!list->index)
                        list->index = map_new(NULL);
                map_set(list->index, copy.name, (void *)(uintptr_t)list->n_items);
                return;
        }
        if (replace) {
                OutlineItem first = *old;

                *old = copy;
                copy = first;
        }
        free(copy.name);
        free(copy.value);
        free(copy.description);
}

/* --- arguments before the first FROM --- */

/* Which names are set, for finding those that a value is made of: what they are set to does not matter for that. */
static const char *get_if_set(const void *user, const char *name)
{
        const Outliner *o = user;

        return map_has(o->set, name) || global_scope_get(o->platform, name) ? "set" : NULL;
}

static void note_global_pair(Outliner *o, const Instruction *in, const DfPair *pair)
{
        ExpandEnv env = { get_if_set, o };
        const ExpandOptions options = { .escape = in->escape };
        _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *text = NULL;
        bool given = global_scope_build_arg(o->global, pair->key) != NULL;
        size_t at, n_before = o->global_args.n_items;

        list_add(&o->global_args,
                 &(OutlineItem){ .name = (char *)pair->key,
                                 .value = (char *)(pair->value || given ? global_scope_get(o->global, pair->key) : NULL),
                                 .description = (char *)pair->doc,
                                 .range = in->range },
                 true);
        at = (size_t)(list_find(&o->global_args, pair->key) - o->global_args.items);
        GROW(o->global_uses, o->uses_capacity, o->global_args.n_items);
        if (at == n_before)
                o->global_uses[at] = (StrList){ 0 };
        if (pair->value && !given)
                (void)expand_word(&text, pair->value, &env, &options, &use, &ignored); /* would have failed before, when it does */
        /* A value that is made of the old one is made of what that was made of. */
        if (!strlist_has(&use.used, pair->key))
                strlist_done(&o->global_uses[at]);
        for (size_t i = 0; i < use.used.n_items; i++)
                if (!streq(use.used.items[i], pair->key) && !strlist_has(&o->global_uses[at], use.used.items[i]))
                        strlist_add(&o->global_uses[at], use.used.items[i]);
        if (pair->value || given)
                map_set(o->set, pair->key, NULL);
}

static void use_arg(OutlineStage *stage, const char *name)
{
        if (!stage->used_names)
                stage->used_names = map_new(NULL);
        if (map_has(stage->used_names, name))
                return;
        map_set(stage->used_names, name, NULL);
        strlist_add(&stage->used, name);
}

/* Adds what global arguments are made of; one that the stage declares again is its own. Not by recursion: a chain of them may be as long as the file. */
static void use_sources_of_args(const Outliner *o, OutlineStage *stage)
{
        for (size_t at = 0; at < stage->used.n_items; at++) {
                const OutlineItem *global = list_find(&stage->args, stage->used.items[at]) ? NULL : list_find(&o->global_args, stage->used.items[at]);
                const StrList *uses = global ? &o->global_uses[global - o->global_args.items] : NULL;

                for (size_t i = 0; uses && i < uses->n_items; i++)
                        use_arg(stage, uses->items[i]);
        }
}

/* --- instructions --- */

static void note_source(OutlineStage *stage, int source)
{
        if (source < 0)
                return;
        GROW(stage->sources, stage->capacity, stage->n_sources + 1);
        stage->sources[stage->n_sources++] = (size_t)source;
}

static int walk_from(Outliner *o, OutlineStage *stage, const Instruction *in, const char *from, Error *err)
{
        int source;

        if (str_empty(from))
                return 0;
        if (stages_find_source(o->stages, in, from, &source, o->diag, err) < 0)
                return -1;
        note_source(stage, source);
        return 0;
}

static int walk_arg(Outliner *o, OutlineStage *stage, const Instruction *in, Error *err)
{
        if (stage_scope_arg(&stage->scope, in, NULL, NULL, o->diag, err) < 0)
                return -1;
        for (size_t i = 0; i < in->pairs.n_items; i++) {
                const DfPair *pair = &in->pairs.items[i];
                bool given = global_scope_build_arg(o->global, pair->key) != NULL;

                use_arg(stage, pair->key);
                /* A bare ARG of a global one stands for that. */
                if (!pair->value && !given && global_scope_get(o->global, pair->key))
                        continue;
                list_add(&stage->args,
                         &(OutlineItem){ .name = (char *)pair->key,
                                         .value = (char *)(pair->value || given ? stage_scope_get(&stage->scope, pair->key) : NULL),
                                         .description = (char *)pair->doc,
                                         .range = in->range },
                         true);
        }
        return 0;
}

static int walk_run(Outliner *o, OutlineStage *stage, const Instruction *in, Error *err)
{
        for (size_t i = 0; i < in->run.n_mounts; i++) {
                const DfMount *mount = &in->run.mounts[i];
                OutlineItem item = { .required = mount->required, .range = in->range };

                if (walk_from(o, stage, in, mount->from, err) < 0)
                        return -1;
                if (mount->type == MOUNT_SECRET) {
                        item.name = (char *)(mount->id ? mount->id : mount->source ? mount->source : mount->target ? str_base_name(mount->target) : NULL);
                        if (item.name)
                                list_add(&stage->secrets, &item, false);
                } else if (mount->type == MOUNT_SSH) {
                        item.name = (char *)(mount->id ? mount->id : "default");
                        list_add(&stage->ssh, &item, false);
                } else if (mount->type == MOUNT_CACHE && (mount->id || mount->target)) {
                        item.required = false;
                        item.name = (char *)(mount->id ? mount->id : mount->target);
                        list_add(&stage->caches, &item, false);
                }
        }
        return 0;
}

static int walk_instruction(Outliner *o, OutlineStage *stage, const Instruction *source, Error *err)
{
        _cleanup_(instruction_freep) Instruction *in = NULL;
        ExpandEnv env = stage_scope_env(&stage->scope);

        if (source->kind == INSTRUCTION_ARG)
                return walk_arg(o, stage, source, err);
        if (instruction_expand(&in, source, &env, NULL, o->diag, err) < 0)
                return -1;
        if (in->kind == INSTRUCTION_RUN)
                return walk_run(o, stage, in, err);
        if (in->kind == INSTRUCTION_COPY)
                return walk_from(o, stage, in, in->copy.from, err);
        if (in->kind != INSTRUCTION_ENV)
                return 0;
        for (size_t i = 0; i < in->pairs.n_items; i++)
                if (stage_scope_set(&stage->scope, in->pairs.items[i].key, in->pairs.items[i].value, err) < 0)
                        return -1;
        return 0;
}

static int walk_trigger(Outliner *o, OutlineStage *walked, const Stage *stage, const char *expression, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_(instruction_freep) Instruction *trigger = NULL;

        if (dockerfile_parse_trigger(&df, stage->from->filename, expression, stage->from->range, o->diag, err) < 0 ||
            instruction_parse(&trigger, df, df->nodes[0], o->diag, err) < 0)
                return -1;
        return walk_instruction(o, walked, trigger, err);
}

/* --- stages --- */

static int start_stage(Outliner *o, const Stage *stage, StrList *triggers, Error *err)
{
        OutlineStage *walked = &o->items[stage->index];
        int base = o->base_of[stage->index];
        const char *name = o->base_names[stage->index];

        walked->walked = true;
        if (base < 0) {
                if (!streq(name, "scratch") && o->options->base_image && o->options->base_image(o->options->user, name, NULL, &walked->base, err) < 0)
                        return -1;
                stage_scope_init(&walked->scope, o->global, &walked->base.env);
                strlist_copy(triggers, &walked->base.onbuild);
                return 0;
        }
        note_source(walked, base);
        stage_scope_init_from(&walked->scope, &o->items[base].scope);
        for (size_t i = 0; i < o->stages->items[base].n_instructions; i++)
                if (o->stages->items[base].instructions[i].kind == INSTRUCTION_ONBUILD)
                        strlist_add(triggers, o->stages->items[base].instructions[i].onbuild.expression);
        return 0;
}

static int walk_stage(Outliner *o, const Stage *stage, Error *err)
{
        OutlineStage *walked = &o->items[stage->index];
        _cleanup_strlist_ StrList triggers = { 0 };

        if (start_stage(o, stage, &triggers, err) < 0)
                return -1;
        for (size_t i = 0; i < triggers.n_items; i++)
                if (walk_trigger(o, walked, stage, triggers.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < stage->n_instructions; i++)
                if (walk_instruction(o, walked, &stage->instructions[i], err) < 0)
                        return -1;
        return 0;
}

static void merge(OutlineList *to, const OutlineList *from)
{
        for (size_t i = 0; i < from->n_items; i++)
                list_add(to, &from->items[i], false);
}

static void collect_stage(Outliner *o, Outline *ret, OutlineStage *stage)
{
        use_sources_of_args(o, stage);
        for (size_t i = 0; i < stage->used.n_items; i++) {
                const OutlineItem *arg = list_find(&stage->args, stage->used.items[i]);

                arg = arg ? arg : list_find(&o->global_args, stage->used.items[i]);
                if (arg)
                        list_add(&ret->args, arg, false);
        }
        merge(&ret->secrets, &stage->secrets);
        merge(&ret->ssh, &stage->ssh);
        merge(&ret->caches, &stage->caches);
}

/* A stage's own come first, then those of the stages that it needs, nearest first. */
static void collect(Outliner *o, Outline *ret, size_t target)
{
        _cleanup_free_ size_t *queue = NEW_ARRAY(size_t, o->stages->n_items);
        size_t n = 0;

        queue[n++] = target;
        o->items[target].collected = true;
        for (size_t at = 0; at < n; at++) {
                OutlineStage *stage = &o->items[queue[at]];

                collect_stage(o, ret, stage);
                for (size_t i = 0; i < stage->n_sources; i++) {
                        if (o->items[stage->sources[i]].collected)
                                continue;
                        o->items[stage->sources[i]].collected = true;
                        queue[n++] = stage->sources[i];
                }
        }
}

/* By line; those of one line in the order in which they were found. */
typedef struct SortItem {
        OutlineItem item;
        size_t place;
} SortItem;

static int compare_items(const void *a, const void *b)
{
        const SortItem *x = a, *y = b;

        if (x->item.range.start != y->item.range.start)
                return x->item.range.start < y->item.range.start ? -1 : 1;
        return x->place < y->place ? -1 : x->place > y->place;
}

static void sort_list(OutlineList *list)
{
        _cleanup_free_ SortItem *items = NEW_ARRAY(SortItem, list->n_items + 1);

        for (size_t i = 0; i < list->n_items; i++)
                items[i] = (SortItem){ list->items[i], i };
        qsort(items, list->n_items, sizeof(*items), compare_items);
        for (size_t i = 0; i < list->n_items; i++)
                list->items[i] = items[i].item;
        map_free(list->index); /* says places that are no longer true */
        list->index = NULL;
}

static int outline_stages(Outliner *o, size_t *ret_target, Outline *ret, Error *err)
{
        size_t n = o->stages->n_items;
        _cleanup_free_ bool *needed = NEW_ARRAY(bool, n);

        for (size_t i = 0; i < n; i++) {
                _cleanup_expand_use_ ExpandUse image = EXPAND_USE_INIT, platform_use = EXPAND_USE_INIT;
                _cleanup_free_ char *platform = NULL;

                const Instruction *from = o->stages->items[i].from;

                if (global_scope_from(o->global, from, &o->base_names[i], &platform, &image, &platform_use, o->diag, err) < 0 ||
                    from_check_platform(o->global, from, platform, &platform_use, o->diag, err) < 0 || from_check_name(from, o->diag, err) < 0)
                        return -1;
                for (size_t j = 0; j < image.used.n_items; j++)
                        use_arg(&o->items[i], image.used.items[j]);
                for (size_t j = 0; j < platform_use.used.n_items; j++)
                        use_arg(&o->items[i], platform_use.used.items[j]);
        }
        if (stages_target(o->stages, o->options->target, ret_target, err) < 0 ||
            stages_reachable(o->stages, (const char *const *)o->base_names, *ret_target, needed, o->base_of, o->diag, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (o->base_of[i] < 0 && from_check_base(o->stages->items[i].from, o->base_names[i], o->diag, err) < 0)
                        return -1;
        for (size_t i = 0; i < n; i++)
                if (needed[i] && walk_stage(o, &o->stages->items[i], err) < 0)
                        return -1;
        collect(o, ret, *ret_target);
        return 0;
}

static void outliner_done(Outliner *o)
{
        for (size_t i = 0; i < o->stages->n_items; i++) {
                OutlineStage *stage = &o->items[i];

                if (stage->walked)
                        stage_scope_done(&stage->scope);
                lint_base_done(&stage->base);
                list_done(&stage->args);
                list_done(&stage->secrets);
                list_done(&stage->ssh);
                list_done(&stage->caches);
                strlist_done(&stage->used);
                map_free(stage->used_names);
                free(stage->sources);
                free(o->base_names[i]);
        }
        for (size_t i = 0; i < o->global_args.n_items; i++)
                strlist_done(&o->global_uses[i]);
        free(o->global_uses);
        list_done(&o->global_args);
        free(o->items);
        free(o->base_of);
        free(o->base_names);
        map_free(o->set);
        global_scope_free(o->platform);
        global_scope_free(o->global);
}

int outline_make(Outline *ret, const Stages *stages, const LintOptions *options, Diagnosis *diag, Error *err)
{
        size_t target, n = stages->n_items;
        Outliner o = { .stages = stages, .options = options, .diag = diag, .set = map_new(NULL) };
        Stages without_args = *stages;
        const FromInstruction *from;
        int r;

        without_args.n_global_args = 0;
        o.items = NEW_ARRAY(OutlineStage, n);
        o.base_of = NEW_ARRAY(int, n);
        o.base_names = NEW_ARRAY(char *, n);
        r = global_scope_new(&o.global, stages, &options->scope, diag, err);
        r = r == 0 ? global_scope_new(&o.platform, &without_args, &options->scope, diag, err) : r;
        for (size_t i = 0; r == 0 && i < stages->n_global_args; i++)
                for (size_t j = 0; j < stages->global_args[i].pairs.n_items; j++)
                        note_global_pair(&o, &stages->global_args[i], &stages->global_args[i].pairs.items[j]);
        if (r == 0)
                r = outline_stages(&o, &target, ret, err);
        outliner_done(&o);
        if (r < 0)
                return -1;
        from = &stages->items[target].from->from;
        ret->name = xstrdup_or_null(from->name);
        ret->description = xstrdup_or_null(from->doc);
        sort_list(&ret->args);
        sort_list(&ret->secrets);
        sort_list(&ret->ssh);
        sort_list(&ret->caches);
        return 0;
}
