/*
 * The store: layers, blobs, images, names, leases, build cache records and containers of one user on one machine.
 *
 * On disk (docs/formats/store.md):
 *   oci-layout, index.json          so that other tools read the blobs as an OCI layout
 *   blobs/<algorithm>/<hex>         manifests, configs, compressed layers as they travel; an uncompressed layer is a hard link to layers/<hex>/tar
 *   layers/<diffid-hex>/tar         the uncompressed layer, verbatim
 *   layers/<diffid-hex>/index       its EROFS index (driver `erofs`)
 *   layers/<diffid-hex>/fs/         its unpacked tree (driver `dir`), made from the tar
 *   chains/<chainid-hex>            merged EROFS index of a chain of layers
 *   containers/<id>/                upper/ work/ logs/
 *   root/, points/                  mount points of containers: for the whole root, and in it
 *   volumes/<name>/_data
 *   cache/                          RUN cache mounts (cache/mounts/<id-hash>/), digests of context files (cache/context/<hash>)
 *   db.sqlite                       all metadata
 *   driver                          what was found out about this kernel (store.c); may be deleted
 *   lock                            flock: shared by every user of the store, exclusive while it is migrated
 *   tmp/                            in flight; anything here that no live lease owns may be deleted
 *
 * Invariants:
 *  1. Data is synced before the row that names it is committed; a row is deleted before its data. kill -9 at any point leaves a store that fsck passes.
 *  2. Files named by a digest never change. They appear by rename.
 *  3. Nothing that a live lease names is collected. A lease dies with the process that holds it.
 *
 * Threads: every function here may be called from any thread. Several processes may use one store at the same time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sink.h"
#include "base/str.h"
#include "codec/codec.h"
#include "crypto/digest.h"

typedef struct Store Store;

typedef struct StoreOptions {
        const char *root;   /* NULL: MICA_ROOT, else /var/lib/mica as root, else $XDG_DATA_HOME/mica */
        bool existing;      /* do not make it: NOT_FOUND when there is none */
        const char *driver; /* "erofs", "dir", or NULL: MICA_STORE_DRIVER, else the best that works here */
} StoreOptions;

/*
 * Opens the store, making it when it does not exist. A store of a newer version is refused (UNSUPPORTED), an older one is migrated.
 * Cheap: at most one small file is read beside the database.
 */
int store_open(const StoreOptions *options, Store **ret, Error *err);
void store_close(Store *store); /* NULL is fine */
DEFINE_CLEANUP(Store *, store_close)

/*
 * Around a fork() whose child opens the store again: SQLite's notes on locks are per process and would be copied without the locks, so the database is closed
 * before, and opened again in the parent. No statement or transaction may be open. Between the two nothing but store_root() and store_driver() works.
 */
void store_before_fork(Store *store);
int store_after_fork(Store *store, Error *err);

const char *store_root(const Store *store);          /* absolute path */
int store_root_fd(const Store *store);               /* belongs to the store */
const char *store_driver(const Store *store);        /* "erofs" or "dir" */
const char *store_driver_reason(const Store *store); /* why that one, for people; static */

/* --- leases --- */

/* Protects everything that was written or looked up under it until it is released; also owns a private directory below tmp/. */
typedef struct Lease Lease;

/* `purpose` is for messages. Holds nothing yet. */
int lease_new(Store *store, const char *purpose, Lease **ret, Error *err);
void lease_free(Lease *lease); /* releases; removes its temporary directory */
DEFINE_CLEANUP(Lease *, lease_free)

Store *lease_store(const Lease *lease); /* belongs to whoever opened it */

/* Directory descriptor of the lease's own temporary directory (made on first use). Belongs to the lease. */
int lease_tmp_fd(Lease *lease, Error *err);
/* Its absolute path. Belongs to the lease. NULL on error. */
const char *lease_tmp_path(Lease *lease, Error *err);
/* Removes an entry of it beside other work, at the latest when the lease is freed. Nobody may use it any more. */
void lease_discard(Lease *lease, const char *name);
/* Until all that is removed. Threads: nobody may discard meanwhile. */
void lease_settle(Lease *lease);

/* Adds protection for something that exists already. NOT_FOUND when it has gone. */
int lease_hold_layer(Lease *lease, const Digest *diff_id, Error *err);
int lease_hold_blob(Lease *lease, const Digest *digest, Error *err);

/*
 * Makes everything written under this lease durable with one syncfs, and then commits its rows. Until then rows of layers and blobs written under the lease
 * are pending: visible to this lease only. image_put() and cache_put() call it. Cheap when nothing is pending.
 */
int lease_sync(Lease *lease, Error *err);

/* --- blobs --- */

typedef struct BlobWriter BlobWriter;

