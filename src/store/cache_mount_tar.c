#include "store/cache_mount_tar.h"

#include "fs/walk.h"
#include "store/tree_tar.h"

static int add_entry(void *user, const WalkEntry *entry, Error *err)
{
        return entry->depth == 0 ? 0 : tree_tar_add(user, entry->dir_fd, entry->name, entry->path, &entry->st, err);
}

int cache_mount_write_tar(int dir_fd, const Sink *sink, Error *err)
{
        static const WalkOps ops = { .entry = add_entry, .one_file_system = true };
        _cleanup_(tree_tar_done) TreeTar tar = { 0 };

        tree_tar_init(&tar, sink, NULL, -1);
        tar.exact = true;
        if (tree_walk(dir_fd, ".", &ops, &tar, err) < 0)
                return -1;
        return tree_tar_finish(&tar, err);
}

static int stamp_entry(void *user, const WalkEntry *entry, Error *err)
{
        Hash *hash = user;
        const struct stat *st = &entry->st;

        hash_field(hash, entry->path, entry->path_size);
        hash_field_u64(hash, st->st_ino);
        hash_field_u64(hash, st->st_mode);
        hash_field_u64(hash, (uint64_t)st->st_uid << 32 | st->st_gid);
        hash_field_u64(hash, (uint64_t)st->st_size);
        hash_field_u64(hash, (uint64_t)st->st_mtim.tv_sec);
        hash_field_u64(hash, (uint64_t)st->st_mtim.tv_nsec);
        hash_field_u64(hash, (uint64_t)st->st_ctim.tv_sec);
        hash_field_u64(hash, (uint64_t)st->st_ctim.tv_nsec);
        return 0;
}

int cache_mount_stamp(int dir_fd, Digest *ret, Error *err)
{
        static const WalkOps ops = { .entry = stamp_entry, .one_file_system = true };
        _cleanup_(hash_freep) Hash *hash = hash_new(DIGEST_SHA256);

        if (tree_walk(dir_fd, ".", &ops, hash, err) < 0)
                return -1;
        *ret = hash_digest(hash);
        return 0;
}
