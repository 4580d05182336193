#include "dockerfile/stage.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/text.h"

static int find_last(const Map *last, const char *name)
{
        _cleanup_free_ char *lower = str_lower(name);

        return (int)(intptr_t)map_get(last, lower) - 1;
}

static int misplaced(const Instruction *instruction, Diagnosis *diag, Error *err)
{
        return diagnosis_set(diag, err, ERROR_INVALID, instruction->filename, instruction->pos, instruction->range, "no build stage in current context");
}

int stages_parse(Stages **ret, const Dockerfile *df, Diagnosis *diag, Error *err)
{
        _cleanup_(arena_freep) Arena *arena = arena_new();
        Stages *stages = ARENA_NEW(arena, Stages);
        Instruction *all = ARENA_ARRAY(arena, Instruction, df->n_nodes);
        Stage *stage = NULL;
        size_t n_stages = 0;

        for (size_t i = 0; i < df->n_nodes; i++) {
                if (instruction_read(&all[i], df, df->nodes[i], arena, diag, err) < 0)
                        return -1;
                if (all[i].kind == INSTRUCTION_FROM)
                        n_stages++;
                else if (n_stages == 0 && all[i].kind != INSTRUCTION_ARG)
                        return misplaced(&all[i], diag, err);
        }
        if (n_stages == 0)
                return diagnosis_set(diag, err, ERROR_INVALID, df->filename, (SourcePos){ 0 }, (SourceRange){ 0 }, "dockerfile contains no stages to build");

        stages->df = df;
        stages->items = ARENA_ARRAY(arena, Stage, n_stages);
        stages->global_args = all;
        stages->last = map_new(NULL);
        for (size_t i = 0; i < df->n_nodes; i++) {
                if (all[i].kind == INSTRUCTION_FROM) {
                        stage = &stages->items[stages->n_items];
                        *stage = (Stage){ .index = stages->n_items++, .name = all[i].from.name, .same_name = -1, .from = &all[i], .instructions = &all[i] + 1 };
                        if (stage->name) {
                                stage->same_name = find_last(stages->last, stage->name);
                                map_set(stages->last, stage->name, (void *)(intptr_t)stages->n_items);
                        }
                } else if (stage) {
                        stage->n_instructions++;
                } else {
                        stages->n_global_args++;
                }
        }
        stages->arena = TAKE_PTR(arena);
        *ret = stages;
        return 0;
}

void stages_free(Stages *stages)
{
        if (!stages)
                return;
        map_free(stages->last);
        arena_free(stages->arena); /* it lives in there itself */
}

int stages_find(const Stages *stages, const char *name, size_t before)
{
        int found = find_last(stages->last, name);

        while (found >= 0 && (size_t)found >= before)
                found = stages->items[found].same_name;
        return found;
}

/* The names of all stages, "stage-N" for those without. Heap array of heap strings. */
static StrList stage_names(const Stages *stages)
{
        StrList names = { 0 };

        for (size_t i = 0; i < stages->n_items; i++) {
                if (stages->items[i].name)
                        strlist_add(&names, stages->items[i].name);
                else
                        strlist_addf(&names, "stage-%zu", i);
        }
        return names;
}

int stages_target(const Stages *stages, const char *target, size_t *ret, Error *err)
{
        _cleanup_free_ char *suggestion = NULL, *quoted = NULL;
        _cleanup_strlist_ StrList names = { 0 };
        uint64_t index;
        int found;

        if (str_empty(target)) {
                *ret = stages->n_items - 1;
                return 0;
        }
        found = stages_find(stages, target, stages->n_items);
        if (found >= 0) {
                *ret = (size_t)found;
                return 0;
        }
        if (str_to_u64(target, &index) == 0 && index < stages->n_items) {
                *ret = (size_t)index;
                return 0;
        }
        names = stage_names(stages);
        quoted = text_quoted(target);
        suggestion = dockerfile_suggest(target, (const char *const *)strlist_argv(&names), names.n_items, false);
        if (suggestion)
                return error_set(err, ERROR_NOT_FOUND, "target stage %s could not be found (did you mean %s?)", quoted, suggestion);
        return error_set(err, ERROR_NOT_FOUND, "target stage %s could not be found", quoted);
}

static int bad_source(const Instruction *instruction, SourcePos pos, Diagnosis *diag, Error *err, const char *message)
{
        return diagnosis_set(diag, err, ERROR_INVALID, instruction->filename, pos, instruction->range, "%s", message);
}

