/*
 * Private to container/: a container as it is in memory, and its files on disk (docs/formats/container.md). Its monitor: monitor.h, protocol.h.
 */
#pragma once

#include "base/buf.h"
#include "container/config.h"
#include "container/container.h"
#include "runtime/runtime.h"
#include "store/container.h"
#include "store/image.h"
#include "store/rootfs.h"
#include "store/store.h"

/* One mount that a container has beside the default ones; docker's "Mounts". */
typedef struct MountPoint {
        char *type; /* "bind", "volume", "tmpfs" */
        char *name; /* volume */
        char *source, *destination;
        char *mode; /* options as the user gave them: "ro,Z" */
        bool rw;
        char *propagation;
        char *tmpfs_options;
        bool anonymous; /* a volume without a name of its own: goes with the container */
        bool no_copy;
        bool non_recursive;
} MountPoint;

/* What never changes after creation: the record's `config`. */
typedef struct ContainerData {
        char *path; /* docker's Path and Args: the process */
        StrList args;
        ContainerConfig config; /* merged with the image's */
        HostConfig host;
        JSON_ITEMS(MountPoint) mounts;
        StrList layers; /* diffIDs, bottom first */
        char *platform; /* docker's: the operating system alone */
        char *foreign;  /* "linux/arm64" when programs of the image need more than this machine's architecture; else NULL */
} ContainerData;

extern const JsonField container_data_fields[];

/* What changes: the record's `state`. */
typedef struct ContainerState {
        char *status; /* "created", "running", "paused", "restarting", "exited", "dead" */
        int64_t pid;
        int64_t pid_start; /* of /proc/<pid>/stat: tells a process from a later one with the same number */
        int64_t exit_code;
        bool oom_killed;
        char *error;
        int64_t started, finished; /* Timestamp; 0: never */
        int64_t restart_count;
        /* The process that is about to start a container that goes with its end (run --rm, restart): while it is created or exited, and this process is gone,
         * so is the container. 0: nobody in particular */
        int64_t starter, starter_start;
} ContainerState;

extern const JsonField container_state_fields[];
void container_state_done(ContainerState *state);

typedef struct Container {
        char id[65];
        char *name;
        Digest image;
        Timestamp created;
        ContainerData data;
        ContainerState state;
        bool transient; /* the record's: nothing waits for the disk because of it */
        char *dir;      /* containers/<id>, absolute */
} Container;

void container_free(Container *container);
DEFINE_CLEANUP(Container *, container_free)

/* Reads a record into memory; with repair of what a killed monitor left. */
int container_load(Store *store, const char *name_or_id, Container **ret, Error *err);

/*
 * With the lock of a container whose monitor or starter is gone: looks again, since it may have ended well meanwhile, and cleans up. Replaces *container; it is
 * NULL when the container was one that goes with its end.
 */
int container_settle(Store *store, Container **container, Error *err);

/* A record as it is, without a look at who lives. Fails when its texts are damaged. */
int container_from_record(Store *store, const ContainerRecord *record, Container **ret, Error *err);

/* Writes container->state into the record; container_set_status() only changes it in memory. `status`: copied. */
int container_save_state(Store *store, const Container *container, Error *err);
void container_set_status(Container *container, const char *status);
bool container_state_is(const ContainerState *state, const char *status);
bool container_is_active(const Container *container); /* running, paused or restarting: a monitor is there */

/* <dir>/<name>. New string. */
char *container_file(const Container *container, const char *name);

/* The lock that a monitor holds for its life. Returns the descriptor with the lock, -1 (error; NOT_FOUND: its directory is gone), or -2 when somebody has it.
 */
int container_lock(const Container *container, Error *err);
#define CONTAINER_LOCKED (-2)
/* The same for who is next: waits some seconds for one who has it. CONFLICT when that does not leave. */
int container_lock_patiently(const Container *container, Error *err);

/* Removes everything of a container that does not run: record, directory, anonymous volumes when asked. */
int container_delete(Store *store, const Container *container, bool volumes, Error *err);

