/*
 * Verifying a store: every layer and blob against its digest, every index against its tar, every row against its file and every file against its row.
 *
 * The order matters beside running builds, which fsck does not stop: directories are listed first, then the leases are read, then the rows. A file that was
 * there at the first step is named by a lease at the second or by a row at the third, or it is nobody's. Garbage collection waits meanwhile.
 *
 * Not problems: files that a dead process or an interrupted gc left behind (their leases say so), merged indexes that nobody needs, and a stale index.json,
 * which is written anew without a word. With `repair` the left-overs are collected at the end.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "erofs/erofs.h"
#include "oci/config.h"
#include "store/maintain.h"
#include "store/reach.h"
#include "tar/tar.h"

#define READ_SIZE ((size_t)1 << 20)

typedef struct Fsck {
        Store *store;
        Lease *lease;
        bool repair;
        void (*problem)(void *user, const FsckProblem *problem);
        void (*progress)(void *user, uint64_t done, uint64_t total);
        void *user;
        FsckResult *result;
        uint64_t done, total;
        StrList layers, sha256, sha512; /* what the directories hold */
        HeldNames held;
        Map *chains; /* that were looked at, as paths */
        char *buffer;
} Fsck;

static void report(Fsck *fsck, const char *kind, const char *name, bool repaired, const char *text)
{
        const FsckProblem problem = { .kind = kind, .name = name, .text = text, .repaired = repaired };

        fsck->result->n_problems++;
        if (repaired)
                fsck->result->n_repaired++;
        if (fsck->problem)
                fsck->problem(fsck->user, &problem);
}

static void advance(Fsck *fsck, uint64_t size)
{
        fsck->done += size;
        fsck->result->size += size;
        if (fsck->progress)
                fsck->progress(fsck->user, MIN(fsck->done, fsck->total), fsck->total);
}

/* All digests of one column. */
static int list_digests(Store *store, const char *sql, Digest **ret, size_t *ret_n, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        size_t capacity = 0;
        int r;

        *ret = NULL;
        *ret_n = 0;
        if (db_query(store->db, sql, DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                GROW(*ret, capacity, *ret_n + 1);
                (*ret)[(*ret_n)++] = db_column_digest(stmt, 0);
        }
        return r;
}

static int exec_digest(Store *store, const char *sql, const Digest *digest, Error *err)
{
        return db_exec(store->db, sql, DB_ARGS(DB_DIGEST(digest)), err);
}

/* --- layers --- */

static int tree_entry(void *user, const TarEntry *entry, Error *err)
{
        return erofs_tree_add(user, entry, err);
}

/*
 * Reads the tar once: its digest, and the tree that its index must have. False: it is not sound, `text` says why.
 */
static bool read_layer(Fsck *fsck, const LayerInfo *info, ErofsTree **ret_tree, Buf *text)
{
        static const TarReaderOps ops = { .entry = tree_entry };
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, tree);
        _cleanup_error_ Error broken = ERROR_INIT;
        uint64_t size;
        _cleanup_close_ int fd = layer_open_tar(fsck->store, &info->diff_id, &size, &broken);
        Digest digest;
        ssize_t n;

        if (fd < 0) {
                buf_puts(text, error_message(&broken));
                return false;
        }
        while ((n = fd_read_full(fd, fsck->buffer, READ_SIZE)) > 0) {
                hash_add(hash, fsck->buffer, (size_t)n);
                if (!error_is_set(&broken))
                        (void)tar_reader_feed(reader, fsck->buffer, (size_t)n, &broken);
                advance(fsck, (uint64_t)n);
        }
        if (n < 0) {
                buf_putf(text, "its tar cannot be read: %s", strerror((int)-n));
                return false;
        }
        digest = hash_digest(hash);
        if (size != info->tar_size || !digest_equal(&digest, &info->diff_id)) {
                buf_puts(text, "its tar does not match its digest");
                return false;
        }
        if (!error_is_set(&broken))
                (void)tar_reader_finish(reader, &broken);
        if (error_is_set(&broken)) {
                buf_puts(text, error_message(&broken));
                return false;
        }
        *ret_tree = TAKE_PTR(tree);
        return true;
}

