/*
 * The commands, for the table in commands.c. One line per command; the object is in cmd_<family>.c.
 */
#pragma once

#include "cli/command.h"

extern const Command command_bootstrap;
extern const Command command_build;
extern const Command command_completion;
extern const Command command_fsck;
extern const Command command_generate_docs;
extern const Command command_help;
extern const Command command_history;
extern const Command command_image_inspect;
extern const Command command_image_prune;
extern const Command command_images;
extern const Command command_import;
extern const Command command_info;
extern const Command command_inspect;
extern const Command command_load;
extern const Command command_rmi;
extern const Command command_save;
extern const Command command_tag;
extern const Command command_version;
extern const Command command_volume_create;
extern const Command command_volume_inspect;
extern const Command command_volume_ls;
extern const Command command_volume_prune;
extern const Command command_volume_rm;
