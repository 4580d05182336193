/*
 * What the files of store/ share: the store and lease objects, where things lie on disk, and how they are put in place. Not for other rooms.
 *
 * Locks, always taken in this order, none held while calling out of the room:
 *   lease->mutex   pending rows and held names of one lease
 *   gc lock        flock on <root>/gc.lock; shared while a lease is made, holds something that exists, or puts something in place; exclusive while gc decides
 *   publish lock   flock on <root>/publish.lock; exclusive while a name in layers/ or blobs/ that no row vouches for is taken over
 *   the database   db/db.h: from db_begin() to db_commit()
 */
#pragma once

#include <pthread.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/remover.h"
#include "db/db.h"
#include "store/cache.h"
#include "store/store.h"

typedef enum StoreDriver { STORE_DRIVER_UNKNOWN, STORE_DRIVER_EROFS, STORE_DRIVER_DIR } StoreDriver;

/* Whether a mounted index must be attached somewhere to be a layer of an overlay (before Linux 6.15). */
typedef enum StoreAttach { ATTACH_UNKNOWN, ATTACH_NO, ATTACH_YES } StoreAttach;

struct Store {
        char *root;
        int root_fd;
        int lock_fd; /* <root>/lock, held shared */
        int gc_fd;   /* <root>/gc.lock; locked while n_gc_users > 0 */
        pthread_mutex_t gc_mutex;
        unsigned n_gc_users;
        pthread_mutex_t driver_mutex;
        StoreDriver driver;        /* found out on first use */
        StoreAttach attach;        /* the same */
        const char *driver_reason; /* static; NULL until then */
        Db *db;
        char boot_id[40];
};

/* Something new on disk whose row waits for lease_sync(). */
typedef struct PendingLayer {
        LayerInfo info;
} PendingLayer;

typedef struct PendingBlob {
        Digest digest;
        uint64_t size;
        Digest diff_id; /* the layer it holds compressed, or DIGEST_NONE */
} PendingBlob;

struct Lease {
        Store *store;
        char id[33];
        int dir_fd;  /* tmp/<id> */
        int held_fd; /* tmp/<id>/held, flock()ed for as long as the lease lives */
        char *path;
        pthread_mutex_t mutex;
        Map *held;        /* lines of `held` */
        uint64_t n_names; /* for temporary names */
        Remover *remover; /* of what is not needed any more; NULL until there is something */
        PendingLayer *layers;
        size_t n_layers, capacity_layers;
        PendingBlob *blobs;
        size_t n_blobs, capacity_blobs;
        CacheRecord *records;
        size_t n_records, capacity_records;
        Digest *touched; /* cache keys that were used */
        size_t n_touched, capacity_touched;
        bool touch_now;   /* one of them was last used long ago: worth a transaction of its own */
        StrList unpacked; /* hex names of layers whose fs/ was made under this lease and is not synced yet */
        bool dirty;       /* data was written since the last syncfs */
        bool unfinished;  /* things with a final name may have no row: lease_free() looks after them */
        bool interrupted; /* the list of names stays when the lease ends */
};

/* --- locks --- */

int store_gc_enter(Store *store, Error *err); /* shared */
void store_gc_leave(Store *store);
static inline void store_gc_leavep(Store **store)
{
        if (*store)
                store_gc_leave(*store);
}
#define _cleanup_gc_leave_ _cleanup_(store_gc_leavep)

/* Opens <root>/<name> and locks it exclusively. The descriptor (closing it unlocks), or -1. */
int store_lock_file(Store *store, const char *name, int operation, Error *err);

/* --- the database --- */

extern const DbSchema store_schema; /* schema.c */

/*
 * Writes and syncs something, so that a commit whose sync failed can no longer come true. Such a commit is taken back for those who have the database open, but
 * its frames lie in the WAL and are found good when it is next opened after all have closed it; the next commit overwrites them. To be called before files
 * are removed because no row names them.
 */
int store_db_settle(Store *store, Error *err);

/* --- names on disk --- */

#define STORE_NAME_SIZE 192

/* "blobs/sha256/<hex>" */
char *blob_name(const Digest *digest, char *buffer);
/* "layers/<hex>", or "layers/<hex>/<part>" when `part` is not NULL */
char *layer_name(const Digest *diff_id, const char *part, char *buffer);

/*
 * Opens the file `name` (relative to the root) of a blob or layer for reading; `kind` is what messages call it. *ret_size (may be NULL): its bytes.
 * Errors: NOT_FOUND, CORRUPT (no file), IO.
 */
int store_open_content(Store *store, const char *name, const char *kind, const Digest *digest, uint64_t *ret_size, Error *err);
/* "chains/<hex>" */
char *chain_name(const Digest *chain, char *buffer);

/* --- leases --- */

/* Writes "<kind> <name>" into the lease's list of held names. The caller has entered the gc lock when the thing exists already or is about to appear. */
int lease_note(Lease *lease, const char *kind, const char *name, Error *err);
int lease_note_digest(Lease *lease, const char *kind, const Digest *digest, Error *err);
bool lease_has_noted(Lease *lease, const char *kind, const Digest *digest);
bool lease_has_pending_layer(Lease *lease, const Digest *diff_id, LayerInfo *ret);
bool lease_has_pending_blob(Lease *lease, const Digest *digest);

/* A name for something new in the lease's directory: "<what><number>". `buffer` has 32 bytes. */
char *lease_new_name(Lease *lease, const char *what, char *buffer);

void lease_add_layer(Lease *lease, const LayerInfo *info);
void lease_add_blob(Lease *lease, const Digest *digest, uint64_t size, const Digest *diff_id);

