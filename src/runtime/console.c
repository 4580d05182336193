/* The master side of a container's terminal, which the runtime sends over a socket. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/mem.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "runtime/private.h"

int console_listen(const char *directory, char **ret_path, Error *err)
{
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_free_ char *path = NULL;
        char name[13];

        path = xasprintf("%s/tty-%s", directory, random_hex(name, 12));
        if (fd < 0)
                return error_errno(err, errno, "cannot make a socket");
        if (strlen(path) >= sizeof(address.sun_path))
                return error_set(err, ERROR_LIMIT, "the path '%s' is too long for a socket", path);
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
                return error_errno(err, errno, "cannot listen on '%s'", path);
        *ret_path = TAKE_PTR(path);
        return TAKE_FD(fd);
}

int console_receive(int listen_fd, Error *err)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        char name[256];
        struct iovec part = { .iov_base = name, .iov_len = sizeof(name) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        _cleanup_close_ int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        struct cmsghdr *header;
        int terminal = -1;

        if (fd < 0)
                return error_errno(err, errno, "the runtime did not open a terminal");
        if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
                return error_errno(err, errno, "cannot receive the terminal");
        header = CMSG_FIRSTHDR(&message);
        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return error_set(err, ERROR_IO, "the runtime sent no terminal");
        memcpy(&terminal, CMSG_DATA(header), sizeof(terminal));
        return terminal;
}
