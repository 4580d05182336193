#include "build/copy.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "build/archive.h"

void copy_plan_done(CopyPlan *plan)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                free(plan->items[i].name);
                free(plan->items[i].data);
                free(plan->items[i].url);
                free(plan->items[i].version);
                free(plan->items[i].pattern);
                ignore_matcher_free(plan->items[i].include);
                if (plan->items[i].fd >= 0)
                        close(plan->items[i].fd);
        }
        free(plan->items);
        free(plan->destination);
        free(plan->chown);
        ignore_matcher_free(plan->exclude);
        *plan = (CopyPlan){ 0 };
}

static CopyItem *add_item(CopyPlan *plan, CopyKind kind, const char *name)
{
        CopyItem *item;

        GROW(plan->items, plan->capacity, plan->n_items + 1);
        item = &plan->items[plan->n_items++];
        *item = (CopyItem){ .kind = kind, .name = xstrdup(name), .fd = -1 };
        return item;
}

void copy_plan_add_bytes(CopyPlan *plan, const char *name, const void *data, size_t size)
{
        CopyItem *item = add_item(plan, COPY_BYTES, name);

        item->data = xmemdup(data, size);
        item->size = size;
}

CopyItem *copy_plan_add_download(CopyPlan *plan, const char *name, const char *url, bool unpack)
{
        CopyItem *item = add_item(plan, COPY_FILE, name);

        item->url = xstrdup(url);
        item->unpack = unpack;
        return item;
}

void copy_plan_add_later(CopyPlan *plan, const char *url, const char *version, const Digest *identity)
{
        CopyItem *item = add_item(plan, COPY_NODE, "");

        item->url = xstrdup(url);
        item->version = xstrdup(version);
        item->identity = *identity;
}

/* --- select --- */

static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* "../a//b/." -> "a/b": cleaned, with ".." stopping at the root. */
static char *clean_source(const char *source)
{
        _cleanup_free_ char *rooted = xasprintf("/%s", source);
        _cleanup_free_ char *clean = path_clean(rooted);

        return xstrdup(clean + 1);
}

/* What is named directly is followed when it is a symbolic link. */
static int add_node(CopyPlan *plan, SourceTree *tree, const char *path, bool unpack, bool must_exist, CopyItem **ret, Error *err)
{
        TreeNode *node;
        int found = source_tree_find(tree, path, true, &node, err);
        CopyItem *item;

        if (found < 0)
                return -1;
        if (found && source_tree_is_live(tree)) { /* where symbolic links lead */
                _cleanup_free_ char *real = source_tree_node_path(node);

                if (!streq(real, path))
                        source_tree_note_use(tree, real, false);
        }
        if (!found)
                return must_exist ? error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s", path, source_tree_name(tree)) : 0;
        item = add_item(plan, COPY_NODE, base_name(path));
        item->tree = tree;
        item->node = node;
        item->unpack = unpack;
        if (ret)
                *ret = item;
        return 1;
}

typedef struct Matches {
        StrList paths;
} Matches;

/* Paths below `node` that match `pattern` component by component; symbolic links are not entered. */
static int match_below(SourceTree *tree, TreeNode *node, const char *prefix, const char *pattern, StrList *paths, Error *err)
{
        size_t size = strcspn(pattern, "/");
        _cleanup_free_ char *component = xstrndup(pattern, size);
        const char *rest = pattern + size + strspn(pattern + size, "/");

        if (!S_ISDIR(node->mode))
                return 0;
        if (source_tree_load(tree, node, err) < 0)
                return -1;
        for (size_t i = 0; i < node->n_children; i++) {
                TreeNode *child = node->children[i];
                _cleanup_free_ char *path = NULL;
                int match = path_pattern_match(component, child->name, err);

                if (match < 0)
                        return -1;
                if (!match)
                        continue;
                path = *prefix ? xasprintf("%s/%s", prefix, child->name) : xstrdup(child->name);
                if (!*rest)
                        strlist_add(paths, path);
                else if (match_below(tree, child, path, rest, paths, err) < 0)
                        return -1;
        }
        return 0;
}

