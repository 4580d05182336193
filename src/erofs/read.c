#include "erofs/read.h"

static int corrupt(const char *what, Error *err)
{
        return error_set(err, ERROR_CORRUPT, "not a sound image index: %s", what);
}

/* --- superblock --- */

static void read_volume(const uint8_t *sb, Reader *reader)
{
        char volume[17] = { 0 };

        memcpy(volume, sb + SB_VOLUME, 16);
        reader->must_merge = strcmp(volume, VOLUME_LAYER_MUST_MERGE) == 0;
        if (reader->must_merge || strcmp(volume, VOLUME_LAYER) == 0)
                reader->kind = TREE_LAYER;
        else if (strcmp(volume, VOLUME_MERGED) == 0)
                reader->kind = TREE_MERGED;
}

/* Zeros behind the last block, up to the end of the file. */
static bool padding_sound(const uint8_t *data, uint64_t size, uint64_t file_size)
{
        if (file_size != size && file_size != erofs_file_size(size))
                return false;
        for (uint64_t i = size; i < file_size; i++)
                if (data[i])
                        return false;
        return true;
}

int reader_open(Reader *reader, const void *index, size_t file_size, Error *err)
{
        const uint8_t *data = index, *sb = data + EROFS_SUPER;
        uint64_t size;

        if (file_size < EROFS_SUPER + EROFS_BLOCK || file_size % EROFS_BLOCK || file_size / EROFS_BLOCK >= NONE)
                return corrupt("its size is wrong", err);
        if (get32(sb + SB_MAGIC) != EROFS_MAGIC)
                return corrupt("it is not an EROFS file system", err);
        if (get32(sb + SB_CHECKSUM) != erofs_super_checksum(sb))
                return corrupt("the checksum of the superblock is wrong", err);
        if (get32(sb + SB_COMPAT) != EROFS_COMPAT || get32(sb + SB_INCOMPAT) != EROFS_INCOMPAT || sb[SB_BLOCK_BITS] != EROFS_BLOCK_BITS ||
            get16(sb + SB_DEVICE_SLOT) != EROFS_DEVICE_SLOT)
                return corrupt("the superblock has features that mica does not write", err);
        size = reader_size(data);
        if (size < EROFS_SUPER + EROFS_BLOCK || !padding_sound(data, size, file_size))
                return corrupt("the superblock has another size", err);
        *reader = (Reader){ .data = data, .size = size, .n_devices = get16(sb + SB_DEVICES), .root = get16(sb + SB_ROOT_NID), .budget = 2 * size };
        read_volume(sb, reader);
        if (reader->kind == TREE_EMPTY || reader->n_devices == 0 || (reader->kind == TREE_LAYER && reader->n_devices != 1))
                return corrupt("it is neither the index of one layer nor a merged one", err);
        reader->meta = (uint64_t)get32(sb + SB_META_BLOCK) << EROFS_BLOCK_BITS;
        if (reader->meta < EROFS_DEVICE_TABLE + (uint64_t)reader->n_devices * EROFS_DEVICE_SIZE || reader->meta >= size)
                return corrupt("its inodes are out of place", err);
        reader->n_slots = (uint32_t)((size - reader->meta) / EROFS_SLOT);
        return 0;
}

/* --- inodes --- */

static int spend(Reader *reader, uint64_t size, Error *err)
{
        if (size > reader->budget)
                return corrupt("its parts overlap", err);
        reader->budget -= size;
        return 0;
}

/* Entries sorted by name space and name, nothing between or behind them. */
static int check_xattrs(const uint8_t *p, size_t size, Error *err)
{
        const uint8_t *last = NULL;

        for (size_t at = 0; at < size;) {
                const uint8_t *entry = p + at;
                size_t name_size = entry[0], used = XATTR_ENTRY + name_size + get16(entry + 2), full = (used + 3) & ~(size_t)3;
                bool acl = entry[1] == 2 || entry[1] == 3;

                if (full > size - at || !(acl ? name_size == 0 : name_size > 0 && (entry[1] == 1 || entry[1] == 4 || entry[1] == 6)))
                        return corrupt("an extended attribute is malformed", err);
                if (memchr(entry + XATTR_ENTRY, 0, name_size))
                        return corrupt("the name of an extended attribute is malformed", err);
                if (entry[1] == 4 && name_size > 8 && memcmp(entry + XATTR_ENTRY, "overlay.", 8) == 0)
                        return corrupt("an attribute of overlayfs is where none should be", err);
                for (size_t i = used; i < full; i++)
                        if (entry[i])
                                return corrupt("an extended attribute is not padded with zeros", err);
                if (last && (last[1] > entry[1] || (last[1] == entry[1] && name_compare((const char *)last + XATTR_ENTRY, last[0],
                                                                                        (const char *)entry + XATTR_ENTRY, name_size) >= 0)))
                        return corrupt("extended attributes are not sorted", err);
                last = entry;
                at += full;
        }
        return 0;
}

