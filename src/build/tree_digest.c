/*
 * Digests of the files of a source tree: remembered ones are looked up, the others are computed, by several threads when it pays.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "build/tree_private.h"

#define READ_SIZE (256 * KIB)
/* Below this much work one thread is faster than starting others. */
#define PARALLEL_SIZE (2 * MIB)
#define PARALLEL_FILES 64

typedef struct DigestJob {
        SourceTree *tree;
        TreeNode *const *nodes;
        size_t n_nodes;
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

static int digest_file(DigestJob *job, TreeNode *node, void *buffer, Error *err)
{
        _cleanup_close_ int fd = source_tree_open_file(job->tree, node, err);
        _cleanup_(hash_freep) Hash *hash = NULL;
        char capability[64];
        size_t capability_size;
        Digest digest;
        ssize_t n;

        if (fd < 0)
                return -1;
        hash = hash_new(DIGEST_SHA256);
        while ((n = read(fd, buffer, READ_SIZE)) != 0) {
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        _cleanup_free_ char *path = source_tree_node_path(node);

                        return error_errno(err, errno, "cannot read '%s' of the %s", path, job->tree->name);
                }
                hash_add(hash, buffer, (size_t)n);
                if (job->progress && !job->progress(job->user, (uint64_t)n))
                        return error_set(err, ERROR_CANCELLED, "the build was cancelled");
        }
        if (source_tree_check_unchanged(job->tree, node, fd, err) < 0)
                return -1;
        digest = hash_digest(hash);
        capability_size = source_tree_capability(fd, capability);
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
        return 0;
}

static void digest_worker(void *data)
{
        DigestJob *job = data;
        _cleanup_free_ void *buffer = xmalloc(READ_SIZE);
        _cleanup_error_ Error err = ERROR_INIT;

        for (;;) {
                size_t at = atomic_fetch_add(&job->next, 1);

                if (at >= job->n_nodes || atomic_load(&job->stop))
                        return;
                if (digest_file(job, job->nodes[at], buffer, &err) < 0)
                        break;
        }
        atomic_store(&job->stop, true);
        pthread_mutex_lock(&job->lock);
        if (!error_is_set(&job->error))
                error_move(&job->error, &err);
        pthread_mutex_unlock(&job->lock);
}

static int digest_all(DigestJob *job, uint64_t size, Error *err)
{
        size_t n_threads = size >= PARALLEL_SIZE || job->n_nodes >= PARALLEL_FILES ? MIN(cpu_count(), job->n_nodes) : 1;

        pool_run(n_threads, digest_worker, job);
        return error_is_set(&job->error) ? error_move(err, &job->error) : 0;
}

static int digest_missing(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        DigestJob job = { .tree = tree, .progress = progress, .user = user, .lock = PTHREAD_MUTEX_INITIALIZER };
        _cleanup_free_ TreeNode **missing = NULL;
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
                if (!missing)
                        missing = NEW_ARRAY(TreeNode *, n_nodes);
                missing[job.n_nodes++] = node;
                size += node->size;
        }
        job.nodes = missing;
        return job.n_nodes ? digest_all(&job, size, err) : 0;
}

int source_tree_digest(SourceTree *tree, TreeNode *const *nodes, size_t n_nodes, TreeProgress progress, void *user, Error *err)
{
        int result;

        pthread_mutex_lock(&tree->digest_lock);
        result = digest_missing(tree, nodes, n_nodes, progress, user, err);
        pthread_mutex_unlock(&tree->digest_lock);
        return result;
}
