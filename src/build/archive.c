#include "build/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "codec/codec.h"

#define READ_SIZE (256 * KIB)
/* An archive may not inflate beyond this ratio (and 64 MiB), as a layer may not: bombs. gzip ends at 1032, so a higher limit would never be met. */
#define RATIO_MAX 400

/* --- recognising --- */

typedef struct Probe {
        unsigned char block[TAR_BLOCK_SIZE];
        size_t size;
} Probe;

static int probe_write(void *user, const void *data, size_t size, Error *err)
{
        Probe *probe = user;
        size_t n = MIN(size, sizeof(probe->block) - probe->size);

        memcpy(probe->block + probe->size, data, n);
        probe->size += n;
        /* Stops the decoder once there is enough to judge. */
        return probe->size == sizeof(probe->block) ? error_set(err, ERROR_LIMIT, "enough") : 0;
}

static bool probe_compressed(const void *data, size_t size, Codec codec)
{
        Probe probe = { .size = 0 };
        Sink sink = { .write = probe_write, .user = &probe };
        _cleanup_(decoder_freep) Decoder *decoder = decoder_new(codec, &sink, 0, 0);
        _cleanup_error_ Error ignored = ERROR_INIT;

        (void)decoder_feed(decoder, data, size, &ignored);
        return probe.size == sizeof(probe.block) && tar_looks_like_header(probe.block);
}

static int spool_write(void *user, const void *data, size_t size, Error *err)
{
        int r = fd_write_all(*(int *)user, data, size);

        return r < 0 ? error_errno(err, r, "cannot write a temporary file") : 0;
}

static int inflate(int fd, Codec codec, int spool, Error *err)
{
        Sink sink = { .write = spool_write, .user = &spool };
        _cleanup_(decoder_freep) Decoder *decoder = decoder_new(codec, &sink, 0, RATIO_MAX);
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);
        uint64_t offset = 0;
        ssize_t n;

        while ((n = fd_pread_full(fd, buffer, READ_SIZE, offset)) > 0) {
                if (decoder_feed(decoder, buffer, (size_t)n, err) < 0)
                        return -1;
                offset += (uint64_t)n;
        }
        if (n < 0)
                return error_errno(err, (int)n, "cannot read the archive");
        return decoder_finish(decoder, err);
}

