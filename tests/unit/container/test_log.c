/* Logs: docker's json-file format byte for byte, rotation that loses no line it should keep, and reading back with every option. */
#include "../store/fixture.h"

#include <fcntl.h>
#include <stdio.h>

#include "container/private.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Log {
        Container container;
        LogWriter *writer;
} Log;

/* A container with a record, a directory, and a log with these options ("max-size=1k"). */
static Log log_open(Fixture *fixture, const char *max_size, const char *max_file)
{
        Log log = { 0 };
        ContainerRecord record = { .id = ID, .name = (char *)"logger", .created = 1, .state = (char *)"{\"Status\":\"exited\"}" };
        Error err = ERROR_INIT;

        record.config = (char *)"{\"Path\":\"sh\",\"HostConfig\":{\"LogConfig\":{\"Type\":\"json-file\",\"Config\":{}},\"NetworkMode\":\"none\"}}";
        assert_ok(container_dir_make(fixture->store, ID, &log.container.dir, &err));
        assert_ok(container_record_put(fixture->store, &record, &err));
        log.container.data.host.log_config.type = xstrdup("json-file");
        if (max_size)
                string_map_set(&log.container.data.host.log_config.config, "max-size", max_size);
        if (max_file)
                string_map_set(&log.container.data.host.log_config.config, "max-file", max_file);
        assert_ok(log_writer_open(&log.container, &log.writer, &err));
        return log;
}

static void log_close(Log *log)
{
        log_writer_free(log->writer);
        free(log->container.dir);
        json_object_done(container_data_fields, &log->container.data);
}

static void add(Log *log, int stream, const char *text)
{
        log_writer_add(log->writer, stream, text, strlen(text));
}

static int take(void *user, const void *data, size_t size, Error *err)
{
        buf_put(user, data, size);
        return 0;
}

/* The log as the user sees it, both streams together. New string. */
static char *read_back(Fixture *fixture, LogOptions options)
{
        Buf text = BUF_INIT(8 << 20);
        const Sink sink = { take, &text };
        Error err = ERROR_INIT;

        assert_ok(container_logs(fixture->store, ID, &options, &sink, &sink, &err));
        return text.data ? buf_detach(&text) : xstrdup("");
}

static char *file_text(const Log *log, const char *name)
{
        _cleanup_free_ char *path = xasprintf("%s/logs/%s", log->container.dir, name);
        Buf text = BUF_INIT(8 << 20);

        assert_int_equal(file_read(AT_FDCWD, path, &text), 0);
        return buf_detach(&text);
}

static void test_format(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, NULL, NULL);
        _cleanup_free_ char *text = NULL, *back = NULL;

        add(&log, 1, "part of a ");
        add(&log, 2, "an error\n");
        add(&log, 1, "line \"<\t\n");
        add(&log, 1, "no end");
        log_close(&log);
        log.container.dir = xasprintf("%s/containers/%s", fixture->root, ID);
        text = file_text(&log, "json.log");
        assert_int_equal(strncmp(text, "{\"log\":\"an error\\n\",\"stream\":\"stderr\",\"time\":\"", 46), 0);
        assert_non_null(strstr(text, "{\"log\":\"part of a line \\\"\\u003c\\t\\n\",\"stream\":\"stdout\",\"time\":\""));
        assert_non_null(strstr(text, "{\"log\":\"no end\",\"stream\":\"stdout\""));
        back = read_back(fixture, LOG_OPTIONS_INIT);
        assert_string_equal(back, "an error\npart of a line \"<\t\nno end");
        free(log.container.dir);
}

/* docker cuts at 16 KiB; what is put together again must be what was written, and one huge line must not take memory without end. */
static void test_long_lines(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, NULL, NULL);
        _cleanup_free_ char *line = xcalloc(1, 50001), *back = NULL, *text = NULL;

        memset(line, 'x', 50000);
        line[49999] = '\n';
        add(&log, 1, line);
        text = file_text(&log, "json.log");
        assert_null(strstr(text, "\\n\",\"stream\":\"stdout\",\"time\":\"\"")); /* no object without a time */
        back = read_back(fixture, LOG_OPTIONS_INIT);
        assert_string_equal(back, line);
        log_close(&log);
}

