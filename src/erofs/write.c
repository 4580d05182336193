/*
 * From the tree to the bytes of an index.
 *
 * Order: superblock, device table, inodes (breadth first, a directory's children side by side and sorted), then whole blocks of directories and long links.
 * Everything is decided by the tree alone, so the same tree gives the same bytes. Three passes over it: layout; the bytes once into a hash, for the UUID;
 * the bytes once more to the sink.
 */
#include "base/mem.h"
#include "erofs/tree.h"

#define OUT_SIZE ((size_t)64 << 10)

typedef struct Layout {
        ErofsTree *tree;
        uint32_t *dirs; /* inodes of the directories, breadth first */
        size_t n_dirs;
        uint64_t meta;     /* where the inodes start */
        uint64_t end;      /* of the inodes, from `meta` */
        uint64_t n_blocks; /* whole blocks behind them */
        uint64_t data;     /* where those start */
        uint64_t n_inodes;
        bool must_merge; /* an overlay above other layers would show it wrong */
        const uint64_t *tar_sizes;
} Layout;

/* --- directories as blocks --- */

/* Goes through the names of a directory with "." and ".." in their places. */
typedef struct DirCursor {
        const ErofsTree *tree;
        uint32_t self, next; /* next: name, or NONE */
        uint8_t n_dots;      /* of "." and ".." already given */
} DirCursor;

typedef struct DirItem {
        const char *text;
        uint32_t inode;
        uint8_t size;
} DirItem;

static bool cursor_peek(const DirCursor *at, DirItem *ret)
{
        const Name *name = at->next == NONE ? NULL : &at->tree->names[at->next];

        if (at->n_dots < 2) {
                *ret = (DirItem){ .text = "..", .size = at->n_dots + 1, .inode = at->n_dots ? at->tree->inodes[at->self].parent : at->self };
                if (!name || name_compare(ret->text, ret->size, name->text, name->size) < 0)
                        return true;
        }
        if (!name)
                return false;
        *ret = (DirItem){ .text = name->text, .size = name->size, .inode = name->inode };
        return true;
}

static void cursor_skip(DirCursor *at, const DirItem *item)
{
        if (item->text[0] == '.' && (item->size == 1 || (item->size == 2 && item->text[1] == '.')))
                at->n_dots++;
        else
                at->next = at->tree->names[at->next].next;
}

/* How many items the next block holds; *ret_bytes of it are used. The cursor moves behind them. */
static size_t cursor_fill(DirCursor *at, size_t *ret_bytes)
{
        size_t n = 0, bytes = 0;
        DirItem item;

        while (cursor_peek(at, &item) && bytes + DIRENT_SIZE + item.size <= EROFS_BLOCK) {
                bytes += DIRENT_SIZE + item.size;
                n++;
                cursor_skip(at, &item);
        }
        *ret_bytes = bytes;
        return n;
}

static uint8_t file_type(uint16_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return 1;
        case S_IFDIR:
                return 2;
        case S_IFCHR:
                return 3;
        case S_IFBLK:
                return 4;
        case S_IFIFO:
                return 5;
        default:
                return 7;
        }
}

/* Writes the next block. Bytes used, 0 at the end. */
static size_t cursor_block(DirCursor *at, uint8_t block[EROFS_BLOCK])
{
        DirCursor behind = *at;
        size_t bytes, n = cursor_fill(&behind, &bytes), name_at = n * DIRENT_SIZE;
        DirItem item;

        for (size_t i = 0; i < n && cursor_peek(at, &item); i++, cursor_skip(at, &item)) {
                uint8_t *entry = block + i * DIRENT_SIZE;

                put64(entry, at->tree->inodes[item.inode].nid);
                put16(entry + 8, (uint16_t)name_at);
                entry[10] = file_type(at->tree->inodes[item.inode].mode);
                entry[11] = 0;
                memcpy(block + name_at, item.text, item.size);
                name_at += item.size;
        }
        return bytes;
}

/* Sorts the directory and finds its size on disk. */
static int measure_dir(ErofsTree *tree, uint32_t dir, Error *err)
{
        DirCursor at;
        uint64_t size = 0;
        size_t bytes = 0;

        tree_sort_names(tree, dir);
        at = (DirCursor){ .tree = tree, .self = dir, .next = tree->inodes[dir].first };
        for (;;) {
                size_t more;

                if (cursor_fill(&at, &more) == 0)
                        break;
                size += bytes ? EROFS_BLOCK : 0;
                bytes = more;
        }
        size += bytes;
        if (size >= NONE)
                return error_set(err, ERROR_LIMIT, "a directory has too many entries");
        tree->inodes[dir].dir_size = (uint32_t)size;
        return 0;
}

