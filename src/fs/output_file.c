#include "fs/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/place.h"

/* Sets `name` and opens the directory. */
static int open_directory(OutputFile *file, Error *err)
{
        const char *slash = strrchr(file->path, '/');
        _cleanup_free_ char *directory = slash ? xstrndup(file->path, (size_t)(slash - file->path) + 1) : xstrdup(".");

        file->name = slash ? slash + 1 : file->path;
        file->dir_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return file->dir_fd < 0 ? error_errno(err, errno, "cannot write '%s'", file->path) : 0;
}

int output_file_open(OutputFile *file, const char *path, mode_t mode, Error *err)
{
        char temporary[PLACE_NAME_SIZE];
        bool replaces = true;
        struct stat st;

        *file = (OutputFile){ .fd = -1, .dir_fd = -1, .mode = mode };
        if (stat(path, &st) == 0) {
                if (S_ISDIR(st.st_mode))
                        return error_set(err, ERROR_INVALID, "invalid output path: '%s' is a directory", path);
                replaces = S_ISREG(st.st_mode);
        }
        file->path = xstrdup(path);
        if (!replaces) {
                file->fd = sys_openat(AT_FDCWD, path, O_WRONLY, 0);
                return file->fd < 0 ? error_errno(err, errno, "cannot write '%s'", path) : 0;
        }
        if (open_directory(file, err) < 0)
                return -1;
        place_sweep(file->dir_fd);
        file->temporary = xstrdup(place_temporary(temporary));
        file->fd = place_open(file->dir_fd, file->temporary, &file->named, path, err);
        return file->fd < 0 ? -1 : 0;
}

int output_file_finish(OutputFile *file, Error *err)
{
        mode_t mask;

        if (!file->temporary)
                return 0;
        mask = umask(0);
        umask(mask);
        if (sys_fchmod(file->fd, file->mode & ~mask) < 0 || sys_fsync(file->fd) < 0)
                return error_errno(err, errno, "cannot write '%s'", file->path);
        if (place_file(file->fd, file->dir_fd, file->temporary, file->named, file->name, PLACE_OVER_FILES, file->path, err) < 0)
                return -1;
        free(TAKE_PTR(file->temporary));
        return 0;
}

void output_file_done(OutputFile *file)
{
        if (file->temporary && file->named && file->dir_fd >= 0)
                unlinkat(file->dir_fd, file->temporary, 0);
        if (file->fd >= 0)
                close(file->fd);
        if (file->dir_fd >= 0)
                close(file->dir_fd);
        free(file->temporary);
        free(file->path);
        *file = (OutputFile){ .fd = -1, .dir_fd = -1 };
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
