/*
 * An OCI layout, as an archive or a directory: type=oci and type=docker.
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
#include "fs/output_file.h"
#include "oci/layout.h"
#include "oci/reference.h"
#include "remote/archive.h"
#include "remote/layout_writer.h"

typedef struct Copying {
        Export *export;
        uint64_t done, total, told;
} Copying;

/* Often enough for an eye. */
#define TELL_EVERY (16 * MIB)

static int copied(void *user, uint64_t size, Error *err)
{
        Copying *copying = user;
        Build *build = copying->export->build;

        copying->done += size;
        if (copying->done - copying->told >= TELL_EVERY) {
                copying->told = copying->done;
                progress_status(build->progress, copying->export->vertex, "copying layers", copying->done, copying->total, false);
        }
        return build_check(build, err);
}

/* --- blobs --- */

static int put_text(LayoutWriter *writer, const Digest *digest, const Buf *text, Error *err)
{
        return layout_writer_put_blob(writer, digest, text->data, text->size, err);
}

static int put_image(Export *export, LayoutWriter *writer, const ExportImage *image, Error *err)
{
        for (size_t i = 0; i < image->n_layers; i++) {
                const ExportLayer *layer = &image->layers[i];
                _cleanup_close_ int fd = export_layer_open(export, layer, err);

                if (fd < 0 || layout_writer_put_blob_fd(writer, &layer->descriptor.digest, fd, (uint64_t)layer->descriptor.size, err) < 0)
                        return -1;
        }
        if (put_text(writer, &image->id, &image->config_text, err) < 0 || put_text(writer, &image->manifest.digest, &image->manifest_text, err) < 0)
                return -1;
        if (!image->n_statements)
                return 0;
        for (size_t i = 0; i < image->n_statements; i++) {
                const char *text = image->statements[i].text;
                Digest digest = digest_of(text, strlen(text));

                if (layout_writer_put_blob(writer, &digest, text, strlen(text), err) < 0)
                        return -1;
        }
        if (put_text(writer, &image->attestation_config_digest, &image->attestation_config, err) < 0)
                return -1;
        return put_text(writer, &image->attestation.digest, &image->attestation_text, err);
}

/* --- what names them --- */

/* The entry of index.json without a name: with the date of the image, which is the same for the same image. */
static void make_entry(const Export *export, Descriptor *to)
{
        const ImageConfig *config = &export->images[0].config;
        char when[TIMESTAMP_TEXT_SIZE];

        descriptor_copy(to, &export->root);
        if (config->created.set && config->created.time != TIMESTAMP_ZERO && !string_map_get(&to->annotations, OCI_ANNOTATION_CREATED))
                string_map_set(&to->annotations, OCI_ANNOTATION_CREATED, timestamp_format(config->created.time / NSEC_PER_SEC * NSEC_PER_SEC, when));
}

static int add_entries(const Export *export, Index *index, Error *err)
{
        for (size_t i = 0; i < MAX(export->names->n_items, (size_t)1); i++) {
                Descriptor *entry = descriptor_list_add(&index->manifests);
                _cleanup_reference_ Reference reference = { 0 };

                make_entry(export, entry);
                if (export->names->n_items == 0)
                        return 0;
                if (reference_parse(export->names->items[i], &reference, err) < 0)
                        return -1;
                string_map_set(&entry->annotations, CONTAINERD_ANNOTATION_NAME, export->names->items[i]);
                string_map_set(&entry->annotations, OCI_ANNOTATION_REF_NAME, reference.tag ? reference.tag : REFERENCE_DEFAULT_TAG);
        }
        return 0;
}

/* Whether an entry that is there already gives way: it has one of our names, or is the same without a name. */
static bool is_replaced(const Export *export, const Descriptor *entry)
{
        const char *name = string_map_get(&entry->annotations, CONTAINERD_ANNOTATION_NAME);

        return name ? strlist_has(export->names, name) : digest_equal(&entry->digest, &export->root.digest);
}

/* A directory may hold other images: they keep their entries. */
static int keep_entries(const Export *export, int dir_fd, Index *index, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        _cleanup_index_ Index old = { 0 };
        int r = file_read(dir_fd, OCI_LAYOUT_INDEX, &text);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return error_errno(err, r, "cannot read '%s/%s'", export->output->dest, OCI_LAYOUT_INDEX);
        if (index_parse(text.data, text.size, &old, err) < 0)
                return error_wrap(err, "'%s/%s' is not the index of a layout", export->output->dest, OCI_LAYOUT_INDEX);
        for (size_t i = 0; i < old.manifests.n_items; i++)
                if (!is_replaced(export, &old.manifests.items[i]))
                        descriptor_copy(descriptor_list_add(&index->manifests), &old.manifests.items[i]);
        return 0;
}

