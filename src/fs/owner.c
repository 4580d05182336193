#include "fs/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "fs/userns.h"

#define NOTE "user.mica.owner"
#define NOTE_SIZE 32 /* two numbers of ten digits */

/* A path of the file without following it when it is a symbolic link. New string. */
static char *path_of(int dir_fd, const char *name)
{
        char proc[FD_PROC_PATH_SIZE];

        if (dir_fd == AT_FDCWD)
                return xstrdup(name);
        return xasprintf("%s%s%s", fd_proc_path(dir_fd, proc), *name ? "/" : "", name);
}

static int set_note(int dir_fd, const char *name, uint32_t uid, uint32_t gid)
{
        _cleanup_free_ char *path = path_of(dir_fd, name);
        char text[NOTE_SIZE];
        int r;

        snprintf(text, sizeof(text), "%u:%u", uid, gid);
        if (sys_fault(SYS_CALL_setxattr) < 0)
                return -errno;
        r = *name ? lsetxattr(path, NOTE, text, strlen(text), 0) : setxattr(path, NOTE, text, strlen(text), 0);
        if (r == 0)
                return 0;
        if (errno != EPERM && errno != EOPNOTSUPP) /* links and the like, file systems without attributes */
                return -errno;
        log_debug("'%s' belongs to 0 instead of %u:%u: %s", name, uid, gid, strerror(errno));
        return 0;
}

int owner_set(int dir_fd, const char *name, uint32_t uid, uint32_t gid)
{
        bool has_uid = uid == UINT32_MAX || !userns_inside() || userns_has_uid(uid), has_gid = gid == UINT32_MAX || !userns_inside() || userns_has_gid(gid);

        if (sys_fchownat(dir_fd, name, has_uid ? uid : 0, has_gid ? gid : 0, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) < 0)
                return -errno;
        return has_uid && has_gid ? 0 : set_note(dir_fd, name, uid, gid);
}

void owner_read(int dir_fd, const char *name, struct stat *st)
{
        _cleanup_free_ char *path = NULL;
        char text[NOTE_SIZE];
        uint32_t uid, gid;
        ssize_t n;

        if (!userns_inside() || (st->st_uid != 0 && st->st_gid != 0) || (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
                return;
        path = path_of(dir_fd, name);
        n = *name ? lgetxattr(path, NOTE, text, sizeof(text) - 1) : getxattr(path, NOTE, text, sizeof(text) - 1);
        if (n <= 0)
                return;
        text[n] = '\0';
        if (sscanf(text, "%u:%u", &uid, &gid) != 2)
                return;
        if (st->st_uid == 0 && !userns_has_uid(uid))
                st->st_uid = uid;
        if (st->st_gid == 0 && !userns_has_gid(gid))
                st->st_gid = gid;
}

bool owner_is_note(const char *attribute)
{
        return userns_inside() && streq(attribute, NOTE);
}
