/*
 * Opening a store, making it when it is not there, and where things lie in it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "fs/features.h"
#include "fs/userns.h"
#include "oci/layout.h"
#include "store/internal.h"

#define EMPTY_INDEX "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}\n"

char *blob_name(const Digest *digest, char *buffer)
{
        char hex[DIGEST_TEXT_SIZE];

        snprintf(buffer, STORE_NAME_SIZE, "blobs/%s/%s", digest->algorithm == DIGEST_SHA512 ? "sha512" : "sha256", digest_hex(digest, hex));
        return buffer;
}

char *layer_name(const Digest *diff_id, const char *part, char *buffer)
{
        char hex[DIGEST_TEXT_SIZE];

        snprintf(buffer, STORE_NAME_SIZE, "layers/%s%s%s", digest_hex(diff_id, hex), part ? "/" : "", part ? part : "");
        return buffer;
}

char *chain_name(const Digest *chain, char *buffer)
{
        char hex[DIGEST_TEXT_SIZE];

        snprintf(buffer, STORE_NAME_SIZE, "chains/%s", digest_hex(chain, hex));
        return buffer;
}

/* The root that the options, the environment or the user's rights ask for. New string, absolute. */
static int choose_root(const char *wanted, char **ret, Error *err)
{
        const char *root = wanted ? wanted : getenv("MICA_ROOT"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
        _cleanup_free_ char *here = NULL;

        if (!str_empty(root)) {
                if (root[0] == '/') {
                        *ret = xstrdup(root);
                        return 0;
                }
                here = getcwd(NULL, 0);
                if (!here)
                        return error_errno(err, errno, "cannot find the directory of the store '%s'", root);
                *ret = xasprintf("%s/%s", here, root);
                return 0;
        }
        if (user_id() == 0)
                *ret = xstrdup("/var/lib/mica");
        else if (data && data[0] == '/')
                *ret = xasprintf("%s/mica", data);
        else if (home && home[0] == '/')
                *ret = xasprintf("%s/.local/share/mica", home);
        else
                return error_set(err, ERROR_INVALID, "cannot choose a directory for the store: set MICA_ROOT or HOME");
        return 0;
}

/*
 * Makes what a store has, whatever is there already. The database is last: while it is missing, the store is not finished, and the next one who
 * opens it goes through all of this again. Runs under the exclusive lock.
 */
static int make_store(Store *store, Error *err)
{
        static const struct {
                const char *path;
                mode_t mode;
        } dirs[] = {
                { "blobs", 0755 },   { "blobs/sha256", 0755 }, { "blobs/sha512", 0755 }, { "layers", 0711 },        { "chains", 0700 }, { "containers", 0711 },
                { "volumes", 0711 }, { "cache", 0700 },        { "cache/mounts", 0711 }, { "cache/context", 0700 }, { "tmp", 0711 },
        };
        struct stat st;
        int r;

        for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
                if ((sys_mkdirat(store->root_fd, dirs[i].path, dirs[i].mode) < 0 && errno != EEXIST) ||
                    sys_fchmodat(store->root_fd, dirs[i].path, dirs[i].mode) < 0)
                        return error_errno(err, errno, "cannot make '%s/%s'", store->root, dirs[i].path);
        if (fstatat(store->root_fd, "index.json", &st, 0) < 0) {
                r = file_write_atomic(store->root_fd, "index.json", EMPTY_INDEX, strlen(EMPTY_INDEX), 0644, true);
                if (r < 0)
                        return error_errno(err, r, "cannot write '%s/index.json'", store->root);
        }
        r = file_write_atomic(store->root_fd, OCI_LAYOUT_FILE, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), 0644, true);
        return r < 0 ? error_errno(err, r, "cannot write '%s/oci-layout'", store->root) : 0;
}

