/*
 * What the tests of store/ share: a fresh store in a directory of its own, tars made in memory, images made of them.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/image.h"
#include "store/maintain.h"
#include "store/rootfs.h"
#include "store/store.h"
#include "tar/tar.h"

typedef struct Fixture {
        char *dir; /* holds the store and whatever else a test makes */
        char *root;
        Store *store;
} Fixture;

extern const char *fixture_driver; /* "erofs" or "dir" */

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_reopen(Fixture *fixture);

/* Why mounting cannot be tested here, or NULL. Enters a mount namespace on the first call. */
const char *fixture_no_mounts(void);
const char *fixture_no_erofs(void); /* likewise, why the driver `erofs` cannot be */
#define SKIP_WITHOUT_MOUNTS() \
        do { \
                if (fixture_no_mounts()) { \
                        print_message("skipped: %s\n", fixture_no_mounts()); \
                        skip(); \
                } \
        } while (0)

/* Fails the test with the message of the error. */
#define assert_ok(expression) \
        do { \
                if ((expression) < 0) \
                        fail_msg("%s: %s", #expression, error_message(&err)); \
        } while (0)
#define assert_fails(expression, expected) \
        do { \
                assert_int_equal((expression), -1); \
                assert_int_equal(err.code, (expected)); \
                error_done(&err); \
        } while (0)

/* --- tars --- */

void tar_put_file(Buf *tar, const char *path, const char *content);
void tar_put_sized(Buf *tar, const char *path, size_t size, char fill);
void tar_put_dir(Buf *tar, const char *path, uint32_t mode);
void tar_put_link(Buf *tar, TarType type, const char *path, const char *target);
void tar_put_whiteout(Buf *tar, const char *path, TarWhiteout kind);
void tar_put_entry(Buf *tar, const TarEntry *entry, const void *content);
void tar_put_end(Buf *tar);

/* Stores a tar (made complete) as a layer. */
LayerInfo fixture_layer(Lease *lease, Buf *tar);
/* Stores config and manifest for layers, and records and names the image. Returns its id. */
Digest fixture_image(Lease *lease, const LayerInfo *layers, size_t n, const char *name, const char *author);

/* Content of a file below a directory, or NULL. New string. */
char *read_at(int dir_fd, const char *path);