/* manifest.json, which `docker load` and others read. */
static int put_docker_manifest(Export *export, LayoutWriter *writer, Error *err)
{
        const ExportImage *image = &export->images[0];
        DockerArchive archive = { 0 };
        DockerArchiveImage *row = json_items_add(&archive.images, sizeof(*row));
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);
        char path[OCI_BLOB_PATH_SIZE];
        int r = 0;

        row->config = xstrdup(oci_blob_path(&image->id, path));
        for (size_t i = 0; i < image->n_layers; i++)
                strlist_add(&row->layers, oci_blob_path(&image->layers[i].descriptor.digest, path));
        for (size_t i = 0; i < export->names->n_items && r == 0; i++) {
                _cleanup_reference_ Reference reference = { 0 };

                r = reference_parse(export->names->items[i], &reference, err);
                if (r == 0)
                        strlist_take(&row->repo_tags, reference_familiar(&reference));
        }
        if (r == 0 && (docker_archive_text(&archive, &text, err) < 0 || layout_writer_put_file(writer, DOCKER_ARCHIVE_MANIFEST, text.data, text.size, err) < 0))
                r = -1;
        docker_archive_done(&archive);
        return r;
}

static int put_index(Export *export, LayoutWriter *writer, int dir_fd, Error *err)
{
        _cleanup_index_ Index index = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(ARCHIVE_INDEX_SIZE_MAX);

        index_init(&index, false);
        if (dir_fd >= 0 && keep_entries(export, dir_fd, &index, err) < 0)
                return -1;
        if (add_entries(export, &index, err) < 0 || index_text(&index, &text, err) < 0)
                return -1;
        return layout_writer_put_file(writer, OCI_LAYOUT_INDEX, text.data, text.size, err);
}

static int write_layout(Export *export, LayoutWriter *writer, int dir_fd, Error *err)
{
        Copying copying = { .export = export };

        for (size_t i = 0; i < export->n_images; i++)
                for (size_t k = 0; k < export->images[i].n_layers; k++)
                        copying.total += (uint64_t) export->images[i].layers[k].descriptor.size;
        layout_writer_set_progress(writer, copied, &copying);
        if (layout_writer_begin(writer, err) < 0)
                return -1;
        for (size_t i = 0; i < export->n_images; i++)
                if (put_image(export, writer, &export->images[i], err) < 0)
                        return -1;
        if (export->has_index && put_text(writer, &export->root.digest, &export->index_text, err) < 0)
                return -1;
        if (export->output->type == BUILD_OUTPUT_DOCKER && put_docker_manifest(export, writer, err) < 0)
                return -1;
        if (layout_writer_put_file(writer, OCI_LAYOUT_FILE, OCI_LAYOUT_TEXT, strlen(OCI_LAYOUT_TEXT), err) < 0 || put_index(export, writer, dir_fd, err) < 0)
                return -1;
        return layout_writer_end(writer, err);
}

/* --- where to --- */

static int to_directory(Export *export, Error *err)
{
        const char *dest = export->output->dest;
        _cleanup_(layout_writer_freep) LayoutWriter *writer = NULL;
        _cleanup_close_ int fd = -1;
        int r = dir_make(AT_FDCWD, dest, 0755);

        if (r == 0)
                fd = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, r < 0 ? r : errno, "cannot make the directory '%s'", dest);
        writer = layout_writer_new_directory(fd);
        return write_layout(export, writer, fd, err);
}

static int to_archive(Export *export, const Sink *sink, Error *err)
{
        _cleanup_(layout_writer_freep) LayoutWriter *writer = layout_writer_new_tar(sink);

        return write_layout(export, writer, -1, err);
}

int export_to_layout(Export *export, Error *err)
{
        int out = STDOUT_FILENO, r;
        OutputFile file;
        Sink sink;

        if (export->output->no_tar)
                return to_directory(export, err);
        if (build_output_to_stdout(export->output)) {
                sink = output_fd_sink(&out);
                return to_archive(export, &sink, err);
        }
        r = output_file_open(&file, export->output->dest, 0666, err);
        sink = output_fd_sink(&file.fd);
        if (r >= 0)
                r = to_archive(export, &sink, err);
        if (r >= 0)
                r = output_file_finish(&file, err);
        output_file_done(&file);
        return r;
}
