#include "cli/build_graph.h"

#include <string.h>

#include "base/mem.h"
#include "json/writer.h"

#define LABEL_MAX 60 /* characters of an instruction in the picture */

/* --- DOT --- */

/* A quoted string; control characters are made visible first. */
static void put_quoted(Buf *out, const char *text)
{
        _cleanup_free_ char *shown = str_printable(text, strlen(text));

        buf_putc(out, '"');
        for (const char *p = shown; *p; p++) {
                if (*p == '"' || *p == '\\')
                        buf_putc(out, '\\');
                buf_putc(out, *p);
        }
        buf_putc(out, '"');
}

static void put_node(Buf *out, const GraphNode *node, const char *indent)
{
        static const char *const styles[] = {
                [GRAPH_UNNEEDED] = "style=dashed, color=gray, fontcolor=gray",
                [GRAPH_CACHED] = "style=filled, fillcolor=\"#d5e8d4\"",
                [GRAPH_RUN] = "style=filled, fillcolor=\"#fff2cc\"",
                [GRAPH_UNKNOWN] = "style=filled, fillcolor=\"#f8cecc\"",
        };
        _cleanup_free_ char *name = cli_ellipsis(node->name, LABEL_MAX);
        _cleanup_free_ char *label = node->step ? xasprintf("[%u/%u] %s", node->step, node->n_steps, name) : xstrdup(name);

        buf_puts(out, indent);
        put_quoted(out, node->id);
        buf_puts(out, " [label=");
        put_quoted(out, label);
        buf_putf(out, ", shape=%s, %s];\n", node->stage == SIZE_MAX ? "ellipse" : "box", styles[node->state]);
}

static void write_dot(const BuildGraph *graph, Buf *out)
{
        buf_puts(out, "digraph build {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
        for (size_t i = 0; i < graph->n_stages; i++) {
                const GraphStage *stage = &graph->stages[i];

                buf_putf(out, "  subgraph cluster_%zu {\n    label=", i);
                put_quoted(out, stage->name);
                buf_puts(out, stage->is_target ? ";\n    penwidth=2;\n" : stage->needed ? ";\n" : ";\n    style=dashed;\n");
                for (size_t j = 0; j < stage->n_nodes; j++)
                        put_node(out, &graph->nodes[stage->first_node + j], "    ");
                buf_puts(out, "  }\n");
        }
        for (size_t i = 0; i < graph->n_nodes; i++)
                if (graph->nodes[i].stage == SIZE_MAX)
                        put_node(out, &graph->nodes[i], "  ");
        for (size_t i = 0; i < graph->n_edges; i++) {
                const GraphEdge *edge = &graph->edges[i];

                buf_puts(out, "  ");
                put_quoted(out, graph->nodes[edge->from].id);
                buf_puts(out, " -> ");
                put_quoted(out, graph->nodes[edge->to].id);
                if (streq(edge->kind, "copy") || streq(edge->kind, "mount"))
                        buf_putf(out, " [style=%s, label=%s]", streq(edge->kind, "mount") ? "dotted" : "dashed", edge->kind);
                buf_puts(out, ";\n");
        }
        buf_puts(out, "}\n");
}

/* --- JSON --- */

static void write_node(JsonWriter *json, const BuildGraph *graph, const GraphNode *node)
{
        json_writer_begin_object(json);
        json_writer_member_string(json, "id", node->id);
        json_writer_member_string(json, "kind", node->kind);
        json_writer_member_string(json, "name", node->name);
        if (node->stage != SIZE_MAX)
                json_writer_member_string(json, "stage", graph->stages[node->stage].name);
        if (node->step) {
                json_writer_member_int(json, "step", node->step);
                json_writer_member_int(json, "steps", node->n_steps);
        }
        if (node->line) {
                json_writer_member_int(json, "line", node->line);
                json_writer_member_int(json, "endLine", node->end_line);
        }
        json_writer_member_string(json, "state", graph_state_name(node->state));
        json_writer_end_object(json);
}

static void write_stage(JsonWriter *json, const BuildGraph *graph, const GraphStage *stage)
{
        json_writer_begin_object(json);
        json_writer_member_string(json, "name", stage->name);
        json_writer_member_string(json, "from", stage->from);
        if (stage->base != SIZE_MAX)
                json_writer_member_string(json, "base", graph->stages[stage->base].name);
        json_writer_member_string(json, "platform", stage->platform);
        json_writer_member_bool(json, "needed", stage->needed);
        json_writer_member_bool(json, "target", stage->is_target);
        json_writer_key(json, "nodes");
        json_writer_begin_array(json);
        for (size_t i = 0; i < stage->n_nodes; i++)
                json_writer_string(json, graph->nodes[stage->first_node + i].id);
        json_writer_end_array(json);
        json_writer_end_object(json);
}

static int write_json(const BuildGraph *graph, Buf *out, Error *err)
{
        _cleanup_buf_ Buf flat = BUF_INIT(BUF_MAX_DEFAULT);
        JsonWriter json;

        json_writer_init(&json, &flat, JSON_WRITE_NO_HTML);
        json_writer_begin_object(&json);
        json_writer_key(&json, "stages");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < graph->n_stages; i++)
                write_stage(&json, graph, &graph->stages[i]);
        json_writer_end_array(&json);
        json_writer_key(&json, "nodes");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < graph->n_nodes; i++)
                write_node(&json, graph, &graph->nodes[i]);
        json_writer_end_array(&json);
        json_writer_key(&json, "edges");
        json_writer_begin_array(&json);
        for (size_t i = 0; i < graph->n_edges; i++) {
                json_writer_begin_object(&json);
                json_writer_member_string(&json, "from", graph->nodes[graph->edges[i].from].id);
                json_writer_member_string(&json, "to", graph->nodes[graph->edges[i].to].id);
                json_writer_member_string(&json, "kind", graph->edges[i].kind);
                json_writer_end_object(&json);
        }
        json_writer_end_array(&json);
        json_writer_end_object(&json);
        if (json_writer_finish(&json, err) < 0)
                return -1;
        if (json_text_indent(flat.data, flat.size, 2, out) < 0)
                return error_set(err, ERROR_LIMIT, "the graph is too large to be printed");
        buf_putc(out, '\n');
        return 0;
}

int build_graph_run(Cli *cli, const char *form, const BuildOptions *options, Error *err)
{
        _cleanup_(build_graph_done) BuildGraph graph = { 0 };
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT);
        Store *store;

        if (!streq(form, "dot") && !streq(form, "json"))
                return error_set(err, ERROR_INVALID, "unknown form of graph '%s'; known are dot and json", form);
        if (cli_store(cli, &store, err) < 0 || build_graph(store, options, &graph, err) < 0)
                return -1;
        if (streq(form, "dot"))
                write_dot(&graph, &out);
        else if (write_json(&graph, &out, err) < 0)
                return -1;
        fwrite(out.data, 1, out.size, cli->out);
        return 0;
}
