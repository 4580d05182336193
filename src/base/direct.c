#include "base/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

/* A disk wants some megabytes at a time. */
#define COPY_SIZE ((size_t)4 << 20)

void *direct_buffer_new(size_t size)
{
        void *buffer = aligned_alloc(DIRECT_ALIGN, size);

        if (!buffer)
                abort();
        return buffer;
}

/* Turns O_DIRECT on or off. A file system that has no such thing is not asked again. */
static void turn(DirectOut *out, bool on)
{
        int flags;

        if (out->on == on)
                return;
        flags = fcntl(out->fd, F_GETFL);
        if (flags < 0 || fcntl(out->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) < 0)
                out->wanted = false;
        else
                out->on = on;
}

static bool is_aligned(const DirectOut *out, const struct iovec *parts, size_t n_parts)
{
        bool aligned = out->size % DIRECT_ALIGN == 0;

        for (size_t i = 0; i < n_parts; i++)
                aligned &= parts[i].iov_len % DIRECT_ALIGN == 0 && (uintptr_t)parts[i].iov_base % DIRECT_ALIGN == 0;
        return aligned;
}

/* Takes what was written off the parts. */
static void advance(struct iovec **parts, size_t *n_parts, size_t n)
{
        while (*n_parts && n >= (*parts)->iov_len) {
                n -= (*parts)->iov_len;
                ++*parts;
                --*n_parts;
        }
        if (n) {
                (*parts)->iov_base = (char *)(*parts)->iov_base + n;
                (*parts)->iov_len -= n;
        }
}

int direct_out_write(DirectOut *out, struct iovec *parts, size_t n_parts)
{
        while (n_parts) {
                ssize_t n;

                turn(out, out->wanted && out->size >= DIRECT_AFTER && is_aligned(out, parts, n_parts));
                n = sys_writev(out->fd, parts, n_parts);
                if (n < 0 && errno == EINVAL && out->on) {
                        /* Blocks of the disk are larger than DIRECT_ALIGN, or the file system only takes the flag. */
                        out->wanted = false;
                        continue;
                }
                if (n < 0)
                        return -errno;
                out->size += (uint64_t)n;
                advance(&parts, &n_parts, (size_t)n);
        }
        return 0;
}

int direct_out_skip(DirectOut *out, uint64_t size)
{
        if (lseek(out->fd, (off_t)size, SEEK_CUR) < 0)
                return -errno;
        out->size += size;
        return 0;
}

void direct_out_end(DirectOut *out)
{
        turn(out, false);
}

static int copy_by_hand(int in, int out, uint64_t size)
{
        _cleanup_free_ void *buffer = direct_buffer_new(COPY_SIZE);
        DirectOut to = { .fd = out, .wanted = true };

        while (to.size < size) {
                ssize_t n = fd_pread_full(in, buffer, (size_t)MIN(size - to.size, (uint64_t)COPY_SIZE), to.size);
                int r = n > 0 ? direct_out_write(&to, &(struct iovec){ buffer, (size_t)n }, 1) : n < 0 ? (int)n : -EIO;

                if (r < 0)
                        return r;
        }
        direct_out_end(&to);
        return 0;
}

int direct_copy(int in, int out, uint64_t size)
{
        if (size <= DIRECT_AFTER)
                return fd_copy(in, 0, out, size);
        return sys_clone_range(in, out, size) == 0 ? 0 : copy_by_hand(in, out, size);
}
