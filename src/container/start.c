/* docker start: a monitor for a container that was made before. */
#include <string.h>

#include "container/attach.h"
#include "container/monitor.h"

/* In the child. */
static _noreturn_ void become_monitor(const MonitorStart *start)
{
        monitor_leave_caller(start);
        monitor_go_silent();
        monitor_main(start);
}

int container_start(Store *store, const char *name, const StartOptions *options, Attachment **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_(monitor_channel_done) MonitorChannel channel = MONITOR_CHANNEL_INIT;
        _cleanup_close_ int lock = -1;
        _cleanup_error_ Error second = ERROR_INIT; /* the first one is told */
        bool attach = ret && options && options->attach;
        MonitorStart start;
        pid_t pid;
        int r;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq(container->state.status, "paused"))
                return error_set(err, ERROR_CONFLICT, "cannot start a paused container, try unpause instead");
        if (container_is_active(container)) {
                if (attach)
                        return container_attach(store, name, options->attach_stdin, ret, err) < 0 ? -1 : 1;
                return 1;
        }
        if (container_check_platform(container, err) < 0)
                return -1;
        lock = container_lock_patiently(container, err);
        if (lock < 0)
                return -1;
        start = (MonitorStart){ .container = container,
                                .store_root = store_root(store),
                                .store_driver = store_driver(store),
                                .lock_fd = lock,
                                .options = options ? *options : (StartOptions){ 0 } };
        store_before_fork(store);
        pid = monitor_fork(&start, attach, &channel, err);
        if (pid == 0)
                become_monitor(&start);
        r = pid < 0 ? -1 : monitor_read_report(&channel, err);
        /* Not before: the monitor needs the database at once, and both would wait for each other's recovery of it. */
        if (store_after_fork(store, r < 0 ? &second : err) < 0 && r == 0)
                return -1;
        if (r < 0)
                return pid < 0 ? -1 : monitor_reap(pid);
        if (attach)
                *ret = attachment_new(TAKE_FD(channel.client_fd), options->attach_stdin, container->data.config.tty);
        return 0;
}
