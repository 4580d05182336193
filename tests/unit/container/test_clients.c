/* A monitor's clients: one that sends nonsense, or does not read, must neither end a container nor grow its monitor. */
#include "../fs/scratch.h"

#include <sys/socket.h>

#include "container/monitor_clients.h"

typedef struct Seen {
        size_t n_frames, size; /* bytes of data in all */
        uint8_t last_type;
} Seen;

static void note_frame(void *user, Client *client, uint8_t type, const uint8_t *data, size_t size)
{
        Seen *seen = user;

        seen->n_frames++;
        seen->size += size;
        seen->last_type = type;
}

/* One client; returns the other side of its socket. */
static int join(Clients *clients, bool output)
{
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        clients_add(clients, pair[0], output, true);
        return pair[1];
}

static void test_frames_come_in_pieces(void **state)
{
        Clients *clients = NEW(Clients);
        int peer = join(clients, false);
        Seen seen = { 0 };

        assert_true(client_read(&clients->items[0], note_frame, &seen)); /* nothing there: it does not wait */
        assert_int_equal(write(peer, "\0\0\0\0\0\0\0", 7), 7);
        assert_true(client_read(&clients->items[0], note_frame, &seen));
        assert_int_equal(seen.n_frames, 0);
        assert_int_equal(write(peer, "\3abc\x23\0\0\0\0\0\0\1\1", 13), 13); /* the rest of one, and a whole one */
        assert_true(client_read(&clients->items[0], note_frame, &seen));
        assert_int_equal(seen.n_frames, 2);
        assert_int_equal(seen.size, 4);
        assert_int_equal(seen.last_type, FRAME_STOPPING);
        close(peer);
        assert_false(client_read(&clients->items[0], note_frame, &seen));
        clients_drop(clients, 0);
        assert_int_equal(clients->n_items, 0);
        free(clients);
}

static void test_what_is_no_frame_ends_the_client(void **state)
{
        Clients *clients = NEW(Clients);
        int peer = join(clients, false);
        Seen seen = { 0 };

        assert_int_equal(write(peer, "\0\0\0\0\0\1\0\1", 8), 8); /* 65537 bytes */
        assert_false(client_read(&clients->items[0], note_frame, &seen));
        assert_int_equal(seen.n_frames, 0);
        clients_drop(clients, 0);
        close(peer);
        free(clients);
}

static void test_who_does_not_read_is_waited_for(void **state)
{
        Clients *clients = NEW(Clients);
        int slow = join(clients, true), other = join(clients, false);
        char data[FRAME_SIZE_MAX] = { 0 };
        size_t n = 0;

        while (clients_keep_up(clients) && n++ < 1000) {
                clients_put_output(clients, FRAME_STDOUT, data, sizeof(data));
                assert_true(client_flush(&clients->items[0]));
        }
        assert_true(n < 1000);
        assert_int_equal(clients->items[1].pending.size, 0); /* it did not ask for output */
        while (clients->items[0].pending.size) {
                assert_true(read(slow, data, sizeof(data)) > 0);
                assert_true(client_flush(&clients->items[0]));
        }
        assert_true(clients_keep_up(clients));
        close(slow);
        clients_put_output(clients, FRAME_STDOUT, "x", 1);
        assert_false(client_flush(&clients->items[0])); /* gone, and no SIGPIPE */
        clients_drop(clients, 0);
        assert_int_equal(clients->n_items, 1);
        assert_false(clients->items[0].output); /* the last has taken its place */
        clients_drop(clients, 0);
        close(other);
        free(clients);
}

static void test_there_are_not_more_than_the_maximum(void **state)
{
        Clients *clients = NEW(Clients);
        int peers[CLIENTS_MAX + 1];
        char byte;

        for (size_t i = 0; i < ARRAY_LEN(peers); i++)
                peers[i] = join(clients, true);
        assert_int_equal(clients->n_items, CLIENTS_MAX);
        assert_int_equal(read(peers[CLIENTS_MAX], &byte, 1), 0); /* closed at once */
        while (clients->n_items)
                clients_drop(clients, 0);
        for (size_t i = 0; i < ARRAY_LEN(peers); i++)
                close(peers[i]);
        free(clients);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_frames_come_in_pieces),
                cmocka_unit_test(test_what_is_no_frame_ends_the_client),
                cmocka_unit_test(test_who_does_not_read_is_waited_for),
                cmocka_unit_test(test_there_are_not_more_than_the_maximum),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
