#include "fs/userns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/subid.h"

#define MAP_SIZE_MAX 16384 /* 340 lines of three numbers */

/* Who we were; a fact about the process, as its user id is. */
static struct {
        bool tried, entered;
        uid_t uid;
} outside;

uid_t user_id(void)
{
        return outside.tried ? outside.uid : geteuid();
}

bool userns_entered(void)
{
        return outside.entered;
}

/* --- what a namespace maps --- */

typedef struct IdRange {
        uint32_t first, outside, count;
} IdRange;

typedef struct IdMap {
        IdRange ranges[SUBID_RANGES_MAX + 1];
        size_t n_ranges;
} IdMap;

static void read_map(const char *path, IdMap *ret)
{
        _cleanup_buf_ Buf text = BUF_INIT(MAP_SIZE_MAX);
        const char *at;
        IdRange range;
        int n;

        *ret = (IdMap){ 0 };
        if (file_read(AT_FDCWD, path, &text) < 0)
                return;
        for (at = buf_str(&text); ret->n_ranges < ARRAY_LEN(ret->ranges) && sscanf(at, "%u %u %u%n", &range.first, &range.outside, &range.count, &n) == 3;
             at += n)
                ret->ranges[ret->n_ranges++] = range;
}

static bool map_has(const IdMap *map, uint32_t id)
{
        for (size_t i = 0; i < map->n_ranges; i++)
                if (id - map->ranges[i].first < map->ranges[i].count)
                        return true;
        return false;
}

/* Of this process; read once, when it is what it is going to be. */
static IdMap own_uids, own_gids;
static pthread_once_t own_once = PTHREAD_ONCE_INIT;

static void read_own_maps(void)
{
        read_map("/proc/self/uid_map", &own_uids);
        read_map("/proc/self/gid_map", &own_gids);
}

bool userns_inside(void)
{
        if (geteuid() != 0)
                return true;
        pthread_once(&own_once, read_own_maps);
        /* The first user namespace maps all ids to themselves */
        return own_uids.n_ranges > 0 && !(own_uids.n_ranges == 1 && own_uids.ranges[0].outside == 0 && own_uids.ranges[0].count == UINT32_MAX);
}

bool userns_has_uid(uint32_t uid)
{
        pthread_once(&own_once, read_own_maps);
        return own_uids.n_ranges == 0 || map_has(&own_uids, uid);
}

bool userns_has_gid(uint32_t gid)
{
        pthread_once(&own_once, read_own_maps);
        return own_gids.n_ranges == 0 || map_has(&own_gids, gid);
}

static void put_map(const IdMap *map, char kind, Buf *to)
{
        for (size_t i = 0; i < map->n_ranges; i++)
                buf_putf(to, " %c%u-%u-%u", kind, map->ranges[i].first, map->ranges[i].outside, map->ranges[i].count);
}

char *userns_ids(void)
{
        Buf text = BUF_INIT(MAP_SIZE_MAX);

        if (userns_inside()) {
                pthread_once(&own_once, read_own_maps);
                put_map(&own_uids, 'u', &text);
                put_map(&own_gids, 'g', &text);
        }
        return text.size ? buf_detach(&text) : xstrdup("");
}

char *userns_advice(void)
{
        const struct passwd *user = getpwuid(user_id());
        _cleanup_free_ char *name = user ? xstrdup(user->pw_name) : xasprintf("%u", user_id());

        pthread_once(&own_once, read_own_maps);
        if (own_uids.n_ranges == 1 && own_uids.ranges[0].count == 1)
                return xasprintf(
                        "you have only one without root: install the package uidmap and let root run 'usermod --add-subuids 100000-165535 --add-subgids "
                        "100000-165535 %s'; it counts once none of your containers runs",
                        name);
        return xasprintf("/etc/subuid and /etc/subgid do not give so many to '%s'", name);
}

/* --- making a namespace --- */

static bool setting_is(const char *path, const char *value)
{
        _cleanup_buf_ Buf text = BUF_INIT(64);
        _cleanup_free_ char *trimmed = NULL;

        if (file_read(AT_FDCWD, path, &text) < 0)
                return false;
        trimmed = str_trim(buf_str(&text));
        return streq(trimmed, value);
}

