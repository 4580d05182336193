/*
 * A container's files: what it changed, copying in and out, as a tar, as a new image. Running or not.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/sink.h"
#include "base/str.h"
#include "oci/config.h"
#include "store/rootfs.h"
#include "store/store.h"

/* docker diff: in the order of paths. */
int container_diff(Store *store, const char *container, int (*change)(void *user, ChangeKind kind, const char *path, Error *err), void *user, Error *err);

/* docker export. */
int container_export(Store *store, const char *container, const Sink *sink, Error *err);

/*
 * docker cp out of a container: `path` (its last component may be a symbolic link: followed with `follow`) as a tar whose first entry is its base name.
 * docker cp into it: the entries of the tar below directory `path`, which must exist. Symbolic links never lead out of the container's root.
 * archive_uid_gid: keep the tar's owners (-a); otherwise entries belong to root.
 */
int container_copy_out(Store *store, const char *container, const char *path, bool follow, const Sink *sink, Error *err);
int container_copy_in(Store *store, const char *container, const char *path, int tar_fd, bool archive_uid_gid, Error *err);

/*
 * docker cp with local paths, with docker's rules for what the target becomes ("-" is handled by the caller with the functions above).
 */
int container_copy_to_host(Store *store, const char *container, const char *path, const char *host_path, bool follow, Error *err);
int container_copy_from_host(Store *store, const char *host_path, const char *container, const char *path, bool follow, bool archive_uid_gid, Error *err);

typedef struct CommitOptions {
        StrList changes; /* "CMD [\"x\"]", "ENV a=b": the instructions that docker commit --change takes */
        /* How changes are applied: engine_apply_changes(), which is above this room. Needed when there are any. */
        int (*apply_changes)(ImageConfig *config, const StrList *changes, Error *err);
        const char *author, *message;
        const char *reference; /* name[:tag] for the new image, or NULL */
        bool no_pause;
} CommitOptions;
/* docker commit. */
int container_commit(Store *store, const char *container, const CommitOptions *options, Digest *ret_id, Error *err);
