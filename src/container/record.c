/* A container between its row in the store and memory; and what to do when its monitor was killed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "container/private.h"

/* What a monitor may need to leave after it has recorded the end, on a busy machine. */
#define LOCK_PATIENCE (10 * NSEC_PER_SEC)

void container_free(Container *container)
{
        if (!container)
                return;
        free(container->name);
        free(container->dir);
        json_object_done(container_data_fields, &container->data);
        container_state_done(&container->state);
        free(container);
}

char *container_file(const Container *container, const char *name)
{
        return xasprintf("%s/%s", container->dir, name);
}

void container_set_status(Container *container, const char *status)
{
        free(container->state.status);
        container->state.status = xstrdup(status);
}

bool container_state_is(const ContainerState *state, const char *status)
{
        return streq(state->status, status);
}

bool container_is_active(const Container *container)
{
        return streq(container->state.status, "running") || streq(container->state.status, "paused") || streq(container->state.status, "restarting");
}

int container_from_record(Store *store, const ContainerRecord *record, Container **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NEW(Container);

        memcpy(container->id, record->id, sizeof(container->id));
        container->name = xstrdup(record->name);
        container->image = record->image;
        container->created = record->created;
        container->transient = record->transient;
        container->dir = xasprintf("%s/containers/%s", store_root(store), record->id);
        if (json_object_read(record->config, strlen(record->config), NULL, container_data_fields, &container->data, sizeof(container->data), err) < 0 ||
            json_object_read(record->state, strlen(record->state), NULL, container_state_fields, &container->state, sizeof(container->state), err) < 0)
                return error_wrap(err, "the record of container '%s' is damaged", record->name);
        *ret = TAKE_PTR(container);
        return 0;
}

int container_save_state(Store *store, const Container *container, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(1 << 20);

        if (json_object_text(container_state_fields, &container->state, JSON_WRITE_NO_HTML, &text, err) < 0)
                return -1;
        return container_record_set_state(store, container->id, buf_str(&text), err);
}

int64_t process_start_time(pid_t pid)
{
        _cleanup_free_ char *path = xasprintf("/proc/%d/stat", pid);
        _cleanup_buf_ Buf text = BUF_INIT(4096);
        const char *p;

        if (pid <= 0 || file_read(AT_FDCWD, path, &text) < 0)
                return 0;
        p = strrchr(buf_str(&text), ')'); /* the name before may contain anything; field 3 follows */
        for (int field = 2; p && field < 22; field++) {
                p = strchr(p, ' ');
                if (p)
                        p++;
        }
        return p ? strtoll(p, NULL, 10) : 0;
}

int container_lock(const Container *container, Error *err)
{
        _cleanup_free_ char *path = container_file(container, "lock");
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return errno == ENOENT ? error_set(err, ERROR_NOT_FOUND, "the directory of container '%s' is missing", container->name)
                                       : error_errno(err, errno, "cannot open '%s'", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? CONTAINER_LOCKED : error_errno(err, errno, "cannot lock '%s'", path);
        return TAKE_FD(fd);
}

int container_lock_patiently(const Container *container, Error *err)
{
        const int64_t deadline = clock_monotonic_ns() + LOCK_PATIENCE;

        for (int64_t pause = NSEC_PER_MSEC;; pause = MIN(pause * 2, 10 * NSEC_PER_MSEC)) {
                int fd = container_lock(container, err);

                if (fd != CONTAINER_LOCKED)
                        return fd;
                if (clock_monotonic_ns() > deadline)
                        return error_set(err, ERROR_CONFLICT, "container '%s' is being started, stopped or looked into by another process", container->name);
                nanosleep(&(struct timespec){ .tv_nsec = pause }, NULL);
        }
}

void container_set_starter(Container *container, pid_t pid)
{
        container->state.starter = pid;
        container->state.starter_start = process_start_time(pid);
}

/* The monitor of an active container is gone: end what it kept and say so. The caller holds the lock. */
static int repair(Store *store, Container *container, Error *err)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        RuntimeOptions options = { .name = container->data.host.runtime };
        pid_t pid = (pid_t)container->state.pid;

        log_debug("the monitor of container '%s' is gone: cleaning up", container->name);
        if (pid > 0 && container->state.pid_start != 0 && process_start_time(pid) == container->state.pid_start)
                kill(pid, SIGKILL);
        if (runtime_open(&options, &runtime, err) < 0 || runtime_remove(runtime, container->id, container->data.host.cgroup_parent, err) < 0)
                return -1;
        container_set_status(container, "exited");
        container->state.exit_code = 137;
        container->state.pid = 0;
        container->state.finished = clock_now();
        return container_save_state(store, container, err);
}

