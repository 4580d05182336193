/*
 * Executing the runtime's program.
 *
 * A container's process must not be able to write to the runtime's file through /proc/self/exe (CVE-2019-5736). So crun starts by executing itself a second
 * time, from a read-only mount of its own file. Given such a mount by us it sees that there is nothing to do, which spares a start of the program and the
 * binding of its eleven libraries: a fifth of what it does for a small container.
 */
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "runtime/private.h"

/* The program's file on a read-only mount that has no place in the tree and goes when the descriptor does, or -1. */
static int open_unwritable(const char *path)
{
        struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
        int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

        if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

void runtime_program_exec(const Runtime *runtime, char *const *argv)
{
        int fd = runtime->driver->takes_mount ? open_unwritable(runtime->program) : -1;

        if (fd >= 0) {
                execveat(fd, "", argv, environ, AT_EMPTY_PATH);
                close(fd); /* a script, or one of the calls is forbidden here: the ordinary way, the runtime helps itself */
        }
        execv(runtime->program, argv);
}
