/*
 * The monitor of one container: a process of its own that holds the mounts, is the parent of the container's first process, copies its output to the log and to
 * attached clients, their input to it, and records the end. It lives exactly as long as the container runs and needs nobody else.
 *
 * Invariants:
 *  1. It holds the container's lock from before the first mount to its own end. Who gets the lock of an "active" container knows that its monitor is dead.
 *  2. What is mounted is mounted in a mount namespace of its own: however it ends, the mounts are gone.
 *  3. The state in the store says "running" only while there is a process, and is saved before any client is told of the end.
 *  4. Memory is bounded: output is read only while every client that wants it keeps up.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/monitor.h"
#include "container/monitor_clients.h"
#include "fs/mount.h"
#include "store/rootfs.h"

#define INPUT_PENDING_MAX ((size_t)256 << 10)
#define RESTART_DELAY_MIN_MS 100
#define RESTART_DELAY_MAX_MS 60000

typedef struct Monitor {
        const MonitorStart *start;
        Container *container;
        Store *store;
        Lease *lease;
        Rootfs *rootfs;
        Runtime *runtime;
        LogWriter *log;
        RunSpec spec;
        int signal_fd;
        int output[2]; /* read ends of standard output and error, or -1 */
        int terminal;  /* master side, or -1 */
        int input_fd;  /* write end of standard input (or the terminal), or -1 */
        bool input_ending;
        Buf input; /* on its way to the process */
        pid_t pid;
        bool leftover; /* the runtime still has something of a process that ended */
        bool exited, stopping;
        bool keep; /* not removed at its end: somebody is going to start it again */
        int status;
        Clients clients;
} Monitor;

/* --- clients --- */

static void drop_client(Monitor *monitor, size_t i)
{
        const ContainerConfig *config = &monitor->container->data.config;

        if (monitor->clients.items[i].input && config->stdin_once && !config->tty)
                monitor->input_ending = true;
        clients_drop(&monitor->clients, i);
}

static pid_t peer_of(int fd)
{
        struct ucred peer = { 0 };
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? 0 : peer.pid;
}

/* A ClientHandler. */
static void handle_frame(void *user, Client *client, uint8_t type, const uint8_t *data, size_t size)
{
        Monitor *monitor = user;
        struct winsize window = { 0 };

        switch (type) {
        case FRAME_HELLO:
                client->output = size >= 1 && (data[0] & HELLO_OUTPUT);
                client->input = size >= 1 && (data[0] & HELLO_INPUT);
                break;
        case FRAME_STDIN:
                if (client->input && monitor->input_fd >= 0 && !monitor->input_ending)
                        buf_put(&monitor->input, data, size);
                break;
        case FRAME_STDIN_END:
                if (client->input && !monitor->container->data.config.tty)
                        monitor->input_ending = true;
                break;
        case FRAME_RESIZE:
                if (size == 4 && monitor->terminal >= 0) {
                        window.ws_row = (unsigned short)(data[0] << 8 | data[1]);
                        window.ws_col = (unsigned short)(data[2] << 8 | data[3]);
                        ioctl(monitor->terminal, TIOCSWINSZ, &window);
                }
                break;
        case FRAME_SIGNAL:
                if (size == 1 && monitor->pid > 0 && !monitor->exited)
                        kill(monitor->pid, data[0]);
                break;
        case FRAME_STOPPING:
                monitor->stopping = true;
                monitor->keep = size >= 1 && (data[0] & STOPPING_KEEP);
                if (monitor->keep)
                        container_set_starter(monitor->container, peer_of(client->fd));
                break;
        default:
                break; /* a newer client's; nothing depends on it */
        }
}

/* What was asked for before the process was signalled must be known before its end is judged: "stop" is sent ahead of the signal, and may still wait here. */
static void take_requests(Monitor *monitor)
{
        while (clients_accept(&monitor->clients))
                ;
        for (size_t i = monitor->clients.n_items; i-- > 0;)
                if (!client_read(&monitor->clients.items[i], handle_frame, monitor))
                        drop_client(monitor, i);
}

