/*
 * One more process in a running container. It is a child of this process (a subreaper), with this process's own descriptors: nothing is copied but the bytes of
 * a terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "base/child.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/attach.h"
#include "container/private.h"

static bool user_window(const ExecOptions *options, struct winsize *ret)
{
        return options->io.raw_terminal && ioctl(options->io.stdin_fd, TIOCGWINSZ, ret) == 0;
}

static void follow_window(const ExecOptions *options, int master)
{
        struct winsize window;

        if (user_window(options, &window))
                ioctl(master, TIOCSWINSZ, &window);
}

static bool has_ended(pid_t pid)
{
        siginfo_t info = { 0 };

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Copies between the user's terminal and the process's, until nobody has that open or the process has ended. 1 when the user detached. */
static int relay_terminal(const ExecOptions *options, int master, pid_t pid, Error *err)
{
        _cleanup_(terminal_mode_leavep) TerminalMode *mode = NULL;
        int in = options->with_stdin ? options->io.stdin_fd : -1, signals, n_keys, n_matched = 0, result = 0;
        uint8_t keys[16];
        sigset_t set, old;

        n_keys = detach_keys_parse(options->detach_keys, keys, err);
        if (n_keys < 0)
                return -1;
        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        sigaddset(&set, SIGCHLD); /* what it started may keep the terminal open */
        sigprocmask(SIG_BLOCK, &set, &old);
        signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (options->io.raw_terminal)
                mode = terminal_mode_enter(options->io.stdin_fd);
        follow_window(options, master);
        for (;;) {
                struct pollfd polls[3] = { { .fd = master, .events = POLLIN }, { .fd = in, .events = POLLIN }, { .fd = signals, .events = POLLIN } };
                struct signalfd_siginfo info;
                char data[16384];
                ssize_t n;

                if (poll(polls, ARRAY_LEN(polls), has_ended(pid) ? 0 : -1) < 0 && errno != EINTR)
                        break;
                if (polls[2].revents && read(signals, &info, sizeof(info)) > 0)
                        follow_window(options, master);
                if (!polls[0].revents && has_ended(pid))
                        break;
                if (polls[0].revents) {
                        n = read(master, data, sizeof(data));
                        if (n < 0 && errno == EINTR)
                                continue;
                        if (n <= 0 || (options->io.stdout_fd >= 0 && fd_write_all(options->io.stdout_fd, data, (size_t)n) < 0))
                                break;
                }
                if (polls[1].revents) {
                        n = read(in, data, sizeof(data));
                        if (n <= 0) {
                                in = -1;
                                continue;
                        }
                        for (ssize_t i = 0; i < n && n_keys > 0 && options->io.raw_terminal; i++) {
                                n_matched = (uint8_t)data[i] == keys[n_matched] ? n_matched + 1 : (uint8_t)data[i] == keys[0];
                                if (n_matched == n_keys)
                                        result = 1;
                        }
                        if (result == 1)
                                break;
                        fd_write_all(master, data, (size_t)n);
                }
        }
        close(signals);
        sigprocmask(SIG_SETMASK, &old, NULL);
        return result;
}

/* The terminal outlives us with the process, as it would with a daemon: somebody has to hold it and take what is written to it. */
static int hold_terminal(int master, Error *err)
{
        char data[4096];
        sigset_t hangup;
        pid_t pid;

        /* Our end may hang up the user's terminal before the child is in a session of its own */
        sigemptyset(&hangup);
        sigaddset(&hangup, SIGHUP);
        sigprocmask(SIG_BLOCK, &hangup, NULL);
        pid = sys_fault(SYS_CALL_spawn) < 0 ? -1 : fork();
        if (pid < 0)
                return error_errno(err, errno, "cannot keep the terminal open");
        if (pid > 0)
                return 0;
        setsid();
        for (int i = 0; i < 3; i++)
                close(i);
        while (read(master, data, sizeof(data)) > 0 || errno == EINTR)
                errno = 0;
        _exit(0);
}

