#include "build/edges.h"

#include <string.h>

#include "base/mem.h"

void edges_done(Edges *edges)
{
        free(edges->items);
        *edges = (Edges){ 0 };
}

static void add(Edges *edges, const Edge *edge)
{
        for (size_t i = 0; i < edges->n_items; i++)
                if (edges->items[i].kind == edge->kind && edges->items[i].stage == edge->stage && streq_ptr(edges->items[i].from, edge->from))
                        return;
        GROW(edges->items, edges->capacity, edges->n_items + 1);
        edges->items[edges->n_items++] = *edge;
}

static int add_from(BuildStage *stage, const Instruction *instruction, const char *from, EdgeKind kind, Edges *edges, Error *err)
{
        Edge edge = { .kind = kind, .from = from };
        SourceTree *tree;

        if (streq(from, "scratch"))
                return 0;
        if (build_source(stage, instruction, from, &edge.stage, &tree, err) < 0)
                return -1;
        add(edges, &edge);
        return 0;
}

/* Whether any source of an ADD or COPY is in the context: not a URL, not written in the Dockerfile. */
static bool reads_context(const CopyInstruction *copy, bool is_add)
{
        for (size_t i = 0; i < copy->n_sources; i++)
                if (!is_add || !strstr(copy->sources[i].text, "://"))
                        return true;
        return false;
}

/* By the flag as written, which is all there is before the instruction is expanded. bind is what a mount is without a type. */
static bool is_bind(const char *flag)
{
        for (const char *p = flag; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (str_starts(p, "type="))
                        return str_starts(p, "type=bind") && strchr(",", p[9]);
        return true;
}

int edges_collect(BuildStage *stage, const Instruction *instruction, Edges *ret, Error *err)
{
        if (instruction->kind == INSTRUCTION_COPY && !str_empty(instruction->copy.from))
                return add_from(stage, instruction, instruction->copy.from, EDGE_COPY, ret, err);
        if (instruction->kind == INSTRUCTION_COPY || instruction->kind == INSTRUCTION_ADD) {
                if (reads_context(&instruction->copy, instruction->kind == INSTRUCTION_ADD))
                        add(ret, &(Edge){ .kind = EDGE_COPY });
                return 0;
        }
        for (size_t i = 0; instruction->kind == INSTRUCTION_RUN && i < instruction->run.n_mounts; i++) {
                const DfMount *mount = &instruction->run.mounts[i];

                if (!str_empty(mount->from)) {
                        if (add_from(stage, instruction, mount->from, EDGE_MOUNT, ret, err) < 0)
                                return -1;
                } else if (is_bind(instruction->run.mount_flags[i].text)) {
                        add(ret, &(Edge){ .kind = EDGE_MOUNT });
                }
        }
        return 0;
}

void edges_note_inputs(BuildStage *stage, Work *work)
{
        _cleanup_(edges_done) Edges edges = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ unsigned *ids = NULL;
        size_t n = 0;

        if (work->instruction->kind == INSTRUCTION_WORKDIR || edges_collect(stage, work->instruction, &edges, &ignored) < 0 || !edges.n_items)
                return;
        ids = NEW_ARRAY(unsigned, edges.n_items + 1);
        if (stage->vertex)
                ids[n++] = stage->vertex->id;
        for (size_t i = 0; i < edges.n_items; i++) {
                const Edge *edge = &edges.items[i];
                const BuildVertex *vertex = edge->stage ? edge->stage->vertex : edge->from ? NULL : stage->build->context_vertex;

                if (vertex && vertex->id)
                        ids[n++] = vertex->id;
        }
        progress_set_inputs(stage->build->progress, work->vertex, ids, n);
}
