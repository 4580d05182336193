/*
 * `mica build --graph`: the graph of a build as DOT (Graphviz) or JSON.
 */
#pragma once

#include "build/graph.h"
#include "cli/context.h"

/* `form` is "dot" or "json". Prints to cli->out. Errors: INVALID (another form), and those of build_graph(). */
int build_graph_run(Cli *cli, const char *form, const BuildOptions *options, Error *err);
