#include "runtime/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"

#define CGROUP_UNIFIED CGROUP_ROOT "/unified"

/* cgroup.procs of a container with as many processes as a kernel can have. */
#define PROCS_SIZE_MAX ((size_t)64 << 20)

static int64_t statfs_type(const char *path)
{
        struct statfs fs;

        return statfs(path, &fs) < 0 ? -1 : (int64_t)fs.f_type;
}

static bool can_write(const char *root, const char *name)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", root, name);

        return access(path, W_OK) == 0;
}

void cgroup_detect_in(const char *root, int64_t (*fs_type)(const char *path), Cgroups *ret)
{
        _cleanup_free_ char *unified = xasprintf("%s/unified", root);
        int64_t type = fs_type(root);

        *ret = (Cgroups){ .mode = CGROUP_NONE, .root = root };
        if (type == CGROUP2_SUPER_MAGIC) {
                ret->mode = can_write(root, "cgroup.procs") ? CGROUP_V2 : CGROUP_NONE;
                ret->swap = true;
        } else if (type == TMPFS_MAGIC && can_write(root, "devices")) {
                ret->mode = fs_type(unified) == CGROUP2_SUPER_MAGIC ? CGROUP_HYBRID : CGROUP_V1;
                ret->swap = can_write(root, "memory/memory.memsw.limit_in_bytes");
        }
}

void cgroup_detect(Cgroups *ret)
{
        cgroup_detect_in(CGROUP_ROOT, statfs_type, ret);
}

const char *cgroup_mode_name(CgroupMode mode)
{
        static const char *const names[] = { "none", "v1", "hybrid", "v2" };

        return names[mode];
}

char *cgroup_path(const Cgroups *cgroups, const char *parent, const char *id)
{
        size_t n;

        if (str_empty(parent))
                parent = cgroups->mode == CGROUP_V2 ? "/mica" : "";
        for (n = strlen(parent); n > 0 && parent[n - 1] == '/';)
                n--;
        return xasprintf("%s%.*s/mica-%s", n > 0 && *parent != '/' ? "/" : "", (int)n, parent, id);
}