/* --- the process --- */

static int make_pipe(int *ret_ours, int *ret_theirs, bool we_read, Error *err)
{
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot make a pipe");
        *ret_ours = fds[we_read ? 0 : 1];
        *ret_theirs = fds[we_read ? 1 : 0];
        fcntl(*ret_ours, F_SETFL, O_NONBLOCK);
        return 0;
}

static int start_process(Monitor *monitor, Error *err)
{
        _cleanup_close_ int in = -1, out = -1, errors = -1;
        RunLaunch launch = RUN_LAUNCH_INIT;
        Container *container = monitor->container;

        if (!monitor->spec.terminal) {
                if (make_pipe(&monitor->output[0], &out, true, err) < 0 || make_pipe(&monitor->output[1], &errors, true, err) < 0 ||
                    (container->data.config.open_stdin && make_pipe(&monitor->input_fd, &in, false, err) < 0))
                        return -1;
        }
        monitor->spec.terminal_rows = monitor->start->options.rows;
        monitor->spec.terminal_columns = monitor->start->options.columns;
        launch.id = container->id;
        launch.owner = container->dir;
        launch.own_namespace = true;
        launch.stdin_fd = in;
        launch.stdout_fd = out;
        launch.stderr_fd = errors;
        launch.ret_terminal = &monitor->terminal;
        if (runtime_launch(monitor->runtime, &monitor->spec, &launch, &monitor->pid, err) < 0)
                return -1;
        if (monitor->spec.terminal) {
                fcntl(monitor->terminal, F_SETFL, fcntl(monitor->terminal, F_GETFL) | O_NONBLOCK);
                monitor->output[0] = monitor->terminal;
                monitor->input_fd = container->data.config.open_stdin ? monitor->terminal : -1;
        }
        monitor->exited = monitor->input_ending = false;
        container_set_status(container, "running");
        container->state.pid = monitor->pid;
        container->state.pid_start = process_start_time(monitor->pid);
        container->state.exit_code = 0;
        container->state.oom_killed = false;
        container->state.started = clock_now();
        free(container->state.error);
        container->state.error = NULL;
        return container_save_state(monitor->store, container, err);
}

static void close_process(Monitor *monitor)
{
        if (monitor->terminal >= 0) {
                close(monitor->terminal);
        } else {
                closep(&monitor->output[0]);
                closep(&monitor->output[1]);
                closep(&monitor->input_fd);
        }
        monitor->output[0] = monitor->output[1] = monitor->input_fd = monitor->terminal = -1;
        buf_reset(&monitor->input);
}

static void reap(Monitor *monitor)
{
        struct signalfd_siginfo info;
        int status;
        pid_t pid;

        while (read(monitor->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
                if (info.ssi_signo != SIGCHLD && monitor->pid > 0 && !monitor->exited) { /* the machine goes down */
                        monitor->stopping = true;
                        kill(monitor->pid, SIGTERM);
                }
        }
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid != monitor->pid)
                        continue;
                monitor->exited = true;
                monitor->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
}

/* --- copying --- */

static void copy_output(Monitor *monitor, int i)
{
        char data[FRAME_SIZE_MAX];
        ssize_t n = read(monitor->output[i], data, sizeof(data));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) { /* a terminal's other side closed is EIO */
                if (monitor->terminal < 0)
                        close(monitor->output[i]);
                monitor->output[i] = -1;
                return;
        }
        log_writer_add(monitor->log, i + 1, data, (size_t)n);
        clients_put_output(&monitor->clients, i == 0 ? FRAME_STDOUT : FRAME_STDERR, data, (size_t)n);
}

static void copy_input(Monitor *monitor)
{
        if (monitor->input.size > 0) {
                ssize_t n = write(monitor->input_fd, monitor->input.data, monitor->input.size);

                if (n < 0 && errno != EAGAIN && errno != EINTR) { /* the process does not read any more */
                        buf_reset(&monitor->input);
                        monitor->input_ending = true;
                } else if (n > 0) {
                        buf_consume(&monitor->input, (size_t)n);
                }
        }
        if (monitor->input.size == 0 && monitor->input_ending) {
                if (monitor->terminal < 0)
                        close(monitor->input_fd);
                monitor->input_fd = -1;
        }
}

