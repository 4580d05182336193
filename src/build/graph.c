#include "build/graph.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "build/edges.h"

const char *graph_state_name(GraphState state)
{
        static const char *const names[] = { "unneeded", "cached", "run", "unknown" };

        return names[state];
}

void build_graph_done(BuildGraph *graph)
{
        for (size_t i = 0; i < graph->n_nodes; i++) {
                free(graph->nodes[i].id);
                free(graph->nodes[i].name);
        }
        for (size_t i = 0; i < graph->n_stages; i++) {
                free(graph->stages[i].name);
                free(graph->stages[i].from);
                free(graph->stages[i].platform);
        }
        free(graph->nodes);
        free(graph->stages);
        free(graph->edges);
        *graph = (BuildGraph){ 0 };
}

typedef struct Grapher {
        Build *build;
        BuildGraph *graph;
        size_t n_stages; /* of the Dockerfile, for all platforms: the first of Build.stages */
        Map *others;     /* id -> index + 1 of the node of an image or a context */
} Grapher;

static size_t add_node(BuildGraph *graph, const GraphNode *node)
{
        GROW(graph->nodes, graph->nodes_capacity, graph->n_nodes + 1);
        graph->nodes[graph->n_nodes] = *node;
        return graph->n_nodes++;
}

static void add_edge(BuildGraph *graph, size_t from, size_t to, const char *kind)
{
        GROW(graph->edges, graph->edges_capacity, graph->n_edges + 1);
        graph->edges[graph->n_edges++] = (GraphEdge){ from, to, kind };
}

/* An image or a context, once. */
static size_t other_node(Grapher *g, const char *kind, const char *name, GraphState state)
{
        _cleanup_free_ char *id = str_empty(name) ? xstrdup(kind) : xasprintf("%s:%s", kind, name);
        size_t known = (size_t)(uintptr_t)map_get(g->others, id), at;

        if (known) {
                if (g->graph->nodes[known - 1].state == GRAPH_UNNEEDED)
                        g->graph->nodes[known - 1].state = state;
                return known - 1;
        }
        at = add_node(
                g->graph,
                &(GraphNode){ .id = xstrdup(id), .kind = kind, .name = xstrdup(str_empty(name) ? "build context" : name), .stage = SIZE_MAX, .state = state });
        map_set(g->others, id, (void *)(uintptr_t)(at + 1));
        return at;
}

/* --- states --- */

static bool misses_base(const BuildStage *stage)
{
        while (stage->base)
                stage = stage->base;
        return stage->missing;
}

/* As the probe of a build: on this thread, as far as the cache answers. What goes wrong will go wrong in the build, not here. */
static void probe(Build *build)
{
        for (size_t i = 0; i < build->n_stages; i++) {
                BuildStage *stage = build_stage_in_order(build, i), *blocker;
                _cleanup_error_ Error failure = ERROR_INIT;
                Digest key;
                int result;

                if (!stage->needed || misses_base(stage))
                        continue;
                result = stage_advance(stage, true, &blocker, &key, &failure);
                if (result < 0)
                        log_debug("graph: %s", error_message(&failure));
                else if (result == ADVANCE_DONE)
                        stage->status = STAGE_DONE;
        }
}

static GraphState step_state(const BuildStage *stage, size_t step)
{
        if (!stage->needed)
                return GRAPH_UNNEEDED;
        if (step < stage->next)
                return GRAPH_CACHED;
        return misses_base(stage) ? GRAPH_UNKNOWN : GRAPH_RUN;
}

/* --- nodes --- */

static const char *kind_of(const Instruction *in)
{
        switch (in->kind) {
        case INSTRUCTION_RUN:
                return "run";
        case INSTRUCTION_COPY:
                return "copy";
        case INSTRUCTION_ADD:
                return "add";
        case INSTRUCTION_WORKDIR:
                return "workdir";
        default:
                return NULL;
        }
}

static char *one_line(const char *text)
{
        char *copy = xstrdup(text);

        for (char *p = copy; *p; p++)
                if (*p == '\n' || *p == '\t')
                        *p = ' ';
        return copy;
}

static char *node_id(const BuildStage *stage, unsigned n)
{
        if (stage->build->n_targets == 1)
                return xasprintf("%zu.%u", stage->index, n);
        return xasprintf("%s:%zu.%u", stage->target->text, stage->index, n);
}

static GraphNode step_node(const BuildStage *stage, size_t at, const Instruction *in, unsigned n, unsigned step, unsigned n_steps, GraphState state)
{
        return (GraphNode){
                .id = node_id(stage, n),
                .kind = in->kind == INSTRUCTION_FROM ? "from" : kind_of(in),
                .name = one_line(in->original),
                .stage = at,
                .step = step,
                .n_steps = n_steps,
                .line = in->range.start,
                .end_line = in->range.end,
                .state = state,
        };
}

