/*
 * Private to container/: how a monitor and its clients talk over the socket monitor.sock. Frames of a header of FRAME_HEADER_SIZE bytes (type, 0, 0, 0, size of
 * the data big endian) and the data.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "container/private.h"

typedef enum FrameType {
        /* docker's multiplexed stream */
        FRAME_STDIN = 0, /* client to monitor */
        FRAME_STDOUT = 1,
        FRAME_STDERR = 2,
        /* ours; monitor to client */
        FRAME_EXIT = 16, /* 4 bytes big endian: the exit code. The last frame */
        /* ours; client to monitor */
        FRAME_HELLO = 32,     /* 1 byte: bit 0 output wanted, bit 1 has input. First frame; without it a client only waits for the end */
        FRAME_STDIN_END = 33, /* no data */
        FRAME_RESIZE = 34,    /* rows, columns: 2 bytes each, big endian */
        FRAME_SIGNAL = 36,    /* 1 byte: a signal for the container's process */
        FRAME_STOPPING = 35,  /* the user wants it to stay stopped: no restart. Optional byte: STOPPING_KEEP */
} FrameType;

#define FRAME_HEADER_SIZE 8
#define FRAME_SIZE_MAX 65536
#define HELLO_OUTPUT 1
#define HELLO_INPUT 2
#define STOPPING_KEEP 1 /* it is not removed at its end: the sender is going to start it again */

/* Fills in the FRAME_HEADER_SIZE bytes in front of `size` bytes of data. */
void frame_header(uint8_t *header, FrameType type, size_t size);
int frame_send(int fd, FrameType type, const void *data, size_t size); /* blocking; 0 or -errno */

/* Connects to the monitor. The descriptor, or -1 with CONFLICT when there is none. */
int monitor_connect(const Container *container, Error *err);
/* Waits for FRAME_EXIT, at most timeout_ms (-1: for ever). 1 when it came (*ret_status), 0 at the timeout. */
int monitor_wait(int fd, int64_t timeout_ms, int *ret_status, Error *err);
