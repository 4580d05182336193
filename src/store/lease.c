/*
 * Leases: what protects things in flight from garbage collection.
 *
 * A lease is a directory tmp/<id>/ with a file `held`, which its process keeps locked with flock(2): the lock dies with the process, and no process id can be
 * taken for another's. The file has a line for everything the lease protects, "layer <digest>", "blob <digest>" or "chain <hex>".
 *
 * Invariants:
 *  1. The line is written before the thing is looked up, or before it appears under its final name, and both happen inside the shared gc lock.
 *  2. gc reads the lines of all leases inside the exclusive gc lock, and before it reads the rows. So whatever it finds in neither is nobody's.
 *  3. A directory of tmp/ whose `held` is not locked belongs to a dead process.
 *
 * docs/adr/0003-leases-and-gc.md has the races and why this was chosen.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "store/internal.h"

#define HELD_MAX (64 * MIB) /* some 700,000 lines */

int store_lock_file(Store *store, const char *name, int operation, Error *err)
{
        _cleanup_close_ int fd = sys_openat(store->root_fd, name, O_RDWR | O_CREAT, 0600);

        if (fd < 0)
                return error_errno(err, errno, "cannot open '%s/%s'", store->root, name);
        while (flock(fd, operation) < 0)
                if (errno != EINTR)
                        return error_errno(err, errno, "cannot lock '%s/%s'", store->root, name);
        return TAKE_FD(fd);
}

int store_gc_enter(Store *store, Error *err)
{
        int r = 0;

        pthread_mutex_lock(&store->gc_mutex);
        if (store->n_gc_users == 0) {
                if (store->gc_fd < 0)
                        store->gc_fd = sys_openat(store->root_fd, "gc.lock", O_RDWR | O_CREAT, 0600);
                if (store->gc_fd < 0)
                        r = error_errno(err, errno, "cannot open '%s/gc.lock'", store->root);
                while (r == 0 && flock(store->gc_fd, LOCK_SH) < 0)
                        if (errno != EINTR)
                                r = error_errno(err, errno, "cannot lock '%s/gc.lock'", store->root);
        }
        if (r == 0)
                store->n_gc_users++;
        pthread_mutex_unlock(&store->gc_mutex);
        return r;
}

void store_gc_leave(Store *store)
{
        pthread_mutex_lock(&store->gc_mutex);
        if (--store->n_gc_users == 0)
                (void)flock(store->gc_fd, LOCK_UN);
        pthread_mutex_unlock(&store->gc_mutex);
}

int lease_new(Store *store, const char *purpose, Lease **ret, Error *err)
{
        _cleanup_(lease_freep) Lease *lease = NEW(Lease);
        char name[64];

        lease->store = store;
        lease->dir_fd = lease->held_fd = -1;
        pthread_mutex_init(&lease->mutex, NULL);
        lease->held = map_new(NULL);
        random_hex(lease->id, 32);
        snprintf(name, sizeof(name), "tmp/%s", lease->id);
        lease->path = xasprintf("%s/%s", store->root, name);

        if (store_gc_enter(store, err) < 0)
                return -1;
        _cleanup_gc_leave_ _unused_ Store *entered = store;
        if (sys_mkdirat(store->root_fd, name, 0700) < 0)
                return error_errno(err, errno, "cannot make '%s'", lease->path);
        lease->dir_fd = sys_openat(store->root_fd, name, O_RDONLY | O_DIRECTORY, 0);
        if (lease->dir_fd < 0)
                return error_errno(err, errno, "cannot open '%s'", lease->path);
        lease->held_fd = sys_openat(lease->dir_fd, "held", O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600);
        if (lease->held_fd < 0 || flock(lease->held_fd, LOCK_EX) < 0)
                return error_errno(err, errno, "cannot make '%s/held'", lease->path);
        log_debug("lease %s for %s", lease->id, purpose);
        *ret = TAKE_PTR(lease);
        return 0;
}