/* Go's strconv.Atoi: an optional sign and digits. */
static bool is_index(const char *s, int64_t *ret)
{
        return str_to_i64(*s == '+' && s[1] >= '0' && s[1] <= '9' ? s + 1 : s, ret) == 0;
}

int stages_find_source(const Stages *stages, const Instruction *instruction, const char *from, int *ret, Diagnosis *diag, Error *err)
{
        bool copy = instruction->kind == INSTRUCTION_COPY;
        SourcePos pos = copy && instruction->copy.from_pos.line ? instruction->copy.from_pos : instruction->pos;
        _cleanup_free_ char *expanded = NULL, *message = NULL;
        _cleanup_error_ Error inner = ERROR_INIT;
        const ExpandOptions options = { .escape = instruction->escape };
        ExpandEnv empty = expand_env_empty();
        int64_t index;

        if (copy) {
                if (expand_word(&expanded, from, &empty, &options, NULL, &inner) < 0)
                        return bad_source(instruction, pos, diag, err, error_message(&inner));
                if (!streq(expanded, from))
                        return bad_source(
                                instruction, pos, diag, err,
                                "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround");
                if (is_index(from, &index)) {
                        if (index < 0 || (uint64_t)index >= stages->n_items) {
                                message = xasprintf("invalid stage index %lld", (long long)index);
                                return bad_source(instruction, pos, diag, err, message);
                        }
                        *ret = (int)index;
                        return 0;
                }
        }
        *ret = stages_find(stages, from, stages->n_items);
        return 0;
}

/* ---- the graph ---- */

enum { UNSEEN, OPEN, DONE };

typedef struct Edge {
        int to;
        const Instruction *by; /* NULL: the FROM */
        const char *word;
        const DfWord *mount; /* the --mount that names it, or NULL */
} Edge;

typedef struct Graph {
        const Stages *stages;
        Edge *edges; /* of all stages, in order */
        size_t n_edges, capacity;
        size_t *first;     /* per stage, and one more */
        size_t *path, *at; /* find_cycle()'s, made once: it is called for each stage */
        unsigned char *state;
        Diagnosis *diag;
        Error *err;
} Graph;

static void add_edge(Graph *g, int to, const Instruction *by, const char *word, const DfWord *mount)
{
        if (to < 0)
                return;
        GROW(g->edges, g->capacity, g->n_edges + 1);
        g->edges[g->n_edges++] = (Edge){ to, by, word, mount };
}

static int add_edges(Graph *g, const Stage *stage)
{
        for (size_t i = 0; i < stage->n_instructions; i++) {
                const Instruction *instruction = &stage->instructions[i];
                int to;

                if (instruction->kind == INSTRUCTION_COPY && instruction->copy.from) {
                        if (stages_find_source(g->stages, instruction, instruction->copy.from, &to, g->diag, g->err) < 0)
                                return -1;
                        add_edge(g, to, instruction, instruction->copy.from, NULL);
                }
                for (size_t j = 0; instruction->kind == INSTRUCTION_RUN && j < instruction->run.n_mounts; j++) {
                        const char *from = instruction->run.mounts[j].from;

                        if (from)
                                add_edge(g, stages_find(g->stages, from, g->stages->n_items), instruction, from, &instruction->run.mount_flags[j]);
                }
        }
        return 0;
}

static const char *stage_label(const Stage *stage, char buffer[32])
{
        if (stage->name)
                return stage->name;
        snprintf(buffer, 32, "stage-%zu", stage->index);
        return buffer;
}

/* Depth first without recursion: 100,000 stages may stand in a chain. */
static int find_cycle(Graph *g, size_t from)
{
        size_t depth = 0, *path = g->path, *at = g->at;
        int r = 0;

        path[0] = from;
        at[0] = g->first[from];
        g->state[from] = OPEN;
        for (;;) {
                size_t stage = path[depth];

                if (at[depth] == g->first[stage + 1]) {
                        g->state[stage] = DONE;
                        if (depth-- == 0)
                                break;
                        continue;
                }
                const Edge *edge = &g->edges[at[depth]++];

                if (g->state[edge->to] == DONE)
                        continue;
                if (g->state[edge->to] == OPEN) {
                        const Stage *start = &g->stages->items[from];
                        const Instruction *by = edge->by ? edge->by : g->stages->items[stage].from;
                        char buffer[32];

                        r = diagnosis_set(g->diag, g->err, ERROR_INVALID, by->filename, by->pos, by->range, "circular dependency detected on stage: %s",
                                          stage_label(start, buffer));
                        for (size_t i = 0; i < depth; i++)
                                if (g->edges[at[i] - 1].by)
                                        diagnosis_add_range(g->diag, g->edges[at[i] - 1].by->range);
                        break;
                }
                g->state[edge->to] = OPEN;
                depth++;
                path[depth] = (size_t)edge->to;
                at[depth] = g->first[edge->to];
        }
        return r;
}

