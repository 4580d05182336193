/*
 * The files of the result instead of an image: type=tar and type=local. Several platforms have a directory each ("linux_arm64").
 *
 * With SOURCE_DATE_EPOCH every file gets that time, as BuildKit has it. Files that are exported to a directory belong to the caller.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "build/export.h"
#include "build/export_local.h"
#include "fs/mount.h"
#include "fs/output_file.h"
#include "fs/walk.h"
#include "store/tree_tar.h"

/* "linux/arm/v7" as the name of a directory. New string. */
static char *platform_directory(const char *platform)
{
        return str_replace(platform, "/", "_");
}

static bool splits(const Export *export)
{
        int wanted = export->output->platform_split;

        /* A tar has no other way to hold several. */
        return export->output->type == BUILD_OUTPUT_TAR || wanted < 0 ? export->n_images > 1 : wanted;
}

/* The root of a finished stage. Returns a descriptor that belongs to the stage, or -1. */
static int open_root(const ExportImage *image, Error *err)
{
        SourceTree *tree;

        if (stage_tree(image->target->stage, &tree, err) < 0)
                return -1;
        return rootfs_fd(image->target->stage->rootfs);
}

/* The file that holds a statement beside the result. New string. */
static char *statement_name(const Export *export, const ExportImage *image, const ExportStatement *statement)
{
        const char *prefix = export->output->attestation_prefix ? export->output->attestation_prefix : "";
        _cleanup_free_ char *platform = platform_directory(image->target->text), *stem = NULL;
        const char *dot;

        if (export->n_images == 1 || splits(export))
                return xasprintf("%s%s", prefix, statement->file_name);
        dot = strrchr(statement->file_name, '.');
        stem = dot ? xstrndup(statement->file_name, (size_t)(dot - statement->file_name)) : xstrdup(statement->file_name);
        return xasprintf("%s%s.%s%s", prefix, stem, platform, dot ? dot : "");
}

/* --- type=tar --- */

typedef struct TarExport {
        Export *export;
        TreeTar tar;
        const char *prefix; /* directory in the tar, or NULL */
} TarExport;

static int add_to_tar(void *user, const WalkEntry *entry, Error *err)
{
        TarExport *to = user;
        _cleanup_free_ char *path = to->prefix && *entry->path ? xasprintf("%s/%s", to->prefix, entry->path) : NULL;
        struct stat st = entry->st;

        if (build_check(to->export->build, err) < 0)
                return -1;
        if (to->export->epoch >= 0)
                st.st_mtim = (struct timespec){ .tv_sec = to->export->epoch };
        if (entry->depth == 0) {
                if (!to->prefix)
                        return 0;
                st.st_mode = S_IFDIR | 0755;
                st.st_uid = st.st_gid = 0;
                if (to->export->epoch < 0)
                        st.st_mtim = (struct timespec){ 0 };
                return tree_tar_add(&to->tar, entry->dir_fd, entry->name, to->prefix, &st, err);
        }
        return tree_tar_add(&to->tar, entry->dir_fd, entry->name, path ? path : entry->path, &st, err);
}

static int add_statement_to_tar(TarExport *to, const ExportImage *image, const ExportStatement *statement, Error *err)
{
        _cleanup_free_ char *name = statement_name(to->export, image, statement);
        _cleanup_free_ char *path = to->prefix ? xasprintf("%s/%s", to->prefix, name) : xstrdup(name);
        size_t size = strlen(statement->text);
        _cleanup_close_ int fd = fd_memory("statement", statement->text, size);
        struct stat st = { .st_mode = S_IFREG | 0600, .st_nlink = 1, .st_size = (off_t)size };

        if (fd < 0)
                return error_errno(err, fd, "cannot keep a statement in memory");
        if (to->export->epoch >= 0)
                st.st_mtim.tv_sec = to->export->epoch;
        return tree_tar_add_content(&to->tar, fd, path, &st, err);
}

static int write_tar(Export *export, const Sink *sink, Error *err)
{
        static const WalkOps ops = { .entry = add_to_tar };
        TarExport to = { .export = export };
        int r = 0;

        tree_tar_init(&to.tar, sink, NULL, -1);
        for (size_t i = 0; i < export->n_images && r == 0; i++) {
                const ExportImage *image = &export->images[i];
                _cleanup_free_ char *directory = splits(export) ? platform_directory(image->target->text) : NULL;
                int root = open_root(image, err);

                to.prefix = directory;
                r = root < 0 ? -1 : tree_walk(root, ".", &ops, &to, err);
                for (size_t k = 0; k < image->n_statements && r == 0; k++)
                        r = add_statement_to_tar(&to, image, &image->statements[k], err);
        }
        if (r == 0)
                r = tree_tar_finish(&to.tar, err);
        tree_tar_done(&to.tar);
        return r;
}

static int to_tar(Export *export, Error *err)
{
        int out = STDOUT_FILENO, r;
        OutputFile file;
        Sink sink;

        if (build_output_to_stdout(export->output)) {
                sink = output_fd_sink(&out);
                return write_tar(export, &sink, err);
        }
        r = output_file_open(&file, export->output->dest, 0666, err);
        sink = output_fd_sink(&file.fd);
        if (r >= 0)
                r = write_tar(export, &sink, err);
        if (r >= 0)
                r = output_file_finish(&file, err);
        output_file_done(&file);
        return r;
}

/* --- type=local --- */

static int image_to_directory(Export *export, const ExportImage *image, LocalCopy *copy, Error *err)
{
        _cleanup_free_ char *directory = splits(export) ? platform_directory(image->target->text) : NULL;
        int root = open_root(image, err);

        if (root < 0 || local_copy_tree(copy, root, directory, err) < 0)
                return -1;
        for (size_t k = 0; k < image->n_statements; k++) {
                _cleanup_free_ char *name = statement_name(export, image, &image->statements[k]);

                if (local_copy_text(copy, directory, name, image->statements[k].text, err) < 0)
                        return -1;
        }
        return 0;
}

static int to_local(Export *export, Error *err)
{
        const BuildOutput *output = export->output;
        _cleanup_(local_copy_freep) LocalCopy *copy = NULL;
        LocalCopyOptions options = { .dest = output->dest, .epoch = export->epoch, .mirror = output->mirror, .build = export->build, .vertex = export->vertex };

        if (export->n_images > 1 && !splits(export)) {
                if (output->mirror)
                        return error_set(err, ERROR_INVALID,
                                         "mode=delete cannot be used with platform-split=false: the platforms would delete each other's files");
                options.exclusive = true;
        }
        if (local_copy_new(&options, &copy, err) < 0)
                return -1;
        for (size_t i = 0; i < export->n_images; i++)
                if (image_to_directory(export, &export->images[i], copy, err) < 0)
                        return -1;
        return local_copy_finish(copy, err);
}

int export_to_files(Export *export, Error *err)
{
        /* First of all: a file that was opened outside cannot get a name inside. */
        if (mount_namespace_enter(err) < 0)
                return -1;
        for (size_t i = 0; i < export->n_images; i++)
                if (export_attest(export, &export->images[i], err) < 0)
                        return -1;
        return export->output->type == BUILD_OUTPUT_TAR ? to_tar(export, err) : to_local(export, err);
}