/* What a turn waits for, in this order. */
enum { SLOT_SIGNALS, SLOT_NEW_CLIENT, SLOT_OUTPUT, SLOT_ERRORS, SLOT_INPUT, SLOT_CLIENTS };

/* One round of waiting and copying. */
static void turn(Monitor *monitor, int timeout_ms)
{
        struct pollfd polls[SLOT_CLIENTS + CLIENTS_MAX];
        Client *clients = monitor->clients.items;
        bool keep_up = clients_keep_up(&monitor->clients), want_input = monitor->input.size < INPUT_PENDING_MAX;
        size_t n_clients = monitor->clients.n_items;

        polls[SLOT_SIGNALS] = (struct pollfd){ .fd = monitor->signal_fd, .events = POLLIN };
        polls[SLOT_NEW_CLIENT] = (struct pollfd){ .fd = monitor->clients.listen_fd, .events = POLLIN };
        for (int i = 0; i < 2; i++)
                polls[SLOT_OUTPUT + i] = (struct pollfd){ .fd = keep_up ? monitor->output[i] : -1, .events = POLLIN };
        polls[SLOT_INPUT] = (struct pollfd){ .fd = monitor->input.size > 0 || (monitor->input_ending && monitor->input_fd >= 0) ? monitor->input_fd : -1,
                                             .events = POLLOUT };
        for (size_t i = 0; i < n_clients; i++)
                polls[SLOT_CLIENTS + i] = (struct pollfd){
                        .fd = clients[i].fd, .events = (short)((want_input || !clients[i].input ? POLLIN : 0) | (clients[i].pending.size ? POLLOUT : 0))
                };
        if (poll(polls, SLOT_CLIENTS + n_clients, timeout_ms) < 0)
                return;
        if (polls[SLOT_SIGNALS].revents)
                reap(monitor);
        for (int i = 0; i < 2; i++)
                if (polls[SLOT_OUTPUT + i].revents && monitor->output[i] >= 0)
                        copy_output(monitor, i);
        for (size_t i = n_clients; i-- > 0;) { /* backwards: dropping one moves the last into its place */
                bool alive = !(polls[SLOT_CLIENTS + i].revents & (POLLIN | POLLHUP | POLLERR)) || client_read(&clients[i], handle_frame, monitor);

                if (!alive || !client_flush(&clients[i]))
                        drop_client(monitor, i);
        }
        if (polls[SLOT_INPUT].revents || (monitor->input_fd >= 0 && (monitor->input.size > 0 || monitor->input_ending)))
                copy_input(monitor);
        if (polls[SLOT_NEW_CLIENT].revents)
                clients_accept(&monitor->clients);
}

/* --- from start to end --- */

static int prepare(Monitor *monitor, Error *err)
{
        Container *container = monitor->container;
        StoreOptions options = { .root = monitor->start->store_root, .driver = monitor->start->store_driver };
        RuntimeOptions runtime_options = { .name = container->data.host.runtime };
        _cleanup_free_ int *shares = NEW_ARRAY(int, container->data.mounts.n_items + 1);
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
        monitor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (monitor->signal_fd < 0)
                return error_errno(err, errno, "cannot listen for signals");
        if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return error_errno(err, errno, "cannot become a subreaper");
        if (monitor->store)
                (void)store_driver(monitor->store); /* to find out takes mounts, which its descriptors are good for in its own namespace only */
        if (container_share_mounts(&container->data, shares, err) < 0 || mount_namespace_enter(err) < 0 ||
            container_attach_shares(&container->data, shares, err) < 0 || (!monitor->store && store_open(&options, &monitor->store, err) < 0) ||
            lease_new(monitor->store, "container", &monitor->lease, err) < 0 || runtime_open(&runtime_options, &monitor->runtime, err) < 0 ||
            log_writer_open(container, &monitor->log, err) < 0 || container_write_files(container, err) < 0 ||
            clients_listen(&monitor->clients, container, err) < 0 ||
            container_mount_root(container, monitor->store, monitor->lease, true, &monitor->rootfs, err) < 0)
                return -1;
        /* A monitor killed while it started the process may have left one that no state knows of */
        if (runtime_remove(monitor->runtime, container->id, container->data.host.cgroup_parent, err) < 0)
                return -1;
        for (size_t i = 0; i < container->data.mounts.n_items; i++)
                if (container_fill_volume(rootfs_fd(monitor->rootfs), &container->data.mounts.items[i], err) < 0)
                        return -1;
        return container_run_spec(container, rootfs_path(monitor->rootfs), rootfs_fd(monitor->rootfs), &monitor->spec, err);
}

