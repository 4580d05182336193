/*
 * Private to container/: how a command and the monitor that it starts part.
 *
 *   the command                       its child
 *   monitor_fork()                 -> monitor_leave_caller()
 *                                     what has to be made before, for `run` (run.c)
 *                                     monitor_go_silent(), monitor_main(): mounts, starts the process
 *   monitor_read_report()          <- monitor_send_report()
 *   goes on, attached or not          goes on until the container has ended
 *
 * docs/adr/0004-monitor.md says why there is one.
 */
#pragma once

#include "container/private.h"

/* What a monitor starts with. */
typedef struct MonitorStart {
        Container *container;
        Store *store; /* open already, or NULL: as the next two say */
        const char *store_root, *store_driver;
        int lock_fd;   /* the container's lock, held; -1: not yet */
        int report_fd; /* takes one MonitorReport and the error's text */
        int client_fd; /* an attached client, or -1 */
        StartOptions options;
} MonitorStart;

typedef struct MonitorReport {
        int32_t failed; /* ErrorCode, or 0 */
        int32_t status; /* err->status */
} MonitorReport;

/* The command's side of it; -1: not there. */
typedef struct MonitorChannel {
        int report_fd; /* reports come from it */
        int client_fd; /* what the container says and is told, when the command attaches: protocol.h */
} MonitorChannel;

#define MONITOR_CHANNEL_INIT ((MonitorChannel){ -1, -1 })
void monitor_channel_done(MonitorChannel *channel);

/*
 * Forks the process that is going to be the monitor; `start` and `ret` get their ends of what joins the two, `attach`: with a connection for a client.
 * Returns 0 in the child, its pid in the caller, or -1. A child whose start fails ends by itself and is to be reaped: monitor_reap().
 */
pid_t monitor_fork(MonitorStart *start, bool attach, MonitorChannel *ret, Error *err);

/* In the caller: waits until the container runs, or takes over the error of the start that failed. */
int monitor_read_report(const MonitorChannel *channel, Error *err);

/* In the caller: waits for the end of a child whose start has failed. Returns -1. */
int monitor_reap(pid_t pid);

/* In the child: a session of its own, without the caller's descriptors from 3 on but those of `start`. The caller's database connection must not be touched. */
void monitor_leave_caller(const MonitorStart *start);

/* In the child, when the user is not to see or say anything more: without the caller's first three descriptors and its directory. */
void monitor_go_silent(void);

/* In the child: `failure`, or NULL: the container runs. Closes `fd`. */
void monitor_send_report(int fd, const Error *failure);

/* The monitor's life (monitor.c); `start` must live as long. */
_noreturn_ void monitor_main(const MonitorStart *start);