/* Removes what is in the lease's directory, but not the list of names: what a dead process would leave, without its temporary files. */
static void empty_directory(Lease *lease)
{
        int fd = open_tree_dir(lease->dir_fd, ".");
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        while (dir && (entry = readdir(dir)))
                if (!streq(entry->d_name, ".") && !streq(entry->d_name, "..") && !streq(entry->d_name, "held"))
                        (void)tree_remove(lease->dir_fd, entry->d_name);
        if (dir)
                closedir(dir);
}

static void remove_directory(Lease *lease)
{
        char name[64];
        int r;

        snprintf(name, sizeof(name), "tmp/%s", lease->id);
        r = tree_remove(lease->store->root_fd, name);
        if (r < 0)
                log_debug("cannot remove '%s': %s", lease->path, strerror(-r));
}

void lease_free(Lease *lease)
{
        _cleanup_error_ Error err = ERROR_INIT;

        if (!lease)
                return;
        lease_settle(lease); /* first: what follows writes, and on a full disk this makes the room for it */
        if (lease->held_fd >= 0 && lease->unfinished && !lease->interrupted && lease_withdraw(lease, &err) < 0) {
                log_debug("lease %s: %s", lease->id, error_message(&err));
                lease->interrupted = true;
        }
        if (lease->held_fd >= 0 && lease->interrupted) {
                empty_directory(lease);
        } else if (lease->dir_fd >= 0) {
                remove_directory(lease);
        }
        if (lease->dir_fd >= 0)
                close(lease->dir_fd);
        if (lease->held_fd >= 0)
                close(lease->held_fd);
        for (size_t i = 0; i < lease->n_records; i++)
                cache_record_done(&lease->records[i]);
        free(lease->records);
        free(lease->layers);
        free(lease->blobs);
        free(lease->touched);
        strlist_done(&lease->unpacked);
        map_free(lease->held);
        pthread_mutex_destroy(&lease->mutex);
        free(lease->path);
        free(lease);
}

Store *lease_store(const Lease *lease)
{
        return lease->store;
}

int lease_tmp_fd(Lease *lease, Error *err)
{
        return lease->dir_fd;
}

const char *lease_tmp_path(Lease *lease, Error *err)
{
        return lease->path;
}

void lease_discard(Lease *lease, const char *name)
{
        pthread_mutex_lock(&lease->mutex);
        if (!lease->remover)
                lease->remover = remover_new(lease->dir_fd);
        pthread_mutex_unlock(&lease->mutex);
        remover_add(lease->remover, name);
}

void lease_settle(Lease *lease)
{
        remover_free(TAKE_PTR(lease->remover));
}

char *lease_new_name(Lease *lease, const char *what, char *buffer)
{
        snprintf(buffer, 32, "%s%llu", what, (unsigned long long)__atomic_fetch_add(&lease->n_names, 1, __ATOMIC_RELAXED));
        return buffer;
}

int lease_note(Lease *lease, const char *kind, const char *name, Error *err)
{
        char line[STORE_NAME_SIZE + 16];
        int r = 0, n = snprintf(line, sizeof(line), "%s %s\n", kind, name);

        pthread_mutex_lock(&lease->mutex);
        if (!map_has(lease->held, line)) {
                r = fd_write_all(lease->held_fd, line, (size_t)n);
                if (r == 0)
                        map_set(lease->held, line, NULL);
        }
        pthread_mutex_unlock(&lease->mutex);
        return r < 0 ? error_errno(err, r, "cannot write '%s/held'", lease->path) : 0;
}

int lease_note_digest(Lease *lease, const char *kind, const Digest *digest, Error *err)
{
        char text[DIGEST_TEXT_SIZE];

        return lease_note(lease, kind, digest_format(digest, text), err);
}

bool lease_has_noted(Lease *lease, const char *kind, const Digest *digest)
{
        char text[DIGEST_TEXT_SIZE], line[STORE_NAME_SIZE + 16];
        bool has;

        snprintf(line, sizeof(line), "%s %s\n", kind, digest_format(digest, text));
        pthread_mutex_lock(&lease->mutex);
        has = map_has(lease->held, line);
        pthread_mutex_unlock(&lease->mutex);
        return has;
}

