/*
 * Whether a user may execute a file of a root: asked of the kernel, by a child that has become this user, so that access lists and mounts count as they do.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/child.h"
#include "base/sys.h"
#include "fs/path.h"
#include "runtime/private.h"

#define MAY_NOT 1

static _noreturn_ void ask(const RunSpec *spec, int root_fd, const char *path)
{
        int fd;

        /* Raw calls: the others are for all threads. Ids that are not mapped here say nothing. */
        if (syscall(SYS_setgroups, spec->n_groups, spec->groups) < 0 || syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) < 0 ||
            syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) < 0)
                _exit(0);
        fd = inroot_try_open(root_fd, path, O_PATH, 0);
        if (fd < 0)
                _exit(fd == -EACCES ? MAY_NOT : 0);
        _exit(syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0 && errno == EACCES ? MAY_NOT : 0);
}

bool runtime_may_execute(const RunSpec *spec, int root_fd, const char *path)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        int status;
        pid_t pid;

        /* Root may, and so may who has capabilities; the runtime knows better */
        if (spec->uid == 0 || spec->privileged || spec->cap_add.n_items > 0)
                return true;
        pid = sys_fault(SYS_CALL_spawn) < 0 ? -1 : fork();
        if (pid == 0)
                ask(spec, root_fd, path);
        return pid < 0 || child_wait(pid, &status, &ignored) < 0 || status != MAY_NOT;
}