/* --- layout --- */

static size_t xattr_size(const Inode *inode)
{
        size_t size = inode->xattr_words * (size_t)4 + (inode_is_dir(inode) && inode->flags & NODE_OPAQUE ? XATTR_OPAQUE_SIZE : 0);

        return size ? XATTR_HEADER + size : 0;
}

static unsigned chunk_bits(const Inode *inode)
{
        uint64_t n_blocks = (inode->size + EROFS_BLOCK - 1) >> EROFS_BLOCK_BITS;
        unsigned bits = 0;

        while (bits < CHUNK_BITS_MAX && (UINT64_C(1) << bits) < n_blocks)
                bits++;
        return bits;
}

static uint64_t n_chunks(const Inode *inode)
{
        uint64_t chunk = (uint64_t)EROFS_BLOCK << chunk_bits(inode);

        return (inode->size + chunk - 1) / chunk;
}

static uint64_t data_size(const Inode *inode)
{
        return inode_is_dir(inode) ? inode->dir_size : S_ISLNK(inode->mode) ? inode->size : 0;
}

/* Bytes of the data that go behind the inode. */
static size_t tail_size(const Inode *inode)
{
        return inode->format == FORMAT_INLINE ? data_size(inode) % EROFS_BLOCK : 0;
}

static uint64_t whole_blocks(const Inode *inode)
{
        uint64_t size = data_size(inode);

        return inode->format == FORMAT_INLINE ? size / EROFS_BLOCK : (size + EROFS_BLOCK - 1) / EROFS_BLOCK;
}

static void choose_format(Inode *inode, size_t head)
{
        size_t tail = data_size(inode) % EROFS_BLOCK;

        /* The tail may not cross the end of a block. Inodes start at any slot, so it fits somewhere when it fits behind the best of them. */
        if (S_ISREG(inode->mode) && inode->size)
                inode->format = FORMAT_CHUNK;
        else if (tail && tail <= EROFS_BLOCK - head % EROFS_SLOT && (inode_is_dir(inode) || inode->size < EROFS_BLOCK))
                inode->format = FORMAT_INLINE;
        else
                inode->format = FORMAT_PLAIN;
}

/* Gives the inode its place behind the ones before. */
static int place(Layout *layout, Inode *inode, Error *err)
{
        size_t head = EROFS_INODE_SIZE + xattr_size(inode), tail;
        uint64_t at = (layout->end + EROFS_SLOT - 1) & ~(uint64_t)(EROFS_SLOT - 1);

        choose_format(inode, head);
        tail = tail_size(inode);
        while (tail && (at + head) % EROFS_BLOCK + tail > EROFS_BLOCK)
                at += EROFS_SLOT;
        inode->nid = (uint32_t)(at / EROFS_SLOT);
        layout->end = at + head + tail;
        if (inode->format == FORMAT_CHUNK)
                layout->end = ((layout->end + CHUNK_SIZE - 1) & ~(uint64_t)(CHUNK_SIZE - 1)) + n_chunks(inode) * CHUNK_SIZE;
        if (whole_blocks(inode)) {
                inode->where = (uint32_t)layout->n_blocks;
                layout->n_blocks += whole_blocks(inode);
        } else if (inode_is_dir(inode) || S_ISLNK(inode->mode)) {
                inode->where = 0;
        }
        layout->n_inodes++;
        if (layout->end / EROFS_SLOT >= NONE || layout->n_blocks >= NONE / 2)
                return error_set(err, ERROR_LIMIT, "an index of this many entries is too large");
        return 0;
}

static int check_extent(const Layout *layout, const Inode *inode, Error *err)
{
        uint64_t start = (uint64_t)inode->where << EROFS_BLOCK_BITS;

        if (S_ISREG(inode->mode) && inode->size &&
            (inode->device == 0 || inode->device > layout->tree->n_devices || inode->size > layout->tar_sizes[inode->device - 1] ||
             start > layout->tar_sizes[inode->device - 1] - inode->size))
                return error_set(err, ERROR_CORRUPT, "the content of a file is outside of its layer's tar");
        return 0;
}

