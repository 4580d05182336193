/*
 * Private to container/: the client's end of a monitor's socket.
 */
#pragma once

#include "container/container.h"

/* Takes the descriptor over. */
Attachment *attachment_new(int fd, bool with_stdin, bool terminal);

/* Raw mode and window size of the user's terminal, and back. */
typedef struct TerminalMode TerminalMode;
TerminalMode *terminal_mode_enter(int fd); /* NULL when `fd` is no terminal */
void terminal_mode_leave(TerminalMode *mode);
DEFINE_CLEANUP(TerminalMode *, terminal_mode_leave)

/* Detach keys ("ctrl-p,ctrl-q") as bytes: how many (at most 16), 0 for "", -1 INVALID. */
int detach_keys_parse(const char *text, uint8_t keys[16], Error *err);
