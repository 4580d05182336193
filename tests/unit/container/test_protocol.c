/* The monitor's frames: what other front ends (the API) will read, and what happens when the other side is not what it should be. */
#include "../fs/scratch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "container/protocol.h"

static void test_frames(void **state)
{
        char large[1000], received[FRAME_HEADER_SIZE + sizeof(large)];
        int pair[2];

        memset(large, 'x', sizeof(large));
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(frame_send(pair[0], FRAME_STDERR, "abc", 3), 0);
        assert_int_equal(fd_read_full(pair[1], received, 11), 11);
        assert_memory_equal(received, "\2\0\0\0\0\0\0\3abc", 11); /* as docker's multiplexed stream */
        assert_int_equal(frame_send(pair[0], FRAME_STDIN_END, NULL, 0), 0);
        assert_int_equal(fd_read_full(pair[1], received, 8), 8);
        assert_memory_equal(received, "\41\0\0\0\0\0\0\0", 8);
        assert_int_equal(frame_send(pair[0], FRAME_STDOUT, large, sizeof(large)), 0);
        assert_int_equal(fd_read_full(pair[1], received, sizeof(received)), (int)sizeof(received));
        assert_memory_equal(received, "\1\0\0\0\0\0\3\xe8", 8);
        assert_memory_equal(received + 8, large, sizeof(large));
        close(pair[1]);
        assert_int_equal(frame_send(pair[0], FRAME_STDIN, "x", 1), -EPIPE); /* and no SIGPIPE */
        close(pair[0]);
}

static void test_waiting_for_the_end(void **state)
{
        uint8_t code[4] = { 0, 0, 0, 42 };
        Error err = ERROR_INIT;
        int pair[2], status = -1;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(monitor_wait(pair[1], 10, &status, &err), 0); /* not yet */
        assert_int_equal(frame_send(pair[0], FRAME_EXIT, code, sizeof(code)), 0);
        assert_int_equal(monitor_wait(pair[1], -1, &status, &err), 1);
        assert_int_equal(status, 42);
        assert_int_equal(frame_send(pair[0], FRAME_STDOUT, code, sizeof(code)), 0); /* not what a waiter is sent */
        assert_int_equal(monitor_wait(pair[1], -1, &status, &err), -1);
        error_done(&err);
        close(pair[0]);
        assert_int_equal(monitor_wait(pair[1], -1, &status, &err), -1); /* the monitor was killed */
        assert_int_equal(err.code, ERROR_IO);
        error_done(&err);
        close(pair[1]);
}

/* A store may lie deeper than the 108 bytes of a socket's address; a container must be reachable there too. */
static void test_a_socket_in_a_deep_directory(void **state)
{
        const Scratch *scratch = *state;
        _cleanup_free_ char *deep = xasprintf("%s/%0*d", scratch->path, 200, 0);
        Container container = { .name = (char *)"deep", .dir = deep };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char proc[FD_PROC_PATH_SIZE];
        Error err = ERROR_INIT;
        int dir, listener, fd;

        assert_int_equal(dir_make(AT_FDCWD, deep, 0700), 0);
        assert_int_equal(monitor_connect(&container, &err), -1);
        assert_int_equal(err.code, ERROR_CONFLICT);
        error_done(&err);
        dir = open(deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/monitor.sock", fd_proc_path(dir, proc));
        assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(listener, 1), 0);
        fd = monitor_connect(&container, &err);
        assert_true(fd >= 0);
        close(fd);
        close(listener);
        close(dir);
}

/* What is written into the record comes back, whatever a label or an argument holds. */
static void test_records_come_back(void **state)
{
        static const char config[] =
                "{\"Path\":\"sh\",\"Args\":[\"-c\",\"a\\u0001\\\"<\"],\"Config\":{\"Hostname\":\"h\",\"Env\":[\"A=\"],\"Image\":\"img\","
                "\"Labels\":{\"k\":\"v=w\",\"\":\"empty\"},\"Healthcheck\":{\"Test\":[\"CMD\",\"true\"],\"Interval\":1000000000},"
                "\"OfTheFuture\":{\"kept\":[1,2]}},\"HostConfig\":{\"NetworkMode\":\"none\",\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"1\"}]},"
                "\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":-1,\"Soft\":-1}]},\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/a\","
                "\"Destination\":\"/b\",\"RW\":true}],\"Layers\":[\"sha256:x\"],\"Platform\":\"linux\"}";
        _cleanup_buf_ Buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
        ContainerData data = { 0 }, again = { 0 };
        Error err = ERROR_INIT;

        assert_int_equal(json_object_read(config, strlen(config), NULL, container_data_fields, &data, sizeof(data), &err), 0);
        assert_string_equal(data.args.items[1], "a\x01\"<");
        assert_string_equal(string_map_get(&data.config.labels, "k"), "v=w");
        assert_int_equal(data.config.healthcheck->interval, 1000000000);
        assert_int_equal(data.host.ulimits.items[0].soft, -1);
        assert_true(data.mounts.items[0].rw);
        assert_int_equal(json_object_text(container_data_fields, &data, JSON_WRITE_NO_HTML, &once, &err), 0);
        assert_non_null(strstr(buf_str(&once), "\"OfTheFuture\":{\"kept\":[1,2]}")); /* a newer mica's member is not lost */
        assert_int_equal(json_object_read(once.data, once.size, NULL, container_data_fields, &again, sizeof(again), &err), 0);
        assert_int_equal(json_object_text(container_data_fields, &again, JSON_WRITE_NO_HTML, &twice, &err), 0);
        assert_string_equal(buf_str(&once), buf_str(&twice));
        json_object_done(container_data_fields, &data);
        json_object_done(container_data_fields, &again);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_frames), cmocka_unit_test(test_waiting_for_the_end),
                                            SCRATCH_TEST(test_a_socket_in_a_deep_directory), cmocka_unit_test(test_records_come_back) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
