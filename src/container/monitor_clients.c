#include "container/monitor_clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

#define PENDING_MAX ((size_t)256 << 10) /* beyond it the container's output waits */

/* --- all of them --- */

int clients_listen(Clients *clients, const Container *container, Error *err)
{
        _cleanup_close_ int dir = open(container->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char proc[FD_PROC_PATH_SIZE];

        if (dir < 0)
                return error_errno(err, errno, "cannot open '%s'", container->dir);
        clients->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sys_unlinkat(dir, "monitor.sock", 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/monitor.sock", fd_proc_path(dir, proc));
        if (clients->listen_fd < 0 || bind(clients->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(clients->listen_fd, 64) < 0)
                return error_errno(err, errno, "cannot listen on '%s/monitor.sock'", container->dir);
        return 0;
}

void clients_add(Clients *clients, int fd, bool output, bool input)
{
        if (clients->n_items == CLIENTS_MAX) {
                close(fd);
                return;
        }
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        clients->items[clients->n_items++] = (Client){ .fd = fd,
                                                       .output = output,
                                                       .input = input,
                                                       .pending = BUF_INIT(PENDING_MAX * 2 + FRAME_SIZE_MAX * 2),
                                                       .received = BUF_INIT(FRAME_SIZE_MAX + FRAME_HEADER_SIZE) };
}

bool clients_accept(Clients *clients)
{
        int fd = accept4(clients->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0)
                clients_add(clients, fd, false, false);
        return fd >= 0;
}

void clients_drop(Clients *clients, size_t i)
{
        Client *client = &clients->items[i];

        close(client->fd);
        buf_done(&client->pending);
        buf_done(&client->received);
        *client = clients->items[--clients->n_items];
}

bool clients_keep_up(const Clients *clients)
{
        for (size_t i = 0; i < clients->n_items; i++)
                if (clients->items[i].output && clients->items[i].pending.size > PENDING_MAX)
                        return false;
        return true;
}

void clients_put_output(Clients *clients, FrameType type, const void *data, size_t size)
{
        for (size_t i = 0; i < clients->n_items; i++)
                if (clients->items[i].output)
                        client_put(&clients->items[i], type, data, size);
}

/* --- one --- */

void client_put(Client *client, FrameType type, const void *data, size_t size)
{
        uint8_t header[FRAME_HEADER_SIZE];

        frame_header(header, type, size);
        buf_put(&client->pending, header, sizeof(header));
        buf_put(&client->pending, data, size);
}

bool client_flush(Client *client)
{
        while (client->pending.size > 0) {
                ssize_t n = send(client->fd, client->pending.data, client->pending.size, MSG_NOSIGNAL);

                if (n < 0)
                        return errno == EAGAIN || errno == EINTR;
                buf_consume(&client->pending, (size_t)n);
        }
        return true;
}

bool client_read(Client *client, ClientHandler handle, void *user)
{
        char data[16384];
        ssize_t n = recv(client->fd, data, MIN(sizeof(data), client->received.max - client->received.size), 0);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        if (n == 0)
                return false;
        buf_put(&client->received, data, (size_t)n);
        while (client->received.size >= FRAME_HEADER_SIZE) {
                const uint8_t *frame = (const uint8_t *)client->received.data;
                size_t size = (size_t)frame[4] << 24 | (size_t)frame[5] << 16 | (size_t)frame[6] << 8 | frame[7];

                if (size > FRAME_SIZE_MAX)
                        return false;
                if (client->received.size < FRAME_HEADER_SIZE + size)
                        break;
                handle(user, client, frame[0], frame + FRAME_HEADER_SIZE, size);
                buf_consume(&client->received, FRAME_HEADER_SIZE + size);
        }
        return true;
}
