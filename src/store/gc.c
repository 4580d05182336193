/*
 * Garbage collection. Under the exclusive gc lock: reads what leases hold, then deletes rows that nothing names in one durable transaction, then moves files
 * that have neither row nor lease into its own lease's directory. The lock is given back, and only then is anything really removed, which can take long.
 *
 * What is to go is noted in the lease first ("gone <path>"), so that when we die in between fsck knows where files without rows come from.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "oci/config.h"
#include "store/container.h"
#include "store/maintain.h"
#include "store/reach.h"

/* A container's directory is made a moment before its row; one without a row this long after, and without a monitor, is nobody's. */
#define CONTAINER_AGE (60 * NSEC_PER_SEC)
/* Digests of a build context, and what went into its last build, are not worth their space when it was not built for so long. */
#define CONTEXT_AGE (INT64_C(60) * 24 * 3600 * NSEC_PER_SEC)

typedef struct Gc {
        Store *store;
        Lease *lease; /* our own */
        HeldNames held;
        Map *chains; /* chains that an image or container has a use for: "chains/<hex>" */
        bool drop_blobs;
        GcResult *result;
} Gc;

/* --- rows --- */

/* Deletes rows whose digest no lease holds. `query` lists candidates, `remove` deletes one. */
static int delete_rows(Gc *gc, const char *query, const char *remove, char *(*name)(const Digest *digest, char *buffer), Error *err)
{
        DbStmt *stmt = NULL;
        Digest *victims = NULL;
        size_t n = 0, capacity = 0;
        int r;

        if (db_query(gc->store->db, query, DB_ARGS(DB_INT(gc->drop_blobs)), &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                char path[STORE_NAME_SIZE];
                Digest digest = db_column_digest(stmt, 0);

                if (map_has(gc->held.live, name(&digest, path)))
                        continue;
                GROW(victims, capacity, n + 1);
                victims[n++] = digest;
        }
        db_stmt_done(stmt);
        for (size_t i = 0; i < n && r == 0; i++) {
                char path[STORE_NAME_SIZE];

                r = lease_note(gc->lease, "gone", name(&victims[i], path), err);
                if (r == 0)
                        r = db_exec(gc->store->db, remove, DB_ARGS(DB_DIGEST(&victims[i])), err);
        }
        free(victims);
        return r;
}

static char *whole_layer_name(const Digest *diff_id, char *buffer)
{
        return layer_name(diff_id, NULL, buffer);
}

/* The second names of tars in blobs/ go together with their layers; they have no rows, but are to be noted. */
static int note_links(Gc *gc, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (names_in(gc->store, "blobs/sha256", &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.n_items; i++) {
                char path[STORE_NAME_SIZE];
                Digest digest;
                int r;

                if (digest_parse_hex(DIGEST_SHA256, names.items[i], &digest, err) < 0)
                        return -1;
                r = blob_is_recorded(gc->store, &digest, err);
                if (r < 0 || (r == 0 && lease_note(gc->lease, "gone", blob_name(&digest, path), err) < 0))
                        return -1;
        }
        return 0;
}

static int collect_rows(Gc *gc, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;

        if (db_begin(gc->store->db, DB_DURABLE, &tx, err) < 0 || store_db_settle(gc->store, err) < 0)
                return -1;
        if (delete_rows(gc,
                        "SELECT diff_id FROM layer WHERE ?1 >= 0 AND diff_id NOT IN (SELECT diff_id FROM image_layer)"
                        " AND diff_id NOT IN (SELECT diff_id FROM container_layer) AND diff_id NOT IN (SELECT diff_id FROM cache WHERE diff_id IS NOT NULL)",
                        "DELETE FROM layer WHERE diff_id = ?1", whole_layer_name, err) < 0)
                return -1;
        if (delete_rows(gc,
                        "SELECT digest FROM blob WHERE (digest NOT IN (SELECT digest FROM image_blob) AND digest NOT IN (SELECT digest FROM index_blob))"
                        " OR (?1 AND diff_id IN (SELECT diff_id FROM layer))",
                        "DELETE FROM blob WHERE digest = ?1", blob_name, err) < 0)
                return -1;
        if (note_links(gc, err) < 0)
                return -1;
        return db_commit(&tx, err);
}

/* --- files --- */

/* Moves what is in a directory and has neither row nor lease. */
static int collect_files(Gc *gc, const char *directory, DigestAlgorithm algorithm, int (*is_recorded)(Store *store, const Digest *digest, Error *err),
                         uint64_t *n, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };

        if (names_in(gc->store, directory, &names, err) < 0)
                return -1;
        for (size_t i = 0; i < names.n_items; i++) {
                char path[STORE_NAME_SIZE];
                Digest digest;
                int r;

                snprintf(path, sizeof(path), "%s/%s", directory, names.items[i]);
                if (map_has(gc->held.live, path))
                        continue;
                if (digest_parse_hex(algorithm, names.items[i], &digest, err) < 0)
                        return -1;
                r = is_recorded ? is_recorded(gc->store, &digest, err) : map_has(gc->chains, path);
                if (r < 0)
                        return -1;
                if (r > 0)
                        continue;
                if (trash(gc->lease, path, &gc->result->size, err) < 0)
                        return -1;
                ++*n;
        }
        return 0;
}

/* Every beginning of a chain that is in use may have a merged index: a build that continues from there is glad of it. */
static int add_chain(void *user, const Digest *diff_ids, size_t n, Error *err)
{
        Gc *gc = user;
        Digest chain = diff_ids[0];

        for (size_t i = 1; i < n; i++) {
                char path[STORE_NAME_SIZE];

                chain = chain_id_next(&chain, &diff_ids[i]);
                map_set(gc->chains, chain_name(&chain, path), (void *)1);
        }
        return 0;
}

static int64_t age_of(Store *store, const char *path, Timestamp now)
{
        struct stat st;

        if (fstatat(store->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        return now - (st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec);
}

/* Whether a monitor keeps the container: it holds the lock for its life (container/private.h). */
static bool is_kept(Store *store, const char *id)
{
        char path[STORE_NAME_SIZE];
        _cleanup_close_ int fd = -1;

        snprintf(path, sizeof(path), "containers/%s/lock", id);
        fd = openat(store->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
}

/* Directories whose rows went in a power cut, or whose maker was killed before there was one; and rows that a power cut brought back. */
static int collect_containers(Gc *gc, Error *err)
{
        _cleanup_strlist_ StrList containers = { 0 }, rows = { 0 };
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        Timestamp now = clock_now();
        char path[STORE_NAME_SIZE];
        struct stat st;
        int r;

        container_dirs_sweep(gc->store);
        if (names_in(gc->store, "containers", &containers, err) < 0)
                return -1;
        for (size_t i = 0; i < containers.n_items; i++) {
                int64_t one;

                r = db_query_int(gc->store->db, "SELECT 1 FROM container WHERE id = ?1", DB_ARGS(DB_TEXT(containers.items[i])), &one, err);
                snprintf(path, sizeof(path), "containers/%s", containers.items[i]);
                if (r < 0 || (r == 0 && age_of(gc->store, path, now) > CONTAINER_AGE && !is_kept(gc->store, containers.items[i]) &&
                              trash(gc->lease, path, &gc->result->size, err) < 0))
                        return -1;
        }
        if (db_query(gc->store->db, "SELECT id FROM container WHERE transient", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0)
                strlist_add(&rows, db_column_text(stmt, 0));
        for (size_t i = 0; i < rows.n_items && r == 0; i++) {
                snprintf(path, sizeof(path), "containers/%s", rows.items[i]);
                if (fstatat(gc->store->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
                        r = db_exec(gc->store->db, "DELETE FROM container WHERE id = ?1", DB_ARGS(DB_TEXT(rows.items[i])), err);
        }
        return r;
}

static int collect_old(Gc *gc, Error *err)
{
        static const char *const directories[] = { "cache/context", "cache/explain" };
        Timestamp now = clock_now();
        char path[STORE_NAME_SIZE];

        for (size_t k = 0; k < ARRAY_LEN(directories); k++) {
                _cleanup_strlist_ StrList files = { 0 };

                if (names_in(gc->store, directories[k], &files, err) < 0)
                        return -1;
                for (size_t i = 0; i < files.n_items; i++) {
                        snprintf(path, sizeof(path), "%s/%s", directories[k], files.items[i]);
                        if (age_of(gc->store, path, now) > CONTEXT_AGE && trash(gc->lease, path, &gc->result->size, err) < 0)
                                return -1;
                }
        }
        return 0;
}

static int collect_locked(Gc *gc, Error *err)
{
        _cleanup_close_ int lock = store_lock_file(gc->store, "gc.lock", LOCK_EX, err);
        GcResult *result = gc->result;

        /* Leases before rows: what a lease commits and lets go of in between is seen as held. */
        if (lock < 0 || held_names_read(gc->store, gc->lease->id, &gc->held, err) < 0 || collect_rows(gc, err) < 0 ||
            chains_each(gc->store, add_chain, gc, err) < 0)
                return -1;
        if (collect_files(gc, "layers", DIGEST_SHA256, layer_is_recorded, &result->n_layers, err) < 0 ||
            collect_files(gc, "blobs/sha256", DIGEST_SHA256, blob_is_recorded, &result->n_blobs, err) < 0 ||
            collect_files(gc, "blobs/sha512", DIGEST_SHA512, blob_is_recorded, &result->n_blobs, err) < 0 ||
            collect_files(gc, "chains", DIGEST_SHA256, NULL, &result->n_chains, err) < 0)
                return -1;
        return collect_containers(gc, err) < 0 ? -1 : collect_old(gc, err);
}

/* Directories of dead processes. Nobody else wants them, so no lock is needed; theirs go last, because they say where the files came from. */
static void remove_dead(Gc *gc)
{
        for (size_t i = 0; i < gc->held.dead_ids.n_items; i++) {
                _cleanup_error_ Error ignored = ERROR_INIT;
                char path[STORE_NAME_SIZE];

                snprintf(path, sizeof(path), "tmp/%s", gc->held.dead_ids.items[i]);
                if (trash(gc->lease, path, &gc->result->size, &ignored) < 0)
                        log_debug("%s", error_message(&ignored));
                gc->result->n_leases++;
                gc->result->n_temporary++;
        }
}

/* All names in the lease's directory are trash()'s, numbered. What cannot be removed stays for the lease's end, and for the next gc. */
static void remove_trash(Gc *gc)
{
        for (size_t i = 0; i < gc->lease->n_names; i++) {
                char name[32];

                snprintf(name, sizeof(name), "trash%zu", i);
                lease_discard(gc->lease, name);
        }
}

int store_gc(Store *store, bool drop_blobs, GcResult *ret, Error *err)
{
        GcResult result = { 0 };
        Gc gc = { .store = store, .drop_blobs = drop_blobs, .result = &result };
        int r;

        if (lease_new(store, "gc", &gc.lease, err) < 0)
                return -1;
        gc.chains = map_new(NULL);
        r = collect_locked(&gc, err);
        if (r == 0)
                remove_dead(&gc);
        /* What could not be done keeps its list of names, so that nobody takes the files for damage; the next gc does the rest. */
        gc.lease->interrupted = r < 0;
        if (r == 0)
                remove_trash(&gc);
        held_names_done(&gc.held);
        map_free(gc.chains);
        lease_free(gc.lease);
        if (r == 0 && ret)
                *ret = result;
        return r;
}