bool lease_has_pending_layer(Lease *lease, const Digest *diff_id, LayerInfo *ret)
{
        bool has = false;

        pthread_mutex_lock(&lease->mutex);
        for (size_t i = 0; i < lease->n_layers && !has; i++) {
                has = digest_equal(&lease->layers[i].info.diff_id, diff_id);
                if (has && ret)
                        *ret = lease->layers[i].info;
        }
        pthread_mutex_unlock(&lease->mutex);
        return has;
}

bool lease_has_pending_blob(Lease *lease, const Digest *digest)
{
        bool has = false;

        pthread_mutex_lock(&lease->mutex);
        for (size_t i = 0; i < lease->n_blobs && !has; i++)
                has = digest_equal(&lease->blobs[i].digest, digest);
        pthread_mutex_unlock(&lease->mutex);
        return has;
}

void lease_add_layer(Lease *lease, const LayerInfo *info)
{
        pthread_mutex_lock(&lease->mutex);
        GROW(lease->layers, lease->capacity_layers, lease->n_layers + 1);
        lease->layers[lease->n_layers++].info = *info;
        lease->dirty = lease->unfinished = true;
        pthread_mutex_unlock(&lease->mutex);
}

void lease_add_blob(Lease *lease, const Digest *digest, uint64_t size, const Digest *diff_id)
{
        pthread_mutex_lock(&lease->mutex);
        GROW(lease->blobs, lease->capacity_blobs, lease->n_blobs + 1);
        lease->blobs[lease->n_blobs++] = (PendingBlob){ .digest = *digest, .size = size, .diff_id = diff_id ? *diff_id : (Digest){ 0 } };
        lease->dirty = lease->unfinished = true;
        pthread_mutex_unlock(&lease->mutex);
}

void lease_set_blob_layer(Lease *lease, const Digest *digest, const Digest *diff_id)
{
        pthread_mutex_lock(&lease->mutex);
        for (size_t i = 0; i < lease->n_blobs; i++)
                if (digest_equal(&lease->blobs[i].digest, digest))
                        lease->blobs[i].diff_id = *diff_id;
        pthread_mutex_unlock(&lease->mutex);
}

/* Calls `each` for the whole lines of one lease's list; a line torn by the death of its writer is left out: what it would have named was not touched yet. */
static int each_line(int held_fd, const char *id, int (*each)(void *user, const char *lease_id, const char *line, Error *err), void *user, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(HELD_MAX);
        int r = fd_read_to_buf(held_fd, &text);

        if (r < 0)
                return error_errno(err, r, "cannot read the names that lease '%s' holds", id);
        for (char *line = text.data, *end; line && (end = strchr(line, '\n')); line = end + 1) {
                *end = '\0';
                if (each(user, id, line, err) < 0)
                        return -1;
        }
        return 0;
}

int leases_each(Store *store, bool live, int (*each)(void *user, const char *lease_id, const char *line, Error *err), void *user, Error *err)
{
        int fd = openat(store->root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!dir)
                return error_errno(err, errno, "cannot read '%s/tmp'", store->root);
        while (r == 0 && (entry = readdir(dir))) {
                char name[300];
                _cleanup_close_ int held = -1;
                bool alive;

                if (entry->d_name[0] == '.')
                        continue;
                snprintf(name, sizeof(name), "%s/held", entry->d_name);
                held = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC);
                alive = held >= 0 && flock(held, LOCK_SH | LOCK_NB) < 0;
                if (alive != live)
                        continue;
                /* A dead one is told of even when it holds nothing: its directory is to go. */
                if (!live)
                        r = each(user, entry->d_name, "", err);
                if (r == 0 && held >= 0)
                        r = each_line(held, entry->d_name, each, user, err);
        }
        closedir(dir);
        return r;
}
