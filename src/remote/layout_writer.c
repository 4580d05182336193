#include "remote/layout_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/sys.h"
#include "oci/layout.h"
#include "tar/tar.h"

#define COPY_SIZE ((size_t)1 << 20)
#define TEMPORARY_SIZE (OCI_BLOB_PATH_SIZE + 32)

struct LayoutWriter {
        const Sink *to; /* NULL: into dir_fd */
        int dir_fd;
        int file_fd;  /* the blob that is being written to the directory */
        Map *written; /* paths of blobs that are there */
        LayoutProgress progress;
        void *user;
        char *buffer; /* COPY_SIZE bytes */
};

static LayoutWriter *writer_new(void)
{
        LayoutWriter *writer = NEW(LayoutWriter);

        writer->dir_fd = writer->file_fd = -1;
        writer->written = map_new(NULL);
        writer->buffer = xmalloc(COPY_SIZE);
        return writer;
}

LayoutWriter *layout_writer_new_tar(const Sink *to)
{
        LayoutWriter *writer = writer_new();

        writer->to = to;
        return writer;
}

LayoutWriter *layout_writer_new_directory(int dir_fd)
{
        LayoutWriter *writer = writer_new();

        writer->dir_fd = dir_fd;
        return writer;
}

void layout_writer_free(LayoutWriter *writer)
{
        if (!writer)
                return;
        if (writer->file_fd >= 0)
                close(writer->file_fd);
        map_free(writer->written);
        free(writer->buffer);
        free(writer);
}

void layout_writer_set_progress(LayoutWriter *writer, LayoutProgress progress, void *user)
{
        writer->progress = progress;
        writer->user = user;
}

/* --- as a tar --- */

static int put_header(LayoutWriter *writer, const char *path, TarType type, uint32_t mode, uint64_t size, Error *err)
{
        _cleanup_buf_ Buf header = BUF_INIT(MIB);
        TarEntry entry = { .type = type, .path = (char *)path, .mode = mode, .size = size };

        if (tar_write_header(&entry, &header, err) < 0)
                return -1;
        return sink_write(writer->to, header.data, header.size, err);
}

static int put_padding(LayoutWriter *writer, uint64_t size, Error *err)
{
        static const char zeros[TAR_BLOCK_SIZE];

        return sink_write(writer->to, zeros, tar_padding(size), err);
}

/* --- into a directory --- */

static char *temporary_name(const char *path, char *buffer)
{
        snprintf(buffer, TEMPORARY_SIZE, "%s.%ld.tmp", path, (long)getpid());
        return buffer;
}

