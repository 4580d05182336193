#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/protocol.h"

void frame_header(uint8_t *header, FrameType type, size_t size)
{
        header[0] = (uint8_t)type;
        header[1] = header[2] = header[3] = 0;
        for (int i = 0; i < 4; i++)
                header[4 + i] = (uint8_t)(size >> (24 - 8 * i));
}

int frame_send(int fd, FrameType type, const void *data, size_t size)
{
        uint8_t frame[FRAME_HEADER_SIZE + 64];
        const uint8_t *p = frame;
        size_t left = FRAME_HEADER_SIZE;

        frame_header(frame, type, size);
        if (size <= 64) {
                if (size > 0)
                        memcpy(frame + FRAME_HEADER_SIZE, data, size);
                left += size;
                size = 0;
        }
        for (;;) {
                while (left > 0) {
                        ssize_t n = send(fd, p, left, MSG_NOSIGNAL);

                        if (n < 0 && errno == EINTR)
                                continue;
                        if (n < 0)
                                return -errno;
                        p += n;
                        left -= (size_t)n;
                }
                if (size == 0)
                        return 0;
                p = data;
                left = size;
                size = 0;
        }
}

int monitor_connect(const Container *container, Error *err)
{
        _cleanup_close_ int dir = open(container->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char proc[FD_PROC_PATH_SIZE];

        if (dir < 0 || fd < 0)
                return error_errno(err, errno, "cannot reach the monitor of container '%s'", container->name);
        /* The directory may be deeper than a socket's address is long */
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/monitor.sock", fd_proc_path(dir, proc));
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_set(err, ERROR_CONFLICT, "container %s is not running", container->name);
        return TAKE_FD(fd);
}

int monitor_wait(int fd, int64_t timeout_ms, int *ret_status, Error *err)
{
        int64_t deadline = timeout_ms < 0 ? INT64_MAX : clock_monotonic_ns() + timeout_ms * NSEC_PER_MSEC;

        for (;;) {
                struct pollfd ready = { .fd = fd, .events = POLLIN };
                int64_t left = deadline == INT64_MAX ? -1 : MAX((deadline - clock_monotonic_ns() + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC, (int64_t)0);
                uint8_t frame[FRAME_HEADER_SIZE + 4];
                int n = poll(&ready, 1, (int)MIN(left, (int64_t)INT32_MAX));

                if (n < 0 && errno != EINTR)
                        return error_errno(err, errno, "cannot wait for a container");
                if (n == 0 && left >= 0)
                        return 0;
                if (n <= 0)
                        continue;
                if (fd_read_full(fd, frame, sizeof(frame)) != (ssize_t)sizeof(frame) || frame[0] != FRAME_EXIT)
                        return error_set(err, ERROR_IO, "the monitor of the container ended before the container did");
                if (ret_status)
                        *ret_status = frame[FRAME_HEADER_SIZE + 3];
                return 1;
        }
}
