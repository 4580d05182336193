#include "store/reach.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "fs/walk.h"
#include "oci/config.h"

/* --- leases --- */

typedef struct ReadHeld {
        const char *own_id;
        Map *into;
        StrList *ids; /* NULL: not wanted */
} ReadHeld;

/* "layer sha256:…" and so on as the path that it stands for; "gone <path>" are paths already. */
static int held_path(const char *line, char *path)
{
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *rest;
        Digest digest;

        rest = str_after(line, "gone ");
        if (rest)
                return snprintf(path, STORE_NAME_SIZE, "%s", rest) < STORE_NAME_SIZE ? 0 : -1;
        rest = strchr(line, ' ');
        if (!rest || digest_parse(rest + 1, &digest, &ignored) < 0)
                return -1;
        if (str_starts(line, "layer "))
                layer_name(&digest, NULL, path);
        else if (str_starts(line, "blob "))
                blob_name(&digest, path);
        else if (str_starts(line, "chain "))
                chain_name(&digest, path);
        else
                return -1;
        return 0;
}

static int read_line(void *user, const char *lease_id, const char *line, Error *err)
{
        ReadHeld *read = user;
        char path[STORE_NAME_SIZE];

        if (read->own_id && streq(lease_id, read->own_id))
                return 0;
        if (read->ids && (read->ids->n_items == 0 || !streq(read->ids->items[read->ids->n_items - 1], lease_id)))
                strlist_add(read->ids, lease_id);
        if (held_path(line, path) == 0)
                map_set(read->into, path, (void *)1);
        return 0;
}

int held_names_read(Store *store, const char *own_id, HeldNames *ret, Error *err)
{
        ReadHeld live, dead;

        *ret = (HeldNames){ .live = map_new(NULL), .dead = map_new(NULL) };
        live = (ReadHeld){ .own_id = own_id, .into = ret->live };
        dead = (ReadHeld){ .into = ret->dead, .ids = &ret->dead_ids };
        return leases_each(store, true, read_line, &live, err) < 0 || leases_each(store, false, read_line, &dead, err) < 0 ? -1 : 0;
}

void held_names_done(HeldNames *names)
{
        map_free(names->live);
        map_free(names->dead);
        strlist_done(&names->dead_ids);
        *names = (HeldNames){ 0 };
}

/* --- rows --- */

typedef struct ChainList {
        Digest *items;
        size_t n_items, capacity;
} ChainList;