static int read_xattrs(const Reader *reader, uint64_t at, size_t count, ReadInode *ret, Error *err)
{
        const uint8_t *p = reader->data + at;
        size_t size = (count - 1) * 4;

        for (size_t i = 0; i < XATTR_HEADER; i++)
                if (p[i])
                        return corrupt("shared extended attributes, which mica does not write", err);
        p += XATTR_HEADER;
        if (size >= XATTR_OPAQUE_SIZE && memcmp(p, xattr_opaque, XATTR_OPAQUE_SIZE) == 0) {
                if (!inode_is_dir(&ret->inode))
                        return corrupt("an opaque mark that is not on a directory", err);
                ret->inode.flags |= NODE_OPAQUE;
                p += XATTR_OPAQUE_SIZE;
                size -= XATTR_OPAQUE_SIZE;
        }
        if (size) {
                ret->inode.xattrs = p;
                ret->inode.xattr_words = (uint16_t)(size / 4);
        }
        return check_xattrs(p, size, err);
}

/* A directory or a link: `size` bytes, whole blocks first, the rest behind the inode when it is inline. */
static int read_data(Reader *reader, const uint8_t *inode, uint64_t tail_at, uint64_t size, ReadInode *ret, Error *err)
{
        uint16_t format = get16(inode + INODE_FORMAT);
        uint64_t tail = format == FORMAT_INLINE ? size % EROFS_BLOCK : 0, whole = size - tail, at = (uint64_t)get32(inode + INODE_UNION) << EROFS_BLOCK_BITS;

        if (format != FORMAT_INLINE && format != FORMAT_PLAIN)
                return corrupt("a directory or a link has data of an unknown form", err);
        if (format == FORMAT_INLINE && (tail == 0 || tail > reader->size - tail_at || tail_at % EROFS_BLOCK + tail > EROFS_BLOCK))
                return corrupt("inline data is out of place", err);
        if (whole && (at < reader->meta || at > reader->size || whole > reader->size - at))
                return corrupt("data is outside of it", err);
        ret->blocks = whole ? reader->data + at : NULL;
        ret->tail = tail ? reader->data + tail_at : NULL;
        return spend(reader, size, err);
}

static int read_link(Reader *reader, const uint8_t *p, uint64_t tail_at, ReadInode *ret, Error *err)
{
        uint64_t size = ret->inode.size;

        if (size == 0 || size > 4095)
                return corrupt("a symbolic link has a wrong size", err);
        if (read_data(reader, p, tail_at, size, ret, err) < 0)
                return -1;
        if (ret->blocks && ret->tail)
                return corrupt("a symbolic link is in two places", err);
        ret->inode.target = (const char *)(ret->blocks ? ret->blocks : ret->tail);
        return memchr(ret->inode.target, 0, size) ? corrupt("the target of a symbolic link has a NUL byte", err) : 0;
}

static int read_chunks(const Reader *reader, const uint8_t *p, uint64_t at, ReadInode *ret, Error *err)
{
        Inode *inode = &ret->inode;
        uint32_t format = get32(p + INODE_UNION), bits = format & CHUNK_BITS_MAX;
        uint64_t chunk = (uint64_t)EROFS_BLOCK << bits, n;

        at = (at + CHUNK_SIZE - 1) & ~(uint64_t)(CHUNK_SIZE - 1);
        if ((format & ~(uint32_t)CHUNK_BITS_MAX) != CHUNK_INDEXES || inode->size > (uint64_t)NONE << EROFS_BLOCK_BITS)
                return corrupt("a file has chunks of an unknown form", err);
        n = (inode->size + chunk - 1) / chunk;
        if (at > reader->size || n > (reader->size - at) / CHUNK_SIZE)
                return corrupt("the chunks of a file are outside of it", err);
        inode->device = get16(reader->data + at + 2);
        inode->where = get32(reader->data + at + 4);
        if (inode->device == 0 || inode->device > reader->n_devices || inode->where + ((inode->size - 1) >> EROFS_BLOCK_BITS) >= NONE)
                return corrupt("a file is on a device that does not exist", err);
        for (uint64_t i = 0; i < n; i++) {
                const uint8_t *index = reader->data + at + i * CHUNK_SIZE;

                if (get16(index) != 0 || get16(index + 2) != inode->device || get32(index + 4) != inode->where + (i << bits))
                        return corrupt("the chunks of a file do not follow each other", err);
        }
        return 0;
}

static int read_body(Reader *reader, const uint8_t *p, uint64_t at, ReadInode *ret, Error *err)
{
        Inode *inode = &ret->inode;

        switch (inode->mode & S_IFMT) {
        case S_IFREG:
                if (inode->size == 0)
                        return get16(p + INODE_FORMAT) == FORMAT_PLAIN ? 0 : corrupt("an empty file has data", err);
                return get16(p + INODE_FORMAT) == FORMAT_CHUNK ? read_chunks(reader, p, at, ret, err) : corrupt("a file has its data in the index", err);
        case S_IFDIR:
                ret->dir_size = inode->size;
                inode->size = 0; /* the same place as the parent */
                inode->first = inode->last = NONE;
                if (get32(p + INODE_INO) == INODE_INO_IMPLICIT)
                        inode->flags |= NODE_IMPLICIT;
                return read_data(reader, p, at, ret->dir_size, ret, err);
        case S_IFLNK:
                return read_link(reader, p, at, ret, err);
        case S_IFCHR:
        case S_IFBLK:
                inode->where = get32(p + INODE_UNION);
                _fallthrough_;
        case S_IFIFO:
                if (inode->size || get16(p + INODE_FORMAT) != FORMAT_PLAIN)
                        return corrupt("a device has data", err);
                return 0;
        default:
                return corrupt("an inode of an unknown type", err);
        }
}