/* FROM, then each step that can make a layer. Stages that are not needed have no triggers: their base was not asked. */
static void add_stage(Grapher *g, size_t at)
{
        BuildStage *stage = g->build->stages[at];
        GraphStage *shown = &g->graph->stages[at];
        size_t n_own = stage->needed ? stage->n_steps : stage->parsed->n_instructions;
        unsigned counted = 0, total = stage->n_counted, first = !stage->base && !streq(stage->base_name, "scratch");
        GraphNode node;

        *shown = (GraphStage){
                .name = stage->parsed->name ? xstrdup(stage->parsed->name) : xasprintf("stage-%zu", stage->index),
                .from = xstrdup(stage->base_name),
                .platform = xstrdup(stage_platform(stage)),
                .base = SIZE_MAX,
                .first_node = g->graph->n_nodes,
                .needed = stage->needed,
                .is_target = stage->target->stage == stage,
        };
        for (size_t i = 0; i < g->n_stages; i++)
                if (g->build->stages[i] == stage->base)
                        shown->base = i;
        node = step_node(stage, at, stage->parsed->from, 0, first && stage->needed ? 1 : 0, total, stage->begun ? GRAPH_CACHED : step_state(stage, 0));
        add_node(g->graph, &node);
        for (size_t i = 0; i < n_own; i++) {
                const Instruction *in = stage->needed ? stage->steps[i].instruction : &stage->parsed->instructions[i];

                if (!kind_of(in))
                        continue;
                counted++;
                node = step_node(stage, at, in, counted, stage->needed ? counted + first : 0, total, step_state(stage, i));
                add_edge(g->graph, g->graph->n_nodes - 1, g->graph->n_nodes, "next");
                add_node(g->graph, &node);
        }
        shown->n_nodes = g->graph->n_nodes - shown->first_node;
}

/* --- edges --- */

static size_t last_node(const Grapher *g, const BuildStage *stage)
{
        for (size_t i = 0; i < g->n_stages; i++)
                if (g->build->stages[i] == stage)
                        return g->graph->stages[i].first_node + g->graph->stages[i].n_nodes - 1;
        return SIZE_MAX;
}

static GraphState image_state(const BuildStage *stage, bool needed)
{
        return !needed ? GRAPH_UNNEEDED : stage->missing ? GRAPH_UNKNOWN : GRAPH_CACHED;
}

static void add_sources(Grapher *g, BuildStage *stage, const Instruction *in, size_t to)
{
        _cleanup_(edges_done) Edges edges = { 0 };
        _cleanup_error_ Error failure = ERROR_INIT;
        GraphState state = stage->needed ? GRAPH_CACHED : GRAPH_UNNEEDED;

        if (edges_collect(stage, in, &edges, &failure) < 0)
                log_debug("graph: %s", error_message(&failure));
        for (size_t i = 0; i < edges.n_items; i++) {
                const Edge *edge = &edges.items[i];
                size_t from;

                if (edge->stage && edge->stage->parsed)
                        from = last_node(g, edge->stage);
                else if (edge->stage)
                        from = other_node(g, "image", edge->stage->base_name, image_state(edge->stage, stage->needed));
                else
                        from = other_node(g, "context", edge->from, state);
                add_edge(g->graph, from, to, edge->kind == EDGE_MOUNT ? "mount" : "copy");
        }
}

static void add_edges(Grapher *g, size_t at)
{
        BuildStage *stage = g->build->stages[at];
        size_t node = g->graph->stages[at].first_node, n_own = stage->needed ? stage->n_steps : stage->parsed->n_instructions;

        if (stage->base)
                add_edge(g->graph, last_node(g, stage->base), node, "from");
        else if (!streq(stage->base_name, "scratch"))
                add_edge(g->graph, other_node(g, "image", stage->base_name, image_state(stage, stage->needed)), node, "from");
        for (size_t i = 0; i < n_own; i++) {
                const Instruction *in = stage->needed ? stage->steps[i].instruction : &stage->parsed->instructions[i];

                if (kind_of(in))
                        add_sources(g, stage, in, ++node);
        }
}

int build_graph(Store *store, const BuildOptions *options, BuildGraph *ret, Error *err)
{
        BuildOptions quiet = *options;
        _cleanup_(build_freep) Build *build = NULL;
        Grapher g = { .graph = ret };

        quiet.event = NULL;
        build = build_new(store, &quiet);
        build->plan_only = true;
        if (lease_new(store, "graph", &build->lease, err) < 0)
                return -1;
        if (build_load(build, err) < 0 || build_plan(build, err) < 0)
                return build_explain(build, &build->diagnosis, err);
        probe(build);
        g.build = build;
        g.n_stages = build->parsed->n_items * build->n_targets;
        g.others = map_new(NULL);
        ret->n_stages = g.n_stages;
        ret->stages = NEW_ARRAY(GraphStage, g.n_stages);
        for (size_t i = 0; i < g.n_stages; i++)
                add_stage(&g, i);
        for (size_t i = 0; i < g.n_stages; i++)
                add_edges(&g, i);
        map_free(g.others);
        return 0;
}