static void test_rotation(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, "2k", "3");
        _cleanup_free_ char *back = NULL, *oldest = NULL;
        unsigned first, expected;

        for (unsigned i = 0; i < 200; i++) {
                char line[32];

                snprintf(line, sizeof(line), "line %u\n", i);
                add(&log, i % 2 ? 1 : 2, line);
        }
        oldest = file_text(&log, "json.log.2");
        assert_true(strlen(oldest) >= 2048 && strlen(oldest) < 2048 + 200);
        assert_int_equal(faccessat(store_root_fd(fixture->store), "containers/" ID "/logs/json.log.3", F_OK, 0), -1);
        back = read_back(fixture, LOG_OPTIONS_INIT);
        assert_int_equal(sscanf(back, "line %u\n", &first), 1);
        assert_true(first > 0 && first < 190);
        expected = first;
        for (const char *p = back; *p; p = strchr(p, '\n') + 1, expected++) { /* the end of the story, without a gap */
                unsigned number;

                assert_int_equal(sscanf(p, "line %u\n", &number), 1);
                assert_int_equal(number, expected);
        }
        assert_int_equal(expected, 200);
        log_close(&log);
}

static void test_one_file_is_truncated(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, "1k", NULL);
        _cleanup_free_ char *text = NULL;

        for (unsigned i = 0; i < 100; i++)
                add(&log, 1, "a line\n");
        text = file_text(&log, "json.log");
        assert_true(strlen(text) < 1024 + 100);
        assert_int_equal(faccessat(store_root_fd(fixture->store), "containers/" ID "/logs/json.log.1", F_OK, 0), -1);
        log_close(&log);
}

static void test_reading_options(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, NULL, NULL);
        LogOptions options = LOG_OPTIONS_INIT;
        _cleanup_free_ char *tail = NULL, *none = NULL, *more = NULL, *errors = NULL, *later = NULL, *earlier = NULL, *stamped = NULL;

        add(&log, 1, "one\n");
        add(&log, 2, "two\n");
        add(&log, 1, "three\n");
        options.tail = 2;
        tail = read_back(fixture, options);
        assert_string_equal(tail, "two\nthree\n");
        options.tail = 0;
        none = read_back(fixture, options);
        assert_string_equal(none, "");
        options.tail = 100;
        more = read_back(fixture, options);
        assert_string_equal(more, "one\ntwo\nthree\n");
        options = (LogOptions){ .tail = 1, .no_stdout = true };
        errors = read_back(fixture, options);
        assert_string_equal(errors, "two\n");
        options = (LogOptions){ .tail = -1, .since = clock_now() + NSEC_PER_SEC };
        later = read_back(fixture, options);
        assert_string_equal(later, "");
        options = (LogOptions){ .tail = -1, .until = 1 };
        earlier = read_back(fixture, options);
        assert_string_equal(earlier, "");
        options = (LogOptions){ .tail = 1, .timestamps = true };
        stamped = read_back(fixture, options);
        assert_int_equal(strlen(stamped), strlen("2026-11-29T05:38:35.197132529Z three\n"));
        assert_string_equal(stamped + strlen("2026-11-29T05:38:35.197132529Z"), " three\n");
        log_close(&log);
}

/* The end of a log that a crash or a full disk cut off is left out; the rest is shown. */
static void test_a_torn_end(void **state)
{
        Fixture *fixture = *state;
        Log log = log_open(fixture, NULL, NULL);
        _cleanup_free_ char *path = xasprintf("%s/logs/json.log", log.container.dir), *back = NULL;
        int fd;

        add(&log, 1, "whole\n");
        log_close(&log);
        fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(fd_write_all(fd, "\0\0{\"log\":\"ha", 12), 0);
        close(fd);
        back = read_back(fixture, LOG_OPTIONS_INIT);
        assert_string_equal(back, "whole\n");
}

static void test_bad_options(void **state)
{
        static const struct {
                const char *key, *value;
        } bad[] = { { "max-size", "much" }, { "max-file", "0" }, { "max-file", "x" }, { "max-file", "1000000" } };
        Fixture *fixture = *state;
        _cleanup_free_ char *dir = NULL;
        Error err = ERROR_INIT;

        assert_ok(container_dir_make(fixture->store, ID, &dir, &err));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                Container container = { .dir = dir };
                LogWriter *writer = NULL;

                string_map_set(&container.data.host.log_config.config, bad[i].key, bad[i].value);
                assert_fails(log_writer_open(&container, &writer, &err), ERROR_INVALID);
                string_map_done(&container.data.host.log_config.config);
        }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_format),          TEST(test_long_lines), TEST(test_rotation),    TEST(test_one_file_is_truncated),
                TEST(test_reading_options), TEST(test_a_torn_end), TEST(test_bad_options),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