int archive_open(int fd, const char *tmp, int *ret_spool, Error *err)
{
        _cleanup_free_ char *head = xmalloc(READ_SIZE);
        ssize_t n = fd_pread_full(fd, head, READ_SIZE, 0);
        _cleanup_close_ int spool = -1;
        Codec codec;

        if (n < 0)
                return error_errno(err, (int)n, "cannot read a file that may be an archive");
        *ret_spool = -1;
        codec = codec_sniff(head, (size_t)n);
        if (codec == CODEC_NONE)
                return n >= TAR_BLOCK_SIZE && tar_looks_like_header(head);
        if (!probe_compressed(head, (size_t)n, codec))
                return 0;
        spool = open(tmp, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (spool < 0)
                return error_errno(err, errno, "cannot make a temporary file in '%s'", tmp);
        if (inflate(fd, codec, spool, err) < 0)
                return -1;
        *ret_spool = TAKE_FD(spool);
        return 1;
}

/* --- placing --- */

typedef struct Placing {
        const ArchivePlace *place;
        int fd;
        DestDirs dirs;
} Placing;

/* The directory for a member, inside the archive's root: missing ones are made, links on the way are replaced by nothing (followed inside the image). */
static int member_dir(Placing *placing, const char *path, DestNode **ret, char **ret_name, Error *err)
{
        _cleanup_free_ char *root = dest_path(placing->place->dir);
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *dir = slash ? xasprintf("%s/%.*s", root, (int)(slash - path), path) : xstrdup(root);

        *ret_name = xstrdup(slash ? slash + 1 : path);
        return dest_make_dirs(placing->place->dest, dir, &placing->dirs, ret, err);
}

static int linked_entry(Placing *placing, const TarEntry *entry, DestEntry *ret, Error *err)
{
        _cleanup_free_ char *name = NULL;
        DestNode *dir, *target;
        int found;

        if (member_dir(placing, entry->link, &dir, &name, err) < 0)
                return -1;
        found = dest_child(placing->place->dest, dir, name, &target, err);
        if (found < 0)
                return -1;
        if (!found || !dest_is_new(target) || dest_is_dir(target))
                return error_set(err, ERROR_INVALID, "the hard link '%s' in the archive leads to '%s', which is not in the archive before it", entry->path,
                                 entry->link);
        dest_entry_of(placing->place->dest, target, ret);
        return 0;
}

static int64_t member_time(const ArchivePlace *place, const TarEntry *entry)
{
        int64_t seconds = entry->mtime_sec;

        if (place->epoch >= 0 && seconds > place->epoch)
                seconds = place->epoch;
        return seconds * NSEC_PER_SEC;
}

static int place_member(void *user, const TarEntry *entry, Error *err)
{
        Placing *placing = user;
        const ArchivePlace *place = placing->place;
        _cleanup_free_ char *name = NULL;
        DestNode *dir, *existing;
        DestEntry put = {
                .type = entry->type,
                .mode = entry->mode,
                .uid = place->owner->set ? place->owner->uid : entry->uid,
                .gid = place->owner->set ? place->owner->gid : entry->gid,
                .mtime_ns = member_time(place, entry),
                .size = entry->size,
                .dev_major = entry->dev_major,
                .dev_minor = entry->dev_minor,
                .link = entry->type == TAR_SYMLINK ? entry->link : NULL,
                .content = { .fd = placing->fd, .offset = entry->data_offset },
        };
        TarXattr capability;
        int found;

        if (!*entry->path && entry->whiteout == TAR_WHITEOUT_NONE)
                return 0;
        if (entry->whiteout != TAR_WHITEOUT_NONE)
                return error_set(err, ERROR_INVALID,
                                 "the archive holds '%s' marked as deleted (a name that begins with '.wh.'): it is an image layer, not something to ADD",
                                 entry->path);
        for (size_t i = 0; i < entry->n_xattrs; i++)
                if (streq(entry->xattrs[i].name, "security.capability")) {
                        capability = entry->xattrs[i];
                        put.xattrs = &capability;
                        put.n_xattrs = 1;
                }
        if (entry->type == TAR_HARDLINK && linked_entry(placing, entry, &put, err) < 0)
                return -1;
        if (member_dir(placing, entry->path, &dir, &name, err) < 0)
                return -1;
        found = dest_child(place->dest, dir, name, &existing, err);
        if (found < 0)
                return -1;
        /* A directory of the archive over a link to a directory keeps the link, as tar does when it extracts over a tree. */
        if (found && entry->type == TAR_DIR && dest_link(existing)) {
                _cleanup_free_ char *path = dest_path(existing);
                DestNode *target;
                int leads = dest_find(place->dest, path, &target, err);

                if (leads < 0)
                        return -1;
                if (leads && dest_is_dir(target))
                        return 0;
        }
        return dest_put(place->dest, dir, name, &put, true, NULL, err);
}

int archive_place(int fd, const ArchivePlace *place, Error *err)
{
        static const TarReaderOps ops = { .entry = place_member };
        Placing placing = {
                .place = place,
                .fd = fd,
                .dirs = {
                        .mode = 0755, /* and root's, whatever --chown says: the archive does not name them */
                        .mtime_ns = place->epoch >= 0 ? place->epoch * NSEC_PER_SEC : place->now_ns,
                },
        };
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, &placing);
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);
        uint64_t offset = 0;
        ssize_t n;

        while ((n = fd_pread_full(fd, buffer, READ_SIZE, offset)) > 0) {
                if (tar_reader_feed(reader, buffer, (size_t)n, err) < 0)
                        return -1;
                offset += (uint64_t)n;
        }
        if (n < 0)
                return error_errno(err, (int)n, "cannot read the archive");
        return tar_reader_finish(reader, err);
}
