/* A new volume begins with what the image has at its place, as with docker. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "container/private.h"
#include "fs/owner.h"
#include "fs/path.h"
#include "store/untar.h"

int container_fill_volume(int root_fd, const MountPoint *mount, Error *err)
{
        _cleanup_close_ int volume = -1, source = -1;
        _cleanup_(untar_freep) Untar *untar = NULL;
        struct stat st;
        Sink sink;

        if (strcmp(mount->type, "volume") != 0 || mount->no_copy)
                return 0;
        source = inroot_try_open(root_fd, mount->destination, O_RDONLY | O_DIRECTORY, 0);
        if (source < 0)
                return 0; /* the image has nothing there */
        volume = open(mount->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (volume < 0)
                return error_errno(err, errno, "cannot open volume '%s'", mount->name);
        if (!dir_is_empty(volume, "."))
                return 0;
        untar = untar_new(volume, "", NULL, true);
        sink = untar_sink(untar);
        if (fstat(source, &st) < 0 || tar_tree(source, ".", "", &sink, err) < 0 || untar_finish(untar, err) < 0)
                return error_wrap(err, "cannot fill volume '%s'", mount->name);
        owner_read(source, "", &st);
        if (owner_set(volume, "", st.st_uid, st.st_gid) < 0 || sys_fchmod(volume, st.st_mode & 07777) < 0)
                return error_errno(err, errno, "cannot give volume '%s' the owner of '%s'", mount->name, mount->destination);
        return 0;
}