/* Says why, from the settings that are known to forbid it. */
static int refuse(int errnum, const char *what, Error *err)
{
        static const struct {
                const char *path, *forbids, *name, *better;
        } settings[] = {
                { "/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces", "15000" },
                { "/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone", "1" },
                { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns", "0" },
        };

        for (size_t i = 0; i < ARRAY_LEN(settings); i++)
                if (setting_is(settings[i].path, settings[i].forbids))
                        return error_set(err, ERROR_DENIED,
                                         "containers and builds need root here, or a user namespace, which this system forbids by the setting %s=%s: as root, "
                                         "'sysctl -w "
                                         "%s=%s' allows it",
                                         settings[i].name, settings[i].forbids, settings[i].name, settings[i].better);
        error_errno(err, errnum, "containers and builds need root here, or a user namespace: cannot %s", what);
        err->code = ERROR_DENIED;
        return -1;
}

typedef struct Ranges {
        SubidRange uids[SUBID_RANGES_MAX], gids[SUBID_RANGES_MAX];
        size_t n_uids, n_gids;
} Ranges;

static size_t read_ranges(const char *path, uid_t uid, SubidRange ret[SUBID_RANGES_MAX])
{
        _cleanup_buf_ Buf text = BUF_INIT((size_t)16 << 20);
        const struct passwd *user = getpwuid(uid);

        return file_read(AT_FDCWD, path, &text) < 0 ? 0 : subid_parse(buf_str(&text), uid, user ? user->pw_name : NULL, ret);
}

/* newuidmap PID INSIDE OUTSIDE COUNT... */
static int run_mapper(const char *program, pid_t pid, uint32_t own, const SubidRange *ranges, size_t n, Error *err)
{
        _cleanup_strlist_ StrList argv = { 0 };
        uint32_t next = 1;

        strlist_add(&argv, program);
        strlist_addf(&argv, "%d", pid);
        strlist_add(&argv, "0");
        strlist_addf(&argv, "%u", own);
        strlist_add(&argv, "1");
        for (size_t i = 0; i < n && ranges[i].count <= UINT32_MAX - next; i++) {
                strlist_addf(&argv, "%u", next);
                strlist_addf(&argv, "%u", ranges[i].first);
                strlist_addf(&argv, "%u", ranges[i].count);
                next += ranges[i].count;
        }
        return child_run(strlist_argv(&argv), NULL, err);
}

/*
 * In a child, which stays outside: waits until its parent is in the namespace, has it mapped, and writes what went wrong. Nothing when the programs are not
 * there: /etc/subuid is written without them, too.
 */
static _noreturn_ void mapper_main(pid_t parent, const Ranges *ranges, int go_fd, int report_fd)
{
        _cleanup_error_ Error err = ERROR_INIT;
        char go;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(go_fd, &go, 1) != 1)
                _exit(1);
        if (run_mapper("newuidmap", parent, geteuid(), ranges->uids, ranges->n_uids, &err) == 0 &&
            run_mapper("newgidmap", parent, getegid(), ranges->gids, ranges->n_gids, &err) == 0)
                _exit(0);
        if (err.code != ERROR_NOT_FOUND)
                fd_write_all(report_fd, error_message(&err), strlen(error_message(&err)));
        _exit(1);
}

typedef struct Mapper {
        pid_t pid;
        int go_fd, report_fd;
} Mapper;

