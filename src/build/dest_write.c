/* Writing what a step changed as a layer tar; dest.h has the order. */
#include "build/dest_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

typedef struct Writer {
        Dest *dest;
        LayerWriter *to;
        DestProgress progress;
        void *user;
        Buf path;
        Buf header;
} Writer;

static int write_zeros(Writer *writer, size_t size, Error *err)
{
        static const char zeros[TAR_TRAILER_SIZE];

        return size ? layer_writer_write(writer->to, zeros, size, err) : 0;
}

#define CHUNK_SIZE (8 * MIB)

static int write_range(Writer *writer, int fd, uint64_t offset, uint64_t size, Error *err)
{
        while (size) {
                uint64_t chunk = MIN(size, (uint64_t)CHUNK_SIZE);

                if (layer_writer_write_file(writer->to, fd, offset, chunk, err) < 0)
                        return -1;
                if (writer->progress && !writer->progress(writer->user, chunk))
                        return error_set(err, ERROR_CANCELLED, "the build was cancelled");
                offset += chunk;
                size -= chunk;
        }
        return 0;
}

/* security.capability of the source is known only when the file is open, and must be in the header: so opening comes first. */
static int open_content(DestNode *node, Error *err)
{
        char capability[64];
        size_t size;
        int fd;

        fd = source_tree_open_file(node->content.tree, node->content.node, err);
        if (fd < 0)
                return -1;
        size = source_tree_capability(fd, capability);
        if (size) {
                TarXattr xattr = { .name = (char[]){ "security.capability" }, .value = capability, .size = size };

                dest_node_set_xattrs(node, &xattr, 1);
        }
        return fd;
}

static int write_header(Writer *writer, const DestNode *node, const TarEntry *override, Error *err)
{
        TarEntry entry = override ? *override : node->entry;

        entry.path = (char *)buf_str(&writer->path);
        buf_reset(&writer->header);
        if (tar_write_header(&entry, &writer->header, err) < 0)
                return -1;
        return layer_writer_write(writer->to, writer->header.data, writer->header.size, err);
}

static int write_link(Writer *writer, DestNode *node, const DestNode *first, Error *err)
{
        TarEntry entry = node->entry;

        entry.type = TAR_HARDLINK;
        entry.size = 0;
        entry.link = first->path;
        return write_header(writer, node, &entry, err);
}

static int write_content(Writer *writer, DestNode *node, int tree_fd, Error *err)
{
        uint64_t size = node->entry.size;

        if (tree_fd >= 0) {
                if (write_range(writer, tree_fd, 0, size, err) < 0 || source_tree_check_unchanged(node->content.tree, node->content.node, tree_fd, err) < 0)
                        return -1;
        } else if (node->content.fd >= 0) {
                if (write_range(writer, node->content.fd, node->content.offset, size, err) < 0)
                        return -1;
        } else if (size && layer_writer_write(writer->to, node->content.data, size, err) < 0) {
                return -1;
        }
        return write_zeros(writer, tar_padding(size), err);
}

static int write_file(Writer *writer, DestNode *node, Error *err)
{
        _cleanup_close_ int fd = -1;

        if (node->inode_key) {
                const DestNode *first = map_getn(writer->dest->inodes, &node->inode_key, sizeof(node->inode_key));

                if (first)
                        return write_link(writer, node, first, err);
                node->path = xstrdup(buf_str(&writer->path));
                map_setn(writer->dest->inodes, &node->inode_key, sizeof(node->inode_key), node);
        }
        if (node->content.tree) {
                fd = open_content(node, err);
                if (fd < 0)
                        return -1;
        }
        if (write_header(writer, node, NULL, err) < 0)
                return -1;
        return write_content(writer, node, fd, err);
}

static bool has_changes(const DestNode *node)
{
        const DestNode *child;

        if (node->changed)
                return true;
        if (node->children)
                for (size_t at = 0; map_next(node->children, &at, NULL, (void **)&child);)
                        if (has_changes(child))
                                return true;
        return false;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp((*(DestNode *const *)a)->name, (*(DestNode *const *)b)->name);
}

static int write_node(Writer *writer, DestNode *node, Error *err);

static int write_children(Writer *writer, DestNode *dir, Error *err)
{
        size_t n = dir->children ? map_size(dir->children) : 0, i = 0;
        _cleanup_free_ DestNode **children = n ? NEW_ARRAY(DestNode *, n) : NULL;
        DestNode *child;

        if (!n)
                return 0;
        for (size_t at = 0; map_next(dir->children, &at, NULL, (void **)&child);)
                children[i++] = child;
        qsort(children, n, sizeof(*children), compare_names);
        for (i = 0; i < n; i++) {
                size_t size = writer->path.size;
                int result;

                if (!has_changes(children[i]))
                        continue;
                if (size)
                        buf_putc(&writer->path, '/');
                buf_puts(&writer->path, children[i]->name);
                result = write_node(writer, children[i], err);
                writer->path.size = size;
                if (writer->path.data)
                        writer->path.data[size] = '\0';
                if (result < 0)
                        return -1;
        }
        return 0;
}

static int write_node(Writer *writer, DestNode *node, Error *err)
{
        if (node->entry.type == TAR_FILE)
                return write_file(writer, node, err);
        if (write_header(writer, node, NULL, err) < 0)
                return -1;
        if (node->entry.type != TAR_DIR)
                return 0;
        if (node->opaque && node->below) {
                TarEntry opaque = { .type = TAR_FILE, .whiteout = TAR_WHITEOUT_OPAQUE };

                if (write_header(writer, node, &opaque, err) < 0)
                        return -1;
        }
        return write_children(writer, node, err);
}

int dest_write(Dest *dest, LayerWriter *to, DestProgress progress, void *user, Error *err)
{
        Writer writer = { .dest = dest, .to = to, .progress = progress, .user = user, .path = BUF_INIT(BUF_MAX_DEFAULT), .header = BUF_INIT(BUF_MAX_DEFAULT) };
        int result;

        map_free(dest->inodes);
        dest->inodes = map_new(NULL);
        /* The root itself is written only when its own metadata was changed. */
        result = dest->root->changed ? write_header(&writer, dest->root, NULL, err) : 0;
        if (result == 0)
                result = write_children(&writer, dest->root, err);
        if (result == 0)
                result = write_zeros(&writer, TAR_TRAILER_SIZE, err);
        buf_done(&writer.path);
        buf_done(&writer.header);
        return result;
}

int dest_make_layer(Dest *dest, Lease *lease, DestProgress progress, void *user, Digest *ret_diff_id, Error *err)
{
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        LayerInfo info;

        if (!dest_n_changes(dest)) {
                if (layer_empty(lease, &info, err) < 0)
                        return -1;
        } else if (layer_writer_open(lease, &writer, err) < 0 || dest_write(dest, writer, progress, user, err) < 0 ||
                   layer_writer_commit(writer, NULL, &info, err) < 0) {
                return -1;
        }
        *ret_diff_id = info.diff_id;
        return 0;
}
