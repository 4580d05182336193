/*
 * A socket that leads to an ssh agent: accepts, connects, and carries bytes both ways, on one thread for each RUN mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/ssh.h"
#include "fs/owner.h"

/* Programs that talk to the agent at the same time; more are turned away. */
#define CONNECTIONS_MAX 32
/* One that does not read what it asked for is hung up on. */
#define SEND_TIMEOUT_SEC 10
#define SOCKET_NAME "agent"

struct SshForward {
        char *dir, *path, *agent;
        int listen_fd, stop_fd;
        bool started;
        pthread_t thread;
        int pairs[CONNECTIONS_MAX][2]; /* client, agent */
        size_t n_pairs;
};

static int socket_at(const char *path, struct sockaddr_un *address)
{
        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof(address->sun_path))
                return -ENAMETOOLONG;
        strcpy(address->sun_path, path);
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A path of any length, through a descriptor of its directory. */
static int connect_agent(const char *path)
{
        _cleanup_free_ char *dir = xstrdup(path), *through = NULL;
        _cleanup_close_ int dir_fd = -1;
        char *slash = strrchr(dir, '/');
        struct sockaddr_un address;
        int fd;

        if (strlen(path) >= sizeof(address.sun_path) && slash) {
                *slash = '\0';
                dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (dir_fd < 0)
                        return -1;
                through = xasprintf("/proc/self/fd/%d/%s", dir_fd, slash + 1);
        }
        fd = socket_at(through ? through : path, &address);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                closep(&fd);
        return fd;
}

static void drop(SshForward *f, size_t i)
{
        close(f->pairs[i][0]);
        close(f->pairs[i][1]);
        f->n_pairs--;
        memmove(f->pairs + i, f->pairs + i + 1, (f->n_pairs - i) * sizeof(f->pairs[0]));
}

static void take_client(SshForward *f)
{
        static const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_SEC };
        _cleanup_close_ int client = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC), agent = -1;

        if (client < 0 || f->n_pairs == CONNECTIONS_MAX)
                return;
        agent = connect_agent(f->agent);
        if (agent < 0)
                return;
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        setsockopt(agent, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        f->pairs[f->n_pairs][0] = TAKE_FD(client);
        f->pairs[f->n_pairs++][1] = TAKE_FD(agent);
}

/* False when the connection has ended. */
static bool carry(int from, int to)
{
        char data[16384];
        ssize_t n = recv(from, data, sizeof(data), 0), sent = 0;

        if (n < 0 && errno == EINTR)
                return true;
        while (n > 0 && sent < n) {
                ssize_t part = send(to, data + sent, (size_t)(n - sent), MSG_NOSIGNAL);

                if (part < 0 && errno == EINTR)
                        continue;
                if (part < 0)
                        return false;
                sent += part;
        }
        return n > 0;
}

static void *serve(void *user)
{
        SshForward *f = user;

        for (;;) {
                struct pollfd polls[2 + 2 * CONNECTIONS_MAX] = { { .fd = f->stop_fd, .events = POLLIN }, { .fd = f->listen_fd, .events = POLLIN } };
                size_t n = f->n_pairs;

                for (size_t i = 0; i < n; i++)
                        for (int k = 0; k < 2; k++)
                                polls[2 + 2 * i + (size_t)k] = (struct pollfd){ .fd = f->pairs[i][k], .events = POLLIN };
                if (poll(polls, 2 + 2 * n, -1) < 0 && errno != EINTR)
                        break;
                if (polls[0].revents)
                        break;
                for (size_t i = n; i-- > 0;)
                        for (int k = 0; k < 2; k++)
                                if (polls[2 + 2 * i + (size_t)k].revents && !carry(f->pairs[i][k], f->pairs[i][!k])) {
                                        drop(f, i);
                                        break;
                                }
                if (polls[1].revents)
                        take_client(f);
        }
        while (f->n_pairs)
                drop(f, f->n_pairs - 1);
        return NULL;
}

void ssh_forward_free(SshForward *forward)
{
        uint64_t one = 1;

        if (!forward)
                return;
        if (forward->started) {
                while (write(forward->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
                        ;
                pthread_join(forward->thread, NULL);
        }
        if (forward->listen_fd >= 0)
                close(forward->listen_fd);
        if (forward->stop_fd >= 0)
                close(forward->stop_fd);
        if (forward->dir)
                (void)tree_remove(AT_FDCWD, forward->dir);
        free(forward->dir);
        free(forward->path);
        free(forward->agent);
        free(forward);
}

static int listen_in(SshForward *f, uint32_t uid, uint32_t gid, uint32_t mode, Error *err)
{
        _cleanup_close_ int dir_fd = open(f->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *through = xasprintf("/proc/self/fd/%d/" SOCKET_NAME, dir_fd);
        struct sockaddr_un address;

        if (dir_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", f->dir);
        f->listen_fd = socket_at(through, &address);
        if (f->listen_fd < 0 || bind(f->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(f->listen_fd, 16) < 0)
                return error_errno(err, errno, "cannot make a socket for the ssh agent");
        if (owner_set(dir_fd, SOCKET_NAME, uid, gid) < 0 || sys_fchmodat(dir_fd, SOCKET_NAME, mode) < 0)
                return error_errno(err, errno, "cannot give the socket of the ssh agent its owner and mode");
        return 0;
}

int ssh_forward_open(Build *build, const char *agent, uint32_t uid, uint32_t gid, uint32_t mode, SshForward **ret, const char **ret_path, Error *err)
{
        SshForward *f = NEW(SshForward);
        int r;

        f->listen_fd = f->stop_fd = -1;
        f->agent = xstrdup(agent);
        f->dir = build_make_dir(build, "ssh", err);
        if (!f->dir || listen_in(f, uid, gid, mode, err) < 0) {
                ssh_forward_free(f);
                return -1;
        }
        f->path = xasprintf("%s/" SOCKET_NAME, f->dir);
        f->stop_fd = eventfd(0, EFD_CLOEXEC);
        r = f->stop_fd < 0 ? errno : pthread_create(&f->thread, NULL, serve, f);
        if (r != 0) {
                ssh_forward_free(f);
                return error_errno(err, r, "cannot start a thread");
        }
        f->started = true;
        *ret = f;
        *ret_path = f->path;
        return 0;
}
