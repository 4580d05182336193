/*
 * Records of containers and volumes. What is in the JSON texts is container/'s business; the store keeps names unique and images in use alive.
 */
#pragma once

#include "store/store.h"

typedef struct ContainerRecord {
        char id[65];
        char *name;
        Digest image; /* id of the image; DIGEST_NONE for none */
        Timestamp created;
        char *config;   /* JSON, never changes after creation */
        char *state;    /* JSON */
        bool transient; /* goes with the end of its process: nothing waits for the disk because of it, and a power cut may take the row or bring it back. What a
                           lost one leaves is collected by store_gc(), and one that came back without its directory is no damage */
} ContainerRecord;

void container_record_done(ContainerRecord *record);

/* EXISTS when the name is taken (the message names the owner, as docker's does), NOT_FOUND when the image has gone. */
int container_record_put(Store *store, const ContainerRecord *record, Error *err);
int container_record_set_state(Store *store, const char *id, const char *state, Error *err);
int container_record_rename(Store *store, const char *id, const char *name, Error *err);
/* By full id, unique id prefix, or name (with or without the leading "/"). NOT_FOUND: "No such container: x". */
int container_record_find(Store *store, const char *name_or_id, ContainerRecord *ret, Error *err);
int container_record_list(Store *store, int (*each)(void *user, const ContainerRecord *record, Error *err), void *user, Error *err); /* newest first */
/* Removes the row; then the caller removes containers/<id>. */
int container_record_remove(Store *store, const char *id, bool transient, Error *err);

/* containers/<id>, made (0711) with upper/ work/ logs/. Absolute path, new string. */
int container_dir_make(Store *store, const char *id, char **ret_path, Error *err);
int container_dir_remove(Store *store, const char *id, Error *err);
/* The same in no time: moved into the lease's directory, and removed with it. Open files and mounts stay usable. */
int container_dir_retire(Lease *lease, const char *id, Error *err);
/* Removes the directories that killed removals have left. Best effort. For commands that look at containers, once: it reads the directory of all. */
void container_dirs_sweep(Store *store);

typedef struct VolumeRecord {
        char *name;
        Timestamp created;
        bool anonymous;
        char *labels; /* JSON object */
} VolumeRecord;

void volume_record_done(VolumeRecord *record);
/* Makes the volume when it is not there; *ret_path is the absolute path of _data. Returns 1 when it was made, 0 when it was there. */
int volume_make(Store *store, const VolumeRecord *record, char **ret_path, Error *err);
int volume_find(Store *store, const char *name, VolumeRecord *ret, char **ret_path, Error *err);
int volume_list(Store *store, int (*each)(void *user, const VolumeRecord *record, Error *err), void *user, Error *err);
int volume_remove(Store *store, const char *name, Error *err);
