/*
 * Base images from Debian's archive, with no registry: mmdebstrap resolves, fetches and checks signatures; its tar becomes the only layer of an image.
 *
 * Adding a variant or a distribution: a row in `variants[]` or `suites[]` of bootstrap.c, and a hook script in hooks/ when it needs one.
 */
#pragma once

#include <signal.h>

#include "base/str.h"
#include "store/store.h"

typedef struct BootstrapOptions {
        const char *source;  /* "debian:bookworm-slim", "debian:trixie", "debian:12-distroless", "busybox" */
        const char *variant; /* "slim", "full", "distroless"; NULL: from `source` */
        StrList include;     /* packages beside those of the variant */
        const char *mirror;  /* NULL: http://deb.debian.org/debian, with updates and security */
        StrList tags;        /* names as the user typed them; empty: `source` */
        int64_t epoch;       /* SOURCE_DATE_EPOCH in seconds, -1: now */
        /* Called with each line of progress ("downloading packages"). May be NULL. */
        void (*progress)(void *user, const char *line);
        void *user;
        const volatile sig_atomic_t *cancel; /* non-zero stops it. May be NULL */
} BootstrapOptions;

#define BOOTSTRAP_OPTIONS_INIT ((BootstrapOptions){ .epoch = -1 })

typedef struct BootstrapResult {
        Digest id; /* of the image */
        LayerInfo layer;
        StrList names; /* normalised */
} BootstrapResult;

void bootstrap_result_done(BootstrapResult *result);

/*
 * Makes the image and points the names at it. Needs root (mmdebstrap's root mode).
 * Errors: INVALID (unknown source, suite, variant, package or tag name), UNSUPPORTED (mmdebstrap is not installed, not root), NETWORK (the archive cannot be
 * read), EXIT (mmdebstrap failed: its last error lines), CANCELLED, those of the store.
 */
int bootstrap_run(Store *store, const BootstrapOptions *options, BootstrapResult *ret, Error *err);

/* What `source` and `variant` ask for, in words ("Debian 12 (bookworm), slim"), new string; the same INVALID errors. For tests and messages. */
int bootstrap_describe(const char *source, const char *variant, char **ret, Error *err);