/* The target as written; what a variable in it stands for is not known here. */
static int misplaced_mount(Graph *g, const Edge *edge)
{
        _cleanup_(arena_freep) Arena *arena = arena_new();
        _cleanup_error_ Error ignored = ERROR_INIT;
        ExpandEnv empty = expand_env_empty();
        DfMount mount = { 0 };

        (void)mount_parse(&mount, edge->mount->text, edge->mount->pos, true, &empty, edge->by->escape, NULL, arena, &ignored);
        return diagnosis_set(g->diag, g->err, ERROR_INVALID, edge->by->filename, edge->mount->pos, edge->by->range,
                             "cannot mount from stage \"%s\" to \"%s\", stage needs to be defined before current command", edge->word,
                             mount.target ? mount.target : "");
}

static int check_order(Graph *g, const bool *needed)
{
        for (size_t i = 0; i < g->stages->n_items; i++) {
                for (size_t j = g->first[i]; needed[i] && j < g->first[i + 1]; j++) {
                        const Edge *edge = &g->edges[j];
                        char buffer[32];

                        if ((size_t)edge->to < i || !edge->by)
                                continue;
                        if (edge->mount)
                                return misplaced_mount(g, edge);
                        return diagnosis_set(g->diag, g->err, ERROR_INVALID, edge->by->filename, edge->by->copy.from_pos, edge->by->range,
                                             "cannot copy from stage \"%s\", it needs to be defined before current stage \"%s\"", edge->word,
                                             g->stages->n_items == 1 ? "" : stage_label(&g->stages->items[i], buffer));
                }
        }
        return 0;
}

static void mark_needed(const Graph *g, size_t target, bool *needed)
{
        size_t *todo = NEW_ARRAY(size_t, g->stages->n_items + 1), n_todo = 1;

        todo[0] = target;
        needed[target] = true;
        while (n_todo > 0) {
                size_t stage = todo[--n_todo];

                for (size_t j = g->first[stage]; j < g->first[stage + 1]; j++) {
                        size_t to = (size_t)g->edges[j].to;

                        if (!needed[to]) {
                                needed[to] = true;
                                todo[n_todo++] = to;
                        }
                }
        }
        free(todo);
}

int stages_reachable(const Stages *stages, const char *const *base_names, size_t target, bool *ret_needed, int *base_of, Diagnosis *diag, Error *err)
{
        size_t n = stages->n_items;
        Graph g = { .stages = stages,
                    .first = NEW_ARRAY(size_t, n + 1),
                    .state = NEW_ARRAY(unsigned char, n),
                    .path = NEW_ARRAY(size_t, n + 1),
                    .at = NEW_ARRAY(size_t, n + 1),
                    .diag = diag,
                    .err = err };
        Map *before = map_new(NULL); /* grows with i, so that a name used by all stages is no long search */
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++) {
                int base = find_last(before, base_names[i]);

                if (stages->items[i].name)
                        map_set(before, stages->items[i].name, (void *)(intptr_t)(i + 1));

                if (base_of)
                        base_of[i] = base;
                g.first[i] = g.n_edges;
                add_edge(&g, base, NULL, NULL, NULL);
                r = add_edges(&g, &stages->items[i]);
        }
        map_free(before);
        g.first[n] = g.n_edges;
        for (size_t i = 0; i < n && r == 0; i++)
                if (g.state[i] == UNSEEN)
                        r = find_cycle(&g, i);
        if (r == 0) {
                memset(ret_needed, target == STAGES_ALL, n * sizeof(*ret_needed));
                if (target != STAGES_ALL)
                        mark_needed(&g, target, ret_needed);
                r = check_order(&g, ret_needed);
        }
        free(g.edges);
        free(g.first);
        free(g.state);
        free(g.path);
        free(g.at);
        return r;
}
