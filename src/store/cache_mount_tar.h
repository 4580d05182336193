/*
 * A directory of RUN --mount=type=cache as a tar, with everything that a build could depend on: owners, modes, times to the nanosecond, hard links, extended
 * attributes. Sockets are left out. Reading such a tar is store/untar.h.
 */
#pragma once

#include "base/error.h"
#include "base/sink.h"
#include "crypto/digest.h"

/* Entries for everything below the directory, not for itself, in the order of their names. The directory must not change meanwhile: hold its lock. */
int cache_mount_write_tar(int dir_fd, const Sink *sink, Error *err);

/*
 * A digest over names, inodes, sizes, modes and times of everything in it: while it is the same on the same machine, so is the tar. Reads no content.
 */
int cache_mount_stamp(int dir_fd, Digest *ret, Error *err);
