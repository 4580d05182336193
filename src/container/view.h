/*
 * Private to container/: a container's file tree as somebody outside sees it, whether it runs or not.
 *
 *   VIEW_LAYERS   image and writable layer without anything mounted into them: diff, export, commit. Of a running container it is its monitor's mount.
 *   VIEW_PROCESS  with volumes and binds, as its processes see it: cp
 *
 * A container that does not run is mounted in a mount namespace of this process, and locked, so that nobody starts it meanwhile.
 */
#pragma once

#include "container/private.h"
#include "store/rootfs.h"

typedef enum ViewKind { VIEW_LAYERS, VIEW_PROCESS } ViewKind;

typedef struct View {
        Container *container;
        Lease *lease;
        Rootfs *rootfs, *lower;
        int root_fd, lock_fd;
} View;

/* Enters a mount namespace. Errors: NOT_FOUND, CONFLICT (somebody holds the lock of a container that does not run). */
int view_open(Store *store, const char *name, ViewKind kind, View *ret, Error *err);
void view_close(View *view);
#define _cleanup_view_ _cleanup_(view_close)
#define VIEW_INIT ((View){ .root_fd = -1, .lock_fd = -1 })

/* The image's tree alone. The descriptor belongs to the view; -1 on error. */
int view_lower_fd(View *view, Error *err);
/* The writable layer's directory: a new descriptor, or -1. */
int view_upper_fd(const View *view, Error *err);
/* In-root paths that are only there because something is mounted on them. */
void view_excluded(const View *view, StrList *paths);
