/*
 * Users and groups as an image knows them: the texts of its /etc/passwd and /etc/group, never the host's. Pure functions on bytes.
 *
 * Rules: moby/sys/user GetExecUser, which docker, BuildKit and the OCI runtimes' callers use.
 * Differs: a line whose numbers cannot be read is passed over, where Go's parser takes them as 0, that is, root.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"

typedef struct Ids {
        uint32_t uid, gid;
        uint32_t *groups; /* supplementary groups, in the order of the file; empty when the spec names a group */
        size_t n_groups;
        char *name; /* the name in passwd, or NULL when the user is only a number there */
        char *home; /* home directory in passwd, or NULL */
} Ids;

void ids_done(Ids *ids);
#define _cleanup_ids_ _cleanup_(ids_done)

/*
 * Resolves "user", "user:group", "uid", "uid:gid" or any mix ("" is root). `passwd` and `group` are the texts, or NULL with size 0 when there is no such file.
 * A number that no line has is taken as it is, with group 0. NOT_FOUND: a name that no line has; INVALID: malformed, or a number beyond 2^31-1.
 */
int ids_resolve(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size, Ids *ret, Error *err);

/*
 * Who owns what COPY --chown and WORKDIR make, which is another rule: a number is both user and group and is not looked up; a name is itself and its group of
 * passwd; a group given changes the group ("user:" is group 0). Names that no line has count as 0 (a user) or change nothing (a group). INVALID: a number
 * beyond 2^31-1. Source: BuildKit's readUser().
 */
int ids_resolve_owner(const char *spec, const char *passwd, size_t passwd_size, const char *group, size_t group_size, uint32_t *ret_uid, uint32_t *ret_gid,
                      Error *err);

/* One group by name or number ("--group-add"). NOT_FOUND, INVALID as above. */
int ids_resolve_group(const char *spec, const char *group, size_t group_size, uint32_t *ret, Error *err);
