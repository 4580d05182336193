/*
 * Commands that docker has and mica has not, so that whoever types one is told what there is instead.
 */
#pragma once

/* A sentence for the first word of a command, or NULL when docker does not know it either. Static. */
const char *docker_command_hint(const char *word);