static int mapper_start(const Ranges *ranges, Mapper *ret, Error *err)
{
        pid_t parent = getpid();
        int go[2], report[2];

        if (pipe2(go, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        if (pipe2(report, O_CLOEXEC) < 0) {
                error_errno(err, errno, "cannot make a pipe");
                close(go[0]);
                close(go[1]);
                return -1;
        }
        ret->pid = sys_fault(SYS_CALL_spawn) < 0 ? -1 : fork();
        if (ret->pid == 0) {
                close(go[1]);
                close(report[0]);
                mapper_main(parent, ranges, go[0], report[1]);
        }
        if (ret->pid < 0)
                error_errno(err, errno, "cannot start a process that maps ids");
        close(go[0]);
        close(report[1]);
        ret->go_fd = go[1];
        ret->report_fd = report[0];
        return ret->pid < 0 ? -1 : 0;
}

/* `go`: we are in the namespace. 0 when it is mapped; otherwise *why may say what went wrong. */
static int mapper_finish(Mapper *mapper, bool go, Buf *why)
{
        int status;

        if (go && fd_write_all(mapper->go_fd, "g", 1) < 0)
                go = false;
        close(mapper->go_fd);
        if (go && fd_read_to_buf(mapper->report_fd, why) < 0)
                buf_reset(why);
        close(mapper->report_fd);
        while (waitpid(mapper->pid, &status, 0) < 0 && errno == EINTR)
                ;
        return go && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int write_proc(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* The map that everybody may write: oneself. The kernel wants that groups cannot be dropped by it. */
static int map_single(uid_t uid, gid_t gid, Error *err)
{
        _cleanup_free_ char *uids = xasprintf("0 %u 1\n", uid), *gids = xasprintf("0 %u 1\n", gid);
        IdMap map;
        int r = 0;

        read_map("/proc/self/uid_map", &map);
        if (map.n_ranges == 0) /* else newuidmap did its part and newgidmap did not */
                r = write_proc("/proc/self/uid_map", uids);
        if (r == 0)
                r = write_proc("/proc/self/setgroups", "deny");
        if (r == 0)
                r = write_proc("/proc/self/gid_map", gids);
        return r < 0 ? refuse(-r, "map the user in a user namespace", err) : 0;
}

static int make_namespace(Error *err)
{
        _cleanup_buf_ Buf why = BUF_INIT(4096);
        Ranges ranges = { 0 };
        Mapper mapper = { .pid = -1, .go_fd = -1, .report_fd = -1 };
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int errnum = 0, r = -1;
        bool several;

        ranges.n_uids = read_ranges("/etc/subuid", uid, ranges.uids);
        ranges.n_gids = read_ranges("/etc/subgid", uid, ranges.gids);
        several = ranges.n_uids > 0 && ranges.n_gids > 0;
        if (several && mapper_start(&ranges, &mapper, err) < 0)
                return -1;
        if (unshare(CLONE_NEWUSER) < 0)
                errnum = errno;
        if (several)
                r = mapper_finish(&mapper, errnum == 0, &why);
        if (errnum)
                return refuse(errnum, "make a user namespace", err);
        if (why.size)
                log_warning("of the ids in /etc/subuid and /etc/subgid none can be used: %s", buf_str(&why));
        return r == 0 ? 0 : map_single(uid, gid, err);
}

/* --- joining one --- */

/* "<boot> <inode>\n" of a namespace. New string. */
static char *namespace_name(ino_t inode)
{
        _cleanup_buf_ Buf boot = BUF_INIT(64);
        _cleanup_free_ char *id = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot) < 0 ? NULL : str_trim(buf_str(&boot));

        return xasprintf("%s %ju\n", id ? id : "-", (uintmax_t)inode);
}

/* The inode in a name of this boot, else 0. */
static ino_t inode_of(const char *name)
{
        const char *space = strchr(name, ' ');
        ino_t inode = space ? (ino_t)strtoull(space + 1, NULL, 10) : 0;
        _cleanup_free_ char *expected = namespace_name(inode);

        return streq(expected, name) ? inode : 0;
}

/* The number may have been given to another namespace since: ours maps this user to root. */
static bool is_ours(const char *pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%s/uid_map", pid);
        IdMap map;

        read_map(path, &map);
        return map.n_ranges > 0 && map.ranges[0].first == 0 && map.ranges[0].outside == geteuid();
}

/* Looks for a process that is in the namespace. Returns a descriptor of the namespace, or -1. */
static int find_namespace(ino_t inode)
{
        DIR *proc = inode ? opendir("/proc") : NULL;
        struct dirent *entry;
        int found = -1;

        while (proc && found < 0 && (entry = readdir(proc))) {
                _cleanup_free_ char *path = NULL;
                _cleanup_close_ int fd = -1;
                struct stat st;

                if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
                        continue;
                path = xasprintf("/proc/%s/ns/user", entry->d_name);
                fd = open(path, O_RDONLY | O_CLOEXEC); /* not of other users */
                if (fd >= 0 && fstat(fd, &st) == 0 && st.st_ino == inode && is_ours(entry->d_name))
                        found = TAKE_FD(fd);
        }
        if (proc)
                closedir(proc);
        return found;
}

/* With the lock of `file`, which names the namespace that was made last. */
static int join_or_make(int file, const char *path, Error *err)
{
        _cleanup_buf_ Buf known = BUF_INIT(256);
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int living = -1;
        struct stat st;
        int r;

        if (fd_read_to_buf(file, &known) == 0)
                living = find_namespace(inode_of(buf_str(&known)));
        if (living >= 0) {
                if (setns(living, CLONE_NEWUSER) < 0)
                        return error_errno(err, errno, "cannot enter the user namespace of this user's containers");
                return 0;
        }
        if (make_namespace(err) < 0)
                return -1;
        if (stat("/proc/self/ns/user", &st) < 0)
                return error_errno(err, errno, "cannot look at the user namespace of this process");
        name = namespace_name(st.st_ino);
        r = ftruncate(file, 0) < 0 ? -errno : fd_pwrite_all(file, name, strlen(name), 0);
        return r < 0 ? error_errno(err, r, "cannot write '%s'", path) : 0;
}

int userns_enter(const char *state_dir, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/userns", state_dir);
        _cleanup_close_ int file = -1;
        uid_t uid = geteuid();

        if (outside.entered || uid == 0)
                return 0;
        outside.uid = uid;
        outside.tried = true;
        file = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
        if (file < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        while (flock(file, LOCK_EX) < 0)
                if (errno != EINTR)
                        return error_errno(err, errno, "cannot lock '%s'", path);
        if (join_or_make(file, path, err) < 0)
                return -1;
        /* Mounts are made in a mount namespace that belongs to it. AppArmor lets a user namespace be made and gives no rights in it. */
        if (unshare(CLONE_NEWNS) < 0)
                return refuse(errno, "make a mount namespace in it", err);
        outside.entered = true;
        return 0;
}
