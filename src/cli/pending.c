/* Commands of containers whose library part is being written: they say so. Goes when the last one is there. */
#include "container/container.h"
#include "container/files.h"

#ifdef PENDING_container_exec
int container_exec(Store *store, const char *container, const ExecOptions *options, int *ret_status, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_top
int container_top(Store *store, const char *container, const char *ps_args, Buf *out, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_prune
int container_prune(Store *store, const StrList *filters, void (*removed)(void *user, const char *id), void *user, uint64_t *ret_size, Error *err)
{
        return 0;
}
#endif

#ifdef PENDING_container_logs
int container_logs(Store *store, const char *container, const LogOptions *options, const Sink *out, const Sink *errors, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_inspect
int container_inspect(Store *store, const char *container, bool size, JsonValue **ret, Error *err)
{
        return error_set(err, ERROR_NOT_FOUND, "no such container: %s", container);
}
#endif

#ifdef PENDING_container_list
int container_list(Store *store, const ListOptions *options, int (*each)(void *user, const ContainerInfo *info, Error *err), void *user, Error *err)
{
        return 0;
}
#endif

#ifdef PENDING_container_diff
int container_diff(Store *store, const char *container, int (*change)(void *user, ChangeKind kind, const char *path, Error *err), void *user, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_export
int container_export(Store *store, const char *container, const Sink *sink, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_copy_out
int container_copy_out(Store *store, const char *container, const char *path, bool follow, const Sink *sink, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_copy_in
int container_copy_in(Store *store, const char *container, const char *path, int tar_fd, bool archive_uid_gid, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_copy_to_host
int container_copy_to_host(Store *store, const char *container, const char *path, const char *host_path, bool follow, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_copy_from_host
int container_copy_from_host(Store *store, const char *host_path, const char *container, const char *path, bool follow, bool archive_uid_gid, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif

#ifdef PENDING_container_commit
int container_commit(Store *store, const char *container, const CommitOptions *options, Digest *ret_id, Error *err)
{
        return error_set(err, ERROR_UNSUPPORTED, "this build cannot do that yet");
}
#endif
