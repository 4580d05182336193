/*
 * The commands, for the table in commands.c. One line per command; the object is in cmd_<family>.c.
 */
#pragma once

#include "cli/command.h"

extern const Command command_bootstrap;
extern const Command command_build;
extern const Command command_completion;
extern const Command command_generate_docs;
extern const Command command_help;
extern const Command command_version;