/* Who was going to start a container that goes with its end is gone. */
static bool is_abandoned(const Container *container)
{
        const ContainerState *state = &container->state;

        return container->data.host.auto_remove && state->starter > 0 && !container_is_active(container) &&
               process_start_time((pid_t)state->starter) != state->starter_start;
}

int container_settle(Store *store, Container **container, Error *err)
{
        _cleanup_(container_record_done) ContainerRecord again = { 0 };
        _cleanup_free_ char *id = xstrdup((*container)->id);
        bool ended;

        container_free(TAKE_PTR(*container));
        if (container_record_find(store, id, &again, err) < 0 || container_from_record(store, &again, container, err) < 0)
                return -1;
        ended = container_is_active(*container);
        if (ended && repair(store, *container, err) < 0)
                return error_wrap(err, "cannot clean up after container '%s', whose monitor was killed", (*container)->name);
        if (!(*container)->data.host.auto_remove || (!ended && !is_abandoned(*container)))
                return 0;
        if (container_delete(store, *container, true, err) < 0)
                return -1;
        container_free(TAKE_PTR(*container));
        return 0;
}

int container_load(Store *store, const char *name_or_id, Container **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_(container_record_done) ContainerRecord record = { 0 };

        if (container_record_find(store, name_or_id, &record, err) < 0 || container_from_record(store, &record, &container, err) < 0)
                return -1;
        if (container_is_active(container) || is_abandoned(container)) {
                _cleanup_error_ Error failure = ERROR_INIT;
                _cleanup_close_ int lock = container_lock(container, &failure);

                /* Without its directory nobody can keep it: a power cut brought back the row */
                if ((lock >= 0 || (lock != CONTAINER_LOCKED && failure.code == ERROR_NOT_FOUND)) && container_settle(store, &container, err) < 0)
                        return -1;
                if (!container)
                        return error_set(err, ERROR_NOT_FOUND, "No such container: %s", name_or_id);
        }
        *ret = TAKE_PTR(container);
        return 0;
}

static void remove_anonymous_volumes(Store *store, const Container *container)
{
        for (size_t i = 0; i < container->data.mounts.n_items; i++) {
                const MountPoint *mount = &container->data.mounts.items[i];
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (mount->anonymous && volume_remove(store, mount->name, &ignored) < 0)
                        log_debug("cannot remove volume '%s': %s", mount->name, error_message(&ignored));
        }
}

/* A start whose monitor was killed half way is in no state: only the runtime's bundle tells. Best effort, as a sweep finds it as well. */
static void forget_at_runtime(const Container *container)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        RuntimeOptions options = { .name = container->data.host.runtime };

        if (runtime_open(&options, &runtime, &ignored) == 0 && runtime_knows(runtime, container->id) &&
            runtime_remove(runtime, container->id, container->data.host.cgroup_parent, &ignored) < 0)
                log_debug("%s", error_message(&ignored));
}

int container_delete(Store *store, const Container *container, bool volumes, Error *err)
{
        forget_at_runtime(container);
        if (container_record_remove(store, container->id, container->transient, err) < 0 || container_dir_remove(store, container->id, err) < 0)
                return -1;
        if (volumes)
                remove_anonymous_volumes(store, container);
        return 0;
}

int container_retire(Store *store, const Container *container, Lease *lease, Error *err)
{
        if (container_record_remove(store, container->id, container->transient, err) < 0 || container_dir_retire(lease, container->id, err) < 0)
                return -1;
        remove_anonymous_volumes(store, container);
        return 0;
}

int container_resolve(Store *store, const char *name_or_id, char **ret_id, char **ret_name, Error *err)
{
        _cleanup_(container_record_done) ContainerRecord record = { 0 };

        if (container_record_find(store, name_or_id, &record, err) < 0)
                return -1;
        if (ret_id)
                *ret_id = xstrdup(record.id);
        if (ret_name)
                *ret_name = xstrdup(record.name);
        return 0;
}