/* Facts of a layer that is recorded, or pending under this lease. NOT_FOUND. */
int lease_layer_info(Lease *lease, const Digest *diff_id, LayerInfo *ret, Error *err);
int lease_hold_layers(Lease *lease, const Digest *diff_ids, size_t n, Error *err);

/* Says of a pending blob which layer it holds. */
void lease_set_blob_layer(Lease *lease, const Digest *digest, const Digest *diff_id);

/*
 * Takes away what was put in place under this lease and has neither a row nor another lease: a build that failed gives its space back. Returns -1 when that
 * could not be (somebody uses the gc lock for long): then the list of names must stay for the next gc.
 */
int lease_withdraw(Lease *lease, Error *err);

/* Runs `also` (may be NULL) in the transaction that commits the pending rows; syncs first. With nothing pending and no `also`, does nothing. */
int lease_commit(Lease *lease, int (*also)(void *user, Db *db, Error *err), void *user, Error *err);

/*
 * Calls `each` for every line "<kind> <name>" that a lease holds; with `live`, of leases whose process lives, else of dead ones (and once with "" for each of
 * those).
 */
int leases_each(Store *store, bool live, int (*each)(void *user, const char *lease_id, const char *line, Error *err), void *user, Error *err);

/* --- putting things in place --- */

typedef enum Published {
        PUBLISHED_NEW,      /* it is there now, without a row */
        PUBLISHED_ADOPTED,  /* another live lease put it there; without a row */
        PUBLISHED_RECORDED, /* it was there, and a row names it */
} Published;

/*
 * Renames tmp/<lease>/<from> to `to` (relative to the root). `kind` ("layer" or "blob") and `digest` name it for the lease and the rows, `size` is that of the
 * tar or blob. When `to` is there already and can be relied on, `from` is left for the caller to drop.
 */
int store_publish(Lease *lease, const char *from, const char *kind, const Digest *digest, uint64_t size, const char *to, Published *ret, Error *err);

/* --- layers --- */

/* Makes layers/<hex>/index, respectively fs/, from the tar when it is not there. */
int layer_need_index(Lease *lease, const Digest *diff_id, Error *err);
int layer_need_fs(Lease *lease, const Digest *diff_id, Error *err);
/* Its parts: whether fs/ is there and whole; the tar unpacked into the lease's directory under a name; such a directory put into the place of fs/. */
bool layer_trusts_fs(Store *store, const Digest *diff_id);
int layer_unpack(Lease *lease, const Digest *diff_id, const char *temporary, Error *err);
int layer_put_fs(Lease *lease, const Digest *diff_id, const char *temporary, Error *err);
/* Reads the tar of a layer into a tree. *ret_size: bytes of the tar. */
struct ErofsTree;
int layer_read_tree(Store *store, const Digest *diff_id, struct ErofsTree **ret, uint64_t *ret_size, Error *err);
/* Zeros up to a multiple of EROFS_FILE_ALIGN behind an index of so many bytes. -1 and errno. */
int index_pad(int fd, uint64_t size);
/* Writes a finished tree to a new file at dir_fd/name, padded. `durable`: synced. */
int index_write(struct ErofsTree *tree, const uint64_t *tar_sizes, size_t n_devices, int dir_fd, const char *name, bool durable, Error *err);

/* Makes the empty mount points of containers at <root>/<name> when they are not there. */
int mount_points_need(Lease *lease, const char *name, Error *err);

/* Whether the merged index of a chain (n >= 2) is there; held by the lease then. 1, 0, -1. */
int chain_have(Lease *lease, const Digest *diff_ids, size_t n, Error *err);
/* Makes it when it is not there. The layers are held. */
int chain_make(Lease *lease, const Digest *diff_ids, size_t n, Error *err);

/* Writes it into the lease's directory, synced. */
int chain_write(Lease *lease, const Digest *diff_ids, size_t n, const char *temporary, Error *err);

/*
 * Comparing what was made from tars with what they make now (verify.c). 0: the same, or not there. 1: different, why in `text`; with `repair` it was made
 * again. -1. The chain's index is there, and the layers are held.
 */
int layer_verify_fs(Lease *lease, const Digest *diff_id, bool repair, Buf *text, Error *err);
int chain_verify(Lease *lease, const Digest *diff_ids, size_t n, bool repair, Buf *text, Error *err);

/* A whole file mapped for reading. */
typedef struct Mapping {
        void *data;
        size_t size;
} Mapping;
int mapping_open(int dir_fd, const char *path, Mapping *ret, Error *err);
void mapping_done(Mapping *mapping);

/* Writes index.json anew from the rows, so that other tools see the names that there are now. */
int layout_update(Store *store, Error *err);
/* The text that index.json should have. */
int layout_text(Store *store, Buf *out, Error *err);

/*
 * An image on its way into the rows, for who writes more in the same transaction: image_put_prepare() reads and checks the documents and holds what they name,
 * image_put_insert() is for lease_commit() (user: the ImagePut).
 */
typedef struct ImagePut ImagePut;
int image_put_prepare(Lease *lease, const Digest *manifest, ImagePut **ret, Error *err);
int image_put_insert(void *user, Db *db, Error *err);
const Digest *image_put_id(const ImagePut *put);
void image_put_free(ImagePut *put);
DEFINE_CLEANUP(ImagePut *, image_put_free)

/* Deletes the rows of indexes that nothing leads to any more. In a transaction that changed names. */
int indexes_settle(Db *db, Error *err);

/* --- small things --- */

int open_tree_dir(int dir_fd, const char *path); /* a directory for reading, last component not followed; -1 and errno */

StoreDriver store_driver_kind(Store *store);
bool store_attaches_layers(Store *store); /* driver `erofs` only */
