/*
 * Containers that live on: start, one more process, remove. The runtime is run with --detach: it ends when the process runs, and the process becomes a child of
 * the caller, which is a subreaper. So nothing stays between us and the container's process, and its wait status is the kernel's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "runtime/private.h"

typedef struct Launch {
        Runtime *runtime;
        StrList argv;
        char *log_path, *pid_path, *console_path;
        int console_fd;
        bool hide_unified; /* in a mount namespace of the runtime's own */
} Launch;

static void launch_done(Launch *launch)
{
        strlist_done(&launch->argv);
        if (launch->console_path)
                sys_unlinkat(AT_FDCWD, launch->console_path, 0);
        if (launch->log_path)
                sys_unlinkat(AT_FDCWD, launch->log_path, 0);
        if (launch->pid_path)
                sys_unlinkat(AT_FDCWD, launch->pid_path, 0);
        free(launch->console_path);
        free(launch->log_path);
        free(launch->pid_path);
        closep(&launch->console_fd);
}

/* In the child. The parent has no other threads (runtime.h), so ordinary functions are fine here. */
static _noreturn_ void child_main(const Launch *launch, const int fds[3])
{
        struct sigaction default_action = { .sa_handler = SIG_DFL };
        sigset_t none;

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a start must not go on without the one who would watch over it */
        for (int i = 1; i < NSIG; i++)
                sigaction(i, &default_action, NULL);
        if (launch->hide_unified && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 || cgroup_hide_unified() < 0))
                _exit(253);
        if (dup2(fds[0], 0) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[2], 2) < 0)
                _exit(253);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        runtime_program_exec(launch->runtime, strlist_argv(&launch->argv));
        _exit(254);
}

static int read_pid_file(const char *path, pid_t *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(64);
        _cleanup_free_ char *trimmed = NULL;
        uint32_t pid;
        int r = file_read(AT_FDCWD, path, &text);

        if (r < 0)
                return error_errno(err, r, "the runtime wrote no '%s'", path);
        trimmed = str_trim(buf_str(&text));
        if (str_to_u32(trimmed, &pid) < 0 || pid == 0)
                return error_set(err, ERROR_IO, "the runtime wrote no process number into '%s'", path);
        *ret = (pid_t)pid;
        return 0;
}

/* Takes the terminal while the runtime runs, which waits for that. */
static int receive_terminal(const Launch *launch, const RunSpec *spec, pid_t pid, int *ret_terminal, Error *err)
{
        struct winsize window = { .ws_row = spec->terminal_rows, .ws_col = spec->terminal_columns };
        struct pollfd ready = { .fd = launch->console_fd, .events = POLLIN };

        for (;;) {
                int n = poll(&ready, 1, 20);
                siginfo_t info = { 0 };

                if (n > 0) {
                        *ret_terminal = console_receive(launch->console_fd, err);
                        if (*ret_terminal < 0)
                                return -1;
                        if (window.ws_row && window.ws_col) /* crun's exec does not heed consoleSize */
                                ioctl(*ret_terminal, TIOCSWINSZ, &window);
                        return 0;
                }
                if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
                        return 0; /* it failed before; its status says so */
        }
}

/*
 * crun gives the standard streams of an exec to the user that it runs as. For the pipes of a container that is right; /dev/null and the files that a shell has
 * redirected to are the host's, so what they were is noted before and put back afterwards.
 */
static void note_owners(const int fds[3], struct stat owners[3])
{
        for (int i = 0; i < 3; i++)
                if (fstat(fds[i], &owners[i]) < 0)
                        owners[i].st_mode = 0;
}

static void restore_owners(const int fds[3], const struct stat owners[3])
{
        for (int i = 2; i >= 0; i--) {
                const struct stat *was = &owners[i];
                struct stat now;

                if ((S_ISCHR(was->st_mode) || S_ISREG(was->st_mode)) && fstat(fds[i], &now) == 0 && (now.st_uid != was->st_uid || now.st_gid != was->st_gid) &&
                    fchown(fds[i], was->st_uid, was->st_gid) < 0)
                        log_debug("cannot give a standard stream back to %u:%u: %s", was->st_uid, was->st_gid, strerror(errno));
        }
}

