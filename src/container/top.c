/* top: ps of the host, for the processes of one container. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/child.h"
#include "base/mem.h"
#include "container/private.h"

static int stat_namespace(long pid, struct stat *ret)
{
        _cleanup_free_ char *path = xasprintf("/proc/%ld/ns/pid", pid);

        return stat(path, ret);
}

/* Without cgroups: who is in the container's process namespace. */
static int find_in_namespace(pid_t first, pid_t **ret, size_t *ret_n, Error *err)
{
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        struct stat wanted, st;
        size_t capacity = 0;

        *ret = NULL;
        *ret_n = 0;
        if (!proc || stat_namespace(first, &wanted) < 0) {
                error_errno(err, errno, "cannot look at process %d", first);
                if (proc)
                        closedir(proc);
                return -1;
        }
        while ((entry = readdir(proc))) {
                long pid = strtol(entry->d_name, NULL, 10);

                if (pid <= 0 || stat_namespace(pid, &st) < 0 || st.st_ino != wanted.st_ino || st.st_dev != wanted.st_dev)
                        continue;
                GROW(*ret, capacity, *ret_n + 1);
                (*ret)[(*ret_n)++] = (pid_t)pid;
        }
        closedir(proc);
        return 0;
}

static int find_processes(const Container *container, pid_t **ret, size_t *ret_n, Error *err)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        RuntimeOptions options = { .name = container->data.host.runtime };

        if (runtime_open(&options, &runtime, err) < 0)
                return -1;
        if (runtime_pids(runtime, container->id, container->data.host.cgroup_parent, ret, ret_n, err) == 0)
                return 0;
        if (err->code != ERROR_UNSUPPORTED || streq_ptr(container->data.host.pid_mode, "host"))
                return -1;
        error_done(err);
        return find_in_namespace((pid_t)container->state.pid, ret, ret_n, err);
}

/* The number in the column whose header is PID. */
static long pid_of_line(const char *line, size_t column)
{
        for (size_t i = 0;; i++) {
                line += strspn(line, " \t");
                if (i == column)
                        return strtol(line, NULL, 10);
                line += strcspn(line, " \t\n");
                if (*line == '\0' || *line == '\n')
                        return -1;
        }
}

static int find_pid_column(const char *header)
{
        int column = 0;

        for (const char *p = header + strspn(header, " \t"); *p && *p != '\n'; column++) {
                size_t n = strcspn(p, " \t\n");

                if (n == 3 && strncmp(p, "PID", 3) == 0)
                        return column;
                p += n;
                p += strspn(p, " \t");
        }
        return -1;
}

int container_top(Store *store, const char *name, const char *ps_args, Buf *out, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_buf_ Buf text = BUF_INIT((size_t)16 << 20);
        _cleanup_strlist_ StrList argv = { 0 }, lines = { 0 };
        _cleanup_free_ pid_t *pids = NULL;
        size_t n_pids;
        int column;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (!container_is_active(container))
                return error_set(err, ERROR_CONFLICT, "container %s is not running", container->id);
        if (find_processes(container, &pids, &n_pids, err) < 0)
                return -1;
        strlist_add(&argv, "ps");
        strlist_split(&argv, str_empty(ps_args) ? "-ef" : ps_args, ' ');
        if (child_run(strlist_argv(&argv), &text, err) < 0)
                return err->code == ERROR_EXIT && !str_empty(ps_args) ? error_set(err, ERROR_INVALID, "cannot list processes: ps does not take '%s'", ps_args)
                                                                      : error_wrap(err, "cannot list processes");
        strlist_split(&lines, buf_str(&text), '\n');
        column = lines.n_items > 0 ? find_pid_column(lines.items[0]) : -1;
        if (column < 0)
                return error_set(err, ERROR_INVALID, "Couldn't find PID field in ps output");
        buf_putf(out, "%s\n", lines.items[0]);
        for (size_t i = 1; i < lines.n_items; i++) {
                long pid = pid_of_line(lines.items[i], (size_t)column);

                for (size_t k = 0; k < n_pids; k++)
                        if (pids[k] == pid)
                                buf_putf(out, "%s\n", lines.items[i]);
        }
        return 0;
}
