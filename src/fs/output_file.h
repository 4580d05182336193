/*
 * A file that appears under its name when it is complete: what save -o, export -o and build -o write.
 *
 * Until then it has no name where the file system can do that (O_TMPFILE), so that not even kill -9 leaves anything; elsewhere, and for a moment when it
 * replaces something, it has a temporary name beside it, which the next output into that directory removes (fs/place.h). What exists and is no regular file (a
 * fifo, /dev/stdout) is written in place.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/sink.h"

typedef struct OutputFile {
        int fd, dir_fd;   /* the directory that it appears in: what enters another mount namespace meanwhile still finds it */
        char *path;       /* as given, for messages */
        const char *name; /* in the directory; points into path */
        char *temporary;  /* the name that it has meanwhile, or has for a moment when it replaces something */
        mode_t mode;      /* what it gets when it is complete, less the umask */
        bool named;       /* it has the temporary name */
} OutputFile;

/* Errors: INVALID (a directory). Then write to file->fd. */
int output_file_open(OutputFile *file, const char *path, mode_t mode, Error *err);
/* Synced, with its mode, under its name: over a regular file, or nothing. */
int output_file_finish(OutputFile *file, Error *err);
void output_file_done(OutputFile *file); /* without finish: nothing is left */

/* A Sink that writes to *fd. */
Sink output_fd_sink(int *fd);
