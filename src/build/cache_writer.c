#include "build/cache_writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "crypto/random.h"
#include "oci/layout.h"
#include "oci/limits.h"

/* What is being written has a name like this until it is complete. */
#define INGEST "ingest"
#define INGEST_PREFIX "mica-"
#define LOCK_FILE "index.json.lock"

static const struct timespec retry_pause = { .tv_nsec = 20 * NSEC_PER_MSEC };

/* --- the directory --- */

/* Part of an export that was begun and never had an index. */
static bool is_of_export(const char *name)
{
        static const char *const names[] = { ".", "..", LOCK_FILE, "blobs", INGEST, OCI_LAYOUT_FILE };

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (streq(name, names[i]))
                        return true;
        return str_starts(name, OCI_LAYOUT_FILE ".tmp-") || str_starts(name, OCI_LAYOUT_INDEX ".tmp-");
}

/* Empty, or with nothing but what an export leaves that was stopped, or had no space, before it was complete. */
static bool is_fresh(int dir_fd)
{
        int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry = NULL;

        while (dir && (entry = readdir(dir)) && is_of_export(entry->d_name))
                ;
        if (dir)
                closedir(dir);
        return dir && !entry;
}

/* Waits for another exporter in small steps, so that a build that is stopped meanwhile ends. */
static int lock_dir(CacheWriter *w, int dir_fd, Error *err)
{
        _cleanup_close_ int fd = sys_openat(dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);

        if (fd < 0)
                return error_errno(err, errno, "cannot open '%s/" LOCK_FILE "'", w->dest);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return error_errno(err, errno, "cannot lock '%s/" LOCK_FILE "'", w->dest);
                if (build_check(w->build, err) < 0)
                        return -1;
                nanosleep(&retry_pause, NULL);
        }
        return TAKE_FD(fd);
}

/* What is there of an export with the same tag; whatever is wrong with it only means that everything is written anew. */
static void read_old(CacheWriter *w)
{
        static const Digest none;
        _cleanup_error_ Error ignored = ERROR_INIT;
        const Descriptor *manifest = cache_dir_find(&w->dir, w->tag, &none, &ignored);

        w->knows_all = cache_dir_reachable(&w->dir, w->trusted) > 0;
        if (manifest)
                (void)cache_dir_read(&w->dir, manifest, &w->old, &ignored);
}

static int open_dir(CacheWriter *w, Error *err)
{
        static const char *const dirs[] = { "blobs", "blobs/sha256", INGEST };
        const char *dest = w->dest;
        _cleanup_close_ int fd = -1;
        int r = dir_make(AT_FDCWD, dest, 0755);

        if (r < 0)
                return error_errno(err, r, "cannot make the directory '%s'", dest);
        fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, errno, "cannot open the directory '%s'", dest);
        w->lock_fd = lock_dir(w, fd, err);
        if (w->lock_fd < 0)
                return -1;
        if (is_fresh(fd)) {
                w->dir = (CacheDir){ .fd = TAKE_FD(fd), .path = xstrdup(dest) };
                index_init(&w->dir.index, false);
                w->knows_all = true;
        } else {
                if (cache_dir_open(dest, &w->dir, err) < 0)
                        return error_wrap(err, "cannot write a cache into '%s', which is not empty", dest);
                read_old(w);
        }
        for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
                if (sys_mkdirat(w->dir.fd, dirs[i], 0755) < 0 && errno != EEXIST)
                        return error_errno(err, errno, "cannot make '%s/%s'", dest, dirs[i]);
        r = file_write_atomic(w->dir.fd, OCI_LAYOUT_FILE, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), 0644, false);
        return r < 0 ? error_errno(err, r, "cannot write '%s/" OCI_LAYOUT_FILE "'", dest) : 0;
}

int cache_writer_open(Build *build, const char *dest, const char *tag, CacheWriter *ret, Error *err)
{
        *ret = (CacheWriter){ .build = build, .dest = dest, .tag = tag, .dir = { .fd = -1 }, .lock_fd = -1, .trusted = map_new(NULL) };
        pthread_mutex_init(&ret->lock, NULL);
        if (open_dir(ret, err) == 0)
                return 0;
        cache_writer_done(ret);
        return -1;
}

void cache_writer_done(CacheWriter *w)
{
        cache_document_done(&w->old);
        cache_dir_done(&w->dir);
        map_free(w->trusted);
        if (w->lock_fd >= 0)
                close(w->lock_fd);
        pthread_mutex_destroy(&w->lock);
        *w = (CacheWriter){ .dir = { .fd = -1 }, .lock_fd = -1 };
}

/* --- blobs --- */