/* Resolves wildcards: the part before the first component with one is followed, the rest is matched. Without wildcards the path itself. */
static int expand_wildcards(SourceTree *tree, const char *path, StrList *paths, Error *err)
{
        const char *at = path;
        size_t fixed = 0;

        while (*at) {
                size_t size = strcspn(at, "/");
                _cleanup_free_ char *component = xstrndup(at, size);

                if (path_pattern_has_wildcards(component))
                        break;
                at += size + strspn(at + size, "/");
                fixed = (size_t)(at - path);
        }
        if (!*at) {
                strlist_add(paths, path);
                return 0;
        }
        {
                _cleanup_free_ char *prefix = xstrndup(path, fixed ? fixed - 1 : 0);
                TreeNode *node;
                int found = source_tree_find(tree, prefix, true, &node, err);

                return found > 0 ? match_below(tree, node, prefix, at, paths, err) : found;
        }
}

static int add_parents(CopyPlan *plan, SourceTree *tree, const char *source, Error *err)
{
        const char *pivot = strstr(source, "/./");
        _cleanup_free_ char *parent_text = pivot ? xstrndup(source, (size_t)(pivot - source)) : xstrdup("");
        _cleanup_free_ char *parent = clean_source(parent_text);
        _cleanup_free_ char *pattern = clean_source(pivot ? pivot + 3 : source);
        bool wild = path_pattern_has_wildcards(parent) || path_pattern_has_wildcards(pattern);
        _cleanup_strlist_ StrList paths = { 0 };

        if (expand_wildcards(tree, parent, &paths, err) < 0)
                return -1;
        for (size_t i = 0; i < paths.n_items; i++) {
                _cleanup_strlist_ StrList patterns = { 0 };
                CopyItem *item = NULL;
                int added = add_node(plan, tree, paths.items[i], false, !wild, &item, err);

                if (added < 0)
                        return -1;
                if (!added || !*pattern)
                        continue;
                if (!wild) {
                        _cleanup_free_ char *required = *parent ? xasprintf("%s/%s", parent, pattern) : xstrdup(pattern);
                        TreeNode *node;
                        int found = source_tree_find(tree, required, false, &node, err);

                        if (found <= 0)
                                return found < 0 ? -1 : error_set(err, ERROR_NOT_FOUND, "\"/%s\": not found in the %s", required, source_tree_name(tree));
                }
                strlist_add(&patterns, pattern);
                item->pattern = xstrdup(pattern);
                if (ignore_matcher_new(&item->include, &patterns, err) < 0)
                        return -1;
        }
        return 0;
}

int copy_plan_add_source(CopyPlan *plan, SourceTree *tree, const char *source, bool parents, bool unpack, Error *err)
{
        _cleanup_free_ char *path = clean_source(source);
        _cleanup_strlist_ StrList paths = { 0 };
        bool wild = path_pattern_has_wildcards(path);

        if (source_tree_is_live(tree))
                source_tree_note_use(tree, path, parents);
        if (parents)
                return add_parents(plan, tree, source, err);
        if (expand_wildcards(tree, path, &paths, err) < 0)
                return error_wrap(err, "'%s'", source);
        for (size_t i = 0; i < paths.n_items; i++) {
                if (plan->exclude && wild && ignore_matcher_match(plan->exclude, paths.items[i]))
                        continue;
                if (add_node(plan, tree, paths.items[i], unpack, true, NULL, err) < 0)
                        return -1;
        }
        return 0;
}

/* --- walking what was selected --- */

typedef struct Walk Walk;
struct Walk {
        CopyPlan *plan;
        CopyItem *item;
        /* `below`: path relative to the item; "" for the item itself. `included`: not only a directory on the way to something. */
        int (*visit)(Walk *walk, TreeNode *node, const char *below, bool included, Error *err);
};

static int walk_node(Walk *walk, TreeNode *node, const char *below, bool included, Error *err);

static int walk_children(Walk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        if (source_tree_load(walk->item->tree, node, err) < 0)
                return -1;
        for (size_t i = 0; i < node->n_children; i++) {
                TreeNode *child = node->children[i];
                _cleanup_free_ char *path = *below ? xasprintf("%s/%s", below, child->name) : xstrdup(child->name);

                if (walk_node(walk, child, path, included, err) < 0)
                        return -1;
        }
        return 0;
}

