/*
 * Private to runtime/: control groups as this host has them.
 *
 *   v2       /sys/fs/cgroup is a cgroup2 file system: one directory per container
 *   v1       /sys/fs/cgroup is a tmpfs with one hierarchy per controller: one directory per container in each
 *   hybrid   v1 with a cgroup2 file system without controllers at /sys/fs/cgroup/unified. crun takes that for a host half way to v2 and refuses; so it gets to
 *            see an empty tmpfs there, in a mount namespace of its own. runc and systemd do not mind
 *   none     not mounted, or not ours to write (rootless): the runtime is told to leave cgroups alone
 *
 * A path of a cgroup is the one below the root of each hierarchy: "/mica-<id>", on v2 "/mica/mica-<id>". systemd takes from the top of v2 the controllers that
 * none of its units needs (at `systemctl daemon-reload`, when the last user logs out), and with them the limits of cgroups directly below. It cannot take what
 * the children of a cgroup there have: so "/mica" is between. It stays when it is empty, since another process may be about to make a cgroup in it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

typedef enum CgroupMode { CGROUP_NONE, CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 } CgroupMode;

typedef struct Cgroups {
        CgroupMode mode;
        bool swap;        /* limits on memory and swap together can be set: v1 has them only when the kernel was told so (swapaccount=1) */
        const char *root; /* CGROUP_ROOT; the tests have one of their own */
} Cgroups;

#define CGROUP_ROOT "/sys/fs/cgroup"

void cgroup_detect(Cgroups *ret);
/* The same below any root (static), where `fs_type` says what statfs(2) would: a magic number, or -1 when the path is not there. */
void cgroup_detect_in(const char *root, int64_t (*fs_type)(const char *path), Cgroups *ret);
const char *cgroup_mode_name(CgroupMode mode);

/* "<parent>/mica-<id>"; parent may be NULL or "". New string. */
char *cgroup_path(const Cgroups *cgroups, const char *parent, const char *id);

/* Puts an empty tmpfs over /sys/fs/cgroup/unified in this mount namespace, once. Only raw system calls: usable after fork() in a process with threads. 0 or
 * -errno. */
int cgroup_hide_unified(void);

/* Kills every process in the cgroup and below, waits until they are gone, and removes it from every hierarchy. Fine when it is not there. */
int cgroup_remove(const Cgroups *cgroups, const char *path, Error *err);

/* Sends a signal to every process in it. How many processes there were. */
size_t cgroup_signal(const Cgroups *cgroups, const char *path, int signal);

bool cgroup_oom_killed(const Cgroups *cgroups, const char *path);
int cgroup_freeze(const Cgroups *cgroups, const char *path, bool frozen, Error *err);
int cgroup_pids(const Cgroups *cgroups, const char *path, pid_t **ret, size_t *ret_n, Error *err);