static int open_temporary(LayoutWriter *writer, const char *path, Error *err)
{
        char name[TEMPORARY_SIZE];

        writer->file_fd = sys_openat(writer->dir_fd, temporary_name(path, name), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
        return writer->file_fd < 0 ? error_errno(err, errno, "cannot write '%s'", name) : 0;
}

static void drop_temporary(LayoutWriter *writer, const char *path)
{
        char name[TEMPORARY_SIZE];

        if (writer->file_fd < 0)
                return;
        close(TAKE_FD(writer->file_fd));
        (void)sys_unlinkat(writer->dir_fd, temporary_name(path, name), 0);
}

static int name_temporary(LayoutWriter *writer, const char *path, Error *err)
{
        char name[TEMPORARY_SIZE];

        if (sys_fsync(writer->file_fd) < 0 || sys_renameat(writer->dir_fd, temporary_name(path, name), writer->dir_fd, path) < 0)
                return error_errno(err, errno, "cannot write '%s'", path);
        close(TAKE_FD(writer->file_fd));
        return 0;
}

static bool is_there(const LayoutWriter *writer, const char *path, uint64_t size)
{
        struct stat st;

        return fstatat(writer->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

/* --- both --- */

/* 1 when the blob has to be written now; remembers it. */
static bool begin_blob(LayoutWriter *writer, const char *path, uint64_t size)
{
        if (map_has(writer->written, path))
                return false;
        map_set(writer->written, path, NULL);
        return writer->to || !is_there(writer, path, size);
}

static int begin_file(LayoutWriter *writer, const char *path, uint64_t size, Error *err)
{
        return writer->to ? put_header(writer, path, TAR_FILE, 0644, size, err) : open_temporary(writer, path, err);
}

static int put_bytes(LayoutWriter *writer, const void *data, size_t size, Error *err)
{
        int r;

        if (writer->progress && writer->progress(writer->user, size, err) < 0)
                return -1;
        if (writer->to)
                return sink_write(writer->to, data, size, err);
        r = fd_write_all(writer->file_fd, data, size);
        return r < 0 ? error_errno(err, r, "cannot write a blob") : 0;
}

static int end_file(LayoutWriter *writer, const char *path, uint64_t size, Error *err)
{
        return writer->to ? put_padding(writer, size, err) : name_temporary(writer, path, err);
}

int layout_writer_begin(LayoutWriter *writer, Error *err)
{
        static const char *const directories[] = { "blobs", "blobs/sha256" };

        for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
                if (writer->to && put_header(writer, directories[i], TAR_DIR, 0755, 0, err) < 0)
                        return -1;
                if (!writer->to && sys_mkdirat(writer->dir_fd, directories[i], 0755) < 0 && errno != EEXIST)
                        return error_errno(err, errno, "cannot make the directory '%s'", directories[i]);
        }
        return 0;
}

int layout_writer_put_file(LayoutWriter *writer, const char *name, const void *data, size_t size, Error *err)
{
        if (begin_file(writer, name, size, err) < 0 || put_bytes(writer, data, size, err) < 0 || end_file(writer, name, size, err) < 0) {
                drop_temporary(writer, name);
                return -1;
        }
        return 0;
}

int layout_writer_put_blob(LayoutWriter *writer, const Digest *digest, const void *data, size_t size, Error *err)
{
        char path[OCI_BLOB_PATH_SIZE];

        oci_blob_path(digest, path);
        return begin_blob(writer, path, size) ? layout_writer_put_file(writer, path, data, size, err) : 0;
}

static int copy_blob(LayoutWriter *writer, const Digest *digest, int fd, uint64_t size, Error *err)
{
        _cleanup_(hash_freep) Hash *hash = hash_new(digest->algorithm);
        char text[DIGEST_TEXT_SIZE];
        Digest found;

        for (uint64_t at = 0; at < size;) {
                ssize_t n = fd_pread_full(fd, writer->buffer, (size_t)MIN(size - at, (uint64_t)COPY_SIZE), at);

                if (n < 0)
                        return error_errno(err, (int)n, "cannot read blob '%s'", digest_format(digest, text));
                if (n == 0)
                        return error_set(err, ERROR_CORRUPT, "blob '%s' is shorter than recorded: run mica fsck", digest_format(digest, text));
                hash_add(hash, writer->buffer, (size_t)n);
                if (put_bytes(writer, writer->buffer, (size_t)n, err) < 0)
                        return -1;
                at += (uint64_t)n;
        }
        found = hash_digest(hash);
        if (!digest_equal(&found, digest))
                return error_set(err, ERROR_CORRUPT, "blob '%s' is damaged: run mica fsck", digest_format(digest, text));
        return 0;
}

int layout_writer_put_blob_fd(LayoutWriter *writer, const Digest *digest, int fd, uint64_t size, Error *err)
{
        char path[OCI_BLOB_PATH_SIZE];

        oci_blob_path(digest, path);
        if (!begin_blob(writer, path, size))
                return 0;
        if (begin_file(writer, path, size, err) < 0 || copy_blob(writer, digest, fd, size, err) < 0 || end_file(writer, path, size, err) < 0) {
                drop_temporary(writer, path);
                return -1;
        }
        return 0;
}

int layout_writer_end(LayoutWriter *writer, Error *err)
{
        static const char zeros[TAR_TRAILER_SIZE];

        return writer->to ? sink_write(writer->to, zeros, sizeof(zeros), err) : 0;
}