/* Whether something below directory `path` can match the pattern: its components match those of the pattern as far as both go. */
static bool can_lead_to(const char *pattern, const char *path)
{
        while (*path && *pattern) {
                size_t n = strcspn(pattern, "/"), m = strcspn(path, "/");
                _cleanup_free_ char *wanted = xstrndup(pattern, n), *have = xstrndup(path, m);
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (strstr(wanted, "**"))
                        return true;
                if (path_pattern_match(wanted, have, &ignored) == 0)
                        return false;
                pattern += n + strspn(pattern + n, "/");
                path += m + strspn(path + m, "/");
        }
        return true;
}

/* An excluded directory is entered only when an exception could bring something back. */
static int walk_node(Walk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        const IgnoreMatcher *include = walk->item->include, *exclude = walk->plan->exclude;
        bool is_dir = S_ISDIR(node->mode);

        if (!*below) {
                if (!is_dir && exclude && ignore_matcher_match(exclude, walk->item->name))
                        return 0;
        } else {
                if (include && !included)
                        included = ignore_matcher_match(include, below);
                if (exclude && ignore_matcher_match(exclude, below)) {
                        if (!is_dir || ignore_matcher_can_skip(exclude, below))
                                return 0;
                        return walk_children(walk, node, below, included, err);
                }
                if (!included && (!is_dir || !can_lead_to(walk->item->pattern, below)))
                        return 0;
        }
        if (walk->visit(walk, node, below, included, err) < 0)
                return -1;
        return is_dir ? walk_children(walk, node, below, included, err) : 0;
}

static int walk_item(Walk *walk, Error *err)
{
        return walk_node(walk, walk->item->node, "", !walk->item->include, err);
}

/* --- hash --- */

typedef struct Collected {
        TreeNode *node;
        char *below;
} Collected;

typedef struct HashWalk {
        Walk walk;
        Collected *entries;
        size_t n_entries, capacity;
} HashWalk;

/* Directories on the way to something that --parents takes count only when something is taken; their metadata is then part of the result. */
static int collect(Walk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        HashWalk *hw = container_of(walk, HashWalk, walk);

        (void)err;
        if (!included && *below)
                return 0;
        GROW(hw->entries, hw->capacity, hw->n_entries + 1);
        hw->entries[hw->n_entries++] = (Collected){ .node = node, .below = xstrdup(below) };
        return 0;
}

static void hash_metadata(Hash *hash, const TreeNode *node)
{
        hash_field_u64(hash, node->mode);
        hash_field_u64(hash, ((uint64_t)node->uid << 32) | node->gid);
        hash_field_str(hash, node->link);
        hash_field_u64(hash, ((uint64_t)node->dev_major << 32) | node->dev_minor);
}

/* Hard links inside of one item are part of what is made: the number of the first entry with the same inode. */
static uint64_t link_group(Map *inodes, const TreeNode *node, size_t at)
{
        uint64_t key[2] = { node->device, node->inode };
        void *first;

        if (node->n_links < 2 || !S_ISREG(node->mode))
                return 0;
        first = map_getn(inodes, key, sizeof(key));
        if (first)
                return (uint64_t)(uintptr_t)first;
        map_setn(inodes, key, sizeof(key), (void *)(uintptr_t)(at + 1));
        return at + 1;
}

static void hash_entry(Hash *hash, Map *inodes, const HashWalk *hw, size_t at)
{
        const TreeNode *node = hw->entries[at].node;
        const char *below = hw->entries[at].below;

        hash_field_str(hash, below);
        hash_metadata(hash, node);
        if (S_ISREG(node->mode)) {
                hash_field_u64(hash, node->size);
                hash_field_digest(hash, &node->digest);
                hash_field_u64(hash, link_group(inodes, node, at));
        }
        /* The directories above an entry that --parents takes are made with the source's metadata. */
        if (hw->walk.item->include)
                for (const TreeNode *up = node->parent; up && up != hw->walk.item->node->parent; up = up->parent)
                        hash_metadata(hash, up);
}

