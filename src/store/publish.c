/*
 * Putting finished files in their place under the name of their digest, also when several processes make the same thing at once.
 *
 * A name that exists already can be relied on when a row names it (its data was synced before the row was committed) or when a live lease does (the file is
 * whole in the page cache, and whoever commits a row syncs the file system first). A file that neither names was left by a process that died, perhaps
 * together with the machine, and may be torn: it is replaced.
 */
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/internal.h"

static bool size_is(Store *store, const char *name, uint64_t size)
{
        struct stat st;

        return fstatat(store->root_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

static int has_row(Store *store, bool layer, const Digest *digest, Error *err)
{
        int64_t one;

        if (layer)
                return db_query_int(store->db, "SELECT 1 FROM layer WHERE diff_id = ?1", DB_ARGS(DB_DIGEST(digest)), &one, err);
        return db_query_int(store->db, "SELECT 1 FROM blob WHERE digest = ?1", DB_ARGS(DB_DIGEST(digest)), &one, err);
}

typedef struct FindLine {
        const char *own_id; /* of the lease that asks */
        char line[STORE_NAME_SIZE + 16];
        bool found;
} FindLine;

static int find_line(void *user, const char *lease_id, const char *line, Error *err)
{
        FindLine *find = user;

        if (!streq(lease_id, find->own_id) && streq(line, find->line))
                find->found = true;
        return 0;
}

static int take_over(Lease *lease, const char *from, const char *kind, const Digest *digest, const char *to, const char *file, uint64_t size, bool layer,
                     Published *ret, Error *err)
{
        Store *store = lease->store;
        _cleanup_close_ int lock = store_lock_file(store, "publish.lock", LOCK_EX, err);
        char text[DIGEST_TEXT_SIZE];
        FindLine find = { .own_id = lease->id };

        if (lock < 0)
                return -1;
        snprintf(find.line, sizeof(find.line), "%s %s", kind, digest_format(digest, text));
        if (leases_each(store, true, find_line, &find, err) < 0)
                return -1;
        if (find.found && size_is(store, file, size)) {
                *ret = PUBLISHED_ADOPTED;
                return 0;
        }
        if (sys_renameat2(lease->dir_fd, from, store->root_fd, to, layer ? RENAME_EXCHANGE : 0) < 0)
                return error_errno(err, errno, "cannot put '%s/%s' in place", store->root, to);
        *ret = PUBLISHED_NEW;
        return 0;
}

int store_publish(Lease *lease, const char *from, const char *kind, const Digest *digest, uint64_t size, const char *to, Published *ret, Error *err)
{
        Store *store = lease->store;
        bool layer = streq(kind, "layer");
        char file[STORE_NAME_SIZE + 8];
        int r;

        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (lease_note_digest(lease, kind, digest, err) < 0)
                return -1;
        if (sys_renameat2(lease->dir_fd, from, store->root_fd, to, RENAME_NOREPLACE) == 0) {
                *ret = PUBLISHED_NEW;
                return 0;
        }
        if (errno != EEXIST)
                return error_errno(err, errno, "cannot put '%s/%s' in place", store->root, to);
        snprintf(file, sizeof(file), "%s%s", to, layer ? "/tar" : "");
        if (layer ? lease_has_pending_layer(lease, digest, NULL) : lease_has_pending_blob(lease, digest)) {
                *ret = PUBLISHED_ADOPTED;
                return 0;
        }
        r = has_row(store, layer, digest, err);
        if (r < 0)
                return -1;
        if (r > 0 && size_is(store, file, size)) {
                *ret = PUBLISHED_RECORDED;
                return 0;
        }
        return take_over(lease, from, kind, digest, to, file, size, layer, ret, err);
}