/* One child: counts its link, and places it when this is the first. */
static int layout_child(Layout *layout, uint32_t dir, uint32_t number, Error *err)
{
        Inode *inode = &layout->tree->inodes[number];

        if (inode_is_dir(inode)) {
                inode->nlink = 2;
                layout->must_merge = layout->must_merge || inode->flags & NODE_IMPLICIT;
                layout->tree->inodes[dir].nlink++;
                layout->dirs[layout->n_dirs++] = number;
                if (measure_dir(layout->tree, number, err) < 0)
                        return -1;
        } else if (inode->nlink++) {
                return 0;
        }
        return check_extent(layout, inode, err) < 0 ? -1 : place(layout, inode, err);
}

static int layout_make(Layout *layout, Error *err)
{
        ErofsTree *tree = layout->tree;
        Inode *root = &tree->inodes[0];

        for (uint32_t i = 0; i < tree->n_inodes; i++)
                tree->inodes[i].nlink = 0;
        layout->end = EROFS_SLOT; /* no inode is number 0: readdir() of the C library leaves out an entry that says so, here ".." of what lies in the root */
        layout->dirs = NEW_ARRAY(uint32_t, tree->n_inodes);
        layout->dirs[layout->n_dirs++] = 0;
        root->nlink = 2;
        layout->must_merge = root->flags & NODE_OPAQUE; /* overlayfs does not look for the mark at the root of a layer */
        /* The root comes first, because its number has only 16 bits in the superblock. */
        if (measure_dir(tree, 0, err) < 0 || place(layout, root, err) < 0)
                return -1;
        for (size_t i = 0; i < layout->n_dirs; i++)
                for (uint32_t n = tree->inodes[layout->dirs[i]].first; n != NONE; n = tree->names[n].next)
                        if (layout_child(layout, layout->dirs[i], tree->names[n].inode, err) < 0)
                                return -1;
        layout->meta = (EROFS_DEVICE_TABLE + tree->n_devices * EROFS_DEVICE_SIZE + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1);
        layout->data = layout->meta + ((layout->end + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1));
        if ((layout->data >> EROFS_BLOCK_BITS) + layout->n_blocks >= NONE)
                return error_set(err, ERROR_LIMIT, "an index of this many entries is too large");
        return 0;
}

/* --- bytes --- */

typedef struct Out {
        const Sink *sink; /* NULL: into the hash */
        uint64_t hash[2];
        uint64_t at; /* bytes of the index so far, those in the buffer too */
        size_t used;
        uint8_t buffer[OUT_SIZE];
        Error *err;
        bool failed;
} Out;

/* Tells indexes apart, no more: a murmur-like mix of two lanes. */
static void hash_update(uint64_t hash[2], const uint8_t *data, size_t size)
{
        for (size_t i = 0; i + 16 <= size; i += 16) {
                hash[0] = (hash[0] ^ get64(data + i)) * UINT64_C(0x9fb21c651e98df25);
                hash[0] ^= hash[0] >> 29;
                hash[1] = (hash[1] ^ get64(data + i + 8)) * UINT64_C(0xd6e8feb86659fd93);
                hash[1] ^= (hash[1] >> 32) + hash[0];
        }
}

static void out_flush(Out *out)
{
        size_t n = out->used;

        if (!out->sink) {
                n &= ~(size_t)15; /* the rest waits; an index is a multiple of it */
                hash_update(out->hash, out->buffer, n);
        } else if (!out->failed && sink_write(out->sink, out->buffer, n, out->err) < 0) {
                out->failed = true;
        }
        memmove(out->buffer, out->buffer + n, out->used - n);
        out->used -= n;
}

/* Room for a small run of bytes, zeroed. */
static uint8_t *out_take(Out *out, size_t size)
{
        uint8_t *p;

        if (out->used + size > OUT_SIZE)
                out_flush(out);
        p = out->buffer + out->used;
        memset(p, 0, size);
        out->used += size;
        out->at += size;
        return p;
}

static void out_put(Out *out, const void *data, size_t size)
{
        const uint8_t *p = data;

        while (size) {
                size_t n = size < EROFS_BLOCK ? size : EROFS_BLOCK;

                memcpy(out_take(out, n), p, n);
                p += n;
                size -= n;
        }
}

static void out_pad_to(Out *out, uint64_t at)
{
        while (out->at < at)
                out_take(out, at - out->at < EROFS_BLOCK ? (size_t)(at - out->at) : EROFS_BLOCK);
}