/* The same, with the anonymous volumes, in no time: its directory is moved into the lease's own, and goes with it. */
int container_retire(Store *store, const Container *container, Lease *lease, Error *err);

/* Bytes of files in the writable layer, and with the image below. */
int container_size(Store *store, const Container *container, uint64_t *ret_rw, uint64_t *ret_root, Error *err);

/* Field 22 of /proc/<pid>/stat, or 0. */
int64_t process_start_time(pid_t pid);

/* This process as the starter, or nobody. */
void container_set_starter(Container *container, pid_t pid);

/* --- root.c --- */
/* Where a container's root is mounted, for whoever is in the mount namespace of its monitor. New string. */
char *container_root_path(const Store *store);
/* Image and writable layer there, in this process's own mount namespace. `merge`: as in RootfsOptions. The lease must live as long. */
int container_mount_root(const Container *container, Store *store, Lease *lease, bool merge, Rootfs **ret, Error *err);
/* The image's layers, as the options say. */
int container_mount_layers(const Container *container, Lease *lease, const RootfsOptions *options, Rootfs **ret, Error *err);

/* --- names and ids --- */
char *container_make_name(unsigned attempt); /* new string */
int container_check_name(const char *name, Error *err);

/* --- platform.c --- */
/* The image that the spec names, of several the one for its platform. *ret_foreign: ContainerData.foreign, new string or NULL. `warnings` may be NULL. */
int container_choose_image(Store *store, const ContainerSpec *spec, Image **ret, char **ret_foreign, StrList *warnings, Error *err);
/* EXIT with status 126 when the programs of its image do not run here. Threads: as platform_runs(). */
int container_check_platform(const Container *container, Error *err);

/* --- inspect_shape.c --- */
typedef enum ObjectShape { SHAPE_CONFIG, SHAPE_HOST, SHAPE_NETWORKS, SHAPE_ENDPOINT } ObjectShape;
/* The object with all members that docker's has. Takes `object` over; new value. */
JsonValue *inspect_shape(ObjectShape shape, JsonValue *object);

/* --- create --- */

/* container_create() with the container as it is in memory. */
int container_make(Store *store, const ContainerSpec *spec, Container **ret, StrList *warnings, Error *err);

/* From --volume, --mount, --tmpfs and the image's VOLUMEs to mount points; makes the volumes. */
int container_plan_mounts(Store *store, ContainerData *data, Error *err);

/*
 * Binds that propagate. Before the monitor's own mount namespace: checks their sources and takes clones, fds[i] for mounts.items[i] or -1. In it: attaches them
 * over their sources, and closes. Errors: INVALID (the host does not share the source).
 */
int container_share_mounts(const ContainerData *data, int *fds, Error *err);
int container_attach_shares(const ContainerData *data, int *fds, Error *err);

/* The spec of the container's process over its mounted root. */
int container_run_spec(Container *container, const char *root, int root_fd, RunSpec *spec, Error *err);
/* User of a process in the container: "user[:group]" looked up in the root's own files. */
int container_resolve_user(int root_fd, const char *user, const StrList *group_add, RunSpec *spec, char **ret_home, Error *err);
/* Writes hostname, hosts and resolv.conf into the container's directory. */
int container_write_files(const Container *container, Error *err);
/* Fills a new volume with what the image has at its place. */
int container_fill_volume(int root_fd, const MountPoint *mount, Error *err);

/* --- log --- */

typedef struct LogWriter LogWriter;
/* Appends to logs/json.log; without one when the log driver is "none". Errors: INVALID (max-size, max-file), IO. */
int log_writer_open(const Container *container, LogWriter **ret, Error *err);
void log_writer_free(LogWriter *writer); /* writes what is left of a line */
DEFINE_CLEANUP(LogWriter *, log_writer_free)
void log_writer_add(LogWriter *writer, int stream, const char *data, size_t size); /* stream 1 or 2 */
