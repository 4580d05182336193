/*
 * The user namespace in which an ordinary user's containers and their files live: the user is root there, and may mount.
 *
 * All processes of one user and one state directory share one namespace while any of them lives, since only who is in it can enter a container that runs in
 * it or read the files of one. There is no process that holds it: <state dir>/userns has the boot and the inode number of the namespace that was made last,
 * and whoever comes looks for a process that is in it, makes another when there is none, and writes that down; all under the lock of the file.
 *
 * Ids: the user is 0. With newuidmap(1) and newgidmap(1) and ranges in /etc/subuid and /etc/subgid, these are 1 and up. Without, the user is the only one;
 * fs/owner.h is about owners that are not there.
 *
 * Threads: entering needs a process with one thread; the rest may be called from all.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Enters the namespace, and a mount namespace of this process's own. `state_dir`: a directory that only this user may write. Does nothing for root and where it
 * was done. A process that fails to enter may go on as the user it is. Errors: DENIED (this system lets users make none; the message names the setting).
 */
int userns_enter(const char *state_dir, Error *err);

/* Who started this process, whoever it is now: decides where stores and state lie. */
uid_t user_id(void);

/* True when userns_enter() has entered. */
bool userns_entered(void);

/* True in any user namespace but the first one, and without root's rights: no devices, no trusted.* attributes, EROFS or cgroups. */
bool userns_inside(void);

/* Whether there is such a user (group) in the namespace that this process is in: files can be given to it, and processes run as it. */
bool userns_has_uid(uint32_t uid);
bool userns_has_gid(uint32_t gid);

/* The ids as text, each range behind a space; "" outside of user namespaces. For comparing: what has owners was made for these ids. New string. */
char *userns_ids(void);

/* What to do about an id that is not there; a sentence without a full stop. New string. */
char *userns_advice(void);