/* A blob as a stream; it appears under its digest with the commit. Threads: one. */
int blob_writer_open(Lease *lease, DigestAlgorithm algorithm, BlobWriter **ret, Error *err);
void blob_writer_free(BlobWriter *writer); /* without commit: the bytes are dropped */
DEFINE_CLEANUP(BlobWriter *, blob_writer_free)
int blob_writer_write(BlobWriter *writer, const void *data, size_t size, Error *err);
/* `expected` may be NULL; a different digest is CORRUPT. Storing what is there already is fine. */
int blob_writer_commit(BlobWriter *writer, const Digest *expected, Digest *ret, Error *err);

/* The same for a layer as it travels: the store then knows that the layer can be made from it, and it from the layer. */
int blob_writer_commit_layer(BlobWriter *writer, const Digest *diff_id, Digest *ret, Error *err);

/* A small blob in one call. */
int blob_put(Lease *lease, const void *data, size_t size, Digest *ret, Error *err);
/* Reads a whole small blob (at most `max` bytes), verified against its digest: CORRUPT when it differs, NOT_FOUND. Appends to `buf`. */
int blob_read(Store *store, const Digest *digest, Buf *buf, Error *err);
/* Opens for streaming; the reader verifies. *ret_size may be NULL. Returns the descriptor, or -1. */
int blob_open(Store *store, const Digest *digest, uint64_t *ret_size, Error *err);
bool blob_exists(Store *store, const Digest *digest);

/* --- layers --- */

typedef struct LayerInfo {
        Digest diff_id;
        uint64_t tar_size;     /* bytes of the uncompressed tar */
        uint64_t content_size; /* bytes of the files in it: what docker calls the size of a layer */
        uint64_t n_entries;
        uint64_t n_whiteouts; /* names that it hides in the layers below */
        uint64_t disk_size;   /* what the layer takes on disk: tar and index */
} LayerInfo;

/*
 * Takes an uncompressed layer tar as a stream: hashes, parses, indexes and stores it in one pass (hashing on a thread of its own).
 * Memory is bounded by the number of entries. Hostile tars are refused with the error of tar/ or erofs/.
 */
typedef struct LayerWriter LayerWriter;

int layer_writer_open(Lease *lease, LayerWriter **ret, Error *err);
/* Before the first byte: what is large goes past the page cache (base/direct.h), as suits a layer that is not read as a whole next. */
void layer_writer_go_direct(LayerWriter *writer);
void layer_writer_free(LayerWriter *writer); /* without commit: dropped */
DEFINE_CLEANUP(LayerWriter *, layer_writer_free)
int layer_writer_write(LayerWriter *writer, const void *data, size_t size, Error *err);
/* The next `size` bytes come from `fd` at `offset`: the fast path for file content. */
int layer_writer_write_file(LayerWriter *writer, int fd, uint64_t offset, uint64_t size, Error *err);
/* Takes the next bytes of `fd`, at most 1 MiB, from where it stands. Returns how many, 0 at the end. */
ssize_t layer_writer_read(LayerWriter *writer, int fd, Error *err);
/* A Sink over layer_writer_write(). */
Sink layer_writer_sink(LayerWriter *writer);
/*
 * The end of the tar: the layer is in its place, pending until the lease is synced; one that is there already is fine. `expected_diff_id` and `ret` may be
 * NULL. Errors: CORRUPT (another digest, a cut tar).
 */
int layer_writer_commit(LayerWriter *writer, const Digest *expected_diff_id, LayerInfo *ret, Error *err);

/*
 * Takes a layer as it travels: sniffs the compression, inflates with bomb limits, writes the layer and (with `keep_blob`) the compressed blob, in one pass.
 * `expected_blob` and `expected_diff_id` may be NULL. *ret_blob (may be NULL) is the digest of the bytes as they came.
 */
typedef struct LayerImport LayerImport;

/* The first bytes decide about the codec, so that an error may come with any write. Threads: one. */
int layer_import_open(Lease *lease, bool keep_blob, LayerImport **ret, Error *err);
void layer_import_free(LayerImport *import);
DEFINE_CLEANUP(LayerImport *, layer_import_free)
int layer_import_write(LayerImport *import, const void *data, size_t size, Error *err);
/* Takes the next bytes of `fd`, at most 1 MiB, uncompressed ones without a copy in between. Returns how many, 0 at the end. */
ssize_t layer_import_read(LayerImport *import, int fd, Error *err);
int layer_import_commit(LayerImport *import, const Digest *expected_blob, const Digest *expected_diff_id, Digest *ret_blob, Codec *ret_codec, LayerInfo *ret,
                        Error *err);

/* Whether the store has it, recorded and synced. */
bool layer_exists(Store *store, const Digest *diff_id);
int layer_is_used(Store *store, const Digest *diff_id, Error *err); /* by an image, a container or a build cache record. 1, 0, -1 */
int layer_info(Store *store, const Digest *diff_id, LayerInfo *ret, Error *err);
/* The verbatim tar, for reading. Returns the descriptor, or -1. */
int layer_open_tar(Store *store, const Digest *diff_id, uint64_t *ret_size, Error *err);
/* The empty layer (two zero blocks), stored when needed. */
int layer_empty(Lease *lease, LayerInfo *ret, Error *err);
