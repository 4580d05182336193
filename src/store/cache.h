/*
 * What the builder remembers: which layer a step with a given key made, and digests of files of the build context.
 */
#pragma once

#include "store/store.h"

/* One record: key -> layer, with what `builder du`/`prune` show. Keys are digests made with hash_field(). */
typedef struct CacheRecord {
        Digest key;
        Digest diff_id;    /* the layer; DIGEST_NONE when the step made no layer */
        Digest source_key; /* second key by content that led here, or DIGEST_NONE */
        char *description; /* "RUN apt-get update" */
        char *kind;        /* docker's TYPE: "regular", "source.local", "exec.cachemount", … */
        uint64_t size;
        Timestamp created, last_used;
        uint64_t n_used;
        Digest *parents; /* keys of the steps that this one stands on: the one before it, and the last one of each stage that it reads from */
        size_t n_parents;
} CacheRecord;

/* docker's TYPE of the directories of RUN --mount=type=cache. */
#define CACHE_KIND_MOUNT "exec.cachemount"

void cache_record_done(CacheRecord *record);

/* Looks a key up; holds its layer under the lease. Returns 1 when found, 0 when not (also when its layer has gone), -1. *ret_diff_id may be NULL. */
int cache_get(Lease *lease, const Digest *key, Digest *ret_diff_id, Error *err);
/* The same, and when the record was made: the date of the layer in the history of an image. Both may be NULL. */
int cache_get_dated(Lease *lease, const Digest *key, Digest *ret_diff_id, Timestamp *ret_created, Error *err);
/* The record that a record by a second key leads to; unset when it is none, or is not there. */
int cache_get_source(Store *store, const Digest *key, Digest *ret, Error *err);
/* Records results. Rows are written when the lease syncs (all steps of a build in one transaction). */
int cache_put(Lease *lease, const CacheRecord *record, Error *err);
/* Takes back what was put under the lease and is not committed. */
void cache_forget_pending(Lease *lease);

/* --- digests of context files --- */

/*
 * Remembers SHA-256 digests of files by (device, inode, size, mtime, ctime), one binary file per context directory, loaded by mmap and written back whole when
 * something changed. Losing it costs time only. A file whose mtime or ctime is not older than the moment of hashing is never remembered (it may change again
 * within the clock's granularity).
 */
typedef struct FileDigests FileDigests;

typedef struct FileStamp {
        uint64_t device, inode, size;
        int64_t mtime_ns, ctime_ns;
} FileStamp;

int file_digests_open(Store *store, const char *context_root, FileDigests **ret, Error *err);
void file_digests_free(FileDigests *digests); /* without save: nothing is written */
DEFINE_CLEANUP(FileDigests *, file_digests_free)
/* Thread-safe. */
bool file_digests_get(FileDigests *digests, const FileStamp *stamp, Digest *ret);
void file_digests_put(FileDigests *digests, const FileStamp *stamp, const Digest *digest);
int file_digests_save(FileDigests *digests, Error *err);
