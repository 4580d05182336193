/*
 * Private to tree.c, tree_load.c and tree_digest.c.
 */
#pragma once

#include <pthread.h>

#include "build/tree.h"

struct SourceTree {
        TreeOptions options;
        char *name;
        int root_fd;
        TreeNode *root;
        StrList uses; /* guarded by `lock` */
        bool uses_parents;
        pthread_mutex_t lock;        /* children */
        pthread_mutex_t digest_lock; /* one source_tree_digest() at a time, so that no file is hashed twice */
};

/* `st` says what it is; the parent's list of children is not touched. */
TreeNode *tree_node_new(const SourceTree *tree, TreeNode *parent, const char *name, const struct stat *st);
void tree_node_free(TreeNode *node); /* with all below; NULL is fine */
