/*
 * Owners that the user namespace does not have. On disk such a file belongs to 0, and the attribute user.mica.owner ("<uid>:<gid>") says whose it is, so that
 * what is read from the tree again, into a layer or by COPY --from, has the owner that it was given. Overlayfs takes the attribute along when it copies up.
 *
 * It counts only while the file belongs to 0 and where that id is not there: who gave it to somebody else meant that. Symbolic links, pipes and devices can
 * have no such attribute: they belong to 0. Root needs none of this, and does not look at the attribute.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Gives the entry `name` of a directory, or the file itself behind a descriptor when `name` is "", to a user and a group; UINT32_MAX leaves what is. Symbolic
 * links are not followed. Returns 0 or -errno. */
int owner_set(int dir_fd, const char *name, uint32_t uid, uint32_t gid);

/* Corrects what stat(2) said about the same file. */
void owner_read(int dir_fd, const char *name, struct stat *st);

/* True for the attribute, which is no part of a file. */
bool owner_is_note(const char *attribute);
