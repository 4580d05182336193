/* Reading a container's log back: logs/json.log.N … json.log.1, json.log, oldest first. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/protocol.h"

/* A line of 16 KiB, each byte at its worst as \u00xx, and the members around it. */
#define LOG_OBJECT_MAX ((size_t)16384 * 6 + 1024)

typedef struct LogReader {
        const Container *container;
        const LogOptions *options;
        const Sink *out, *errors;
        uint64_t skip; /* lines to leave out, for --tail */
        bool counting; /* first pass of --tail: lines are only counted */
        uint64_t n_lines;
        bool ended; /* `until` was reached */
        Buf line;
} LogReader;

static int print_line(LogReader *reader, const char *text, size_t size, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *log, *stream, *time;
        char stamp[TIMESTAMP_TEXT_SIZE + 1];
        const LogOptions *options = reader->options;
        const Sink *sink;
        Timestamp when = 0;

        if (json_value_parse(text, size, NULL, &value, &ignored) < 0)
                return 0; /* the end of what a full disk or a crash cut off */
        log = json_value_string(json_value_get(value, "log"));
        stream = json_value_string(json_value_get(value, "stream"));
        time = json_value_string(json_value_get(value, "time"));
        if (!log || !stream || !time || timestamp_parse(time, &when) < 0 || (options->since && when < options->since))
                return 0;
        if (options->until && when > options->until) {
                reader->ended = true;
                return 0;
        }
        if (streq(stream, "stderr") ? options->no_stderr : options->no_stdout)
                return 0;
        if (reader->counting) {
                reader->n_lines++;
                return 0;
        }
        if (reader->skip > 0) {
                reader->skip--;
                return 0;
        }
        sink = streq(stream, "stderr") ? reader->errors : reader->out;
        if (options->timestamps) { /* docker pads the fraction to nine digits */
                char seconds[32];
                time_t whole = (time_t)(when / NSEC_PER_SEC);
                struct tm parts;
                int n;

                gmtime_r(&whole, &parts);
                strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &parts);
                n = snprintf(stamp, sizeof(stamp), "%s.%09jdZ ", seconds, (intmax_t)(when % NSEC_PER_SEC));
                if (sink_write(sink, stamp, (size_t)n, err) < 0)
                        return -1;
        }
        /* docker's details are attributes of the log driver and a space; there are none */
        if (options->details && sink_write(sink, " ", 1, err) < 0)
                return -1;
        return sink_write(sink, log, strlen(log), err);
}

/* A piece of a line; `ends`: to its end. */
static int take_piece(LogReader *reader, const char *piece, size_t size, bool ends, Error *err)
{
        int r;

        if (ends && reader->line.size == 0)
                return print_line(reader, piece, size, err);
        if (buf_add(&reader->line, piece, size) < 0)
                buf_reset(&reader->line);
        if (!ends)
                return 0;
        r = print_line(reader, buf_str(&reader->line), reader->line.size, err);
        buf_reset(&reader->line);
        return r;
}

/* Reads what `fd` has from its position on; the beginning of a line waits for its end. */
static int read_more(LogReader *reader, int fd, Error *err)
{
        char data[65536];
        ssize_t n;

        while (!reader->ended && (n = read(fd, data, sizeof(data))) > 0) {
                for (const char *p = data, *end = data + n; p < end && !reader->ended;) {
                        const char *newline = memchr(p, '\n', (size_t)(end - p));
                        size_t size = (size_t)((newline ? newline : end) - p);

                        if (take_piece(reader, p, size, newline != NULL, err) < 0)
                                return -1;
                        p += size + (newline != NULL);
                }
        }
        return 0;
}