/* Kills what the process left, and removes its cgroup and its bundle. */
static void remove_leftover(Monitor *monitor)
{
        _cleanup_error_ Error failure = ERROR_INIT;

        if (monitor->leftover && runtime_remove(monitor->runtime, monitor->container->id, monitor->spec.cgroup_parent, &failure) < 0)
                log_warning("%s", error_message(&failure));
        monitor->leftover = false;
}

/* The process has ended: what it left is killed, the rest of its output copied. In a PID namespace of its own it leaves no process: then the removal waits
 * until all have been told. */
static void finish_process(Monitor *monitor)
{
        Container *container = monitor->container;
        int64_t deadline = clock_monotonic_ns() + 2 * NSEC_PER_SEC;

        container->state.oom_killed = container->data.host.memory > 0 && runtime_oom_killed(monitor->runtime, container->id, monitor->spec.cgroup_parent);
        monitor->leftover = true;
        if (monitor->spec.host_pid)
                remove_leftover(monitor);
        /* Without a cgroup a process that left may hold the output for ever */
        while ((monitor->output[0] >= 0 || monitor->output[1] >= 0) && clock_monotonic_ns() < deadline)
                turn(monitor, 100);
        close_process(monitor);
        container->state.pid = 0;
        container->state.exit_code = monitor->status;
        container->state.finished = clock_now();
}

static bool restart_wanted(const Monitor *monitor)
{
        const HostRestartPolicy *policy = &monitor->container->data.host.restart_policy;

        if (monitor->stopping)
                return false;
        if (streq(policy->name, "always") || streq(policy->name, "unless-stopped"))
                return true;
        return streq(policy->name, "on-failure") && monitor->status != 0 &&
               (policy->maximum_retry_count == 0 || monitor->container->state.restart_count < policy->maximum_retry_count);
}

/* Runs the process again and again as the policy says, until it is to stay down. */
static void keep_running(Monitor *monitor)
{
        Container *container = monitor->container;
        int64_t delay_ms = RESTART_DELAY_MIN_MS;

        for (;;) {
                _cleanup_error_ Error failure = ERROR_INIT;
                int64_t until;

                while (!monitor->exited)
                        turn(monitor, -1);
                if (container->state.started + 10 * NSEC_PER_SEC < clock_now())
                        delay_ms = RESTART_DELAY_MIN_MS; /* docker: ten seconds up is a success */
                finish_process(monitor);
                take_requests(monitor);
                if (!restart_wanted(monitor))
                        return;
                remove_leftover(monitor);
                container_set_status(container, "restarting");
                container->state.restart_count++;
                container_save_state(monitor->store, container, &failure);
                until = clock_monotonic_ns() + delay_ms * NSEC_PER_MSEC;
                while (!monitor->stopping && clock_monotonic_ns() < until)
                        turn(monitor, (int)MAX((until - clock_monotonic_ns()) / NSEC_PER_MSEC, (int64_t)1));
                delay_ms = MIN(delay_ms * 2, (int64_t)RESTART_DELAY_MAX_MS);
                if (monitor->stopping)
                        return;
                error_done(&failure);
                if (start_process(monitor, &failure) < 0) {
                        free(container->state.error);
                        container->state.error = xstrdup(error_message(&failure));
                        close_process(monitor);
                        return;
                }
        }
}

