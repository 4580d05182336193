/*
 * A container's log in docker's json-file format, logs/json.log: one object a line, {"log":"text\n","stream":"stdout","time":"…"}. A line of output longer than
 * 16 KiB becomes several objects without "\n" but in the last, as docker splits it. Rotation: json.log -> json.log.1 -> …, by max-size and max-file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/private.h"

#define LOG_LINE_MAX ((size_t)16 << 10)

struct LogWriter {
        char *path;
        int fd;                  /* -1: no log is kept */
        uint64_t size, max_size; /* bytes; max_size 0: no rotation */
        uint64_t max_files;
        Buf partial[2]; /* a line without its end, of each stream */
        Buf text;
};

static int open_file(LogWriter *writer, bool truncate, Error *err)
{
        struct stat st;

        closep(&writer->fd);
        writer->fd = sys_openat(AT_FDCWD, writer->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | (truncate ? O_TRUNC : 0), 0640);
        if (writer->fd < 0 || fstat(writer->fd, &st) < 0)
                return error_errno(err, errno, "cannot open the log '%s'", writer->path);
        writer->size = (uint64_t)st.st_size;
        return 0;
}

int log_writer_open(const Container *container, LogWriter **ret, Error *err)
{
        const HostLogConfig *config = &container->data.host.log_config;
        const char *max_size = string_map_get(&config->config, "max-size"), *max_file = string_map_get(&config->config, "max-file");
        _cleanup_(log_writer_freep) LogWriter *writer = NEW(LogWriter);

        writer->fd = -1;
        writer->max_files = 1;
        writer->partial[0] = writer->partial[1] = BUF_INIT(LOG_LINE_MAX);
        writer->text = BUF_INIT(BUF_MAX_DEFAULT);
        if (streq_ptr(config->type, "none")) {
                *ret = TAKE_PTR(writer);
                return 0;
        }
        if (max_size && !streq(max_size, "-1") && str_to_size(max_size, &writer->max_size) < 0)
                return error_set(err, ERROR_INVALID, "invalid value for max-size: '%s'", max_size);
        if (max_file && (str_to_u64(max_file, &writer->max_files) < 0 || writer->max_files < 1 || writer->max_files > 1000))
                return error_set(err, ERROR_INVALID, "invalid value for max-file: '%s'", max_file);
        writer->path = container_file(container, "logs/json.log");
        if (open_file(writer, false, err) < 0)
                return -1;
        *ret = TAKE_PTR(writer);
        return 0;
}

static void rotate(LogWriter *writer)
{
        _cleanup_error_ Error failure = ERROR_INIT;

        for (uint64_t i = writer->max_files - 1; i >= 1; i--) {
                _cleanup_free_ char *to = xasprintf("%s.%ju", writer->path, (uintmax_t)i);
                _cleanup_free_ char *from = i > 1 ? xasprintf("%s.%ju", writer->path, (uintmax_t)i - 1) : xstrdup(writer->path);

                if (sys_renameat(AT_FDCWD, from, AT_FDCWD, to) < 0 && errno != ENOENT)
                        log_warning("cannot rotate '%s': %s", from, strerror(errno));
        }
        if (open_file(writer, true, &failure) < 0)
                log_warning("%s", error_message(&failure));
}

static void add_object(LogWriter *writer, int stream, const char *data, size_t size)
{
        char time[TIMESTAMP_TEXT_SIZE];

        buf_puts(&writer->text, "{\"log\":");
        if (json_text_quote(data, size, JSON_WRITE_COMPACT, &writer->text) < 0)
                return;
        buf_putf(&writer->text, ",\"stream\":\"%s\",\"time\":\"%s\"}\n", stream == 1 ? "stdout" : "stderr", timestamp_format(clock_now(), time));
}

static void write_out(LogWriter *writer)
{
        int r = writer->fd >= 0 && writer->text.size > 0 ? fd_write_all(writer->fd, writer->text.data, writer->text.size) : 0;

        if (r < 0)
                log_debug("cannot write '%s': %s", writer->path, strerror(-r)); /* a full disk must not stop the container */
        writer->size += writer->text.size;
        buf_reset(&writer->text);
        if (writer->fd >= 0 && writer->max_size > 0 && writer->size >= writer->max_size)
                rotate(writer);
}

void log_writer_add(LogWriter *writer, int stream, const char *data, size_t size)
{
        Buf *partial = &writer->partial[stream == 1 ? 0 : 1];

        while (size > 0 && writer->fd >= 0) {
                const char *newline = memchr(data, '\n', MIN(size, LOG_LINE_MAX - partial->size));
                size_t n = newline ? (size_t)(newline - data) + 1 : MIN(size, LOG_LINE_MAX - partial->size);

                if (partial->size == 0 && (newline || n == LOG_LINE_MAX)) {
                        add_object(writer, stream, data, n); /* the usual case: no copy */
                } else {
                        buf_put(partial, data, n);
                        if (newline || partial->size == LOG_LINE_MAX) {
                                add_object(writer, stream, partial->data, partial->size);
                                buf_reset(partial);
                        }
                }
                data += n;
                size -= n;
                if (writer->max_size > 0 && writer->size + writer->text.size >= writer->max_size)
                        write_out(writer);
        }
        write_out(writer);
}

void log_writer_free(LogWriter *writer)
{
        if (!writer)
                return;
        for (int i = 0; i < 2; i++) {
                if (writer->fd >= 0 && writer->partial[i].size > 0)
                        add_object(writer, i + 1, writer->partial[i].data, writer->partial[i].size);
                buf_done(&writer->partial[i]);
        }
        write_out(writer);
        buf_done(&writer->text);
        closep(&writer->fd);
        free(writer->path);
        free(writer);
}
