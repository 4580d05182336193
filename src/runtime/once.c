/*
 * One process from start to end.
 *
 *   caller ── warden ── crun run --detach          (ends when the process runs)
 *                  └─── the container's first process, whose parent the warden becomes
 *
 * The warden is process 1 of a pid namespace of its own and is killed with the calling thread (PR_SET_PDEATHSIG), and the kernel kills a pid namespace with its
 * first process: so nothing that a step started outlives the caller, however that ends. It has a mount namespace of its own with the /proc of its pid
 * namespace, which the runtime needs. The warden is forked from a process that may have threads, and makes only system calls.
 *
 * The bundle and the runtime's own state hold the environment, secrets among it: they lie on a tmpfs that only the warden's mount namespace has, and are gone
 * with it. What a killed caller leaves, directories of cgroups and of the run, is swept by the next one: each such directory is locked by its owner. The same
 * sweep takes what could not be removed in time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "runtime/private.h"

/* What the warden tells the caller, in this order. */
typedef enum ReportKind {
        REPORT_STARTED, /* the process runs */
        REPORT_REFUSED, /* the runtime ended with `value`; its log says why */
        REPORT_FAILED,  /* a system call of the warden failed with errno `value` */
        REPORT_NO_PROC, /* /proc cannot be mounted here: the caller tries again without a pid namespace */
        REPORT_ENDED,   /* the process ended with wait status `value` */
} ReportKind;

typedef struct Report {
        int32_t kind, value;
} Report;

typedef struct Once {
        Runtime *runtime;
        char *id, *dir, *log_path, *pid_path, *console_path;
        char *bundle, *config_path, *state_path; /* the tmpfs, and what is on it */
        Buf config;
        int dir_fd;     /* locked */
        int console_fd; /* where the runtime hands over the terminal, or -1 */
        bool pid_namespace;
        StrList argv;
        int in, out, errors; /* what the process gets */
        int report[2];
        pid_t warden;
} Once;

static void once_done(Once *once)
{
        free(once->id);
        free(once->log_path);
        free(once->pid_path);
        free(once->console_path);
        closep(&once->console_fd);
        free(once->dir);
        free(once->bundle);
        free(once->config_path);
        free(once->state_path);
        buf_done(&once->config);
        strlist_done(&once->argv);
        closep(&once->dir_fd);
        closep(&once->report[0]);
        closep(&once->report[1]);
}

/* --- the warden: system calls only --- */

static _noreturn_ void tell_and_exit(int fd, ReportKind kind, int value)
{
        Report report = { .kind = (int32_t)kind, .value = value };
        ssize_t n = write(fd, &report, sizeof(report));

        _exit(n == (ssize_t)sizeof(report) ? 0 : 1);
}