static uint32_t crc32c(const uint8_t *data, size_t size)
{
        uint32_t crc = ~UINT32_C(0);

        for (size_t i = 0; i < size; i++) {
                crc ^= data[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        }
        return crc;
}

uint32_t erofs_super_checksum(const uint8_t *block)
{
        uint8_t copy[EROFS_BLOCK];

        memcpy(copy, block, EROFS_BLOCK);
        put32(copy + SB_CHECKSUM, 0);
        return crc32c(copy, EROFS_BLOCK);
}

/* Everything up to the inodes. The checksum covers the block that the superblock starts, and with it the first devices. */
static uint8_t *make_head(const Layout *layout, const uint8_t uuid[16])
{
        const ErofsTree *tree = layout->tree;
        uint8_t *head = xcalloc(1, layout->meta), *sb = head + EROFS_SUPER;
        const char *volume = tree->kind == TREE_MERGED ? VOLUME_MERGED : layout->must_merge ? VOLUME_LAYER_MUST_MERGE : VOLUME_LAYER;

        put32(sb + SB_MAGIC, EROFS_MAGIC);
        put32(sb + SB_COMPAT, EROFS_COMPAT);
        sb[SB_BLOCK_BITS] = EROFS_BLOCK_BITS;
        put16(sb + SB_ROOT_NID, (uint16_t)tree->inodes[0].nid);
        put64(sb + SB_INODES, layout->n_inodes);
        put32(sb + SB_BLOCKS, (uint32_t)((layout->data >> EROFS_BLOCK_BITS) + layout->n_blocks));
        put32(sb + SB_META_BLOCK, (uint32_t)(layout->meta >> EROFS_BLOCK_BITS));
        memcpy(sb + SB_UUID, uuid, 16);
        memcpy(sb + SB_VOLUME, volume, strlen(volume));
        put32(sb + SB_INCOMPAT, EROFS_INCOMPAT);
        put16(sb + SB_DEVICES, (uint16_t)tree->n_devices);
        put16(sb + SB_DEVICE_SLOT, EROFS_DEVICE_SLOT);
        for (size_t i = 0; i < tree->n_devices; i++)
                put32(head + EROFS_DEVICE_TABLE + i * EROFS_DEVICE_SIZE + DEVICE_BLOCKS,
                      (uint32_t)((layout->tar_sizes[i] + EROFS_BLOCK - 1) >> EROFS_BLOCK_BITS));
        put32(sb + SB_CHECKSUM, erofs_super_checksum(sb));
        return head;
}

static void emit_dir_tail(Out *out, const Layout *layout, uint32_t dir)
{
        DirCursor at = { .tree = layout->tree, .self = dir, .next = layout->tree->inodes[dir].first };
        uint64_t left = whole_blocks(&layout->tree->inodes[dir]);
        uint8_t block[EROFS_BLOCK];
        size_t bytes;

        for (; left; left--)
                cursor_fill(&at, &bytes);
        bytes = cursor_block(&at, block);
        out_put(out, block, bytes);
}

static void emit_xattrs(Out *out, const Inode *inode)
{
        if (xattr_size(inode) == 0)
                return;
        out_take(out, XATTR_HEADER);
        if (inode_is_dir(inode) && inode->flags & NODE_OPAQUE)
                out_put(out, xattr_opaque, XATTR_OPAQUE_SIZE);
        if (inode->xattr_words)
                out_put(out, inode->xattrs, inode->xattr_words * (size_t)4);
}

static void emit_chunks(Out *out, const Inode *inode)
{
        out_pad_to(out, (out->at + CHUNK_SIZE - 1) & ~(uint64_t)(CHUNK_SIZE - 1));
        for (uint64_t i = 0; i < n_chunks(inode); i++) {
                uint8_t *p = out_take(out, CHUNK_SIZE);

                put16(p + 2, inode->device);
                put32(p + 4, (uint32_t)(inode->where + (i << chunk_bits(inode))));
        }
}

static void emit_inode(Out *out, const Layout *layout, uint32_t number)
{
        const Inode *inode = &layout->tree->inodes[number];
        size_t xattrs = xattr_size(inode);
        uint32_t where = inode->where;
        uint8_t *p;

        out_pad_to(out, layout->meta + (uint64_t)inode->nid * EROFS_SLOT);
        p = out_take(out, EROFS_INODE_SIZE);
        if (inode->format == FORMAT_CHUNK)
                where = CHUNK_INDEXES | chunk_bits(inode);
        else if (whole_blocks(inode))
                where += (uint32_t)(layout->data >> EROFS_BLOCK_BITS);
        put16(p + INODE_FORMAT, inode->format);
        put16(p + INODE_XATTR_COUNT, xattrs ? (uint16_t)((xattrs - XATTR_HEADER) / 4 + 1) : 0);
        put16(p + INODE_MODE, inode->mode);
        put64(p + INODE_SIZE, inode_is_dir(inode) ? inode->dir_size : inode->size);
        put32(p + INODE_UNION, where);
        put32(p + INODE_INO, inode_is_dir(inode) && inode->flags & NODE_IMPLICIT ? INODE_INO_IMPLICIT : 0);
        put32(p + INODE_UID, inode->uid);
        put32(p + INODE_GID, inode->gid);
        put64(p + INODE_MTIME, (uint64_t)inode->mtime);
        put32(p + INODE_MTIME_NSEC, inode->mtime_nsec);
        put32(p + INODE_NLINK, inode->nlink);
        emit_xattrs(out, inode);
        if (inode->format == FORMAT_CHUNK)
                emit_chunks(out, inode);
        else if (inode->format == FORMAT_INLINE && inode_is_dir(inode))
                emit_dir_tail(out, layout, number);
        else if (inode->format == FORMAT_INLINE)
                out_put(out, inode->target, inode->size);
}

static void emit_blocks(Out *out, const Layout *layout, uint32_t number)
{
        const Inode *inode = &layout->tree->inodes[number];
        uint64_t n = whole_blocks(inode);

        if (n == 0)
                return;
        if (inode_is_dir(inode)) {
                DirCursor at = { .tree = layout->tree, .self = number, .next = inode->first };

                for (; n; n--)
                        cursor_block(&at, out_take(out, EROFS_BLOCK));
        } else {
                out_put(out, inode->target, inode->size);
                out_pad_to(out, (out->at + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1));
        }
}

/* Each inode once, in the order of the layout. */
static void emit_all(Out *out, const Layout *layout, void (*emit)(Out *out, const Layout *layout, uint32_t number))
{
        const ErofsTree *tree = layout->tree;
        uint32_t last = tree->inodes[0].nid;

        emit(out, layout, 0);
        for (size_t i = 0; i < layout->n_dirs && !out->failed; i++)
                for (uint32_t n = tree->inodes[layout->dirs[i]].first; n != NONE; n = tree->names[n].next) {
                        uint32_t number = tree->names[n].inode;

                        if (tree->inodes[number].nid <= last)
                                continue; /* another name of one that was written */
                        last = tree->inodes[number].nid;
                        emit(out, layout, number);
                }
}

static int emit_index(Out *out, const Layout *layout, const uint8_t uuid[16])
{
        _cleanup_free_ uint8_t *head = make_head(layout, uuid);

        out_put(out, head, layout->meta);
        emit_all(out, layout, emit_inode);
        out_pad_to(out, layout->data);
        emit_all(out, layout, emit_blocks);
        out_flush(out);
        return out->failed ? -1 : 0;
}

int erofs_tree_write(ErofsTree *tree, const uint64_t *tar_sizes, size_t n_devices, const Sink *to, Error *err)
{
        Layout layout = { .tree = tree, .tar_sizes = tar_sizes };
        _cleanup_free_ Out *out = NEW(Out);
        uint8_t uuid[16] = { 0 };
        int r;

        if (tree->kind == TREE_EMPTY) {
                tree->kind = TREE_LAYER; /* a layer without entries */
                tree->n_devices = 1;
        }
        if (n_devices != tree->n_devices)
                return error_set(err, ERROR_INTERNAL, "an index over %zu tars was given the sizes of %zu", tree->n_devices, n_devices);
        for (size_t i = 0; i < n_devices; i++)
                if (tar_sizes[i] > (uint64_t)(NONE - 1) << EROFS_BLOCK_BITS)
                        return error_set(err, ERROR_LIMIT, "a layer of %ju bytes is too large: an index addresses 2 TiB", (uintmax_t)tar_sizes[i]);
        r = layout_make(&layout, err);
        if (r == 0) {
                out->err = err;
                r = emit_index(out, &layout, uuid);
                put64(uuid, out->hash[0]);
                put64(uuid + 8, out->hash[1]);
                uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x80); /* RFC 9562: version 8, our own kind */
                uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
                out->at = out->used = 0;
                out->sink = to;
                r = emit_index(out, &layout, uuid);
        }
        free(layout.dirs);
        return r;
}
