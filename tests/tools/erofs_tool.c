/*
 * What the differential tests of erofs/ and fs/ drive from Python:
 *   index TAR INDEX            index of one tar; prints entries, files, whiteouts
 *   merge INDEX SINGLE TAR [SINGLE TAR ...]
 *   check INDEX TAR ...
 *   info INDEX
 *   mount DIR INDEX TAR ...    in the mount namespace of the caller
 *   overlay DIR LOWER ...      top first, mounted by descriptor
 *   walk DIR                   one line an entry, with owner, mode, time, links, attributes and a hash of the content left to the caller
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "erofs/erofs.h"
#include "fs/mount.h"
#include "fs/walk.h"

typedef struct Mapped {
        void *data;
        size_t size;
} Mapped;

static int map_file(const char *path, Mapped *ret, Error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, errno, "cannot open '%s'", path);
        *ret = (Mapped){ .size = (size_t)st.st_size };
        if (st.st_size == 0)
                return 0;
        ret->data = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
        return ret->data == MAP_FAILED ? error_errno(err, errno, "cannot map '%s'", path) : 0;
}

static uint64_t file_size(const char *path)
{
        struct stat st;

        return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static int write_fd(void *user, const void *data, size_t size, Error *err)
{
        int r = fd_write_all(*(int *)user, data, size);

        return r < 0 ? error_errno(err, r, "cannot write the index") : 0;
}

static int write_tree(ErofsTree *tree, const char *path, const uint64_t *sizes, size_t n, Error *err)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        const Sink sink = { write_fd, &fd };

        return fd < 0 ? error_errno(err, errno, "cannot create '%s'", path) : erofs_tree_write(tree, sizes, n, &sink, err);
}

static int add_entry(void *user, const TarEntry *entry, Error *err)
{
        return erofs_tree_add(user, entry, err);
}

static int cmd_index(char **args, int n, Error *err)
{
        static const TarReaderOps ops = { add_entry, NULL };
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, tree);
        int64_t start = clock_monotonic_ns(), read_at;
        Mapped tar;
        uint64_t size;
        ErofsStats stats;

        if (n != 2 || map_file(args[0], &tar, err) < 0 || (tar.size && tar_reader_feed(reader, tar.data, tar.size, err) < 0) ||
            tar_reader_finish(reader, err) < 0)
                return -1;
        read_at = clock_monotonic_ns();
        size = tar.size;
        if (write_tree(tree, args[1], &size, 1, err) < 0)
                return -1;
        erofs_tree_stats(tree, &stats);
        printf("%ju entries, %ju files, %ju bytes, %ju whiteouts, %ju implicit; read %.1f ms, write %.1f ms\n", (uintmax_t)stats.n_entries,
               (uintmax_t)stats.n_files, (uintmax_t)stats.content_size, (uintmax_t)stats.n_whiteouts, (uintmax_t)stats.n_implicit,
               (double)(read_at - start) / 1e6, (double)(clock_monotonic_ns() - read_at) / 1e6);
        return 0;
}

static int cmd_merge(char **args, int n, Error *err)
{
        _cleanup_(erofs_tree_freep) ErofsTree *tree = erofs_tree_new();
        _cleanup_free_ uint64_t *sizes = NEW_ARRAY(uint64_t, (size_t)n);
        size_t n_sizes = 0;
        int64_t start = clock_monotonic_ns();

        /* A merged index is followed by all of its tars. */
        for (int i = 1; i < n;) {
                ErofsIndexInfo info;
                Mapped index;

                if (map_file(args[i++], &index, err) < 0 || erofs_index_info(index.data, index.size, &info, err) < 0 ||
                    erofs_tree_add_index(tree, index.data, index.size, err) < 0)
                        return -1;
                for (size_t k = 0; k < info.n_devices && i < n; k++)
                        sizes[n_sizes++] = file_size(args[i++]);
        }
        if (write_tree(tree, args[0], sizes, n_sizes, err) < 0)
                return -1;
        printf("merged %zu layers in %.1f ms\n", n_sizes, (double)(clock_monotonic_ns() - start) / 1e6);
        return 0;
}

static int cmd_check(char **args, int n, Error *err)
{
        _cleanup_free_ uint64_t *sizes = NEW_ARRAY(uint64_t, (size_t)n);
        int64_t start = clock_monotonic_ns();
        Mapped index;

        if (n < 1 || map_file(args[0], &index, err) < 0)
                return -1;
        for (int i = 1; i < n; i++)
                sizes[i - 1] = file_size(args[i]);
        if (erofs_index_check(index.data, index.size, sizes, (size_t)n - 1, err) < 0)
                return -1;
        printf("sound, %.1f ms\n", (double)(clock_monotonic_ns() - start) / 1e6);
        return 0;
}

static int cmd_info(char **args, int n, Error *err)
{
        ErofsIndexInfo info;
        Mapped index;

        if (n != 1 || map_file(args[0], &index, err) < 0 || erofs_index_info(index.data, index.size, &info, err) < 0)
                return -1;
        printf("%zu devices%s%s\n", info.n_devices, info.is_merged ? ", merged" : "", info.must_merge ? ", must be merged" : "");
        return 0;
}

static int cmd_mount(char **args, int n, Error *err)
{
        _cleanup_close_ int fd = n < 2 ? -1 : mount_erofs(args[1], (const char *const *)args + 2, (size_t)n - 2, err);

        return fd < 0 ? -1 : mount_attach(fd, AT_FDCWD, args[0], err);
}

static int cmd_overlay(char **args, int n, Error *err)
{
        const OverlaySpec spec = { .lower = (const char *const *)args + 1, .n_lower = (size_t)n - 1 };
        _cleanup_close_ int fd = n < 2 ? -1 : mount_overlay(&spec, err);

        return fd < 0 ? -1 : mount_attach(fd, AT_FDCWD, args[0], err);
}

static int print_entry(void *user, const WalkEntry *entry, Error *err)
{
        const struct stat *st = &entry->st;

        ++*(uint64_t *)user;
        if (getenv("QUIET"))
                return 0;
        printf("%s\t%o\t%u:%u\t%ju\t%jd.%09ld\t%ju\t%jx\n", entry->path, st->st_mode, st->st_uid, st->st_gid, S_ISDIR(st->st_mode) ? 0 : (uintmax_t)st->st_size,
               (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (uintmax_t)st->st_nlink, (uintmax_t)st->st_rdev);
        return 0;
}

static int cmd_walk(char **args, int n, Error *err)
{
        static const WalkOps ops = { .entry = print_entry };
        uint64_t count = 0;
        int64_t start = clock_monotonic_ns();
        int r = n == 1 ? tree_walk(AT_FDCWD, args[0], &ops, &count, err) : -1;

        fprintf(stderr, "%ju entries in %.1f ms\n", (uintmax_t)count, (double)(clock_monotonic_ns() - start) / 1e6);
        return r;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(char **args, int n, Error *err);
        } commands[] = { { "index", cmd_index }, { "merge", cmd_merge },     { "check", cmd_check }, { "info", cmd_info },
                         { "mount", cmd_mount }, { "overlay", cmd_overlay }, { "walk", cmd_walk } };
        _cleanup_error_ Error err = ERROR_INIT;

        for (size_t i = 0; i < ARRAY_LEN(commands); i++)
                if (argc > 1 && streq(argv[1], commands[i].name)) {
                        if (commands[i].run(argv + 2, argc - 2, &err) == 0)
                                return 0;
                        fprintf(stderr, "erofs_tool: %s\n", error_message(&err));
                        return 1;
                }
        fprintf(stderr, "erofs_tool: unknown command\n");
        return 2;
}