static int run_runtime(Launch *launch, const RunLaunch *wish, const RunSpec *spec, pid_t *ret_pid, Error *err)
{
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), master = -1;
        int fds[3] = { wish->stdin_fd, wish->stdout_fd, wish->stderr_fd };
        sigset_t all, old;
        bool terminal = spec->terminal;
        struct stat owners[3];
        int status, r = 0;
        pid_t pid;

        if (null_fd < 0)
                return error_errno(err, errno, "cannot open '/dev/null'");
        for (int i = 0; i < 3; i++) {
                if (fds[i] < 0 || terminal)
                        fds[i] = null_fd;
        }
        launch->hide_unified = launch->runtime->driver->needs_unified_hidden &&
                               launch->runtime->cgroups.mode != CGROUP_V2; /* it looks even when it is to leave cgroups alone */
        if (launch->hide_unified && wish->own_namespace) {
                r = cgroup_hide_unified();
                if (r < 0)
                        return error_errno(err, r, "cannot hide '" CGROUP_ROOT "/unified' from '%s'", launch->runtime->program);
                launch->hide_unified = false;
        }
        if (sys_fault(SYS_CALL_spawn) < 0)
                return error_errno(err, errno, "cannot start '%s'", launch->runtime->program);
        note_owners(fds, owners);
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &old);
        pid = fork();
        if (pid == 0)
                child_main(launch, fds);
        sigprocmask(SIG_SETMASK, &old, NULL);
        if (pid < 0)
                return error_errno(err, errno, "cannot start '%s'", launch->runtime->program);
        if (terminal)
                r = receive_terminal(launch, spec, pid, &master, err);
        if (r < 0)
                kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        restore_owners(fds, owners);
        if (r < 0)
                return -1;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 253)
                return error_set(err, ERROR_DENIED, "cannot make a mount namespace for '%s'", launch->runtime->program);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 254)
                return error_set(err, ERROR_NOT_FOUND, "cannot run '%s'", launch->runtime->program);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return runtime_fail_from_log(launch->runtime->driver, launch->log_path, spec, err);
        if (read_pid_file(launch->pid_path, ret_pid, err) < 0)
                return -1;
        if (terminal && wish->ret_terminal)
                *wish->ret_terminal = TAKE_FD(master);
        return 0;
}

/* What a bundle is called while it is removed: not an id, which is what others look for. */
#define GONE ".gone-"

/* <state_dir>/bundles/<id>. New string. */
static char *bundle_path(const Runtime *runtime, const char *id)
{
        return xasprintf("%s/bundles/%s", runtime->state_dir, id);
}

/* The arguments up to the runtime's command, and the files it writes: named after a random word, since several may be started in one container. */
static int prepare(Launch *launch, const char *command, const char *bundle, bool terminal, Error *err)
{
        char word[13];

        random_hex(word, 12);
        launch->log_path = xasprintf("%s/log-%s", bundle, word);
        launch->pid_path = xasprintf("%s/pid-%s", bundle, word);
        strlist_add(&launch->argv, launch->runtime->program);
        strlist_add(&launch->argv, "--root");
        strlist_add(&launch->argv, launch->runtime->run_dir);
        strlist_add(&launch->argv, "--log");
        strlist_add(&launch->argv, launch->log_path);
        if (launch->runtime->cgroups.mode == CGROUP_NONE && launch->runtime->driver->without_cgroups)
                strlist_add(&launch->argv, launch->runtime->driver->without_cgroups);
        strlist_add(&launch->argv, command);
        strlist_add(&launch->argv, "--detach");
        strlist_add(&launch->argv, "--pid-file");
        strlist_add(&launch->argv, launch->pid_path);
        if (terminal) {
                launch->console_fd = console_listen(launch->runtime->state_dir, &launch->console_path, err);
                if (launch->console_fd < 0)
                        return -1;
                strlist_add(&launch->argv, "--console-socket");
                strlist_add(&launch->argv, launch->console_path);
        }
        return 0;
}

static int write_bundle(const char *bundle, const char *name, const void *text, size_t size, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", bundle, name);
        int r = file_write_atomic(AT_FDCWD, path, text, size, 0600, false);

        return r < 0 ? error_errno(err, r, "cannot write '%s'", path) : 0;
}

/* Path and lock: a sweep in another mount namespace may not see the path, and a container of a file system that is away may live. */
static int hold(Runtime *runtime, const char *id, const char *bundle, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/owner", bundle);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        runtime_let_go(runtime, id);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
                error_errno(err, errno, "cannot lock '%s'", path);
                closep(&fd);
                return -1;
        }
        GROW(runtime->holds, runtime->capacity_holds, runtime->n_holds + 1);
        runtime->holds[runtime->n_holds++] = (RuntimeHold){ .id = xstrdup(id), .fd = fd };
        return 0;
}

