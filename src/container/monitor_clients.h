/*
 * Private to container/: the clients of a monitor, as the monitor has them: who listens, what is still to be sent to whom, and the frames that come in. What a
 * frame means is the monitor's business (monitor.c).
 *
 * No function blocks. Memory: CLIENTS_MAX clients, each with buffers of a maximum; a monitor stops reading output while clients_keep_up() is false.
 */
#pragma once

#include "base/buf.h"
#include "container/protocol.h"

#define CLIENTS_MAX 256

typedef struct Client {
        int fd;
        bool output, input; /* what it asked for: the container's output; to write to its input */
        Buf pending;        /* frames on their way to it */
        Buf received;       /* the beginning of a frame from it */
} Client;

typedef struct Clients {
        int listen_fd; /* monitor.sock, or -1 */
        Client items[CLIENTS_MAX];
        size_t n_items;
} Clients;

/* Makes the container's monitor.sock. */
int clients_listen(Clients *clients, const Container *container, Error *err);

/* Takes the descriptor over; it is closed at once when there are too many. */
void clients_add(Clients *clients, int fd, bool output, bool input);

/* Takes one who waits at the socket. False: there is none. */
bool clients_accept(Clients *clients);

/* Drops one: the last takes its place. */
void clients_drop(Clients *clients, size_t i);

/* Whether nobody who wants output is far behind with it. */
bool clients_keep_up(const Clients *clients);

/* A piece of the container's output, for all who want it. size: at most FRAME_SIZE_MAX. */
void clients_put_output(Clients *clients, FrameType type, const void *data, size_t size);

/* Puts a frame behind what is pending. */
void client_put(Client *client, FrameType type, const void *data, size_t size);

/* Sends what is pending, as far as it goes. False: the client is gone. */
bool client_flush(Client *client);

/* Reads what it sent and calls `handle` for each frame that is complete. False: the client is gone, or sends what is no frame. */
typedef void (*ClientHandler)(void *user, Client *client, uint8_t type, const uint8_t *data, size_t size);
bool client_read(Client *client, ClientHandler handle, void *user);