/* Rows of (owner, diff_id), ordered by owner and position. */
static int chains_of(Store *store, const char *sql, int (*each)(void *user, const Digest *diff_ids, size_t n, Error *err), void *user, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        ChainList chain = { 0 };
        int r;

        if (db_query(store->db, sql, DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0) {
                if (db_column_int(stmt, 0) == 0 && chain.n_items > 0) {
                        if (each(user, chain.items, chain.n_items, err) < 0) {
                                r = -1;
                                break;
                        }
                        chain.n_items = 0;
                }
                GROW(chain.items, chain.capacity, chain.n_items + 1);
                chain.items[chain.n_items++] = db_column_digest(stmt, 1);
        }
        if (r == 0 && chain.n_items > 0)
                r = each(user, chain.items, chain.n_items, err);
        free(chain.items);
        return r < 0 ? -1 : 0;
}

int chains_each(Store *store, int (*each)(void *user, const Digest *diff_ids, size_t n, Error *err), void *user, Error *err)
{
        if (chains_of(store, "SELECT position, diff_id FROM image_layer ORDER BY image, position", each, user, err) < 0)
                return -1;
        return chains_of(store, "SELECT position, diff_id FROM container_layer ORDER BY container, position", each, user, err);
}

int store_db_settle(Store *store, Error *err)
{
        return db_exec(store->db, "INSERT OR REPLACE INTO upkeep (name, time) VALUES ('settle', ?1)", DB_ARGS(DB_INT(clock_now())), err);
}

int layer_is_recorded(Store *store, const Digest *diff_id, Error *err)
{
        int64_t one;

        return db_query_int(store->db, "SELECT 1 FROM layer WHERE diff_id = ?1", DB_ARGS(DB_DIGEST(diff_id)), &one, err);
}

int layer_is_used(Store *store, const Digest *diff_id, Error *err)
{
        int64_t one;

        return db_query_int(store->db,
                            "SELECT 1 WHERE EXISTS (SELECT 1 FROM image_layer WHERE diff_id = ?1) OR EXISTS (SELECT 1 FROM container_layer WHERE diff_id = ?1)"
                            " OR EXISTS (SELECT 1 FROM cache WHERE diff_id = ?1)",
                            DB_ARGS(DB_DIGEST(diff_id)), &one, err);
}

int blob_is_recorded(Store *store, const Digest *digest, Error *err)
{
        int64_t one;

        return db_query_int(store->db,
                            "SELECT 1 FROM blob WHERE digest = ?1 UNION ALL"
                            " SELECT 1 FROM image_blob b JOIN layer l ON l.diff_id = b.digest WHERE b.digest = ?1 UNION ALL"
                            " SELECT 1 FROM index_blob b JOIN layer l ON l.diff_id = b.digest WHERE b.digest = ?1 LIMIT 1",
                            DB_ARGS(DB_DIGEST(digest)), &one, err);
}

/* --- a lease that ends without a commit --- */

/* How long to wait for the gc lock; longer users (fsck) leave the work to the next gc. */
#define WITHDRAW_TRIES 20
#define WITHDRAW_PAUSE_US 5000

static int lock_soon(Store *store, Error *err)
{
        for (int i = 0; i < WITHDRAW_TRIES; i++) {
                int fd = store_lock_file(store, "gc.lock", LOCK_EX | LOCK_NB, err);

                if (fd >= 0 || err->errnum != EWOULDBLOCK)
                        return fd;
                error_done(err);
                usleep(WITHDRAW_PAUSE_US);
        }
        return error_set(err, ERROR_CONFLICT, "the gc lock is in use");
}

int lease_withdraw(Lease *lease, Error *err)
{
        Store *store = lease->store;
        _cleanup_close_ int lock = lock_soon(store, err);
        HeldNames held = { 0 };
        const char *line;
        void *value;
        int r;

        if (lock < 0 || store_db_settle(store, err) < 0)
                return -1;
        r = held_names_read(store, lease->id, &held, err);
        for (size_t at = 0; r == 0 && map_next(lease->held, &at, &line, &value);) {
                _cleanup_free_ char *text = xstrndup(line, strcspn(line, "\n"));
                const char *name = strchr(text, ' ');
                char path[STORE_NAME_SIZE];
                Digest digest;

                if (held_path(text, path) < 0 || str_starts(text, "chain ") || str_starts(text, "gone ") || map_has(held.live, path))
                        continue;
                if (digest_parse(name + 1, &digest, err) < 0)
                        r = -1;
                if (r == 0)
                        r = str_starts(text, "layer ") ? layer_is_recorded(store, &digest, err) : blob_is_recorded(store, &digest, err);
                if (r == 0)
                        r = trash(lease, path, NULL, err);
                r = r < 0 ? -1 : 0;
        }
        held_names_done(&held);
        return r;
}

/* --- files --- */

int names_in(Store *store, const char *directory, StrList *ret, Error *err)
{
        int fd = open_tree_dir(store->root_fd, directory);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot read '%s/%s'", store->root, directory);
        while ((entry = readdir(dir))) {
                size_t n = strlen(entry->d_name);

                if ((n == 64 || n == 128) && strspn(entry->d_name, "0123456789abcdef") == n)
                        strlist_add(ret, entry->d_name);
        }
        closedir(dir);
        strlist_sort(ret);
        return 0;
}

/* A file with several names counts for its part only: the names are mostly removed together. */
static int add_size(void *user, const WalkEntry *entry, Error *err)
{
        uint64_t *size = user;

        *size += (uint64_t)entry->st.st_blocks * 512 / (S_ISDIR(entry->st.st_mode) || entry->st.st_nlink == 0 ? 1 : entry->st.st_nlink);
        return 0;
}

int trash(Lease *lease, const char *name, uint64_t *size, Error *err)
{
        static const WalkOps ops = { .entry = add_size, .one_file_system = true };
        _cleanup_error_ Error ignored = ERROR_INIT;
        char to[32];
        struct stat st;

        lease_new_name(lease, "trash", to);
        if (sys_renameat(lease->store->root_fd, name, lease->dir_fd, to) < 0)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot remove '%s/%s'", lease->store->root, name);
        if (!size || fstatat(lease->dir_fd, to, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return 0;
        if (S_ISDIR(st.st_mode))
                (void)tree_walk(lease->dir_fd, to, &ops, size, &ignored);
        else
                *size += (uint64_t)st.st_blocks * 512 / (st.st_nlink ? st.st_nlink : 1);
        return 0;
}
