/* COPY and ADD, third phase: what was selected becomes changes of the destination. */
#include "build/copy_private.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "build/archive.h"

typedef struct ApplyWalk {
        CopyWalk walk;
        Dest *dest;
        const CopyOwner *owner;
        int64_t utime_ns; /* >= 0: all times */
        Map *inodes;
        DestNode *dir;    /* directory items: where the content goes; files: the directory … */
        const char *name; /* … and the name */
        Map *made;        /* "below" of a directory -> DestNode */
} ApplyWalk;

static uint64_t inode_key(ApplyWalk *aw, const TreeNode *node)
{
        uint64_t key[2] = { node->device, node->inode }, *number;

        if (node->n_links < 2 || !S_ISREG(node->mode))
                return 0;
        number = map_getn(aw->inodes, key, sizeof(key));
        if (!number) {
                number = xmalloc(sizeof(*number));
                *number = dest_new_key(aw->dest);
                map_setn(aw->inodes, key, sizeof(key), number);
        }
        return *number;
}

static DestEntry entry_for(ApplyWalk *aw, TreeNode *node)
{
        const Chmod *chmod = aw->walk.plan->chmod;
        DestEntry entry = {
                .type = tar_type_of_mode(node->mode),
                .mode = node->mode & 07777,
                .uid = aw->owner->set ? aw->owner->uid : node->uid,
                .gid = aw->owner->set ? aw->owner->gid : node->gid,
                .mtime_ns = aw->utime_ns >= 0 ? aw->utime_ns : node->mtime_ns,
                .size = node->size,
                .dev_major = node->dev_major,
                .dev_minor = node->dev_minor,
                .link = node->link,
                .content = DEST_CONTENT_INIT,
                .inode_key = inode_key(aw, node),
        };

        if (chmod && entry.type != TAR_SYMLINK)
                entry.mode = chmod_apply(chmod, entry.mode, entry.type == TAR_DIR);
        if (entry.type == TAR_FILE) {
                entry.content.tree = aw->walk.item->tree;
                entry.content.node = node;
        }
        return entry;
}

/* The directory for an entry at `below`; with --parents those above it are made now, with the metadata they have in the source. */
static int parent_for(ApplyWalk *aw, TreeNode *node, const char *below, DestNode **ret, Error *err)
{
        const char *slash = strrchr(below, '/');
        _cleanup_free_ char *parent = slash ? xstrndup(below, (size_t)(slash - below)) : NULL;
        DestNode *up, *found;
        DestEntry entry;
        int known;

        if (!parent) {
                *ret = aw->dir;
                return 0;
        }
        *ret = map_get(aw->made, parent);
        if (*ret)
                return 0;
        if (parent_for(aw, node->parent, parent, &up, err) < 0)
                return -1;
        known = dest_child(aw->dest, up, node->parent->name, &found, err);
        if (known < 0)
                return -1;
        if (!known || !dest_is_dir(found)) {
                entry = entry_for(aw, node->parent);
                if (dest_put(aw->dest, up, node->parent->name, &entry, false, &found, err) < 0)
                        return -1;
        }
        map_set(aw->made, parent, found);
        *ret = found;
        return 0;
}

static int apply_node(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        ApplyWalk *aw = container_of(walk, ApplyWalk, walk);
        DestEntry entry;
        DestNode *dir, *made;

        if (!*below) {
                if (S_ISDIR(node->mode)) {
                        /* Its content is copied, not itself; but its time is. With --parents it is only where the walk begins. */
                        if (!walk->item->include)
                                dest_set_time(aw->dest, aw->dir, aw->utime_ns >= 0 ? aw->utime_ns : node->mtime_ns);
                        return 0;
                }
                entry = entry_for(aw, node);
                return dest_put(aw->dest, aw->dir, aw->name, &entry, false, NULL, err);
        }
        if (!included)
                return 0;
        if (parent_for(aw, node, below, &dir, err) < 0)
                return -1;
        entry = entry_for(aw, node);
        if (dest_put(aw->dest, dir, node->name, &entry, false, &made, err) < 0)
                return -1;
        if (S_ISDIR(node->mode))
                map_set(aw->made, below, made);
        return 0;
}

/*
 * Where an item goes: into a directory that exists (files keep their name), else to the path itself. Missing directories are made on the way.
 */
static int locate(CopyPlan *plan, Dest *dest, const DestDirs *dirs, bool is_dir, const char *name, DestNode **ret_dir, char **ret_name, Error *err)
{
        const char *path = plan->destination;
        DestNode *node;
        int found;

        if (is_dir || str_ends(path, "/")) {
                *ret_name = xstrdup(name);
                return dest_make_dirs(dest, path, dirs, ret_dir, err);
        }
        found = dest_find(dest, path, &node, err);
        if (found < 0)
                return -1;
        if (found && dest_is_dir(node)) {
                *ret_dir = node;
                *ret_name = xstrdup(name);
                return 0;
        }
        return dest_locate(dest, path, dirs, ret_dir, ret_name, err);
}