static pid_t read_pid(const char *path)
{
        char text[32];
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        pid_t pid = 0;

        if (fd >= 0)
                close(fd);
        for (ssize_t i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
                pid = pid * 10 + (text[i] - '0');
        return pid;
}

static _noreturn_ void exec_runtime(const Once *once, char *const *argv)
{
        struct sigaction default_action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                sigaction(i, &default_action, NULL);
        if (dup2(once->in, 0) < 0 || dup2(once->out, 1) < 0 || dup2(once->errors, 2) < 0)
                _exit(255);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        runtime_program_exec(once->runtime, argv);
        _exit(254);
}

static int ready_namespace(const Once *once)
{
        if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
                return -errno;
        if (mount("tmpfs", once->bundle, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
                return -errno;
        if (once->runtime->driver->needs_unified_hidden)
                return cgroup_hide_unified();
        return 0;
}

static int write_config(const Once *once)
{
        int fd = open(once->config_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r;

        if (fd < 0)
                return -errno;
        r = fd_write_all(fd, once->config.data, once->config.size);
        close(fd);
        return r;
}

/*
 * Steps run side by side, and a fork takes along whatever the other threads have open, such as the write end of another step's output, which then would not end
 * before this one does.
 */
static void close_others(const Once *once, int life_fd)
{
        const int wanted[] = { 0, 1, 2, once->in, once->out, once->errors, once->report[1], once->dir_fd, life_fd };

        fd_close_others(0, wanted, ARRAY_LEN(wanted));
}

static _noreturn_ void warden_main(const Once *once, char *const *argv, int life_fd)
{
        struct pollfd life = { .fd = life_fd, .events = POLLIN };
        Report started = { .kind = REPORT_STARTED };
        int report = once->report[1], status, r;
        pid_t runtime, process, pid;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (poll(&life, 1, 0) != 0) /* the caller died before we asked for the signal */
                _exit(1);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        close_others(once, life_fd);
        r = ready_namespace(once);
        if (r >= 0)
                r = write_config(once);
        if (r < 0)
                tell_and_exit(report, REPORT_FAILED, -r);
        if (once->pid_namespace && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
                tell_and_exit(report, REPORT_NO_PROC, errno);
        runtime = vfork();
        if (runtime == 0)
                exec_runtime(once, argv);
        if (runtime < 0)
                tell_and_exit(report, REPORT_FAILED, errno);
        while ((pid = waitpid(runtime, &status, 0)) < 0 && errno == EINTR)
                ;
        if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                tell_and_exit(report, REPORT_REFUSED, WIFEXITED(status) ? WEXITSTATUS(status) : 255);
        process = read_pid(once->pid_path);
        if (process <= 0)
                tell_and_exit(report, REPORT_FAILED, ESRCH);
        if (write(report, &started, sizeof(started)) != (ssize_t)sizeof(started))
                _exit(1);
        /* The output ends when nobody holds it any more */
        close(once->in);
        close(once->out);
        close(once->errors);
        for (;;) {
                pid = wait(&status);
                if (pid == process)
                        tell_and_exit(report, REPORT_ENDED, status);
                if (pid < 0 && errno != EINTR)
                        tell_and_exit(report, REPORT_FAILED, errno);
        }
}

/* --- the caller --- */

/*
 * The lock of a killed owner is free a moment before its warden has finished dying with all of its namespace; a runtime that still lives would make a cgroup
 * again that was just removed. A warden that is gone or a zombie has nobody left.
 */
static void await_warden(int bundle_fd)
{
        _cleanup_buf_ Buf text = BUF_INIT(64);
        uint32_t pid;

        if (file_read(bundle_fd, "warden", &text) < 0 || str_to_u32(buf_str(&text), &pid) < 0)
                return;
        for (int i = 0; i < 400; i++) { /* 2 s: it is being killed already; the number may belong to somebody else by now */
                _cleanup_free_ char *path = xasprintf("/proc/%u/stat", pid);
                _cleanup_buf_ Buf stat = BUF_INIT(4096);
                const char *end;

                if (file_read(AT_FDCWD, path, &stat) < 0)
                        return;
                end = strrchr(buf_str(&stat), ')');
                if (!end || str_starts(end, ") Z") || str_starts(end, ") X"))
                        return;
                nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        }
}

/* Takes away everything of one run. The bundle's directory goes last, and stays when something else could not go: it is what tells the next sweeper. */
static int remove_traces(Runtime *runtime, const char *parent, const char *cgroup_parent, const char *id, Error *err)
{
        _cleanup_free_ char *directory = xasprintf("%s/%s", parent, id);
        int r;

        if (runtime_remove(runtime, id, cgroup_parent, err) < 0)
                return -1;
        r = tree_remove(AT_FDCWD, directory);
        return r < 0 ? error_errno(err, r, "cannot remove '%s'", directory) : 0;
}

/* The cgroup's parent, which the owner has written down when it is not the top. New string, or NULL. */
static char *read_cgroup_parent(int bundle_fd)
{
        _cleanup_buf_ Buf text = BUF_INIT(4096);

        return file_read(bundle_fd, "cgroup-parent", &text) < 0 ? NULL : xstrdup(buf_str(&text));
}

/*
 * Removes what owners that are gone have left. An owner holds the lock of its directory; while it makes the directory and has no lock yet, it holds the
 * parent's, shared, which keeps sweepers out.
 */
static void sweep(Runtime *runtime, const char *parent)
{
        struct dirent *entry;
        DIR *dir = opendir(parent);

        if (dir && flock(dirfd(dir), LOCK_EX | LOCK_NB) < 0) {
                closedir(dir);
                return;
        }
        while (dir && (entry = readdir(dir))) {
                _cleanup_close_ int fd = -1;
                _cleanup_free_ char *cgroup_parent = NULL;
                _cleanup_error_ Error failure = ERROR_INIT;

                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        continue;
                log_debug("removing what a killed process left of '%s'", entry->d_name);
                await_warden(fd);
                cgroup_parent = read_cgroup_parent(fd);
                if (remove_traces(runtime, parent, cgroup_parent, entry->d_name, &failure) < 0)
                        log_debug("%s", error_message(&failure));
        }
        if (dir)
                closedir(dir);
}

static int make_bundle(Once *once, const RunSpec *spec, Error *err)
{
        static atomic_flag swept = ATOMIC_FLAG_INIT;
        _cleanup_free_ char *parent = xasprintf("%s/once", once->runtime->state_dir);
        _cleanup_close_ int parent_fd = -1;
        char id[RANDOM_ID_SIZE];
        int r;

        if (!atomic_flag_test_and_set(&swept))
                sweep(once->runtime, parent);
        r = dir_make(AT_FDCWD, parent, 0700);
        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", parent);
        parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent_fd < 0 || flock(parent_fd, LOCK_SH) < 0)
                return error_errno(err, errno, "cannot lock '%s'", parent);
        once->id = xstrdup(random_id(id));
        once->id[24] = '\0';
        once->dir = xasprintf("%s/%s", parent, once->id);
        once->log_path = xasprintf("%s/log", once->dir);
        once->pid_path = xasprintf("%s/pid", once->dir);
        once->bundle = xasprintf("%s/bundle", once->dir);
        once->config_path = xasprintf("%s/config.json", once->bundle);
        once->state_path = xasprintf("%s/state", once->bundle);
        if (runtime_config(once->runtime, spec, once->id, &once->config, err) < 0)
                return -1;
        if (sys_mkdirat(AT_FDCWD, once->dir, 0700) < 0)
                return error_errno(err, errno, "cannot make '%s'", once->dir);
        once->dir_fd = open(once->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (once->dir_fd < 0 || flock(once->dir_fd, LOCK_EX | LOCK_NB) < 0)
                return error_errno(err, errno, "cannot lock '%s'", once->dir);
        if (sys_mkdirat(once->dir_fd, "bundle", 0700) < 0)
                return error_errno(err, errno, "cannot make '%s'", once->bundle);
        r = !spec->cgroup_parent ? 0 : file_write_atomic(once->dir_fd, "cgroup-parent", spec->cgroup_parent, strlen(spec->cgroup_parent), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/cgroup-parent'", once->dir) : 0;
}

static void remove_bundle(Once *once, const RunSpec *spec)
{
        _cleanup_free_ char *parent = xasprintf("%s/once", once->runtime->state_dir);
        _cleanup_error_ Error failure = ERROR_INIT;

        if (once->dir && remove_traces(once->runtime, parent, spec->cgroup_parent, once->id, &failure) < 0)
                log_warning("%s; the next build tries again", error_message(&failure));
}

/* For whoever sweeps after us. */
static void write_warden(const Once *once)
{
        _cleanup_close_ int fd = openat(once->dir_fd, "warden", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        _cleanup_free_ char *text = xasprintf("%d", once->warden);

        if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
                log_debug("cannot write '%s/warden': %s", once->dir, strerror(errno));
}

static int start_warden(Once *once, Error *err)
{
        char *const *argv = strlist_argv(&once->argv);
        int life[2], pipe_fds[2];
        sigset_t all, old;
        long pid;

        closep(&once->report[0]);
        closep(&once->report[1]);
        once->report[0] = once->report[1] = -1;
        if (sys_fault(SYS_CALL_spawn) < 0)
                return error_errno(err, errno, "cannot start '%s'", once->runtime->program);
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        once->report[0] = pipe_fds[0];
        once->report[1] = pipe_fds[1];
        if (pipe2(life, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        pid = syscall(SYS_clone, CLONE_NEWNS | (once->pid_namespace ? CLONE_NEWPID : 0) | SIGCHLD, NULL, NULL, NULL, NULL);
        if (pid == 0) {
                close(life[1]);
                close(once->report[0]);
                warden_main(once, argv, life[0]);
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        close(life[0]);
        if (pid < 0) {
                close(life[1]);
                return error_errno(err, errno, "cannot make namespaces to run '%s' in", once->runtime->program);
        }
        /* life[1] has done its work once the warden has asked for its signal; the first report proves that */
        close(TAKE_FD(once->report[1]));
        once->warden = (pid_t)pid;
        write_warden(once);
        return life[1];
}

typedef struct Pump {
        const Sink *sink;
        int out_fd; /* read end of the output, or -1 */
        bool started;
} Pump;

/* Moves what is there to the sink. 1 at the end of the output. */
static int pump_output(Pump *pump, Error *err)
{
        char data[65536];
        ssize_t n = read(pump->out_fd, data, sizeof(data));

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0)
                return 1;
        return sink_write(pump->sink, data, (size_t)n, err);
}

static int read_report(Once *once, Report *report)
{
        ssize_t n = fd_read_full(once->report[0], report, sizeof(*report));

        return n == (ssize_t)sizeof(*report) ? 0 : -1;
}

/* Follows the warden to its end. *ret_last is what it said last. */
static int follow(Once *once, Pump *pump, const RunIo *io, Report *ret_last, Error *err)
{
        bool reporting = true, console = once->console_fd >= 0;

        *ret_last = (Report){ .kind = REPORT_FAILED, .value = EIO };
        while (reporting || (pump->started && pump->out_fd >= 0)) {
                struct pollfd polls[4] = { { .fd = reporting ? once->report[0] : -1, .events = POLLIN },
                                           { .fd = pump->started ? pump->out_fd : -1, .events = POLLIN }, /* before, what comes are the runtime's words */
                                           { .fd = io->cancel_fd, .events = POLLIN },
                                           { .fd = console ? once->console_fd : -1, .events = POLLIN } };

                if (poll(polls, ARRAY_LEN(polls), -1) < 0) {
                        if (errno == EINTR)
                                continue;
                        return error_errno(err, errno, "cannot wait for '%s'", once->runtime->program);
                }
                if (polls[2].revents)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (polls[3].revents) {
                        int terminal = console_receive(once->console_fd, err);

                        if (terminal < 0)
                                return -1;
                        console = false;
                        io->terminal(io->terminal_user, terminal);
                }
                if (polls[1].revents) {
                        int r = pump_output(pump, err);

                        if (r < 0)
                                return -1;
                        if (r > 0) {
                                closep(&pump->out_fd);
                                pump->out_fd = -1;
                        }
                }
                if (polls[0].revents) {
                        if (read_report(once, ret_last) < 0 || ret_last->kind != REPORT_STARTED)
                                reporting = false;
                        else
                                pump->started = true;
                }
        }
        return 0;
}

static int judge(const Once *once, const RunSpec *spec, const Report *last, RunResult *ret, Error *err)
{
        switch ((ReportKind)last->kind) {
        case REPORT_ENDED:
                ret->status = WIFEXITED(last->value) ? WEXITSTATUS(last->value) : 128 + WTERMSIG(last->value);
                return 0;
        case REPORT_REFUSED:
                if (last->value == 254)
                        return error_set(err, ERROR_NOT_FOUND, "cannot run '%s'", once->runtime->program);
                return runtime_fail_from_log(once->runtime->driver, once->log_path, spec, err);
        case REPORT_FAILED:
        case REPORT_NO_PROC:
        case REPORT_STARTED:
                break;
        }
        return error_errno(err, last->value, "cannot run a container with '%s'", once->runtime->program);
}

static int build_argv(Once *once, bool terminal, Error *err)
{
        strlist_add(&once->argv, once->runtime->program);
        strlist_add(&once->argv, "--root");
        strlist_add(&once->argv, once->state_path);
        strlist_add(&once->argv, "--log");
        strlist_add(&once->argv, once->log_path);
        if (once->runtime->cgroups.mode == CGROUP_NONE && once->runtime->driver->without_cgroups)
                strlist_add(&once->argv, once->runtime->driver->without_cgroups);
        strlist_add(&once->argv, "run");
        strlist_add(&once->argv, "--detach");
        strlist_add(&once->argv, "--pid-file");
        strlist_add(&once->argv, once->pid_path);
        if (terminal) {
                once->console_fd = console_listen(once->dir, &once->console_path, err);
                if (once->console_fd < 0)
                        return -1;
                strlist_add(&once->argv, "--console-socket");
                strlist_add(&once->argv, once->console_path);
        }
        strlist_add(&once->argv, "--bundle");
        strlist_add(&once->argv, once->bundle);
        strlist_add(&once->argv, once->id);
        return 0;
}

/* One attempt, with or without a pid namespace. */
static int run_attempt(Once *once, const RunSpec *spec, const RunIo *io, int null_fd, Report *ret_last, Error *err)
{
        _cleanup_close_ int life = -1, write_end = -1;
        Pump pump = { .sink = io->output, .out_fd = -1 };
        int r;

        once->in = io->stdin_fd >= 0 && !spec->terminal ? io->stdin_fd : null_fd;
        once->out = io->stdout_fd >= 0 && !spec->terminal ? io->stdout_fd : null_fd;
        once->errors = io->stderr_fd >= 0 && !spec->terminal ? io->stderr_fd : null_fd;
        if (io->output && !spec->terminal) {
                int fds[2];

                if (pipe2(fds, O_CLOEXEC) < 0)
                        return error_errno(err, errno, "cannot make a pipe");
                pump.out_fd = fds[0];
                once->out = once->errors = write_end = fds[1];
        }
        life = start_warden(once, err);
        closep(&write_end);
        write_end = -1;
        if (life < 0) {
                closep(&pump.out_fd);
                return -1;
        }
        r = follow(once, &pump, io, ret_last, err);
        closep(&pump.out_fd);
        kill(once->warden, SIGKILL); /* it ends by itself unless we give up; its namespace's processes go with it */
        while (waitpid(once->warden, NULL, 0) < 0 && errno == EINTR)
                ;
        if (r < 0 && !once->pid_namespace) {
                _cleanup_free_ char *cgroup = cgroup_path(spec->cgroup_parent, once->id);

                cgroup_signal(&once->runtime->cgroups, cgroup, SIGKILL);
        }
        return r;
}

/* The whole of it between making the bundle and removing it. */
static int run_bundle(Once *once, const RunSpec *spec, const RunIo *io, RunResult *result, Error *err)
{
        _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        Report last;

        if (null_fd < 0)
                return error_errno(err, errno, "cannot open '/dev/null'");
        if (make_bundle(once, spec, err) < 0)
                return -1;
        if (build_argv(once, spec->terminal, err) < 0)
                return -1;
        if (run_attempt(once, spec, io, null_fd, &last, err) < 0)
                return -1;
        if (last.kind == REPORT_NO_PROC) {
                log_debug("no pid namespace for build steps: /proc cannot be mounted here: %s", strerror(last.value));
                once->pid_namespace = false;
                if (run_attempt(once, spec, io, null_fd, &last, err) < 0)
                        return -1;
        }
        if (judge(once, spec, &last, result, err) < 0)
                return -1;
        if (result->status == 128 + SIGKILL || spec->resources.memory) {
                _cleanup_free_ char *cgroup = cgroup_path(spec->cgroup_parent, once->id);

                result->oom_killed = cgroup_oom_killed(&once->runtime->cgroups, cgroup);
        }
        return 0;
}

int run_once(Runtime *runtime, const RunSpec *spec, const RunIo *io, RunResult *ret, Error *err)
{
        _cleanup_(once_done) Once once = {
                .runtime = runtime, .dir_fd = -1, .console_fd = -1, .report = { -1, -1 }, .config = BUF_INIT(BUF_MAX_DEFAULT), .pid_namespace = !spec->host_pid
        };
        RunResult result = { 0 };
        int r;

        if (spec->terminal && !io->terminal)
                return error_set(err, ERROR_INVALID, "nobody takes the terminal of this step");
        r = run_bundle(&once, spec, io, &result, err);
        remove_bundle(&once, spec);
        if (r == 0)
                *ret = result;
        return r;
}
