/*
 * Digests of the files of one build context, so that a file that did not change costs a stat and not a read.
 *
 * The file is an array of fixed records sorted by (device, inode), looked up by binary search in the mapped file; what is new is kept in a hash table until it
 * is saved, when both are merged and written anew. docs/formats/file-digests.md has the format.
 *
 * A file whose mtime or ctime is not older than the moment of hashing is not remembered: it may be written again without either of them changing, because the
 * kernel's clock for them advances in steps of some milliseconds (git calls this "racily clean").
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/sys.h"
#include "store/cache.h"
#include "store/internal.h"

#define MAGIC "micaFDG1"
#define VERSION 2
#define RECORDS_MAX (UINT64_C(1) << 24)
/* Steps of the kernel's clock for file times are at most 10 ms; a file system that keeps whole seconds only shows by a ctime without a fraction. */
#define SETTLE_NS (20 * NSEC_PER_MSEC)
#define SETTLE_COARSE_NS (2 * NSEC_PER_SEC)
/* How long a record of a file that no build asked for is kept when others are written. */
#define KEEP_NS (INT64_C(30) * 24 * 3600 * NSEC_PER_SEC)

/* All little-endian, which is what the machines are that we run on; another one's file fails the magic's check of order. */
typedef struct Header {
        char magic[8];
        uint32_t version, record_size;
        uint64_t n_records;
        uint64_t order;    /* 0x0102030405060708 as the writer's machine stores it */
        uint8_t check[32]; /* sha256 of the records */
} Header;

typedef struct Record {
        uint64_t device, inode, size;
        int64_t mtime_ns, ctime_ns;
        int64_t last_used; /* when a build asked for it, to the day */
        uint8_t digest[32];
} Record;

struct FileDigests {
        Store *store;
        char *name; /* relative to the root */
        Mapping mapping;
        const Record *records; /* in the mapping */
        size_t n_records;
        uint8_t *used; /* one byte for each record in the mapping */
        pthread_mutex_t mutex;
        Map *added; /* (device, inode) -> Record */
        Timestamp opened;
};

#define ORDER UINT64_C(0x0102030405060708)

/* Points at the records when the file is whole. A file that is not is as none at all. */
static void use_mapping(FileDigests *digests)
{
        const Header *header = digests->mapping.data;
        uint64_t size = digests->mapping.size;
        Digest check;

        if (size < sizeof(Header) || memcmp(header->magic, MAGIC, 8) != 0 || header->version != VERSION || header->record_size != sizeof(Record) ||
            header->order != ORDER || header->n_records > RECORDS_MAX || header->n_records * sizeof(Record) != size - sizeof(Header))
                return;
        check = digest_of(header + 1, size - sizeof(Header));
        if (memcmp(check.bytes, header->check, sizeof(header->check)) != 0)
                return;
        digests->records = (const Record *)(header + 1);
        digests->n_records = header->n_records;
        digests->used = xcalloc(digests->n_records + 1, 1);
}

int file_digests_open(Store *store, const char *context_root, FileDigests **ret, Error *err)
{
        FileDigests *digests = NEW(FileDigests);
        Digest hash = digest_of(context_root, strlen(context_root));
        char hex[DIGEST_TEXT_SIZE];
        Error missing = ERROR_INIT;

        digests->store = store;
        digests->opened = clock_now();
        digests->name = xasprintf("cache/context/%s", digest_hex(&hash, hex));
        digests->added = map_new(free);
        pthread_mutex_init(&digests->mutex, NULL);
        if (mapping_open(store->root_fd, digests->name, &digests->mapping, &missing) == 0)
                use_mapping(digests);
        error_done(&missing);
        *ret = digests;
        return 0;
}

void file_digests_free(FileDigests *digests)
{
        if (!digests)
                return;
        mapping_done(&digests->mapping);
        map_free(digests->added);
        pthread_mutex_destroy(&digests->mutex);
        free(digests->used);
        free(digests->name);
        free(digests);
}

static int compare_place(uint64_t device, uint64_t inode, const Record *record)
{
        if (device != record->device)
                return device < record->device ? -1 : 1;
        if (inode != record->inode)
                return inode < record->inode ? -1 : 1;
        return 0;
}

/* The index of the record in the mapping, or n_records. */
static size_t search(const FileDigests *digests, uint64_t device, uint64_t inode)
{
        size_t low = 0, high = digests->n_records;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = compare_place(device, inode, &digests->records[middle]);

                if (order == 0)
                        return middle;
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return digests->n_records;
}

static bool same_stamp(const Record *record, const FileStamp *stamp)
{
        return record->size == stamp->size && record->mtime_ns == stamp->mtime_ns && record->ctime_ns == stamp->ctime_ns;
}