static int apply_tree_item(CopyPlan *plan, CopyItem *item, Dest *dest, const CopyOwner *owner, const DestDirs *dirs, Error *err)
{
        _cleanup_(map_freep) Map *inodes = map_new(free);
        _cleanup_(map_freep) Map *made = map_new(NULL);
        _cleanup_free_ char *name = NULL;
        ApplyWalk aw = {
                .walk = { .plan = plan, .item = item, .visit = apply_node },
                .dest = dest,
                .owner = owner,
                .utime_ns = plan->epoch >= 0 ? plan->epoch * NSEC_PER_SEC : -1,
                .inodes = inodes,
                .made = made,
        };

        if (locate(plan, dest, dirs, S_ISDIR(item->node->mode), item->name, &aw.dir, &name, err) < 0)
                return -1;
        aw.name = name;
        return copy_walk(&aw.walk, err);
}

static int apply_file_item(CopyPlan *plan, CopyItem *item, Dest *dest, const CopyOwner *owner, const DestDirs *dirs, Error *err)
{
        _cleanup_free_ char *name = NULL;
        DestNode *dir;
        DestEntry entry = {
                .type = TAR_FILE,
                .mode = item->kind == COPY_BYTES ? 0644 : 0600,
                .uid = owner->uid,
                .gid = owner->gid,
                .mtime_ns = plan->epoch >= 0          ? plan->epoch * NSEC_PER_SEC
                            : item->kind == COPY_FILE ? item->mtime_ns
                                                      : dirs->mtime_ns,
                .size = item->size,
                .content = { .data = item->data, .fd = item->fd },
        };

        if (plan->chmod)
                entry.mode = chmod_apply(plan->chmod, entry.mode, false);
        if (locate(plan, dest, dirs, false, item->name, &dir, &name, err) < 0)
                return -1;
        return dest_put(dest, dir, name, &entry, false, NULL, err);
}

/* 1: it was an archive and its content is placed. 0: it is an ordinary file. */
static int apply_archive(CopyPlan *plan, CopyItem *item, Dest *dest, const CopyOwner *owner, const DestDirs *dirs, Error *err)
{
        _cleanup_close_ int opened = -1;
        ArchivePlace place = { .dest = dest, .owner = owner, .epoch = plan->epoch, .now_ns = dirs->mtime_ns };
        DestDirs plain = { .mode = 0755, .uid = dirs->uid, .gid = dirs->gid, .mtime_ns = dirs->mtime_ns }; /* --chmod is not for archives */
        int fd = item->fd, spool = -1, result;

        if (!item->unpack || (item->kind == COPY_NODE && !S_ISREG(item->node->mode)))
                return 0;
        if (item->kind == COPY_NODE) {
                fd = opened = source_tree_open_file(item->tree, item->node, err);
                if (fd < 0)
                        return -1;
        }
        result = archive_open(fd, plan->tmp, &spool, err);
        if (result <= 0)
                return result;
        if (spool < 0) { /* a plain tar: its own bytes are used */
                spool = opened >= 0 ? TAKE_FD(opened) : TAKE_FD(item->fd);
        }
        if (item->fd >= 0)
                close(item->fd);
        item->fd = spool;
        if (dest_make_dirs(dest, plan->destination, &plain, &place.dir, err) < 0)
                return -1;
        return archive_place(spool, &place, err) < 0 ? error_wrap(err, "cannot unpack '%s'", item->name) : 1;
}

/* Several files to one name: each would replace the one before (the reference forbids it; BuildKit lets the last one win). */
static int check_destination(const CopyPlan *plan, Dest *dest, Error *err)
{
        size_t n_files = 0;
        DestNode *node;
        int found;

        for (size_t i = 0; i < plan->n_items; i++)
                n_files += plan->items[i].kind != COPY_NODE || !S_ISDIR(plan->items[i].node->mode);
        if (n_files == 0 || plan->n_items < 2 || str_ends(plan->destination, "/"))
                return 0;
        found = dest_find(dest, plan->destination, &node, err);
        if (found < 0 || (found && dest_is_dir(node)))
                return found < 0 ? -1 : 0;
        return error_set(err, ERROR_INVALID, "with more than one source the destination '%s' must be a directory and end with '/'", plan->destination);
}

int copy_plan_apply(CopyPlan *plan, Dest *dest, const CopyOwner *owner, Timestamp now, Error *err)
{
        DestDirs dirs = {
                .mode = plan->chmod && plan->chmod->octal ? plan->chmod->mode & 0777 : 0755,
                .uid = owner->uid,
                .gid = owner->gid,
                .mtime_ns = plan->epoch >= 0 ? plan->epoch * NSEC_PER_SEC : now,
        };

        if (check_destination(plan, dest, err) < 0)
                return -1;
        for (size_t i = 0; i < plan->n_items; i++) {
                CopyItem *item = &plan->items[i];
                int unpacked = apply_archive(plan, item, dest, owner, &dirs, err);

                if (unpacked < 0)
                        return -1;
                if (unpacked)
                        continue;
                if (item->kind == COPY_NODE ? apply_tree_item(plan, item, dest, owner, &dirs, err) < 0
                                            : apply_file_item(plan, item, dest, owner, &dirs, err) < 0)
                        return -1;
        }
        return 0;
}
