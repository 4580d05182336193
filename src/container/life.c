/* Stopping, killing, waiting, pausing, renaming, removing. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/protocol.h"

/* How long a removal waits for those who look into a container, or copy from it. */
#define REMOVE_PATIENCE (10 * NSEC_PER_SEC)

/* Signals the process of a container whose monitor lives: the number cannot have been reused, because its parent, the monitor, has not reaped it while the
 * start time is the same. */
static int signal_process(const Container *container, int number, Error *err)
{
        _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)container->state.pid, 0);

        if (fd < 0 || process_start_time((pid_t)container->state.pid) != container->state.pid_start)
                return 0; /* just ended */
        if (syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) < 0 && errno != ESRCH)
                return error_errno(err, errno, "cannot send signal %d to container '%s'", number, container->name);
        return 0;
}

static int thaw(const Container *container, Error *err)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        RuntimeOptions options = { .name = container->data.host.runtime };

        if (!streq(container->state.status, "paused"))
                return 0;
        if (runtime_open(&options, &runtime, err) < 0)
                return -1;
        return runtime_freeze(runtime, container->id, container->data.host.cgroup_parent, false, err);
}

/* `keep`: it is going to be started again by this process, so that it is not removed. */
static int stop_loaded(const Container *container, const char *signal_name, int timeout_s, bool keep, Error *err)
{
        const ContainerConfig *config = &container->data.config;
        _cleanup_close_ int fd = -1;
        uint8_t flags = keep ? STOPPING_KEEP : 0;
        int number = SIGTERM, r;

        if (str_empty(signal_name))
                signal_name = config->stop_signal;
        if (!str_empty(signal_name) && signal_parse(signal_name, &number, err) < 0)
                return -1;
        if (timeout_s == -1)
                timeout_s = config->stop_timeout ? (int)*config->stop_timeout : 10;
        fd = monitor_connect(container, err);
        if (fd < 0) { /* it ended meanwhile */
                error_done(err);
                return 0;
        }
        frame_send(fd, FRAME_STOPPING, &flags, 1);
        if (signal_process(container, number, err) < 0 || thaw(container, err) < 0)
                return -1;
        r = monitor_wait(fd, timeout_s < 0 ? -1 : (int64_t)timeout_s * 1000, NULL, err);
        if (r != 0)
                goto ended;
        if (signal_process(container, SIGKILL, err) < 0)
                return -1;
        r = monitor_wait(fd, -1, NULL, err);
ended:
        if (r < 0)
                error_done(err); /* the monitor was killed meanwhile: the next look repairs */
        return 0;
}

int container_stop(Store *store, const char *name, const char *signal_name, int timeout_s, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        return container_is_active(container) ? stop_loaded(container, signal_name, timeout_s, false, err) : 0;
}

int container_kill(Store *store, const char *name, const char *signal_name, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_close_ int fd = -1;
        int number = SIGKILL;

        if (!str_empty(signal_name) && signal_parse(signal_name, &number, err) < 0)
                return -1;
        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (!container_is_active(container))
                return error_set(err, ERROR_CONFLICT, "cannot kill container: %s: container %s is not running", name, container->id);
        fd = monitor_connect(container, err);
        if (fd < 0)
                return error_wrap(err, "cannot kill container: %s", name);
        if (number == SIGKILL || number == SIGTERM)
                frame_send(fd, FRAME_STOPPING, NULL, 0);
        if (signal_process(container, number, err) < 0)
                return -1;
        if (number == SIGKILL && thaw(container, err) == 0 && monitor_wait(fd, 10000, NULL, err) < 0)
                error_done(err);
        return 0;
}

int container_restart(Store *store, const char *name, const char *signal_name, int timeout_s, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (container_is_active(container) && stop_loaded(container, signal_name, timeout_s, true, err) < 0)
                return -1;
        return container_start(store, container->id, NULL, NULL, err) < 0 ? -1 : 0;
}

int container_pause(Store *store, const char *name, bool paused, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        RuntimeOptions options = { 0 };

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (!container_is_active(container))
                return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
        if (streq(container->state.status, "paused") == paused)
                return error_set(err, ERROR_CONFLICT, paused ? "container %s is already paused" : "container %s is not paused", container->id);
        options.name = container->data.host.runtime;
        if (runtime_open(&options, &runtime, err) < 0 || runtime_freeze(runtime, container->id, container->data.host.cgroup_parent, paused, err) < 0)
                return -1;
        container_set_status(container, paused ? "paused" : "running");
        return container_save_state(store, container, err);
}