/* Everything that needs a layer which is lost: its rows, the images that have it, with their names. */
static int drop_layer(Fsck *fsck, const Digest *diff_id, Error *err)
{
        static const char *const statements[] = {
                "DELETE FROM image WHERE id IN (SELECT image FROM image_layer WHERE diff_id = ?1)",
                "DELETE FROM cache WHERE diff_id = ?1",
                "UPDATE blob SET diff_id = NULL WHERE diff_id = ?1",
                "DELETE FROM layer WHERE diff_id = ?1",
        };
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char path[STORE_NAME_SIZE];

        if (db_begin(fsck->store->db, DB_DURABLE, &tx, err) < 0 || lease_note(fsck->lease, "gone", blob_name(diff_id, path), err) < 0 ||
            lease_note(fsck->lease, "gone", layer_name(diff_id, NULL, path), err) < 0)
                return -1;
        for (size_t i = 0; i < ARRAY_LEN(statements); i++)
                if (exec_digest(fsck->store, statements[i], diff_id, err) < 0)
                        return -1;
        if (db_commit(&tx, err) < 0)
                return -1;
        return trash(fsck->lease, path, NULL, err) < 0 ? -1 : trash(fsck->lease, blob_name(diff_id, path), NULL, err);
}

/* Compares the index with what the tar says. */
static int check_index(Fsck *fsck, const LayerInfo *info, ErofsTree *tree, Error *err)
{
        Store *store = fsck->store;
        char path[STORE_NAME_SIZE], text[DIGEST_TEXT_SIZE], temporary[32];
        Mapping have = { 0 }, want = { 0 };
        _cleanup_error_ Error broken = ERROR_INIT;
        bool sound;

        layer_name(&info->diff_id, "index", path);
        if (faccessat(store->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return 0; /* made when it is needed */
        if (index_write(tree, &info->tar_size, 1, fsck->lease->dir_fd, lease_new_name(fsck->lease, "index", temporary), true, err) < 0 ||
            mapping_open(fsck->lease->dir_fd, temporary, &want, err) < 0)
                return -1;
        sound = mapping_open(store->root_fd, path, &have, &broken) == 0 && erofs_index_check(have.data, have.size, &info->tar_size, 1, &broken) == 0;
        if (sound && (have.size > want.size || memcmp(have.data, want.data, have.size) != 0)) /* an old one may lack the padding */
                sound = error_set(&broken, ERROR_CORRUPT, "its index is not the one of its tar") == 0;
        mapping_done(&have);
        mapping_done(&want);
        if (!sound && fsck->repair && sys_renameat(fsck->lease->dir_fd, temporary, store->root_fd, path) < 0)
                return error_errno(err, errno, "cannot replace '%s/%s'", store->root, path);
        if (!sound)
                report(fsck, "index", digest_format(&info->diff_id, text), fsck->repair, error_message(&broken));
        else
                (void)sys_unlinkat(fsck->lease->dir_fd, temporary, 0);
        return 0;
}

/* The driver dir's tree. What is in use now is not taken away from under a container or build. */
static int check_fs(Fsck *fsck, const Digest *diff_id, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(64 * KIB);
        char name[STORE_NAME_SIZE], digest[DIGEST_TEXT_SIZE];
        bool used = map_has(fsck->held.live, layer_name(diff_id, NULL, name));
        int r = layer_verify_fs(fsck->lease, diff_id, fsck->repair && !used, &text, err);

        if (r <= 0)
                return r;
        if (fsck->repair && used)
                buf_puts(&text, "; it is in use: stop the containers and builds that have it, and repair then");
        report(fsck, "layer", digest_format(diff_id, digest), fsck->repair && !used, buf_str(&text));
        return 0;
}

static int check_layer(Fsck *fsck, const Digest *diff_id, Error *err)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(64 * KIB);
        char name[DIGEST_TEXT_SIZE];
        LayerInfo info;

        if (layer_info(fsck->store, diff_id, &info, err) < 0) {
                if (err->code != ERROR_NOT_FOUND)
                        return -1;
                error_done(err); /* went since the list was made */
                return 0;
        }
        fsck->result->n_layers++;
        if (read_layer(fsck, &info, &tree, &text))
                return check_index(fsck, &info, tree, err) < 0 ? -1 : check_fs(fsck, diff_id, err);
        if (fsck->repair && drop_layer(fsck, diff_id, err) < 0)
                return -1;
        report(fsck, "layer", digest_format(diff_id, name), fsck->repair, buf_str(&text));
        return 0;
}

static int check_layers(Fsck *fsck, Error *err)
{
        _cleanup_free_ Digest *layers = NULL;
        size_t n;

        if (list_digests(fsck->store, "SELECT diff_id FROM layer ORDER BY diff_id", &layers, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                if (check_layer(fsck, &layers[i], err) < 0)
                        return -1;
        return 0;
}

/* --- blobs --- */

/* 0 sound, 1 not, -1. */
static int hash_blob(Fsck *fsck, const Digest *digest, Buf *text)
{
        _cleanup_(hash_freep) Hash *hash = hash_new(digest->algorithm);
        _cleanup_error_ Error broken = ERROR_INIT;
        _cleanup_close_ int fd = blob_open(fsck->store, digest, NULL, &broken);
        Digest have;
        ssize_t n;

        if (fd < 0) {
                buf_puts(text, error_message(&broken));
                return 1;
        }
        while ((n = fd_read_full(fd, fsck->buffer, READ_SIZE)) > 0) {
                hash_add(hash, fsck->buffer, (size_t)n);
                advance(fsck, (uint64_t)n);
        }
        have = hash_digest(hash);
        if (n == 0 && digest_equal(&have, digest))
                return 0;
        buf_puts(text, n < 0 ? "it cannot be read" : "it does not match its digest");
        return 1;
}

/* A manifest or config takes its image with it; a compressed layer can be done without. */
static int drop_blob(Fsck *fsck, const Digest *digest, Error *err)
{
        _cleanup_db_tx_ DbTx tx = DB_TX_INIT;
        char path[STORE_NAME_SIZE];

        if (db_begin(fsck->store->db, DB_DURABLE, &tx, err) < 0 || lease_note(fsck->lease, "gone", blob_name(digest, path), err) < 0 ||
            exec_digest(fsck->store, "DELETE FROM image WHERE id IN (SELECT image FROM image_blob WHERE digest = ?1 AND kind < 2)", digest, err) < 0 ||
            exec_digest(fsck->store, "DELETE FROM image_index WHERE digest IN (SELECT idx FROM index_blob WHERE digest = ?1 AND kind = 0)", digest, err) < 0 ||
            exec_digest(fsck->store, "DELETE FROM blob WHERE digest = ?1", digest, err) < 0 || db_commit(&tx, err) < 0)
                return -1;
        return trash(fsck->lease, path, NULL, err);
}

static int check_blobs(Fsck *fsck, Error *err)
{
        _cleanup_free_ Digest *blobs = NULL;
        size_t n;

        if (list_digests(fsck->store, "SELECT digest FROM blob ORDER BY digest", &blobs, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++) {
                _cleanup_buf_ Buf text = BUF_INIT(64 * KIB);
                char name[DIGEST_TEXT_SIZE];

                fsck->result->n_blobs++;
                if (hash_blob(fsck, &blobs[i], &text) == 0)
                        continue;
                if (fsck->repair && drop_blob(fsck, &blobs[i], err) < 0)
                        return -1;
                report(fsck, "blob", digest_format(&blobs[i], name), fsck->repair, buf_str(&text));
        }
        return 0;
}

/* The second names of tars in blobs/ that manifests refer to. */
static int check_links(Fsck *fsck, Error *err)
{
        Store *store = fsck->store;
        _cleanup_free_ Digest *links = NULL;
        size_t n;

        if (list_digests(store,
                         "SELECT b.digest FROM image_blob b JOIN layer l ON l.diff_id = b.digest"
                         " UNION SELECT b.digest FROM index_blob b JOIN layer l ON l.diff_id = b.digest",
                         &links, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++) {
                char link[STORE_NAME_SIZE], tar[STORE_NAME_SIZE], name[DIGEST_TEXT_SIZE];
                struct stat a, b;

                blob_name(&links[i], link);
                layer_name(&links[i], "tar", tar);
                if (fstatat(store->root_fd, tar, &b, AT_SYMLINK_NOFOLLOW) < 0 ||
                    (fstatat(store->root_fd, link, &a, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino))
                        continue;
                if (fsck->repair && (trash(fsck->lease, link, NULL, err) < 0 || sys_linkat(store->root_fd, tar, store->root_fd, link, 0) < 0))
                        return error_is_set(err) ? -1 : error_errno(err, errno, "cannot link '%s/%s'", store->root, link);
                report(fsck, "blob", digest_format(&links[i], name), fsck->repair, "it is not the tar of its layer");
        }
        return 0;
}

/* --- rows --- */

/*
 * Rows that `query` names in its first column are wrong for the reason given, and `remove` deletes one. With `directory` only those are whose directory of
 * that name is missing there.
 */
static int check_rows(Fsck *fsck, const char *kind, const char *query, const char *remove, const char *directory, const char *text, Error *err)
{
        DbStmt *stmt = NULL;
        _cleanup_strlist_ StrList names = { 0 };
        int r;

        if (db_query(fsck->store->db, query, DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                _cleanup_free_ char *path = xasprintf("%s/%s", directory ? directory : "", db_column_text(stmt, 0));

                if (!directory || faccessat(fsck->store->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        strlist_add(&names, db_column_text(stmt, 0));
        }
        db_stmt_done(stmt);
        for (size_t i = 0; i < names.n_items && r == 0; i++) {
                if (fsck->repair)
                        r = db_exec(fsck->store->db, remove, DB_ARGS(DB_TEXT(names.items[i])), err);
                if (r == 0)
                        report(fsck, kind, names.items[i], fsck->repair, text);
        }
        return r;
}

static int check_all_rows(Fsck *fsck, Error *err)
{
        int64_t n;

        if (check_rows(fsck, "image",
                       "SELECT DISTINCT i.id_text FROM image i JOIN image_layer l ON l.image = i.id WHERE l.diff_id NOT IN (SELECT diff_id FROM layer)",
                       "DELETE FROM image WHERE id_text = ?1", NULL, "one of its layers is missing", err) < 0 ||
            check_rows(
                    fsck, "image",
                    "SELECT DISTINCT i.id_text FROM image i JOIN image_blob b ON b.image = i.id WHERE b.kind < 2 AND b.digest NOT IN (SELECT digest FROM blob)",
                    "DELETE FROM image WHERE id_text = ?1", NULL, "its manifest or its config is missing", err) < 0 ||
            check_rows(fsck, "image",
                       "SELECT DISTINCT x.digest_text FROM image_index x JOIN index_blob b ON b.idx = x.digest WHERE b.kind = 0 AND b.digest NOT IN (SELECT "
                       "digest "
                       "FROM blob)",
                       "DELETE FROM image_index WHERE digest_text = ?1", NULL, "a document of the index is missing", err) < 0 ||
            check_rows(fsck, "image",
                       "SELECT DISTINCT x.digest_text FROM image_index x JOIN index_image m ON m.idx = x.digest WHERE m.image NOT IN (SELECT id FROM image)",
                       "DELETE FROM image_index WHERE digest_text = ?1", NULL, "an image of the index is missing", err) < 0 ||
            check_rows(fsck, "row", "SELECT lower(hex(key)) FROM cache WHERE diff_id IS NOT NULL AND diff_id NOT IN (SELECT diff_id FROM layer)",
                       "DELETE FROM cache WHERE lower(hex(key)) = ?1", NULL, "a build cache record names a layer that is missing", err) < 0 ||
            check_rows(fsck, "row", "SELECT DISTINCT container FROM container_layer WHERE diff_id NOT IN (SELECT diff_id FROM layer)",
                       "DELETE FROM container WHERE id = ?1", NULL, "a layer of the container is missing", err) < 0)
                return -1;
        if (db_query_int(fsck->store->db, "SELECT count(*) FROM image", DB_NO_ARGS, &n, err) < 0)
                return -1;
        fsck->result->n_images = (uint64_t)n;
        return 0;
}

/* --- files --- */

static int check_files(Fsck *fsck, const StrList *names, const char *directory, DigestAlgorithm algorithm,
                       int (*is_recorded)(Store *store, const Digest *digest, Error *err), Error *err)
{
        for (size_t i = 0; i < names->n_items; i++) {
                char path[STORE_NAME_SIZE];
                Digest digest;
                int r;

                snprintf(path, sizeof(path), "%s/%s", directory, names->items[i]);
                if (map_has(fsck->held.live, path) || map_has(fsck->held.dead, path))
                        continue;
                if (digest_parse_hex(algorithm, names->items[i], &digest, err) < 0)
                        return -1;
                r = is_recorded(fsck->store, &digest, err);
                /* The second name of a tar whose image was removed goes at the next gc. */
                if (r == 0)
                        r = layer_is_recorded(fsck->store, &digest, err);
                if (r < 0)
                        return -1;
                if (r > 0 || faccessat(fsck->store->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (fsck->repair && trash(fsck->lease, path, NULL, err) < 0)
                        return -1;
                report(fsck, "file", path, fsck->repair, "no row names it");
        }
        return 0;
}

/* Merged indexes that belong to a chain in use: sound, of the right tars, and what would be written again. */
static int check_chain(void *user, const Digest *diff_ids, size_t n, Error *err)
{
        Fsck *fsck = user;
        _cleanup_free_ uint64_t *sizes = NEW_ARRAY(uint64_t, n);
        Digest chain = diff_ids[0];

        for (size_t i = 0; i < n; i++) {
                char path[STORE_NAME_SIZE];
                struct stat st;
                Mapping mapping = { 0 };
                _cleanup_error_ Error broken = ERROR_INIT;

                if (fstatat(fsck->store->root_fd, layer_name(&diff_ids[i], "tar", path), &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return 0; /* reported with its image */
                sizes[i] = (uint64_t)st.st_size;
                if (i == 0)
                        continue;
                chain = chain_id_next(&chain, &diff_ids[i]);
                chain_name(&chain, path);
                if (faccessat(fsck->store->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                if (mapping_open(fsck->store->root_fd, path, &mapping, &broken) == 0)
                        (void)erofs_index_check(mapping.data, mapping.size, sizes, i + 1, &broken);
                mapping_done(&mapping);
                if (!error_is_set(&broken)) {
                        _cleanup_buf_ Buf text = BUF_INIT(64 * KIB);
                        int r = map_has(fsck->chains, path) ? 0 : chain_verify(fsck->lease, diff_ids, i + 1, fsck->repair, &text, err);

                        map_set(fsck->chains, path, (void *)1);
                        if (r < 0)
                                return -1;
                        if (r > 0)
                                report(fsck, "chain", path, fsck->repair, buf_str(&text));
                        continue;
                }
                if (fsck->repair && trash(fsck->lease, path, NULL, err) < 0)
                        return -1;
                report(fsck, "chain", path, fsck->repair, error_message(&broken));
        }
        return 0;
}

/* index.json is written from the rows; a stale one is what an interruption leaves, and no problem. */
static int refresh_layout(Fsck *fsck, Error *err)
{
        _cleanup_buf_ Buf have = BUF_INIT(64 * MIB), want = BUF_INIT(64 * MIB);

        if (layout_text(fsck->store, &want, err) < 0)
                return -1;
        if (file_read(fsck->store->root_fd, "index.json", &have) == 0 && have.size == want.size && memcmp(have.data, want.data, have.size) == 0)
                return 0;
        return layout_update(fsck->store, err);
}

static int fsck_run(Fsck *fsck, Error *err)
{
        Store *store = fsck->store;
        int64_t total = 0;

        if (fsck->repair && store_db_settle(store, err) < 0)
                return -1;
        if (names_in(store, "layers", &fsck->layers, err) < 0 || names_in(store, "blobs/sha256", &fsck->sha256, err) < 0 ||
            names_in(store, "blobs/sha512", &fsck->sha512, err) < 0)
                return -1;
        if (held_names_read(store, fsck->lease->id, &fsck->held, err) < 0)
                return -1;
        if (db_query_int(store->db, "SELECT coalesce((SELECT sum(tar_size) FROM layer), 0) + coalesce((SELECT sum(size) FROM blob), 0)", DB_NO_ARGS, &total,
                         err) < 0)
                return -1;
        fsck->total = (uint64_t)total;
        if (check_layers(fsck, err) < 0 || check_blobs(fsck, err) < 0 || check_all_rows(fsck, err) < 0 || check_links(fsck, err) < 0)
                return -1;
        if (check_rows(fsck, "row", "SELECT id FROM container WHERE NOT transient", "DELETE FROM container WHERE id = ?1", "containers",
                       "the directory of the container is missing", err) < 0 ||
            check_rows(fsck, "row", "SELECT name FROM volume", "DELETE FROM volume WHERE name = ?1", "volumes", "the directory of the volume is missing", err) <
                    0)
                return -1;
        if (check_files(fsck, &fsck->layers, "layers", DIGEST_SHA256, layer_is_recorded, err) < 0 ||
            check_files(fsck, &fsck->sha256, "blobs/sha256", DIGEST_SHA256, blob_is_recorded, err) < 0 ||
            check_files(fsck, &fsck->sha512, "blobs/sha512", DIGEST_SHA512, blob_is_recorded, err) < 0)
                return -1;
        if (chains_each(store, check_chain, fsck, err) < 0)
                return -1;
        return refresh_layout(fsck, err);
}

int store_fsck(Store *store, bool repair, void (*problem)(void *user, const FsckProblem *problem), void (*progress)(void *user, uint64_t done, uint64_t total),
               void *user, FsckResult *ret, Error *err)
{
        FsckResult result = { 0 };
        Fsck fsck = { .store = store, .repair = repair, .problem = problem, .progress = progress, .user = user, .result = &result };
        int r;

        if (lease_new(store, "fsck", &fsck.lease, err) < 0)
                return -1;
        fsck.buffer = xmalloc(READ_SIZE);
        fsck.chains = map_new(NULL);
        r = store_gc_enter(store, err);
        if (r == 0) {
                r = fsck_run(&fsck, err);
                store_gc_leave(store);
        }
        free(fsck.buffer);
        map_free(fsck.chains);
        held_names_done(&fsck.held);
        strlist_done(&fsck.layers);
        strlist_done(&fsck.sha256);
        strlist_done(&fsck.sha512);
        fsck.lease->interrupted = r < 0;
        lease_free(fsck.lease);
        if (r == 0 && repair)
                r = store_gc(store, false, NULL, err);
        if (r == 0 && ret)
                *ret = result;
        return r;
}
