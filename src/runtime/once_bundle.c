/*
 * The directory of a run (once.h), <state_dir>/once/<id>: made, removed, and swept after an owner that was killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "runtime/once.h"

/*
 * The lock of a killed owner is free a moment before its warden has finished dying with all of its namespace; a runtime that still lives would make a cgroup
 * again that was just removed. A warden that is gone or a zombie has nobody left.
 */
static void await_warden(int bundle_fd)
{
        _cleanup_buf_ Buf text = BUF_INIT(64);
        uint32_t pid;

        if (file_read(bundle_fd, "warden", &text) < 0 || str_to_u32(buf_str(&text), &pid) < 0)
                return;
        for (int i = 0; i < 400; i++) { /* 2 s: it is being killed already; the number may belong to somebody else by now */
                _cleanup_free_ char *path = xasprintf("/proc/%u/stat", pid);
                _cleanup_buf_ Buf stat = BUF_INIT(4096);
                const char *end;

                if (file_read(AT_FDCWD, path, &stat) < 0)
                        return;
                end = strrchr(buf_str(&stat), ')');
                if (!end || str_starts(end, ") Z") || str_starts(end, ") X"))
                        return;
                nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        }
}

/* Takes away everything of one run. The bundle's directory goes last, and stays when something else could not go: it is what tells the next sweeper. */
static int remove_traces(Runtime *runtime, const char *parent, const char *cgroup_parent, const char *id, Error *err)
{
        _cleanup_free_ char *directory = xasprintf("%s/%s", parent, id);
        int r;

        if (runtime_remove(runtime, id, cgroup_parent, err) < 0)
                return -1;
        r = tree_remove(AT_FDCWD, directory);
        return r < 0 ? error_errno(err, r, "cannot remove '%s'", directory) : 0;
}

/* The cgroup's parent, which the owner has written down when it is not the top. New string, or NULL. */
static char *read_cgroup_parent(int bundle_fd)
{
        _cleanup_buf_ Buf text = BUF_INIT(4096);

        return file_read(bundle_fd, "cgroup-parent", &text) < 0 ? NULL : xstrdup(buf_str(&text));
}

/*
 * Removes what owners that are gone have left. An owner holds the lock of its directory; while it makes the directory and has no lock yet, it holds the
 * parent's, shared, which keeps sweepers out.
 */
static void sweep(Runtime *runtime, const char *parent)
{
        struct dirent *entry;
        DIR *dir = opendir(parent);

        if (dir && flock(dirfd(dir), LOCK_EX | LOCK_NB) < 0) {
                closedir(dir);
                return;
        }
        while (dir && (entry = readdir(dir))) {
                _cleanup_close_ int fd = -1;
                _cleanup_free_ char *cgroup_parent = NULL;
                _cleanup_error_ Error failure = ERROR_INIT;

                if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
                        continue;
                fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                        continue;
                log_debug("removing what a killed process left of '%s'", entry->d_name);
                await_warden(fd);
                cgroup_parent = read_cgroup_parent(fd);
                if (remove_traces(runtime, parent, cgroup_parent, entry->d_name, &failure) < 0)
                        log_debug("%s", error_message(&failure));
        }
        if (dir)
                closedir(dir);
}

int once_make_bundle(Once *once, const RunSpec *spec, Error *err)
{
        static atomic_flag swept = ATOMIC_FLAG_INIT;
        _cleanup_free_ char *parent = xasprintf("%s/once", once->runtime->state_dir);
        _cleanup_close_ int parent_fd = -1;
        char id[RANDOM_ID_SIZE];
        int r;

        if (!atomic_flag_test_and_set(&swept))
                sweep(once->runtime, parent);
        r = dir_make(AT_FDCWD, parent, 0700);
        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", parent);
        parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent_fd < 0 || flock(parent_fd, LOCK_SH) < 0)
                return error_errno(err, errno, "cannot lock '%s'", parent);
        once->id = xstrdup(random_id(id));
        once->id[24] = '\0';
        once->dir = xasprintf("%s/%s", parent, once->id);
        once->log_path = xasprintf("%s/log", once->dir);
        once->pid_path = xasprintf("%s/pid", once->dir);
        once->bundle = xasprintf("%s/bundle", once->dir);
        once->config_path = xasprintf("%s/config.json", once->bundle);
        once->state_path = xasprintf("%s/state", once->bundle);
        if (runtime_config(once->runtime, spec, once->id, &once->config, err) < 0)
                return -1;
        if (sys_mkdirat(AT_FDCWD, once->dir, 0700) < 0)
                return error_errno(err, errno, "cannot make '%s'", once->dir);
        once->dir_fd = open(once->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (once->dir_fd < 0 || flock(once->dir_fd, LOCK_EX | LOCK_NB) < 0)
                return error_errno(err, errno, "cannot lock '%s'", once->dir);
        if (sys_mkdirat(once->dir_fd, "bundle", 0700) < 0)
                return error_errno(err, errno, "cannot make '%s'", once->bundle);
        r = !spec->cgroup_parent ? 0 : file_write_atomic(once->dir_fd, "cgroup-parent", spec->cgroup_parent, strlen(spec->cgroup_parent), 0600, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/cgroup-parent'", once->dir) : 0;
}

void once_remove_bundle(Once *once, const RunSpec *spec)
{
        _cleanup_free_ char *parent = xasprintf("%s/once", once->runtime->state_dir);
        _cleanup_error_ Error failure = ERROR_INIT;

        if (once->dir && remove_traces(once->runtime, parent, spec->cgroup_parent, once->id, &failure) < 0)
                log_warning("%s; the next build tries again", error_message(&failure));
}
