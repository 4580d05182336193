/*
 * COPY and ADD: which files are meant, what identifies them (cache key), and what they become in the image.
 *
 * Three phases over one CopyPlan: select (reads directories), hash (reads files that are not known yet), apply (fills a Dest; reads archives).
 *
 * The rules are those of BuildKit (tonistiigi/fsutil, copy/copy.go): a directory source copies its contents; an existing destination directory keeps its own
 * metadata, directories inside a copied tree take the source's; created parents are 0755 (or --chmod's octal value) and belong to --chown; wildcards may match
 * nothing, but literal paths and the directories in front of wildcards must be there.
 */
#pragma once

#include "base/sink.h"
#include "build/dest.h"
#include "build/tree.h"
#include "dockerfile/chmod.h"
#include "dockerfile/ignore.h"

typedef enum CopyKind {
        COPY_NODE,  /* from a tree */
        COPY_BYTES, /* a heredoc */
        COPY_FILE,  /* a file that was downloaded */
} CopyKind;

typedef struct CopyItem {
        CopyKind kind;
        char *name; /* the last component of what was asked for */
        SourceTree *tree;
        TreeNode *node;
        Digest identity;        /* when set it stands for the content in the key, and `tree` and `node` are filled in before copy_plan_apply() */
        IgnoreMatcher *include; /* --parents: what is taken below `node`; else NULL */
        char *pattern;          /* the same as text, to know which directories can be left unread */
        void *data;             /* COPY_BYTES; owned */
        int fd;                 /* COPY_FILE, and the inflated tar of an archive; owned; else -1 */
        uint64_t size;
        int64_t mtime_ns;
        char *url;     /* COPY_FILE, and what copy_plan_add_later() was given */
        char *version; /* of what copy_plan_add_later() was given, for people: "commit 0123…" */
        Digest digest; /* COPY_FILE */
        bool expected; /* the digest is --checksum: it alone is the key, whatever date the server gives */
        bool unpack;   /* archives become what is in them */
} CopyItem;

typedef struct CopyPlan {
        CopyItem *items;
        size_t n_items, capacity;
        char *destination;      /* absolute; a trailing slash means a directory */
        char *chown;            /* as written, or NULL */
        const Chmod *chmod;     /* or NULL */
        IgnoreMatcher *exclude; /* or NULL; owned */
        bool link;
        int64_t epoch;   /* seconds, or -1 */
        const char *tmp; /* directory for what has to be spooled */
} CopyPlan;

void copy_plan_done(CopyPlan *plan);

/*
 * Adds what a source word of COPY or ADD means in a tree, which must live as long as the plan. `parents`: --parents; `unpack`: archives become what is in them.
 * Errors: NOT_FOUND that names the path and the tree, unless the word has wildcards.
 */
int copy_plan_add_source(CopyPlan *plan, SourceTree *tree, const char *source, bool parents, bool unpack, Error *err);
/* The same of what a mount names: one path, in which wildcards are ordinary characters. */
int copy_plan_add_path(CopyPlan *plan, SourceTree *tree, const char *path, Error *err);
/* A heredoc: a file `name` with these bytes, which are copied. */
void copy_plan_add_bytes(CopyPlan *plan, const char *name, const void *data, size_t size);
/* A file from `url`, to be filled in (fd, size, mtime_ns, digest). The item is valid until the next one is added. */
CopyItem *copy_plan_add_download(CopyPlan *plan, const char *name, const char *url, bool unpack);

/* The content of a directory that is not there yet: `identity` is its key, `url` where it comes from. Whoever adds it fills in tree and node. */
void copy_plan_add_later(CopyPlan *plan, const char *url, const char *version, const Digest *identity);

/* Adds everything that decides about the result, but the stage below, to a key. Reads the files whose digest is not known; `progress` is told of them. */
int copy_plan_hash(CopyPlan *plan, Hash *hash, TreeProgress progress, void *user, Error *err);

/* Calls `each` for every file and directory of the trees that the plan takes, in the order of copy_plan_hash(). */
int copy_plan_each_file(CopyPlan *plan, int (*each)(void *user, const TreeNode *node, Error *err), void *user, Error *err);

/* --chown. */
typedef struct CopyOwner {
        bool set; /* else files of a tree keep their owners, and what has none is root's */
        uint32_t uid, gid;
} CopyOwner;

/*
 * Puts everything into the destination, where the content is read only when that is written (dest.h): trees and files must stay. `now`: the time of directories
 * that are made and of what has none, without plan->epoch. Errors: INVALID (a file where a directory is, and the like), LIMIT, and what a hostile archive
 * gives.
 */
int copy_plan_apply(CopyPlan *plan, Dest *dest, const CopyOwner *owner, Timestamp now, Error *err);