static void tell_clients(Monitor *monitor, int status)
{
        Clients *clients = &monitor->clients;
        uint8_t data[4] = { 0, 0, 0, (uint8_t)status };
        int64_t deadline = clock_monotonic_ns() + 10 * NSEC_PER_SEC;

        clients_accept(clients); /* who came at the last moment is told, too */
        for (size_t i = 0; i < clients->n_items; i++)
                client_put(&clients->items[i], FRAME_EXIT, data, sizeof(data));
        while (clients->n_items > 0 && clock_monotonic_ns() < deadline) {
                bool pending = false;

                for (size_t i = clients->n_items; i-- > 0;) {
                        if (!client_flush(&clients->items[i]))
                                drop_client(monitor, i);
                        else
                                pending |= clients->items[i].pending.size > 0;
                }
                if (!pending)
                        return;
                turn(monitor, 50);
        }
}

static void unmount(Monitor *monitor)
{
        _cleanup_free_ char *socket_path = container_file(monitor->container, "monitor.sock");

        rootfs_free(monitor->rootfs);
        monitor->rootfs = NULL;
        sys_unlinkat(AT_FDCWD, socket_path, 0);
        lease_free(monitor->lease);
        monitor->lease = NULL;
}

/* A start that failed: docker leaves the container "created", with the code and the message. */
static void fail_start(Monitor *monitor, const Error *failure)
{
        Container *container = monitor->container;
        _cleanup_error_ Error ignored = ERROR_INIT;

        close_process(monitor);
        unmount(monitor);
        container->state.exit_code = failure->code == ERROR_EXIT ? failure->status : 128;
        free(container->state.error);
        container->state.error = xstrdup(error_message(failure));
        if (monitor->store) {
                container_save_state(monitor->store, container, &ignored);
                if (container->data.host.auto_remove)
                        container_delete(monitor->store, container, true, &ignored);
        }
        monitor_send_report(monitor->start->report_fd, failure);
}

static void end(Monitor *monitor)
{
        Container *container = monitor->container;
        _cleanup_error_ Error failure = ERROR_INIT;

        container_set_status(container, "exited");
        log_writer_free(monitor->log);
        monitor->log = NULL;
        if (container->data.host.auto_remove && !monitor->keep) {
                /* Out of the way first, and told; giving the space back can take long */
                if (container_retire(monitor->store, container, monitor->lease, &failure) < 0)
                        log_warning("cannot remove container '%s': %s", container->name, error_message(&failure));
                tell_clients(monitor, monitor->status);
                remove_leftover(monitor);
                unmount(monitor);
                return;
        }
        if (container_save_state(monitor->store, container, &failure) < 0)
                log_warning("%s", error_message(&failure));
        tell_clients(monitor, monitor->status);
        remove_leftover(monitor);
        unmount(monitor);
}

_noreturn_ void monitor_main(const MonitorStart *start)
{
        Monitor *monitor = NEW(Monitor);
        Error failure = ERROR_INIT;

        monitor->start = start;
        monitor->container = start->container;
        monitor->store = start->store;
        monitor->signal_fd = monitor->clients.listen_fd = monitor->terminal = monitor->input_fd = monitor->output[0] = monitor->output[1] = -1;
        monitor->input = BUF_INIT(INPUT_PENDING_MAX + FRAME_SIZE_MAX * 4);
        prctl(PR_SET_NAME, "mica-monitor");
        if (start->client_fd >= 0)
                clients_add(&monitor->clients, start->client_fd, true, start->options.attach_stdin);
        if (prepare(monitor, &failure) < 0 || start_process(monitor, &failure) < 0) {
                fail_start(monitor, &failure);
                _exit(1);
        }
        monitor_send_report(start->report_fd, NULL);
        keep_running(monitor);
        end(monitor);
        store_close(monitor->store); /* nobody waits for it any more */
        _exit(0);
}