int ingest_begin(CacheWriter *w, Ingest *in, Error *err)
{
        char random[33];

        random_hex(random, 32);
        snprintf(in->name, sizeof(in->name), INGEST "/" INGEST_PREFIX "%s", random);
        in->fd = sys_openat(w->dir.fd, in->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
        return in->fd < 0 ? error_errno(err, errno, "cannot write into '%s'", w->dest) : 0;
}

void ingest_drop(CacheWriter *w, Ingest *in)
{
        if (in->fd < 0)
                return;
        close(TAKE_FD(in->fd));
        (void)sys_unlinkat(w->dir.fd, in->name, 0);
}

int ingest_end(CacheWriter *w, Ingest *in, const Digest *digest, Error *err)
{
        char path[OCI_BLOB_PATH_SIZE];

        oci_blob_path(digest, path);
        if (sys_renameat(w->dir.fd, in->name, w->dir.fd, path) < 0)
                return error_errno(err, errno, "cannot write '%s/%s'", w->dest, path);
        close(TAKE_FD(in->fd));
        pthread_mutex_lock(&w->lock);
        map_set(w->trusted, path, w);
        w->n_written++;
        pthread_mutex_unlock(&w->lock);
        return 0;
}

bool cache_writer_has(CacheWriter *w, const Digest *digest, int64_t size)
{
        char path[OCI_BLOB_PATH_SIZE];
        struct stat st;
        bool trusted;

        oci_blob_path(digest, path);
        pthread_mutex_lock(&w->lock);
        trusted = map_has(w->trusted, path);
        pthread_mutex_unlock(&w->lock);
        return trusted && fstatat(w->dir.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

int cache_writer_put(CacheWriter *w, const void *data, size_t size, Digest *ret, Error *err)
{
        Ingest in = { .fd = -1 };
        int r;

        *ret = digest_of(data, size);
        if (cache_writer_has(w, ret, (int64_t)size))
                return 0;
        if (ingest_begin(w, &in, err) < 0)
                return -1;
        r = fd_write_all(in.fd, data, size);
        r = r < 0 ? error_errno(err, r, "cannot write into '%s'", w->dest) : ingest_end(w, &in, ret, err);
        ingest_drop(w, &in);
        return r;
}

/* --- the end: the index, and what is not needed any more --- */

/* Puts the manifest in the place of the one with the same tag. False when it is there already. */
static bool set_manifest(CacheWriter *w, const Descriptor *manifest)
{
        DescriptorList *list = &w->dir.index.manifests;

        for (size_t i = 0; i < list->n_items; i++) {
                const char *tag = string_map_get(&list->items[i].annotations, OCI_ANNOTATION_REF_NAME);

                if (!tag || !streq(tag, w->tag))
                        continue;
                if (digest_equal(&list->items[i].digest, &manifest->digest))
                        return false;
                descriptor_done(&list->items[i]);
                descriptor_copy(&list->items[i], manifest);
                return true;
        }
        descriptor_copy(descriptor_list_add(list), manifest);
        return true;
}

static int write_index(CacheWriter *w, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_MANIFEST_SIZE_MAX);
        int r;

        if (index_text(&w->dir.index, &text, err) < 0)
                return -1;
        if (sys_syncfs(w->dir.fd) < 0)
                return error_errno(err, errno, "cannot sync '%s'", w->dest);
        r = file_write_atomic(w->dir.fd, OCI_LAYOUT_INDEX, text.data, text.size, 0644, true);
        return r < 0 ? error_errno(err, r, "cannot write '%s/" OCI_LAYOUT_INDEX "'", w->dest) : 0;
}

static size_t remove_names(CacheWriter *w, const char *directory, bool (*wanted)(const Map *needed, const char *path, const char *name), const Map *needed)
{
        int fd = openat(w->dir.fd, directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;
        size_t n = 0;

        while (dir && (entry = readdir(dir))) {
                _cleanup_free_ char *path = xasprintf("%s/%s", directory, entry->d_name);

                if (wanted(needed, path, entry->d_name) && sys_unlinkat(w->dir.fd, path, 0) == 0)
                        n++;
        }
        if (dir)
                closedir(dir);
        return n;
}

static bool is_orphan(const Map *needed, const char *path, const char *name)
{
        return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64 && !map_has(needed, path);
}

static bool is_unfinished(const Map *needed, const char *path, const char *name)
{
        return str_starts(name, INGEST_PREFIX);
}

/* What earlier exports, also killed ones, left. Where a manifest of somebody else's cannot be read, nothing is known to be superfluous. */
static void remove_orphans(CacheWriter *w)
{
        _cleanup_(map_freep) Map *needed = map_new(NULL);

        remove_names(w, INGEST, is_unfinished, NULL);
        if (w->knows_all && cache_dir_reachable(&w->dir, needed) > 0)
                remove_names(w, "blobs/sha256", is_orphan, needed);
}

int cache_writer_commit(CacheWriter *w, const Descriptor *manifest, Error *err)
{
        if (set_manifest(w, manifest) && write_index(w, err) < 0)
                return -1;
        remove_orphans(w);
        return 0;
}
