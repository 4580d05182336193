/*
 * SSH agents for RUN --mount=type=ssh and for git over ssh: the user's own, or one that the build starts for key files.
 *
 * Keys never touch a disk of the build: they go from their file through a pipe into ssh-agent, which is killed when the build ends. A RUN does not see the
 * agent's socket but one of ours with the owner and mode that the mount asks for, behind which the bytes are carried to and fro: agents talk to their own user
 * only, and the user's socket keeps its owner.
 */
#pragma once

#include "build/engine.h"

/*
 * The path of an agent's socket for programs that this process starts: *ret_socket belongs to the build; NULL when --ssh does not name `id`.
 * Errors: NOT_FOUND (no agent is running, no such key file, no ssh-agent program), INVALID (a key that cannot be used).
 */
int ssh_agent_find(Build *build, const char *id, const char **ret_socket, Error *err);

/* Ends the agents that were started. */
void ssh_agents_free(Build *build);

typedef struct SshForward SshForward;

/* A socket of our own at *ret_path (absolute; belongs to the forward) that leads to the agent at `agent`. Works until it is freed. */
int ssh_forward_open(Build *build, const char *agent, uint32_t uid, uint32_t gid, uint32_t mode, SshForward **ret, const char **ret_path, Error *err);
void ssh_forward_free(SshForward *forward);