/* All files from the oldest on. The current one's descriptor stays open in *ret_fd (-1 when there is none). */
static int read_files(LogReader *reader, int *ret_fd, Error *err)
{
        _cleanup_free_ char *path = container_file(reader->container, "logs/json.log");
        unsigned oldest = 0;

        for (;; oldest++) {
                _cleanup_free_ char *rotated = xasprintf("%s.%u", path, oldest + 1);

                if (access(rotated, F_OK) < 0)
                        break;
        }
        for (; oldest > 0; oldest--) {
                _cleanup_free_ char *rotated = xasprintf("%s.%u", path, oldest);
                _cleanup_close_ int fd = open(rotated, O_RDONLY | O_CLOEXEC);

                if (fd >= 0 && read_more(reader, fd, err) < 0)
                        return -1;
        }
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
        return *ret_fd < 0 ? 0 : read_more(reader, *ret_fd, err);
}

/* The file was renamed away by rotation, or truncated: read the new one from its start. */
static int follow_rotation(LogReader *reader, int *fd, Error *err)
{
        _cleanup_free_ char *path = container_file(reader->container, "logs/json.log");
        struct stat ours, there;
        off_t at = lseek(*fd, 0, SEEK_CUR);

        if (fstat(*fd, &ours) < 0 || stat(path, &there) < 0)
                return 0;
        if (ours.st_ino != there.st_ino) {
                if (read_more(reader, *fd, err) < 0)
                        return -1;
                close(*fd);
                *fd = open(path, O_RDONLY | O_CLOEXEC);
                return *fd < 0 ? error_errno(err, errno, "cannot open '%s'", path) : 0;
        }
        if (there.st_size < at)
                lseek(*fd, 0, SEEK_SET);
        return 0;
}

static int follow(LogReader *reader, int *fd, Error *err)
{
        _cleanup_free_ char *directory = container_file(reader->container, "logs");
        _cleanup_close_ int monitor = monitor_connect(reader->container, err), watch = -1;
        bool gone = monitor < 0;

        error_done(err);
        watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (watch < 0 || inotify_add_watch(watch, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                return error_errno(err, errno, "cannot watch '%s'", directory);
        for (;;) {
                struct pollfd polls[2] = { { .fd = watch, .events = POLLIN }, { .fd = monitor, .events = POLLIN } };
                char events[4096];
                int timeout_ms = 1000;

                if (follow_rotation(reader, fd, err) < 0 || read_more(reader, *fd, err) < 0)
                        return -1;
                if (reader->ended || gone)
                        return 0;
                if (reader->options->until) {
                        int64_t left = (reader->options->until - clock_now()) / NSEC_PER_MSEC;

                        if (left <= 0)
                                return 0;
                        timeout_ms = (int)MIN(left, (int64_t)1000);
                }
                if (poll(polls, 2, timeout_ms) < 0 && errno != EINTR)
                        return error_errno(err, errno, "cannot wait for the log");
                while (read(watch, events, sizeof(events)) > 0)
                        ;
                gone = polls[1].revents != 0; /* the log is complete before the monitor says so */
        }
}

int container_logs(Store *store, const char *name, const LogOptions *options, const Sink *out, const Sink *errors, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        LogReader reader = { .options = options, .out = out, .errors = errors, .line = BUF_INIT(LOG_OBJECT_MAX) };
        int fd = -1, r;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq_ptr(container->data.host.log_config.type, "none"))
                return error_set(err, ERROR_UNSUPPORTED, "configured logging driver does not support reading");
        reader.container = container;
        if (options->tail >= 0) {
                reader.counting = true;
                r = read_files(&reader, &fd, err);
                closep(&fd);
                if (r < 0)
                        goto out;
                reader.counting = reader.ended = false;
                reader.skip = reader.n_lines > (uint64_t)options->tail ? reader.n_lines - (uint64_t)options->tail : 0;
                buf_reset(&reader.line);
        }
        r = read_files(&reader, &fd, err);
        if (r == 0 && fd >= 0 && options->follow && !reader.ended)
                r = follow(&reader, &fd, err);
        closep(&fd);
out:
        buf_done(&reader.line);
        return r < 0 ? -1 : reader.ended;
}