static int hash_node_item(CopyPlan *plan, CopyItem *item, Hash *hash, TreeProgress progress, void *user, Error *err)
{
        HashWalk hw = { .walk = { .plan = plan, .item = item, .visit = collect } };
        _cleanup_(map_freep) Map *inodes = map_new(NULL);
        TreeNode **nodes = NULL;
        /* Patterns may keep the walk out of directories, which then must not be read. */
        int result = item->include || plan->exclude ? 0 : source_tree_load_all(item->tree, item->node, err);

        if (result == 0)
                result = walk_item(&hw.walk, err);
        if (result == 0) {
                nodes = NEW_ARRAY(TreeNode *, hw.n_entries + 1);
                for (size_t i = 0; i < hw.n_entries; i++)
                        nodes[i] = hw.entries[i].node;
                result = source_tree_digest(item->tree, nodes, hw.n_entries, progress, user, err);
        }
        if (result == 0) {
                hash_field_u64(hash, hw.n_entries);
                if (!S_ISDIR(item->node->mode))
                        hash_field_str(hash, item->name);
                for (size_t i = 0; i < hw.n_entries; i++)
                        hash_entry(hash, inodes, &hw, i);
        }
        for (size_t i = 0; i < hw.n_entries; i++)
                free(hw.entries[i].below);
        free(hw.entries);
        free(nodes);
        return result;
}

int copy_plan_hash(CopyPlan *plan, Hash *hash, TreeProgress progress, void *user, Error *err)
{
        hash_field_str(hash, plan->destination);
        hash_field_str(hash, plan->chown);
        hash_field_u64(hash, plan->chmod ? 1 : 0);
        if (plan->chmod) {
                hash_field_u64(hash, plan->chmod->octal);
                hash_field_u64(hash, plan->chmod->mode);
                for (size_t i = 0; i < plan->chmod->n_ops; i++) {
                        const ChmodOp *op = &plan->chmod->ops[i];

                        hash_field_u64(hash, (uint64_t)op->op << 34 | (uint64_t)op->set << 33 | (uint64_t)op->clear << 32 | op->bits);
                }
        }
        hash_field_u64(hash, plan->link);
        hash_field_u64(hash, (uint64_t)plan->epoch);
        hash_field_u64(hash, plan->n_items);
        for (size_t i = 0; i < plan->n_items; i++) {
                CopyItem *item = &plan->items[i];

                hash_field_u64(hash, (uint64_t)item->kind << 1 | item->unpack);
                if (digest_is_set(&item->identity)) {
                        hash_field_digest(hash, &item->identity);
                        continue;
                }
                if (item->kind == COPY_NODE) {
                        if (hash_node_item(plan, item, hash, progress, user, err) < 0)
                                return -1;
                        continue;
                }
                hash_field_str(hash, item->name);
                if (item->kind == COPY_BYTES)
                        hash_field(hash, item->data, item->size);
                else
                        hash_field_digest(hash, &item->digest);
                hash_field_u64(hash, item->kind == COPY_FILE && !item->expected ? (uint64_t)item->mtime_ns : 0);
        }
        return 0;
}

typedef struct EachWalk {
        Walk walk;
        int (*each)(void *user, const TreeNode *node, Error *err);
        void *user;
} EachWalk;

static int tell_node(Walk *walk, TreeNode *node, const char *below, bool included, Error *err)
{
        EachWalk *each = container_of(walk, EachWalk, walk);

        return !included && *below ? 0 : each->each(each->user, node, err);
}

int copy_plan_each_file(CopyPlan *plan, int (*each)(void *user, const TreeNode *node, Error *err), void *user, Error *err)
{
        for (size_t i = 0; i < plan->n_items; i++) {
                EachWalk walk = { .walk = { .plan = plan, .item = &plan->items[i], .visit = tell_node }, .each = each, .user = user };

                /* A repository that a known step did not need has no files here. */
                if (plan->items[i].kind == COPY_NODE && plan->items[i].node && walk_item(&walk.walk, err) < 0)
                        return -1;
        }
        return 0;
}

/* --- apply --- */

typedef struct ApplyWalk {
        Walk walk;
        Dest *dest;
        const CopyOwner *owner;
        const DestDirs *dirs;
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

static int apply_node(Walk *walk, TreeNode *node, const char *below, bool included, Error *err)
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
                .dirs = dirs,
                .utime_ns = plan->epoch >= 0 ? plan->epoch * NSEC_PER_SEC : -1,
                .inodes = inodes,
                .made = made,
        };

        if (locate(plan, dest, dirs, S_ISDIR(item->node->mode), item->name, &aw.dir, &name, err) < 0)
                return -1;
        aw.name = name;
        return walk_item(&aw.walk, err);
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
