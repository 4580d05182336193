/*
 * Writing large files past the page cache (O_DIRECT), with the page cache as the fallback.
 *
 * What is taken in or copied by the gigabyte has to be on the disk before it counts and is seldom read as a whole soon. Through the page cache it costs a new
 * page for every 4 KiB: most of the processor time of such a copy, above all in a virtual machine, where the first touch of a page may go to the host; and
 * other files fall out of memory for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Memory and sizes of what can go past the cache are multiples of this: the block size of every disk that is usual. What is not goes through the cache. */
#define DIRECT_ALIGN 4096

/*
 * The first part of a file goes through the cache all the same: that is all of most layers, and programs and their libraries are read by the container that
 * comes next.
 */
#define DIRECT_AFTER ((uint64_t)64 << 20)

/* One file being written from its start to its end, at the descriptor's position; stays the caller's. Plain data, not for several threads at once. */
typedef struct DirectOut {
        int fd;
        uint64_t size; /* bytes written so far, and those stepped over */
        bool wanted;   /* false: everything through the cache */
        bool on;       /* the descriptor has O_DIRECT */
} DirectOut;

/* Writes all parts (1..IOV_MAX), which are changed. Data written with O_DIRECT is as durable as other: not before a sync. 0 or -errno. */
int direct_out_write(DirectOut *out, struct iovec *parts, size_t n_parts);
/* Leaves a hole. 0 or -errno. */
int direct_out_skip(DirectOut *out, uint64_t size);
/* The descriptor is an ordinary one again. */
void direct_out_end(DirectOut *out);

/* A buffer of `size` bytes (a multiple of DIRECT_ALIGN) that suits; free() it. */
void *direct_buffer_new(size_t size) __attribute__((malloc, returns_nonnull));

/*
 * Copies the first `size` bytes of `in` to `out`, an empty file: shares the blocks where the file system can, else past the cache what is large. 0; -EIO when
 * `in` is shorter; -errno.
 */
int direct_copy(int in, int out, uint64_t size);
