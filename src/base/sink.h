/*
 * A place that bytes flow into: the joint between decoders, hashers, tar readers and writers of files.
 *
 * write() consumes all of `data` or fails with -1 and *err filled; after a failure the sink is not written to again. It never blocks for ever and
 * never keeps a pointer into `data`.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

typedef struct Sink {
        int (*write)(void *user, const void *data, size_t size, Error *err);
        void *user;
} Sink;

static inline int sink_write(const Sink *sink, const void *data, size_t size, Error *err)
{
        return size ? sink->write(sink->user, data, size, err) : 0;
}