int cgroup_hide_unified(void)
{
        struct statfs fs;

        if (statfs(CGROUP_UNIFIED, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
                return 0;
        return mount("mica", CGROUP_UNIFIED, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") < 0 ? -errno : 0;
}

/* Calls `each` with the directory of the cgroup in every hierarchy until it returns non-zero. */
static int for_each_hierarchy(const Cgroups *cgroups, const char *path, int (*each)(void *user, const char *directory), void *user)
{
        DIR *root;
        struct dirent *entry;
        int r = 0;

        if (cgroups->mode == CGROUP_NONE)
                return 0;
        if (cgroups->mode == CGROUP_V2) {
                _cleanup_free_ char *directory = xasprintf("%s%s", cgroups->root, path);

                return access(directory, F_OK) == 0 ? each(user, directory) : 0;
        }
        root = opendir(cgroups->root);
        if (!root)
                return 0;
        while (r == 0 && (entry = readdir(root))) {
                _cleanup_free_ char *directory = NULL;

                if (entry->d_type != DT_DIR || entry->d_name[0] == '.') /* links name hierarchies that are mounted together under another name */
                        continue;
                directory = xasprintf("%s/%s", cgroups->root, entry->d_name);
                if (streq(entry->d_name, "unified") && statfs_type(directory) != CGROUP2_SUPER_MAGIC) /* hidden from crun, which wrote files onto the tmpfs */
                        continue;
                free(directory);
                directory = xasprintf("%s/%s%s", cgroups->root, entry->d_name, path);
                if (access(directory, F_OK) == 0)
                        r = each(user, directory);
        }
        closedir(root);
        return r;
}

typedef struct PidList {
        pid_t *pids;
        size_t n_pids, capacity;
} PidList;

/* Adds the pids of a cgroup directory and of the cgroups below it. */
static void collect_pids(const char *directory, PidList *list, unsigned depth)
{
        _cleanup_free_ char *file = xasprintf("%s/cgroup.procs", directory);
        _cleanup_buf_ Buf text = BUF_INIT(PROCS_SIZE_MAX);
        struct dirent *entry;
        DIR *dir;
        int r;

        r = file_read(AT_FDCWD, file, &text);
        if (r == -EOPNOTSUPP) { /* below a cgroup that has processes itself, a cgroup of v2 holds threads */
                free(file);
                file = xasprintf("%s/cgroup.threads", directory);
                r = file_read(AT_FDCWD, file, &text);
        }
        if (r == 0) {
                for (char *p = text.data, *end; p && *p; p = *end ? end + 1 : end) {
                        long pid = strtol(p, &end, 10);

                        if (end == p)
                                break;
                        if (pid <= 0) /* 0: a process of an outer pid namespace */
                                continue;
                        GROW(list->pids, list->capacity, list->n_pids + 1);
                        list->pids[list->n_pids++] = (pid_t)pid;
                }
        }
        dir = depth < 16 ? opendir(directory) : NULL;
        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *below = NULL;

                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                below = xasprintf("%s/%s", directory, entry->d_name);
                collect_pids(below, list, depth + 1);
        }
        if (dir)
                closedir(dir);
}

static int collect_from(void *user, const char *directory)
{
        collect_pids(directory, user, 0);
        return 1; /* every hierarchy holds the same processes */
}

int cgroup_pids(const Cgroups *cgroups, const char *path, pid_t **ret, size_t *ret_n, Error *err)
{
        PidList list = { 0 };

        if (cgroups->mode == CGROUP_NONE)
                return error_set(err, ERROR_UNSUPPORTED, "this host has no cgroups that mica may use");
        for_each_hierarchy(cgroups, path, collect_from, &list);
        *ret = list.pids;
        *ret_n = list.n_pids;
        return 0;
}

static int write_file(const char *directory, const char *name, const char *text)
{
        _cleanup_free_ char *file = xasprintf("%s/%s", directory, name);
        _cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || sys_write(fd, text, strlen(text)) < 0)
                return -errno;
        return 0;
}

size_t cgroup_signal(const Cgroups *cgroups, const char *path, int number)
{
        PidList list = { 0 };

        if (number == SIGKILL && cgroups->mode == CGROUP_V2) { /* what forks meanwhile is hit as well (Linux 5.14) */
                _cleanup_free_ char *directory = xasprintf("%s%s", cgroups->root, path);

                write_file(directory, "cgroup.kill", "1");
        }
        for_each_hierarchy(cgroups, path, collect_from, &list);
        for (size_t i = 0; i < list.n_pids; i++)
                kill(list.pids[i], number);
        free(list.pids);
        return list.n_pids;
}

/* Removes a cgroup and those below it; -EBUSY while processes are in it. */
static int remove_tree(const char *directory, unsigned depth)
{
        struct dirent *entry;
        int r = 0;
        DIR *dir;

        if (sys_fault(SYS_CALL_rmcgroup) < 0)
                return -errno;
        if (sys_unlinkat(AT_FDCWD, directory, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return 0;
        if (errno != EBUSY && errno != ENOTEMPTY)
                return -errno;
        dir = depth < 16 ? opendir(directory) : NULL;
        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *below = NULL;
                int s;

                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                below = xasprintf("%s/%s", directory, entry->d_name);
                s = remove_tree(below, depth + 1);
                if (r == 0)
                        r = s;
        }
        if (dir)
                closedir(dir);
        if (r < 0)
                return r;
        return sys_unlinkat(AT_FDCWD, directory, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int remove_from(void *user, const char *directory)
{
        int r = remove_tree(directory, 0);

        if (r < 0)
                *(int *)user = r;
        return 0;
}

int cgroup_remove(const Cgroups *cgroups, const char *path, Error *err)
{
        int failure = 0;

        /* A killed process leaves its cgroup a moment later; 2 s is far beyond what a kernel needs for that. */
        for (int attempt = 0; attempt < 200; attempt++) {
                failure = 0;
                for_each_hierarchy(cgroups, path, remove_from, &failure);
                if (failure == 0)
                        return 0;
                if (failure != -EBUSY)
                        break;
                cgroup_freeze(cgroups, path, false, &(Error){ 0 });
                cgroup_signal(cgroups, path, SIGKILL);
                nanosleep(&(struct timespec){ .tv_nsec = attempt < 10 ? 1000000 : 10000000 }, NULL);
        }
        return error_errno(err, failure, "cannot remove the cgroup '%s'", path);
}

static int oom_from(void *user, const char *directory)
{
        static const char *const files[] = { "memory.events", "memory.oom_control" }; /* v2, v1 */

        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                _cleanup_free_ char *file = xasprintf("%s/%s", directory, files[i]);
                _cleanup_buf_ Buf text = BUF_INIT(4096);
                const char *count;

                if (file_read(AT_FDCWD, file, &text) < 0)
                        continue;
                count = strstr(buf_str(&text), "oom_kill ");
                *(bool *)user = count && strtoul(count + strlen("oom_kill "), NULL, 10) > 0;
                return 1;
        }
        return 0;
}

bool cgroup_oom_killed(const Cgroups *cgroups, const char *path)
{
        bool killed = false;

        for_each_hierarchy(cgroups, path, oom_from, &killed);
        return killed;
}

typedef struct Freeze {
        bool frozen, found;
        int failure;
} Freeze;

/* v2: cgroup.freeze and then "frozen 1" in cgroup.events; v1: freezer.state, which passes through FREEZING. */
static bool is_settled(const char *directory, bool v2, bool frozen)
{
        _cleanup_free_ char *file = xasprintf("%s/%s", directory, v2 ? "cgroup.events" : "freezer.state");
        _cleanup_buf_ Buf text = BUF_INIT(4096);

        if (file_read(AT_FDCWD, file, &text) < 0)
                return true;
        if (v2)
                return (strstr(buf_str(&text), "frozen 1") != NULL) == frozen;
        return str_starts(buf_str(&text), frozen ? "FROZEN" : "THAWED");
}

static int freeze_in(void *user, const char *directory)
{
        Freeze *freeze = user;
        bool v2 = true;
        int r = write_file(directory, "cgroup.freeze", freeze->frozen ? "1" : "0");

        if (r == -ENOENT) {
                v2 = false;
                r = write_file(directory, "freezer.state", freeze->frozen ? "FROZEN" : "THAWED");
        }
        if (r == -ENOENT)
                return 0; /* another controller's hierarchy */
        freeze->found = true;
        freeze->failure = r;
        for (int attempt = 0; r == 0 && attempt < 1000 && !is_settled(directory, v2, freeze->frozen); attempt++)
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        return 1;
}

int cgroup_freeze(const Cgroups *cgroups, const char *path, bool frozen, Error *err)
{
        Freeze freeze = { .frozen = frozen };

        for_each_hierarchy(cgroups, path, freeze_in, &freeze);
        if (!freeze.found)
                return error_set(err, ERROR_UNSUPPORTED, "there is no freezer cgroup that mica may use");
        if (freeze.failure < 0)
                return error_errno(err, freeze.failure, "cannot %s the cgroup '%s'", frozen ? "freeze" : "thaw", path);
        return 0;
}
