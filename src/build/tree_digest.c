/*
 * Digests of the files of a source tree: remembered ones are looked up, the others are computed, by several threads when it pays.
 *
 * The digest of a file is the SHA-256 of its content, or, when it is larger than one part, of its size and the SHA-256 of its parts, so that several threads
 * can work on one file. How large the parts are depends on the size of the file only. These digests name nothing outside of cache keys.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/pool.h"
#include "build/tree_private.h"

#define READ_SIZE (256 * KIB)
/* Below this much work one thread is faster than starting others. */
#define PARALLEL_SIZE (2 * MIB)
#define PARALLEL_FILES 64

#define PART_SIZE (8 * MIB)
/* Parts are larger in a file that would have more than this: a sparse one has any size. */
#define PARTS_MAX 4096

/* A file whose digest is missing. */
typedef struct DigestFile {
        TreeNode *node;
        uint64_t part_size;
        size_t n_parts; /* at least 1 */
        Digest *parts;
        atomic_size_t left; /* parts that are not hashed yet */
} DigestFile;

typedef struct DigestPart {
        DigestFile *file;
        size_t number;
} DigestPart;

typedef struct DigestJob {
        SourceTree *tree;
        DigestFile *files;
        DigestPart *parts; /* of all files */
        size_t n_files, n_parts;
        atomic_size_t next;
        atomic_bool stop;
        TreeProgress progress;
        void *user;
        pthread_mutex_t lock;
        Error error;
} DigestJob;

static FileStamp stamp_of(const TreeNode *node)
{
        return (FileStamp){ .device = node->device, .inode = node->inode, .size = node->size, .mtime_ns = node->mtime_ns, .ctime_ns = node->ctime_ns };
}

static int hash_part(DigestJob *job, const DigestPart *part, int fd, void *buffer, Error *err)
{
        const TreeNode *node = part->file->node;
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);
        uint64_t at = part->number * part->file->part_size, end = MIN(at + part->file->part_size, node->size);

        while (at < end) {
                ssize_t n = fd_pread_full(fd, buffer, (size_t)MIN(end - at, (uint64_t)READ_SIZE), at);

                if (n < 0) {
                        _cleanup_free_ char *path = source_tree_node_path(node);

                        return error_errno(err, (int)n, "cannot read '%s' of the %s", path, job->tree->name);
                }
                if (n == 0)
                        break; /* it became shorter, which is told below */
                hash_add(hash, buffer, (size_t)n);
                at += (uint64_t)n;
                if (job->progress && !job->progress(job->user, (uint64_t)n))
                        return error_set(err, ERROR_CANCELLED, "the build was cancelled");
        }
        if (source_tree_check_unchanged(job->tree, node, fd, err) < 0)
                return -1;
        part->file->parts[part->number] = hash_digest(hash);
        return 0;
}

/* All parts are hashed. */
static void set_digest(DigestJob *job, const DigestFile *file, int fd)
{
        TreeNode *node = file->node;
        Digest digest = file->parts[0];
        char capability[64];
        size_t capability_size = source_tree_capability(fd, capability);

        if (file->n_parts > 1) {
                _cleanup_(hash_freep) Hash *all = hash_new(DIGEST_SHA256);

                hash_field_str(all, "parts");
                hash_field_u64(all, node->size);
                for (size_t i = 0; i < file->n_parts; i++)
                        hash_field_digest(all, &file->parts[i]);
                digest = hash_digest(all);
        }
        if (capability_size) {
                _cleanup_(hash_freep) Hash *both = hash_new(DIGEST_SHA256);

                hash_field_str(both, "capability");
                hash_field_digest(both, &digest);
                hash_field(both, capability, capability_size);
                digest = hash_digest(both);
        }
        if (job->tree->options.digests) {
                FileStamp stamp = stamp_of(node);

                file_digests_put(job->tree->options.digests, &stamp, &digest);
        }
        node->digest = digest;
        __atomic_store_n(&node->digested, true, __ATOMIC_RELEASE);
}

