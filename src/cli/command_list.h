/*
 * The commands, for the table in commands.c. One line per command; the object is in cmd_<family>.c.
 */
#pragma once

#include "cli/command.h"

extern const Command command_attach;
extern const Command command_bootstrap;
extern const Command command_build;
extern const Command command_builder_du;
extern const Command command_builder_prune;
extern const Command command_commit;
extern const Command command_completion;
extern const Command command_config_get;
extern const Command command_config_list;
extern const Command command_config_set;
extern const Command command_config_unset;
extern const Command command_container_inspect;
extern const Command command_container_prune;
extern const Command command_cp;
extern const Command command_create;
extern const Command command_diff;
extern const Command command_exec;
extern const Command command_export;
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
extern const Command command_kill;
extern const Command command_load;
extern const Command command_logs;
extern const Command command_pause;
extern const Command command_port;
extern const Command command_ps;
extern const Command command_rename;
extern const Command command_restart;
extern const Command command_rm;
extern const Command command_rmi;
extern const Command command_run;
extern const Command command_save;
extern const Command command_start;
extern const Command command_stop;
extern const Command command_system_df;
extern const Command command_system_prune;
extern const Command command_tag;
extern const Command command_top;
extern const Command command_unpause;
extern const Command command_version;
extern const Command command_volume_create;
extern const Command command_volume_inspect;
extern const Command command_volume_ls;
extern const Command command_volume_prune;
extern const Command command_volume_rm;
extern const Command command_wait;
