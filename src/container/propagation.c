/*
 * Binds that are shared with the host, or follow it (-v …:shared, :slave and their recursive forms).
 *
 * The monitor lives in a mount namespace where nothing propagates to or from the outside. A clone of such a source is taken before the monitor goes there: it
 * stays in the peer group of the host's mount whatever becomes of the rest, and lies over the source in the monitor's namespace, where the runtime binds it
 * from.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/private.h"
#include "fs/mount.h"

/* A host with many containers has some thousand mounts of 200 bytes. */
#define MOUNTINFO_SIZE_MAX ((size_t)64 << 20)

/* proc(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw". The optional fields of the mount with this number, " master:1"; new string. */
static char *read_propagation(uint64_t mount_id, char **ret_where)
{
        _cleanup_buf_ Buf text = BUF_INIT(MOUNTINFO_SIZE_MAX);

        if (file_read(AT_FDCWD, "/proc/self/mountinfo", &text) < 0)
                return NULL;
        for (char *line = text.data, *next; line && *line; line = next) {
                size_t size = strcspn(line, "\n");
                unsigned long long id;
                int where_start, where_end, options_end;
                char *end;

                next = line + size + (line[size] == '\n');
                line[size] = '\0';
                if (sscanf(line, "%llu %*u %*s %*s %n%*s%n %*s%n", &id, &where_start, &where_end, &options_end) < 1 || id != mount_id)
                        continue;
                end = strstr(line + options_end, " - ");
                *ret_where = xstrndup(line + where_start, (size_t)(where_end - where_start));
                return xstrndup(line + options_end, end ? (size_t)(end - line) - (size_t)options_end : 0);
        }
        return NULL;
}

static bool is_shared(const char *propagation)
{
        return streq(propagation, "shared") || streq(propagation, "rshared");
}

static bool is_slave(const char *propagation)
{
        return streq(propagation, "slave") || streq(propagation, "rslave");
}

/* As docker: what the host does not share cannot be shared with it. */
static int check_source(const MountPoint *mount, Error *err)
{
        _cleanup_free_ char *fields = NULL, *where = NULL;
        struct statx st;

        if (statx(AT_FDCWD, mount->source, 0, STATX_MNT_ID, &st) < 0)
                return error_errno(err, errno, "cannot look at the source '%s' of a bind mount", mount->source);
        fields = read_propagation(st.stx_mnt_id, &where);
        if (!fields)
                return error_set(err, ERROR_IO, "cannot find the mount of '%s' in /proc/self/mountinfo", mount->source);
        if (strstr(fields, " shared:") || (is_slave(mount->propagation) && strstr(fields, " master:")))
                return 0;
        return error_set(err, ERROR_INVALID, "path %s is mounted on %s but it is not a %s mount ('mount --make-shared %s' makes it one)", mount->source, where,
                         is_shared(mount->propagation) ? "shared" : "shared or slave", where);
}

int container_share_mounts(const ContainerData *data, int *fds, Error *err)
{
        for (size_t i = 0; i < data->mounts.n_items; i++)
                fds[i] = -1;
        for (size_t i = 0; i < data->mounts.n_items; i++) {
                const MountPoint *mount = &data->mounts.items[i];

                if (!streq(mount->type, "bind") || (!is_shared(mount->propagation) && !is_slave(mount->propagation)))
                        continue;
                if (check_source(mount, err) < 0)
                        return -1;
                fds[i] = mount_clone(AT_FDCWD, mount->source, !mount->non_recursive, err);
                if (fds[i] < 0)
                        return -1;
        }
        return 0;
}

int container_attach_shares(const ContainerData *data, int *fds, Error *err)
{
        for (size_t i = 0; i < data->mounts.n_items; i++) {
                if (fds[i] < 0)
                        continue;
                if (mount_attach(fds[i], AT_FDCWD, data->mounts.items[i].source, err) < 0)
                        return -1;
                close(fds[i]);
                fds[i] = -1;
        }
        return 0;
}