static int digest_part(DigestJob *job, const DigestPart *part, void *buffer, Error *err)
{
        _cleanup_close_ int fd = source_tree_open_file(job->tree, part->file->node, err);

        if (fd < 0 || hash_part(job, part, fd, buffer, err) < 0)
                return -1;
        if (atomic_fetch_sub(&part->file->left, 1) == 1)
                set_digest(job, part->file, fd);
        return 0;
}

static void digest_worker(void *data)
{
        DigestJob *job = data;
        _cleanup_free_ void *buffer = xmalloc(READ_SIZE);
        _cleanup_error_ Error err = ERROR_INIT;

        for (;;) {
                size_t at = atomic_fetch_add(&job->next, 1);

                if (at >= job->n_parts || atomic_load(&job->stop))
                        return;
                if (digest_part(job, &job->parts[at], buffer, &err) < 0)
                        break;
        }
        atomic_store(&job->stop, true);
        pthread_mutex_lock(&job->lock);
        if (!error_is_set(&job->error))
                error_move(&job->error, &err);
        pthread_mutex_unlock(&job->lock);
}

static void add_file(DigestJob *job, TreeNode *node)
{
        DigestFile *file = &job->files[job->n_files++];

        *file = (DigestFile){ .node = node, .part_size = PART_SIZE };
        while (node->size / file->part_size >= PARTS_MAX)
                file->part_size *= 2;
        file->n_parts = MAX((size_t)((node->size + file->part_size - 1) / file->part_size), (size_t)1);
        file->left = file->n_parts;
        job->n_parts += file->n_parts;
}

/* One array for the parts of all files, and one for their digests. */
static int digest_all(DigestJob *job, uint64_t size, Error *err)
{
        _cleanup_free_ DigestPart *parts = NEW_ARRAY(DigestPart, job->n_parts);
        _cleanup_free_ Digest *digests = NEW_ARRAY(Digest, job->n_parts);
        size_t n_threads = size >= PARALLEL_SIZE || job->n_parts >= PARALLEL_FILES ? MIN(cpu_count(), job->n_parts) : 1, n = 0;

        job->parts = parts;
        for (size_t i = 0; i < job->n_files; i++) {
                job->files[i].parts = &digests[n];
                for (size_t k = 0; k < job->files[i].n_parts; k++)
                        parts[n++] = (DigestPart){ .file = &job->files[i], .number = k };
        }
        pool_run(n_threads, digest_worker, job);
        return error_is_set(&job->error) ? error_move(err, &job->error) : 0;
}

static int digest_missing(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        DigestJob job = { .tree = tree, .progress = progress, .user = user, .lock = PTHREAD_MUTEX_INITIALIZER };
        _cleanup_free_ DigestFile *files = NULL;
        uint64_t size = 0;

        for (size_t i = 0; i < n_nodes; i++) {
                TreeNode *node = nodes[i];
                FileStamp stamp;

                if (!S_ISREG(node->mode) || __atomic_load_n(&node->digested, __ATOMIC_ACQUIRE))
                        continue;
                stamp = stamp_of(node);
                if (tree->options.digests && file_digests_get(tree->options.digests, &stamp, &node->digest)) {
                        __atomic_store_n(&node->digested, true, __ATOMIC_RELEASE);
                        continue;
                }
                if (!files)
                        files = job.files = NEW_ARRAY(DigestFile, n_nodes);
                add_file(&job, node);
                size += node->size;
        }
        return job.n_files ? digest_all(&job, size, err) : 0;
}

int source_tree_digest(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        int result;

        pthread_mutex_lock(&tree->digest_lock);
        result = digest_missing(tree, nodes, n_nodes, progress, user, err);
        pthread_mutex_unlock(&tree->digest_lock);
        return result;
}