bool file_digests_get(FileDigests *digests, const FileStamp *stamp, Digest *ret)
{
        const uint64_t place[2] = { stamp->device, stamp->inode };
        const Record *record = NULL;
        size_t at = search(digests, stamp->device, stamp->inode);
        bool found;

        if (at < digests->n_records && same_stamp(&digests->records[at], stamp)) {
                __atomic_store_n(&digests->used[at], 1, __ATOMIC_RELAXED);
                *ret = (Digest){ .algorithm = DIGEST_SHA256 };
                memcpy(ret->bytes, digests->records[at].digest, 32);
                return true;
        }
        pthread_mutex_lock(&digests->mutex);
        record = map_getn(digests->added, place, sizeof(place));
        found = record && same_stamp(record, stamp);
        if (found) {
                *ret = (Digest){ .algorithm = DIGEST_SHA256 };
                memcpy(ret->bytes, record->digest, 32);
        }
        pthread_mutex_unlock(&digests->mutex);
        return found;
}

void file_digests_put(FileDigests *digests, const FileStamp *stamp, const Digest *digest)
{
        const uint64_t place[2] = { stamp->device, stamp->inode };
        /* Nothing was read before we were opened, so this is the moment of hashing or earlier. */
        Timestamp settled = digests->opened - (stamp->ctime_ns % NSEC_PER_SEC ? SETTLE_NS : SETTLE_COARSE_NS);
        Record *record;

        if (digest->algorithm != DIGEST_SHA256 || stamp->mtime_ns > settled || stamp->ctime_ns > settled)
                return;
        record = NEW(Record);
        *record = (Record){ .device = stamp->device,
                            .inode = stamp->inode,
                            .size = stamp->size,
                            .mtime_ns = stamp->mtime_ns,
                            .ctime_ns = stamp->ctime_ns,
                            .last_used = digests->opened };
        memcpy(record->digest, digest->bytes, 32);
        pthread_mutex_lock(&digests->mutex);
        map_setn(digests->added, place, sizeof(place), record);
        pthread_mutex_unlock(&digests->mutex);
}

static int order_records(const void *a, const void *b)
{
        const Record *x = a, *y = b;

        return compare_place(x->device, x->inode, y);
}

/* What is to be saved: the added ones, and those of the file that they do not replace and that are not too old. */
static size_t gather(FileDigests *digests, Record *to)
{
        const char *key;
        void *value;
        size_t n = 0;

        for (size_t at = 0; map_next(digests->added, &at, &key, &value);)
                to[n++] = *(const Record *)value;
        for (size_t i = 0; i < digests->n_records; i++) {
                const uint64_t place[2] = { digests->records[i].device, digests->records[i].inode };

                if (map_getn(digests->added, place, sizeof(place)) || (!digests->used[i] && digests->opened - digests->records[i].last_used > KEEP_NS))
                        continue;
                to[n] = digests->records[i];
                if (digests->used[i])
                        to[n].last_used = digests->opened;
                n++;
        }
        qsort(to, n, sizeof(*to), order_records);
        return n;
}

int file_digests_save(FileDigests *digests, Error *err)
{
        size_t most = digests->n_records + map_size(digests->added), size;
        _cleanup_free_ Header *header = NULL;
        char temporary[STORE_NAME_SIZE];
        _cleanup_close_ int fd = -1;
        Digest check;
        int r;

        if (map_size(digests->added) == 0 || most > RECORDS_MAX)
                return 0;
        header = xcalloc(1, sizeof(Header) + most * sizeof(Record));
        *header = (Header){ .magic = MAGIC, .version = VERSION, .record_size = sizeof(Record), .order = ORDER };
        pthread_mutex_lock(&digests->mutex);
        header->n_records = gather(digests, (Record *)(header + 1));
        pthread_mutex_unlock(&digests->mutex);
        size = header->n_records * sizeof(Record);
        check = digest_of(header + 1, size);
        memcpy(header->check, check.bytes, sizeof(header->check));
        /* Not synced: a torn file is told by its checksum and costs reading the context once more. */
        snprintf(temporary, sizeof(temporary), "%s.%ld", digests->name, (long)getpid());
        fd = sys_openat(digests->store->root_fd, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0)
                return error_errno(err, errno, "cannot write '%s/%s'", digests->store->root, temporary);
        r = fd_write_all(fd, header, sizeof(Header) + size);
        if (r == 0 && sys_renameat(digests->store->root_fd, temporary, digests->store->root_fd, digests->name) < 0)
                r = -errno;
        if (r < 0)
                (void)sys_unlinkat(digests->store->root_fd, temporary, 0);
        return r < 0 ? error_errno(err, r, "cannot write '%s/%s'", digests->store->root, digests->name) : 0;
}
