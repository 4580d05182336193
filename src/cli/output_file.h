/*
 * A file that appears under its name when it is complete: what save -o and export -o write.
 */
#pragma once

#include "base/error.h"
#include "base/sink.h"

typedef struct OutputFile {
        int fd;
        char *path, *temporary; /* temporary NULL: written in place, because it is no regular file */
} OutputFile;

int output_file_open(OutputFile *file, const char *path, Error *err);
int output_file_finish(OutputFile *file, Error *err);
void output_file_done(OutputFile *file); /* without finish: nothing is left */

/* A Sink that writes to *fd. */
Sink output_fd_sink(int *fd);
