/*
 * Directories of containers: containers/<id>.
 *
 * One is made a moment before its row and removed a moment after it. Its removal begins with another name, containers/.gone-<id>, so that a removal which was
 * killed is told from a container that is just being made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "store/container.h"
#include "store/reach.h"

#define DIRECTORY "containers"
#define GONE ".gone-"

/* An id comes from our own random_id(), but it names a directory that may be removed: nothing else passes. */
static int container_name(const char *id, char *buffer, Error *err)
{
        size_t n = strlen(id);

        if (n < 12 || n > 64 || strspn(id, "0123456789abcdef") != n)
                return error_set(err, ERROR_INVALID, "'%s' is not the id of a container", id);
        snprintf(buffer, STORE_NAME_SIZE, DIRECTORY "/%s", id);
        return 0;
}

int container_dir_make(Store *store, const char *id, char **ret_path, Error *err)
{
        static const struct {
                const char *name;
                mode_t mode;
        } parts[] = { { "", 0711 }, { "/upper", 0755 }, { "/work", 0700 }, { "/logs", 0700 } };
        char name[STORE_NAME_SIZE], path[STORE_NAME_SIZE + 8];

        if (container_name(id, name, err) < 0)
                return -1;
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
                snprintf(path, sizeof(path), "%s%s", name, parts[i].name);
                if (sys_mkdirat(store->root_fd, path, parts[i].mode) < 0 && errno != EEXIST)
                        return error_errno(err, errno, "cannot make '%s/%s'", store->root, path);
                if (sys_fchmodat(store->root_fd, path, parts[i].mode) < 0)
                        return error_errno(err, errno, "cannot set the mode of '%s/%s'", store->root, path);
        }
        *ret_path = xasprintf("%s/%s", store->root, name);
        return 0;
}

/* Who removes a directory has it locked: another process that finds it leaves it to that one. */
static int remove_gone(Store *store, const char *name, bool wait, Error *err)
{
        _cleanup_close_ int fd = openat(store->root_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int r;

        if (fd < 0)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot open '%s/%s'", store->root, name);
        if (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? 0 : error_errno(err, errno, "cannot lock '%s/%s'", store->root, name);
        r = tree_remove(store->root_fd, name);
        return r < 0 ? error_errno(err, r, "cannot remove '%s/%s'", store->root, name) : 0;
}

int container_dir_remove(Store *store, const char *id, Error *err)
{
        char name[STORE_NAME_SIZE], gone[STORE_NAME_SIZE];

        if (container_name(id, name, err) < 0)
                return -1;
        snprintf(gone, sizeof(gone), DIRECTORY "/" GONE "%s", id);
        if (sys_renameat(store->root_fd, name, store->root_fd, gone) < 0 && errno != ENOENT)
                return error_errno(err, errno, "cannot rename '%s/%s'", store->root, name);
        return remove_gone(store, gone, true, err);
}

int container_dir_retire(Lease *lease, const char *id, Error *err)
{
        char name[STORE_NAME_SIZE];

        return container_name(id, name, err) < 0 ? -1 : trash(lease, name, NULL, err);
}

/* --- what a killed removal has left --- */

static int has_row(Store *store, const char *id, Error *err)
{
        int64_t one;

        return db_query_int(store->db, "SELECT 1 FROM container WHERE id = ?1", DB_ARGS(DB_TEXT(id)), &one, err);
}

/*
 * Without a row, but with the file that whoever starts, changes or removes a container locks: only one that has had a row has that file. Nobody may hold the
 * lock, and the row is looked for again after that, since a container may be made and started between the two.
 */
static int sweep_rowless(Store *store, const char *id, Error *err)
{
        char path[STORE_NAME_SIZE];
        _cleanup_close_ int fd = -1;
        int r;

        snprintf(path, sizeof(path), DIRECTORY "/%s/lock", id);
        fd = openat(store->root_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
                return 0;
        r = has_row(store, id, err);
        return r < 0 ? -1 : r > 0 ? 0 : container_dir_remove(store, id, err);
}

static int sweep_gone(Store *store, Error *err)
{
        _cleanup_close_ int fd = openat(store->root_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : error_errno(err, errno, "cannot read '%s/" DIRECTORY "'", store->root);
        TAKE_FD(fd);
        while (r == 0 && (entry = readdir(dir))) {
                char path[STORE_NAME_SIZE];

                if (!str_starts(entry->d_name, GONE) || strlen(entry->d_name) > strlen(GONE) + 64)
                        continue;
                snprintf(path, sizeof(path), DIRECTORY "/%.80s", entry->d_name);
                r = remove_gone(store, path, false, err);
        }
        closedir(dir);
        return r;
}

/* One question for all of them: there may be thousands. */
static int read_ids(Store *store, Map *ids, Error *err)
{
        _cleanup_db_stmt_ DbStmt *stmt = NULL;
        int r;

        if (db_query(store->db, "SELECT id FROM container", DB_NO_ARGS, &stmt, err) < 0)
                return -1;
        while ((r = db_step(stmt, err)) > 0)
                map_set(ids, db_column_text(stmt, 0), store);
        return r;
}

static int sweep(Store *store, Error *err)
{
        _cleanup_strlist_ StrList names = { 0 };
        _cleanup_(map_freep) Map *ids = map_new(NULL);

        if (sweep_gone(store, err) < 0 || names_in(store, DIRECTORY, &names, err) < 0 || (names.n_items && read_ids(store, ids, err) < 0))
                return -1;
        for (size_t i = 0; i < names.n_items; i++)
                if (!map_has(ids, names.items[i]) && sweep_rowless(store, names.items[i], err) < 0)
                        return -1;
        return 0;
}

void container_dirs_sweep(Store *store)
{
        _cleanup_error_ Error failure = ERROR_INIT;

        if (sweep(store, &failure) < 0)
                log_debug("cannot remove what is left of containers: %s", error_message(&failure));
}