static int open_root(Store *store, Error *err)
{
        int r;

        store->root_fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (store->root_fd < 0 && errno == ENOENT) {
                r = dir_make(AT_FDCWD, store->root, 0711);
                if (r < 0)
                        return error_errno(err, r, "cannot make the store '%s'", store->root);
                store->root_fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        return store->root_fd < 0 ? error_errno(err, errno, "cannot open the store '%s'", store->root) : 0;
}

static bool has_database(Store *store)
{
        struct stat st;

        return fstatat(store->root_fd, "db.sqlite", &st, 0) == 0 && st.st_size > 0;
}

static int open_database(Store *store, Error *err)
{
        _cleanup_free_ char *path = xasprintf("%s/db.sqlite", store->root);

        return db_open(path, &store_schema, DB_CREATE, &store->db, err);
}

/* The lock is shared while the store is used, and exclusive while it is made. */
/*
 * Makes the store unless another process does or did. That one keeps a shared lock for as long as it works, so waiting for the exclusive one could
 * take for ever: it is tried, and what the other made is looked for again.
 */
static int make_once(Store *store, Error *err)
{
        while (!has_database(store)) {
                _cleanup_error_ Error busy = ERROR_INIT;
                _cleanup_close_ int fd = store_lock_file(store, "lock", LOCK_EX | LOCK_NB, &busy);

                if (fd >= 0)
                        return has_database(store) ? 0 : make_store(store, err) < 0 || open_database(store, err) < 0 ? -1 : 0;
                if (busy.errnum != EWOULDBLOCK)
                        return error_move(err, &busy);
                usleep(1000);
        }
        return 0;
}

static int open_locked(Store *store, Error *err)
{
        if (make_once(store, err) < 0)
                return -1;
        store->lock_fd = store_lock_file(store, "lock", LOCK_SH, err);
        if (store->lock_fd < 0)
                return -1;
        return store->db ? 0 : open_database(store, err);
}

static int parse_driver(const char *name, StoreDriver *ret, Error *err)
{
        if (str_empty(name) || streq(name, "auto"))
                *ret = STORE_DRIVER_UNKNOWN;
        else if (streq(name, "erofs"))
                *ret = STORE_DRIVER_EROFS;
        else if (streq(name, "dir"))
                *ret = STORE_DRIVER_DIR;
        else
                return error_set(err, ERROR_INVALID, "unknown store driver '%s': use 'erofs' or 'dir'", name);
        return 0;
}

int store_open(const StoreOptions *options, Store **ret, Error *err)
{
        _cleanup_(store_closep) Store *store = NEW(Store);
        const char *driver = options && options->driver ? options->driver : getenv("MICA_STORE_DRIVER");

        store->root_fd = store->lock_fd = store->gc_fd = -1;
        pthread_mutex_init(&store->gc_mutex, NULL);
        pthread_mutex_init(&store->driver_mutex, NULL);
        if (parse_driver(driver, &store->driver, err) < 0 || choose_root(options ? options->root : NULL, &store->root, err) < 0)
                return -1;
        if (options && options->existing) {
                store->root_fd = open(store->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (store->root_fd < 0 || !has_database(store))
                        return error_set(err, ERROR_NOT_FOUND, "there is no store '%s'", store->root);
        } else if (open_root(store, err) < 0) {
                return -1;
        }
        if (open_locked(store, err) < 0)
                return -1;
        *ret = TAKE_PTR(store);
        return 0;
}

void store_close(Store *store)
{
        if (!store)
                return;
        db_close(store->db);
        if (store->gc_fd >= 0)
                close(store->gc_fd);
        if (store->lock_fd >= 0)
                close(store->lock_fd);
        if (store->root_fd >= 0)
                close(store->root_fd);
        pthread_mutex_destroy(&store->gc_mutex);
        pthread_mutex_destroy(&store->driver_mutex);
        free(store->root);
        free(store);
}

void store_before_fork(Store *store)
{
        db_close_quickly(store->db);
        store->db = NULL;
}

int store_after_fork(Store *store, Error *err)
{
        return open_database(store, err);
}

const char *store_root(const Store *store)
{
        return store->root;
}

int store_root_fd(const Store *store)
{
        return store->root_fd;
}

int open_tree_dir(int dir_fd, const char *path)
{
        return openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* --- what was found out about the kernel, for the next process --- */

#define PROBE_NAME "driver"

/* What the answer depends on: the boot, the file system, and who we are. New string, or NULL. */
static char *probe_key(Store *store)
{
        _cleanup_buf_ Buf boot = BUF_INIT(64);
        _cleanup_free_ char *id = NULL;
        struct stat root, namespace;

        if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot) < 0 || fstat(store->root_fd, &root) < 0 || stat("/proc/self/ns/user", &namespace) < 0)
                return NULL;
        id = str_trim(buf_str(&boot));
        return xasprintf(" 1 %s %ju %ju %u\n", id, (uintmax_t)root.st_dev, (uintmax_t) namespace.st_ino, geteuid());
}

/* The first word, which is before the key, by store->attach. */
static const char *const probe_words[] = { [ATTACH_NO] = "erofs", [ATTACH_YES] = "erofs-attached" };

/*
 * Finding out costs two mounts, as much as everything else that `run` does before the runtime. Only a good answer is kept: what did not work may work with more
 * privileges, and is rare. With driver_mutex.
 */
static bool erofs_works(Store *store, const char **ret_reason)
{
        _cleanup_free_ char *key = probe_key(store), *line = NULL;
        _cleanup_buf_ Buf known = BUF_INIT(256);
        bool attached;

        if (key && file_read(store->root_fd, PROBE_NAME, &known) == 0) {
                for (StoreAttach attach = ATTACH_NO; attach <= ATTACH_YES; attach++) {
                        const char *rest = str_after(buf_str(&known), probe_words[attach]);

                        if (!rest || !streq(rest, key))
                                continue;
                        store->attach = attach;
                        *ret_reason = "EROFS is mounted from files, as another process has found out";
                        return true;
                }
        }
        if (!feature_erofs_in(store->root_fd, &attached, ret_reason))
                return false;
        store->attach = attached ? ATTACH_YES : ATTACH_NO;
        line = xasprintf("%s%s", probe_words[store->attach], key ? key : "");
        if (key)
                (void)file_write_atomic(store->root_fd, PROBE_NAME, line, strlen(line), 0600, false);
        return true;
}

bool store_attaches_layers(Store *store)
{
        const char *ignored;
        bool attach;

        pthread_mutex_lock(&store->driver_mutex);
        if (store->attach == ATTACH_UNKNOWN && !erofs_works(store, &ignored)) /* the driver was asked for */
                store->attach = ATTACH_NO;
        attach = store->attach == ATTACH_YES;
        pthread_mutex_unlock(&store->driver_mutex);
        return attach;
}

StoreDriver store_driver_kind(Store *store)
{
        StoreDriver driver;

        pthread_mutex_lock(&store->driver_mutex);
        if (store->driver == STORE_DRIVER_UNKNOWN) {
                const char *reason = "";
                bool works = erofs_works(store, &reason);

                store->driver = works ? STORE_DRIVER_EROFS : STORE_DRIVER_DIR;
                store->driver_reason = reason;
                log_debug("store driver '%s': %s", works ? "erofs" : "dir", reason);
        }
        driver = store->driver;
        pthread_mutex_unlock(&store->driver_mutex);
        return driver;
}

const char *store_driver(const Store *store)
{
        /* What is found out on first use is no visible change of the store. */
        return store_driver_kind((Store *)(uintptr_t)store) == STORE_DRIVER_EROFS ? "erofs" : "dir";
}

const char *store_driver_reason(const Store *store)
{
        (void)store_driver(store);
        return store->driver_reason ? store->driver_reason : "it was asked for";
}

int store_open_content(Store *store, const char *name, const char *kind, const Digest *digest, uint64_t *ret_size, Error *err)
{
        _cleanup_close_ int fd = openat(store->root_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        char text[DIGEST_TEXT_SIZE];
        struct stat st;

        if (fd < 0 && errno == ENOENT)
                return error_set(err, ERROR_NOT_FOUND, "the store has no %s '%s'", kind, digest_format(digest, text));
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot open '%s/%s'", store->root, name);
        if (!S_ISREG(st.st_mode))
                return error_set(err, ERROR_CORRUPT, "cannot open '%s/%s': it is not a file", store->root, name);
        if (ret_size)
                *ret_size = (uint64_t)st.st_size;
        return TAKE_FD(fd);
}
