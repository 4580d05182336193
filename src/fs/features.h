/*
 * What this kernel lets this process do. Each answer is found out by trying, once per process, and kept; thread-safe.
 */
#pragma once

#include <stdbool.h>

typedef enum Feature {
        FEATURE_MOUNT,             /* mounting at all: CAP_SYS_ADMIN in our user namespace */
        FEATURE_OPENAT2,           /* openat2(2) with RESOLVE_IN_ROOT */
        FEATURE_OVERLAY,           /* overlayfs, mounted by us */
        FEATURE_OVERLAY_LOWER_ADD, /* overlayfs's lowerdir+ (any number of layers, any bytes in paths) */
        FEATURE_EROFS,             /* EROFS mounted from files in the temporary directory; see feature_erofs_in() for another directory */
        FEATURE_USER_NAMESPACE,    /* a process may make a user namespace */
        _FEATURE_MAX,
} Feature;

bool feature_works(Feature feature);
const char *feature_name(Feature feature);   /* "mount", "openat2", ... */
const char *feature_reason(Feature feature); /* one sentence: how it works, or why it does not. Static */

/*
 * Whether EROFS can be mounted from files in this directory and be a layer of an overlay: depends on the kernel (6.12), on privileges, and on the file system
 * there (tmpfs and overlayfs above overlayfs cannot). *ret_attached: only while the mount is attached somewhere in the mount namespace (before Linux 6.15).
 * Costs two mounts for each file system asked about. *ret_reason (may be NULL) as feature_reason().
 */
bool feature_erofs_in(int dir_fd, bool *ret_attached, const char **ret_reason);