/* `root`: where the container's root is reachable, which must live as long as the spec. */
static int make_spec(const Container *container, const ExecOptions *options, const char *root, RunSpec *spec, Error *err)
{
        const ContainerConfig *config = &container->data.config;
        const HostConfig *host = &container->data.host;
        _cleanup_free_ char *home = NULL;
        _cleanup_close_ int root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (root_fd < 0)
                return error_errno(err, errno, "cannot reach the root of container '%s'", container->name);
        if (options->args.n_items == 0)
                return error_set(err, ERROR_INVALID, "No exec command specified");
        spec->root = root;
        strlist_copy(&spec->args, &options->args);
        if (container_resolve_user(root_fd, str_empty(options->user) ? config->user : options->user, &host->group_add, spec, &home, err) < 0) {
                err->status = 126; /* docker: the process could not be executed */
                return -1;
        }
        strlist_copy(&spec->env, &config->env);
        if (!strlist_env_get(&spec->env, "HOSTNAME"))
                strlist_env_set(&spec->env, "HOSTNAME", config->hostname);
        if (options->tty && !strlist_env_get(&spec->env, "TERM"))
                strlist_env_set(&spec->env, "TERM", "xterm");
        for (size_t i = 0; i < options->env.n_items; i++) {
                const char *equals = strchr(options->env.items[i], '=');
                _cleanup_free_ char *name = equals ? xstrndup(options->env.items[i], (size_t)(equals - options->env.items[i])) : NULL;

                if (name)
                        strlist_env_set(&spec->env, name, equals + 1);
                else
                        strlist_env_unset(&spec->env, options->env.items[i]);
        }
        if (!strlist_env_get(&spec->env, "HOME"))
                strlist_env_set(&spec->env, "HOME", home);
        spec->cwd = xstrdup(!str_empty(options->workdir) ? options->workdir : str_empty(config->working_dir) ? "/" : config->working_dir);
        spec->terminal = options->tty;
        spec->privileged = options->privileged || host->privileged;
        strlist_copy(&spec->cap_add, &host->cap_add);
        strlist_copy(&spec->cap_drop, &host->cap_drop);
        for (size_t i = 0; i < host->security_opt.n_items; i++)
                spec->no_new_privileges |= str_starts(host->security_opt.items[i], "no-new-privileges") && !str_ends(host->security_opt.items[i], "false");
        return 0;
}

static int wait_process(pid_t pid, int *ret_status)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return 0;
}

/* The process that could not be executed is ours to reap; otherwise it would show up in the container as a zombie for as long as init likes. */
static void reap_failed(void)
{
        for (int i = 0; i < 1000 && waitpid(-1, NULL, WNOHANG) >= 0; i++)
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

int container_exec(Store *store, const char *name, const ExecOptions *options, int *ret_status, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        _cleanup_run_spec_ RunSpec spec = { 0 };
        _cleanup_free_ char *root = NULL;
        _cleanup_close_ int master = -1;
        RuntimeOptions runtime_options = { 0 };
        RunLaunch launch = RUN_LAUNCH_INIT;
        struct winsize window;
        pid_t pid;
        int r;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq(container->state.status, "paused"))
                return error_set(err, ERROR_CONFLICT, "Container %s is paused, unpause the container before exec", container->id);
        if (!streq(container->state.status, "running"))
                return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
        runtime_options.name = container->data.host.runtime;
        root = xasprintf("/proc/%jd/root", (intmax_t)container->state.pid);
        if (make_spec(container, options, root, &spec, err) < 0 || runtime_open(&runtime_options, &runtime, err) < 0)
                return -1;
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return error_errno(err, errno, "cannot become a subreaper");
        launch.id = container->id;
        if (!options->detach) {
                launch.stdin_fd = options->with_stdin ? options->io.stdin_fd : -1;
                launch.stdout_fd = options->io.stdout_fd;
                launch.stderr_fd = options->io.stderr_fd;
        }
        launch.ret_terminal = &master;
        if (spec.terminal && user_window(options, &window)) {
                spec.terminal_rows = window.ws_row;
                spec.terminal_columns = window.ws_col;
        }
        if (runtime_exec(runtime, &spec, &launch, &pid, err) < 0) {
                reap_failed();
                return -1;
        }
        *ret_status = 0;
        if (options->detach)
                return spec.terminal ? hold_terminal(master, err) : 0;
        r = spec.terminal ? relay_terminal(options, master, pid, err) : 0;
        if (r < 0 || (r > 0 && hold_terminal(master, err) < 0))
                return -1;
        if (r > 0)
                return 1;
        closep(&master);
        master = -1;
        r = wait_process(pid, ret_status);
        return r < 0 ? error_errno(err, r, "cannot wait for a process in container '%s'", container->name) : 0;
}