/* Until the row is gone: a second after the end it is, with --rm. Looks as everybody does, so that one whose monitor was killed meanwhile is removed here. */
static int wait_removed(Store *store, const char *id, Error *err)
{
        for (;;) {
                _cleanup_(container_freep) Container *container = NULL;
                _cleanup_error_ Error missing = ERROR_INIT;

                if (container_load(store, id, &container, &missing) < 0)
                        return missing.code == ERROR_NOT_FOUND ? 0 : error_move(err, &missing);
                nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        }
}

int container_wait(Store *store, const char *name, int *ret_status, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_free_ char *id = NULL;
        int status = 0, fd;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        id = xstrdup(container->id);
        status = (int)container->state.exit_code;
        while (container_is_active(container)) {
                fd = monitor_connect(container, err);
                if (fd >= 0 && monitor_wait(fd, -1, &status, err) > 0) {
                        close(fd);
                        break;
                }
                if (fd >= 0)
                        close(fd);
                error_done(err); /* between "running" and the end of its monitor, or its monitor was killed: look again */
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
                container_free(TAKE_PTR(container));
                if (container_load(store, id, &container, err) < 0) {
                        if (err->code != ERROR_NOT_FOUND)
                                return -1;
                        error_done(err);
                        break;
                }
                status = (int)container->state.exit_code;
        }
        *ret_status = status;
        return 0;
}

/* Ends it. 1 when it is gone with that; -1. */
static int end_to_remove(Store *store, const Container *container, const RemoveOptions *options, Error *err)
{
        if (!options || !options->force)
                return error_set(err, ERROR_CONFLICT, "cannot remove container \"%s\": container is %s: stop the container before removing or force remove",
                                 container->name, container->state.status);
        if (container_kill(store, container->id, NULL, err) < 0) {
                if (err->code != ERROR_CONFLICT && err->code != ERROR_NOT_FOUND)
                        return -1;
                error_done(err);
        }
        if (!container->data.host.auto_remove)
                return 0;
        return wait_removed(store, container->id, err) < 0 ? -1 : 1; /* its monitor removes it */
}

/*
 * The lock of a container that does not run: what runs is ended. One may also be about to run, by a start whose client is gone: its monitor has the lock and
 * keeps it, so each try looks again. Returns as container_lock_patiently(), or -3 when the container is gone; *container is what was seen last.
 */
#define REMOVED (-3)
static int lock_to_remove(Store *store, Container **container, const RemoveOptions *options, bool *ret_was_active, Error *err)
{
        const int64_t deadline = clock_monotonic_ns() + REMOVE_PATIENCE;
        _cleanup_free_ char *id = xstrdup((*container)->id);

        for (;;) {
                int r = 0;

                if (container_is_active(*container)) {
                        *ret_was_active = true;
                        r = end_to_remove(store, *container, options, err);
                }
                if (r != 0)
                        return r < 0 ? -1 : REMOVED;
                r = container_lock(*container, err);
                if (r != CONTAINER_LOCKED)
                        return r;
                if (clock_monotonic_ns() > deadline)
                        return error_set(err, ERROR_CONFLICT, "container '%s' is in use by another process", (*container)->name);
                nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
                container_free(TAKE_PTR(*container));
                if (container_load(store, id, container, err) < 0) {
                        if (err->code != ERROR_NOT_FOUND)
                                return -1;
                        error_done(err);
                        return REMOVED;
                }
        }
}

int container_remove(Store *store, const char *name, const RemoveOptions *options, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_close_ int lock = -1;
        bool was_active = false;
        int r;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        r = lock_to_remove(store, &container, options, &was_active, err);
        if (r == REMOVED)
                return 0;
        if (r < 0 && err->code != ERROR_NOT_FOUND)
                return -1;
        lock = r < 0 ? -1 : r;
        error_done(err); /* without its directory nobody uses it */
        /* Its monitor may have been killed before it had cleaned up, also by whoever killed us all */
        if (lock >= 0 && was_active && container_settle(store, &container, err) < 0)
                return -1;
        return container ? container_delete(store, container, options && options->volumes, err) : 0;
}

int container_rename(Store *store, const char *name, const char *new_name, Error *err)
{
        _cleanup_free_ char *id = NULL, *old_name = NULL;

        if (!*name || !*new_name)
                return error_set(err, ERROR_INVALID, "neither old nor new names may be empty");
        if (*new_name == '/')
                new_name++;
        if (container_resolve(store, name, &id, &old_name, err) < 0 || container_check_name(new_name, err) < 0)
                return -1;
        if (streq(old_name, new_name))
                return error_set(err, ERROR_INVALID, "renaming a container with the same name as its current name");
        return container_record_rename(store, id, new_name, err);
}