int reader_inode(Reader *reader, uint64_t nid, ReadInode *ret, Error *err)
{
        uint64_t at = reader->meta + nid * EROFS_SLOT;
        const uint8_t *p = reader->data + at;
        size_t count;

        if (nid >= reader->n_slots || at + EROFS_INODE_SIZE > reader->size)
                return corrupt("an inode is outside of it", err);
        count = get16(p + INODE_XATTR_COUNT);
        *ret = (ReadInode){ .inode = {
                                    .nid = (uint32_t)nid,
                                    .mode = get16(p + INODE_MODE),
                                    .uid = get32(p + INODE_UID),
                                    .gid = get32(p + INODE_GID),
                                    .mtime = (int64_t)get64(p + INODE_MTIME),
                                    .mtime_nsec = get32(p + INODE_MTIME_NSEC),
                                    .size = get64(p + INODE_SIZE),
                            } };
        if (ret->inode.mtime_nsec > 999999999)
                return corrupt("an inode has a wrong time", err);
        at += EROFS_INODE_SIZE;
        if (count) {
                size_t size = XATTR_HEADER + (count - 1) * 4;

                if (count < 2 || size > reader->size - at)
                        return corrupt("extended attributes are outside of it", err);
                if (read_xattrs(reader, at, count, ret, err) < 0)
                        return -1;
                at += size;
        }
        return read_body(reader, p, at, ret, err);
}

/* --- directories --- */

void reader_dir(const ReadInode *dir, DirReader *ret)
{
        *ret = (DirReader){ .blocks = dir->blocks, .tail = dir->tail, .left = dir->dir_size };
}

static int next_block(DirReader *dir, Error *err)
{
        size_t first;

        dir->block_size = dir->left < EROFS_BLOCK ? (size_t)dir->left : EROFS_BLOCK;
        /* An inline tail is all that is left behind the whole blocks; a plain directory has its last part in a block too. */
        dir->block = dir->tail && dir->left < EROFS_BLOCK ? dir->tail : dir->blocks;
        if (dir->block == dir->blocks)
                dir->blocks += EROFS_BLOCK;
        dir->left -= dir->block_size;
        if (dir->block_size < DIRENT_SIZE + 1)
                return corrupt("a block of a directory is too short", err);
        first = get16(dir->block + 8);
        if (first < DIRENT_SIZE || first % DIRENT_SIZE || first >= dir->block_size)
                return corrupt("a block of a directory is malformed", err);
        dir->n = first / DIRENT_SIZE;
        dir->i = 0;
        return 0;
}

static bool is_dots(const char *text, size_t size)
{
        return text[0] == '.' && (size == 1 || (size == 2 && text[1] == '.'));
}

/* The next entry, "." and ".." too. */
static int next_entry(DirReader *dir, ReadName *ret, Error *err)
{
        const uint8_t *entry;
        size_t start, end;

        if (dir->i == dir->n) {
                if (dir->left == 0)
                        return 0;
                if (next_block(dir, err) < 0)
                        return -1;
        }
        entry = dir->block + dir->i * DIRENT_SIZE;
        start = get16(entry + 8);
        if (++dir->i < dir->n) {
                end = get16(entry + DIRENT_SIZE + 8);
        } else {
                const uint8_t *nul = start < dir->block_size ? memchr(dir->block + start, 0, dir->block_size - start) : NULL;

                end = nul ? (size_t)(nul - dir->block) : dir->block_size;
        }
        if (start < dir->n * DIRENT_SIZE || end > dir->block_size || end <= start || end - start > EROFS_NAME_MAX)
                return corrupt("a name is outside of its directory", err);
        *ret = (ReadName){ .text = (const char *)dir->block + start, .size = end - start, .nid = get64(entry) };
        if (memchr(ret->text, '/', ret->size) || memchr(ret->text, 0, ret->size))
                return corrupt("a name has a slash or a NUL byte", err);
        if (dir->last && name_compare(dir->last, dir->last_size, ret->text, ret->size) >= 0)
                return corrupt("the names of a directory are not sorted", err);
        dir->last = ret->text;
        dir->last_size = ret->size;
        return 1;
}

int reader_next(DirReader *dir, ReadName *ret, Error *err)
{
        int r;

        do
                r = next_entry(dir, ret, err);
        while (r > 0 && is_dots(ret->text, ret->size));
        return r;
}