void runtime_let_go(Runtime *runtime, const char *id)
{
        for (size_t i = 0; i < runtime->n_holds; i++) {
                RuntimeHold *held = &runtime->holds[i];

                if (!streq(held->id, id))
                        continue;
                close(held->fd);
                free(held->id);
                *held = runtime->holds[--runtime->n_holds];
                return;
        }
}

static int make_bundle(Runtime *runtime, const RunSpec *spec, const RunLaunch *wish, const char *bundle, Error *err)
{
        _cleanup_buf_ Buf config = BUF_INIT(BUF_MAX_DEFAULT);
        int r = dir_make(AT_FDCWD, bundle, 0700);

        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", bundle);
        if (wish->owner && (write_bundle(bundle, "owner", wish->owner, strlen(wish->owner), err) < 0 || hold(runtime, wish->id, bundle, err) < 0))
                return -1;
        if (spec->cgroup_parent && write_bundle(bundle, "cgroup-parent", spec->cgroup_parent, strlen(spec->cgroup_parent), err) < 0)
                return -1;
        return runtime_config(runtime, spec, wish->id, &config, err) < 0 || write_bundle(bundle, "config.json", config.data, config.size, err) < 0 ? -1 : 0;
}

int runtime_launch(Runtime *runtime, const RunSpec *spec, const RunLaunch *wish, pid_t *ret_pid, Error *err)
{
        _cleanup_(launch_done) Launch launch = { .runtime = runtime, .console_fd = -1 };
        _cleanup_free_ char *bundle = bundle_path(runtime, wish->id);
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (make_bundle(runtime, spec, wish, bundle, err) < 0 || prepare(&launch, "run", bundle, spec->terminal, err) < 0)
                goto fail;
        strlist_add(&launch.argv, "--bundle");
        strlist_add(&launch.argv, bundle);
        strlist_add(&launch.argv, wish->id);
        if (run_runtime(&launch, wish, spec, ret_pid, err) == 0)
                return 0;
fail:
        runtime_remove(runtime, wish->id, spec->cgroup_parent, &ignored);
        return -1;
}

int runtime_exec(Runtime *runtime, const RunSpec *spec, const RunLaunch *wish, pid_t *ret_pid, Error *err)
{
        _cleanup_(launch_done) Launch launch = { .runtime = runtime, .console_fd = -1 };
        _cleanup_buf_ Buf config = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_free_ char *bundle = bundle_path(runtime, wish->id), *path = NULL;
        char name[32], word[13];
        int r;

        snprintf(name, sizeof(name), "process-%s", random_hex(word, 12));
        if (runtime_check_program(spec, err) < 0 || runtime_process_config(runtime, spec, &config, err) < 0 ||
            write_bundle(bundle, name, config.data, config.size, err) < 0)
                return -1;
        path = xasprintf("%s/%s", bundle, name);
        r = prepare(&launch, "exec", bundle, spec->terminal, err);
        if (r == 0) {
                strlist_add(&launch.argv, "--process");
                strlist_add(&launch.argv, path);
                strlist_add(&launch.argv, wish->id);
                r = run_runtime(&launch, wish, spec, ret_pid, err);
        }
        sys_unlinkat(AT_FDCWD, path, 0);
        return r;
}

bool runtime_oom_killed(Runtime *runtime, const char *id, const char *cgroup_parent)
{
        _cleanup_free_ char *path = cgroup_path(&runtime->cgroups, cgroup_parent, id);

        return cgroup_oom_killed(&runtime->cgroups, path);
}

/* Under a name that says so while it goes: without its "owner" file nobody could tell whose the rest is. */
static int remove_bundle(Runtime *runtime, const char *id, Error *err)
{
        _cleanup_free_ char *bundle = bundle_path(runtime, id), *gone = xasprintf("%s/bundles/" GONE "%s", runtime->state_dir, id);
        int r = sys_renameat(AT_FDCWD, bundle, AT_FDCWD, gone) < 0 && errno != ENOENT ? -errno : 0;

        if (r == -ENOTEMPTY || r == -EEXIST) { /* an earlier one that was interrupted */
                r = tree_remove(AT_FDCWD, gone);
                if (r == 0 && sys_renameat(AT_FDCWD, bundle, AT_FDCWD, gone) < 0)
                        r = -errno;
        }
        if (r == 0)
                r = tree_remove(AT_FDCWD, gone);
        return r < 0 ? error_errno(err, r, "cannot remove '%s'", bundle) : 0;
}

