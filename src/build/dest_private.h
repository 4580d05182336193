/*
 * Private to dest.h: the tree of a destination, which dest.c changes and dest_write.c writes.
 */
#pragma once

#include "base/map.h"
#include "build/dest.h"

struct DestNode {
        DestNode *parent;
        Map *children;  /* by name; NULL while nothing was looked up */
        TarEntry entry; /* path is not used; type, mode, ids, times, link, xattrs, size */
        DestContent content;
        uint64_t inode_key;
        bool below;   /* exists in the root below, as what `entry` says until `changed` */
        bool changed; /* goes into the layer */
        bool covers;  /* is of another kind than what is below: nothing is looked up below any more … */
        bool opaque;  /* … and that was a directory, which must not shine through a new one */
        bool gone;    /* a name that was looked up below and is not there */
        char *path;   /* during dest_write(): where it was written */
        char name[];
};

struct Dest {
        int lower_fd;
        DestNode *root;
        Map *inodes; /* during dest_write(): inode_key -> DestNode written first */
        size_t n_changes;
        uint64_t size, last_key;
};

/* Replaces the node's extended attributes by copies of these. */
void dest_node_set_xattrs(DestNode *node, const TarXattr *xattrs, size_t n_xattrs);
