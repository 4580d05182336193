/* A directory of its own for each test, removed afterwards. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

typedef struct Scratch {
        char path[64];
        int fd;
} Scratch;

static inline int scratch_setup(void **state)
{
        Scratch *scratch = NEW(Scratch);

        strcpy(scratch->path, "/var/tmp/mica-fs-test-XXXXXX");
        if (!mkdtemp(scratch->path))
                return -1;
        scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = scratch;
        return scratch->fd < 0 ? -1 : 0;
}

static inline int scratch_teardown(void **state)
{
        Scratch *scratch = *state;

        close(scratch->fd);
        tree_remove(AT_FDCWD, scratch->path);
        free(scratch);
        return 0;
}

static inline void make_file(int dir_fd, const char *path, const char *content)
{
        int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(fd_write_all(fd, content, strlen(content)), 0);
        close(fd);
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)