int runtime_remove(Runtime *runtime, const char *id, const char *cgroup_parent, Error *err)
{
        _cleanup_free_ char *path = cgroup_path(&runtime->cgroups, cgroup_parent, id);
        int r = cgroup_remove(&runtime->cgroups, path, err);

        /* It may have been started with another runtime than the one of today */
        for (size_t i = 0; runtime_driver_at(i); i++) {
                _cleanup_free_ char *state = xasprintf("%s/%s/%s", runtime->state_dir, runtime_driver_at(i)->name, id);
                int s = tree_remove(AT_FDCWD, state);

                if (r == 0 && s < 0)
                        r = error_errno(err, s, "cannot remove '%s'", state);
        }
        if (r == 0)
                r = remove_bundle(runtime, id, err); /* last: it is what a sweep finds */
        runtime_let_go(runtime, id);
        return r < 0 ? -1 : 0;
}

bool runtime_knows(const Runtime *runtime, const char *id)
{
        _cleanup_free_ char *bundle = bundle_path(runtime, id);

        return access(bundle, F_OK) == 0;
}

/* A socket for a terminal lives for as long as the runtime starts something; a bundle is without its "owner" file for a moment when it is made. */
#define UNFINISHED_AGE_MAX (600 * NSEC_PER_SEC)

static bool is_old(int dir_fd, const char *name)
{
        struct stat st;

        return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec * NSEC_PER_SEC + UNFINISHED_AGE_MAX < clock_now();
}

/* Whoever launched it lives. */
static bool is_held(const char *owner_path)
{
        _cleanup_close_ int fd = open(owner_path, O_RDONLY | O_CLOEXEC);

        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

static void sweep_consoles(Runtime *runtime)
{
        DIR *dir = opendir(runtime->state_dir);
        struct dirent *entry;

        while (dir && (entry = readdir(dir)))
                if (str_starts(entry->d_name, "tty-") && is_old(dirfd(dir), entry->d_name))
                        sys_unlinkat(dirfd(dir), entry->d_name, 0);
        if (dir)
                closedir(dir);
}

void runtime_sweep(Runtime *runtime)
{
        _cleanup_free_ char *bundles = xasprintf("%s/bundles", runtime->state_dir);
        DIR *dir = opendir(bundles);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *owner_path = xasprintf("%s/%s/owner", bundles, entry->d_name);
                _cleanup_free_ char *parent_path = xasprintf("%s/%s/cgroup-parent", bundles, entry->d_name);
                _cleanup_buf_ Buf owner = BUF_INIT(PATH_MAX), parent = BUF_INIT(PATH_MAX);
                _cleanup_error_ Error failure = ERROR_INIT;

                if (str_starts(entry->d_name, GONE))
                        tree_remove(dirfd(dir), entry->d_name);
                if (entry->d_name[0] == '.')
                        continue;
                if (file_read(AT_FDCWD, owner_path, &owner) < 0 ? !is_old(dirfd(dir), entry->d_name)
                                                                : is_held(owner_path) || access(buf_str(&owner), F_OK) == 0 || errno != ENOENT)
                        continue;
                if (file_read(AT_FDCWD, parent_path, &parent) < 0)
                        buf_reset(&parent);
                log_debug("removing container '%s': '%s' is gone", entry->d_name, buf_str(&owner));
                if (runtime_remove(runtime, entry->d_name, parent.size ? buf_str(&parent) : NULL, &failure) < 0)
                        log_debug("%s", error_message(&failure));
        }
        if (dir)
                closedir(dir);
        sweep_consoles(runtime);
}

int runtime_freeze(Runtime *runtime, const char *id, const char *cgroup_parent, bool frozen, Error *err)
{
        _cleanup_free_ char *path = cgroup_path(&runtime->cgroups, cgroup_parent, id);

        return cgroup_freeze(&runtime->cgroups, path, frozen, err);
}

int runtime_pids(Runtime *runtime, const char *id, const char *cgroup_parent, pid_t **ret, size_t *ret_n, Error *err)
{
        _cleanup_free_ char *path = cgroup_path(&runtime->cgroups, cgroup_parent, id);

        return cgroup_pids(&runtime->cgroups, path, ret, ret_n, err);
}
