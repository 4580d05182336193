/*
 * Making and starting a container in one, for a command that has not opened the store: the process that is going to be its monitor opens it, makes the
 * container and starts it. The database is opened once instead of three times.
 */
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/attach.h"
#include "container/monitor.h"

#define WARNINGS_SIZE_MAX ((size_t)1 << 20)

/* The first report: what was made. Then the warnings, a line each. */
typedef struct CreationReport {
        char id[65]; /* "": nothing, the next report says why */
        uint32_t warnings_size;
} CreationReport;

static void send_creation(int fd, const Container *container, const StrList *warnings)
{
        _cleanup_free_ char *text = strlist_join(warnings, "\n");
        CreationReport report = { .warnings_size = (uint32_t)MIN(strlen(text), WARNINGS_SIZE_MAX) };

        if (container)
                memcpy(report.id, container->id, sizeof(report.id));
        fd_write_all(fd, &report, sizeof(report));
        fd_write_all(fd, text, report.warnings_size);
}

static int read_creation(int fd, char **ret_id, StrList *warnings, Error *err)
{
        _cleanup_free_ char *text = NULL;
        CreationReport report;

        if (fd_read_full(fd, &report, sizeof(report)) != (ssize_t)sizeof(report) || report.warnings_size > WARNINGS_SIZE_MAX)
                return error_set(err, ERROR_INTERNAL, "the process that was to make the container ended without a word");
        text = xcalloc(1, report.warnings_size + 1);
        if (fd_read_full(fd, text, report.warnings_size) != (ssize_t)report.warnings_size)
                return error_set(err, ERROR_INTERNAL, "the process that made the container ended without a word");
        if (*text)
                strlist_split(warnings, text, '\n');
        if (*report.id)
                *ret_id = xstrndup(report.id, sizeof(report.id) - 1);
        return 0;
}

/* In the child, until it is the monitor. The container is the monitor's then. */
static int make_and_lock(const StoreOptions *options, const ContainerSpec *spec, MonitorStart *start, pid_t caller, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_strlist_ StrList warnings = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        int r = store_open(options, &start->store, err);

        if (r == 0)
                r = container_make(start->store, spec, &container, &warnings, err);
        send_creation(start->report_fd, container, &warnings);
        if (r < 0)
                return -1;
        if (getppid() != caller) /* interrupted meanwhile */
                r = error_set(err, ERROR_CANCELLED, "interrupted");
        else if (container_check_platform(container, err) < 0 || (start->lock_fd = container_lock_patiently(container, err)) < 0)
                r = -1;
        if (r < 0 && container->data.host.auto_remove)
                (void)container_delete(start->store, container, true, &ignored);
        if (r == 0)
                start->container = TAKE_PTR(container);
        return r;
}

static _noreturn_ void child(const StoreOptions *options, const ContainerSpec *spec, MonitorStart *start, pid_t caller)
{
        Error failure = ERROR_INIT;

        monitor_leave_caller(start);
        if (make_and_lock(options, spec, start, caller, &failure) < 0) {
                monitor_send_report(start->report_fd, &failure);
                store_close(start->store);
                _exit(1);
        }
        monitor_go_silent();
        monitor_main(start);
}

int container_run(const StoreOptions *store, const ContainerSpec *spec, const StartOptions *options, char **ret_id, StrList *warnings, Attachment **ret,
                  Error *err)
{
        _cleanup_(monitor_channel_done) MonitorChannel channel = MONITOR_CHANNEL_INIT;
        MonitorStart start = { .lock_fd = -1, .options = *options };
        pid_t pid, caller = getpid();

        pid = monitor_fork(&start, options->attach, &channel, err);
        if (pid < 0)
                return -1;
        if (pid == 0)
                child(store, spec, &start, caller);
        if (read_creation(channel.report_fd, ret_id, warnings, err) < 0 || monitor_read_report(&channel, err) < 0)
                return monitor_reap(pid);
        if (options->attach)
                *ret = attachment_new(TAKE_FD(channel.client_fd), options->attach_stdin, spec->config.tty);
        return 0;
}
