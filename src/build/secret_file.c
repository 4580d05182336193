/* Small files that a RUN sees and no disk does. */
#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/secret.h"
#include "fs/mount.h"
#include "fs/owner.h"

static int make_secret_dir(Build *build, Error *err)
{
        _cleanup_free_ char *dir = build_make_dir(build, "secrets", err);
        _cleanup_close_ int mount = -1;

        if (!dir)
                return -1;
        mount = mount_tmpfs("mode=0700,size=64m", err);
        if (mount < 0 || mount_attach(mount, AT_FDCWD, dir, err) < 0)
                return -1;
        build->secret_dir = TAKE_PTR(dir);
        return 0;
}

char *build_secret_file(Build *build, const char *kind, const void *data, size_t size, uint32_t mode, uint32_t uid, uint32_t gid, Error *err)
{
        static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER; /* not build->lock, which making a directory takes */
        _cleanup_free_ char *path = NULL;
        _cleanup_close_ int fd = -1;
        int r;
        unsigned n;

        pthread_mutex_lock(&making);
        r = build->secret_dir ? 0 : make_secret_dir(build, err);
        pthread_mutex_unlock(&making);
        if (r < 0)
                return NULL;
        pthread_mutex_lock(&build->lock);
        n = ++build->n_dirs;
        pthread_mutex_unlock(&build->lock);
        path = xasprintf("%s/%s-%u", build->secret_dir, kind, n);
        fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        r = fd < 0 ? -errno : fd_write_all(fd, data, size);
        if (r == 0 && (owner_set(fd, "", uid, gid) < 0 || sys_fchmod(fd, mode) < 0))
                r = -errno;
        if (r < 0) {
                error_errno(err, r, "cannot write a temporary file for a RUN");
                return NULL;
        }
        return TAKE_PTR(path);
}
