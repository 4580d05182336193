#include "cli/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

int output_file_open(OutputFile *file, const char *path, Error *err)
{
        struct stat st;

        *file = (OutputFile){ .fd = -1 };
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                return error_set(err, ERROR_INVALID, "invalid output path: '%s' is a directory", path);
        file->path = xstrdup(path);
        if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
                file->temporary = xasprintf("%s.%ld.tmp", path, (long)getpid());
        file->fd = sys_openat(AT_FDCWD, file->temporary ? file->temporary : path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        return file->fd < 0 ? error_errno(err, errno, "cannot write '%s'", path) : 0;
}

int output_file_finish(OutputFile *file, Error *err)
{
        if (!file->temporary)
                return 0;
        if (sys_fsync(file->fd) < 0 || sys_renameat(AT_FDCWD, file->temporary, AT_FDCWD, file->path) < 0)
                return error_errno(err, errno, "cannot write '%s'", file->path);
        free(TAKE_PTR(file->temporary));
        return 0;
}

void output_file_done(OutputFile *file)
{
        if (file->temporary)
                unlink(file->temporary);
        if (file->fd >= 0)
                close(file->fd);
        free(file->temporary);
        free(file->path);
}

static int write_fd(void *user, const void *data, size_t size, Error *err)
{
        int r = fd_write_all(*(int *)user, data, size);

        return r < 0 ? error_errno(err, r, "cannot write the archive") : 0;
}

Sink output_fd_sink(int *fd)
{
        return (Sink){ write_fd, fd };
}
