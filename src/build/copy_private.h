/*
 * Private to COPY and ADD (copy.h): walking what was selected, as both hashing and applying do.
 */
#pragma once

#include "build/copy.h"

typedef struct CopyWalk CopyWalk;
struct CopyWalk {
        CopyPlan *plan;
        CopyItem *item;
        /* `below`: path relative to the item; "" for the item itself. `included`: not only a directory on the way to something. */
        int (*visit)(CopyWalk *walk, TreeNode *node, const char *below, bool included, Error *err);
};

/* Visits what the plan takes of a COPY_NODE item, in the order of the tree, a directory before its content. */
int copy_walk(CopyWalk *walk, Error *err);

/* Adds an item without content. It is valid until the next one is added. */
CopyItem *copy_plan_add(CopyPlan *plan, CopyKind kind, const char *name);
