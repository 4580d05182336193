/*
 * mica save, load, import.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "cli/command_list.h"
#include "cli/context.h"
#include "engine/images.h"
#include "fs/output_file.h"
#include "http/client.h"
#include "oci/reference.h"
#include "remote/archive.h"

/* --- save --- */

typedef struct SaveOptions {
        const char *output, *format;
        StrList platforms;
} SaveOptions;

static const Option save_options[] = {
        { "format", 0, OPTION_STRING, offsetof(SaveOptions, format), .help = "Format of the archive: docker-archive or oci-archive", .value = "docker-archive",
          .choices = "docker-archive|oci-archive" },
        { "output", 'o', OPTION_STRING, offsetof(SaveOptions, output), .help = "Write to a file, instead of STDOUT", .flags = OPTION_FILE },
        OPTION_TABLE_END,
};

/* The item of an image, new when it is not there yet. */
static ArchiveItem *get_item(ArchiveItem *items, size_t *n_items, Image *image)
{
        for (size_t i = 0; i < *n_items; i++)
                if (digest_equal(&items[i].image->id, &image->id)) {
                        image_free(image);
                        return &items[i];
                }
        items[*n_items] = (ArchiveItem){ .image = image };
        return &items[(*n_items)++];
}

static void add_name(ArchiveItem *item, const char *name)
{
        if (!strlist_has(&item->names, name))
                strlist_add(&item->names, name);
}

/* What was typed, with every tag of its repository for a name alone. Where there is none, the name stands for an id. */
static int all_tags(Store *store, const StrList *typed, StrList *ret, Error *err)
{
        Image **images;
        size_t n;

        if (image_list(store, &images, &n, err) < 0)
                return -1;
        for (size_t t = 0; t < typed->n_items; t++) {
                _cleanup_reference_ Reference wanted = { 0 };
                _cleanup_error_ Error ignored = ERROR_INIT;
                bool alone = reference_parse(typed->items[t], &wanted, &ignored) == 0 && !wanted.tag && !digest_is_set(&wanted.digest);
                _cleanup_free_ char *start = alone ? reference_name(&wanted) : NULL;
                size_t before = ret->n_items;

                for (size_t i = 0; i < n && alone; i++)
                        for (size_t k = 0; k < images[i]->names.n_items; k++) {
                                const char *rest = str_after(images[i]->names.items[k], start);

                                if (rest && *rest == ':')
                                        strlist_add(ret, images[i]->names.items[k]);
                        }
                if (ret->n_items == before)
                        strlist_add(ret, typed->items[t]);
        }
        image_list_free(images, n);
        return 0;
}

/* "name:tag" saves that tag; an id saves without names. */
static int collect(Store *store, const char *typed, ArchiveItem *items, size_t *n_items, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *full = NULL;
        _cleanup_(image_index_freep) ImageIndex *index = NULL;
        Image *image;
        ArchiveItem *item;

        if (image_find(store, typed, &image, err) < 0)
                return -1;
        if (image_index_find(store, typed, &index, err) < 0) {
                image_free(image);
                return -1;
        }
        item = get_item(items, n_items, image);
        if (index && !item->index)
                item->index = TAKE_PTR(index);
        if (reference_parse_tagged(typed, &reference, &ignored) < 0)
                return 0;
        full = reference_text(&reference);
        if (strlist_has(&item->image->names, full))
                add_name(item, full);
        return 0;
}

static int save(Store *store, const SaveOptions *options, ArchiveFormat format, const ArchiveItem *items, size_t n_items, Error *err)
{
        OutputFile file;
        int out = STDOUT_FILENO, r;
        Sink sink = output_fd_sink(&out);

        if (str_empty(options->output))
                return archive_save(store, items, n_items, format, &sink, err);
        sink = output_fd_sink(&file.fd);
        r = output_file_open(&file, options->output, 0600, err);
        if (r >= 0)
                r = archive_save(store, items, n_items, format, &sink, err);
        if (r >= 0)
                r = output_file_finish(&file, err);
        output_file_done(&file);
        return r;
}

static int run_save(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const SaveOptions *options = data;
        _cleanup_strlist_ StrList names = { 0 };
        ArchiveFormat format = ARCHIVE_DOCKER;
        ArchiveItem *items;
        size_t n_items = 0;
        Store *store;
        int r = 0;

        if (streq(options->format, "oci-archive") || streq(options->format, "oci"))
                format = ARCHIVE_OCI;
        else if (!streq(options->format, "docker-archive") && !streq(options->format, "docker"))
                return error_set(err, ERROR_INVALID, "unknown format '%s': say docker-archive or oci-archive", options->format);
        if (str_empty(options->output) && isatty(STDOUT_FILENO))
                return error_set(err, ERROR_INVALID, "cowardly refusing to save to a terminal: use the -o flag or redirect");
        if (cli_store(cli, &store, err) < 0 || all_tags(store, args, &names, err) < 0)
                return -1;
        items = xcalloc(names.n_items, sizeof(*items));
        for (size_t i = 0; i < names.n_items && r >= 0; i++)
                r = collect(store, names.items[i], items, &n_items, err);
        if (r >= 0)
                r = save(store, options, format, items, n_items, err);
        for (size_t i = 0; i < n_items; i++) {
                image_free((Image *)items[i].image);
                image_index_free((ImageIndex *)items[i].index);
                strlist_done(&items[i].names);
        }
        free(items);
        return r;
}

const Command command_save = {
        .usage = "[OPTIONS] IMAGE [IMAGE...]",
        .summary = "Save one or more images to a tar archive (streamed to STDOUT by default)",
        .options = { save_options },
        .options_size = sizeof(SaveOptions),
        .min_args = 1,
        .max_args = COMMAND_ARGS_ANY,
        .flags = COMMAND_IMAGES | COMMAND_NAMESPACE_TRY,
        .run = run_save,
};

/* --- load --- */

typedef struct LoadOptions {
        const char *input, *platform;
        bool quiet;
} LoadOptions;

static const Option load_options[] = {
        { "input", 'i', OPTION_STRING, offsetof(LoadOptions, input), .help = "Read from a tar archive file or an OCI layout directory, instead of STDIN",
          .flags = OPTION_FILE },
        { "platform", 0, OPTION_STRING, offsetof(LoadOptions, platform), .help = "Load this platform of an image that has several" },
        { "quiet", 'q', OPTION_BOOL, offsetof(LoadOptions, quiet), .help = "Suppress the load output" },
        OPTION_TABLE_END,
};

static int print_loaded(void *user, const LoadedImage *image, Error *err)
{
        Cli *cli = user;
        char id[DIGEST_TEXT_SIZE];

        for (size_t i = 0; i < image->names.n_items; i++) {
                _cleanup_reference_ Reference name = { 0 };
                _cleanup_free_ char *text = NULL;

                if (reference_parse(image->names.items[i], &name, err) < 0)
                        return -1;
                text = reference_familiar(&name);
                if (*image->moved.items[i])
                        fprintf(cli->out, "The image %s already exists, renaming the old one with ID %s to empty string\n", text, image->moved.items[i]);
                fprintf(cli->out, "Loaded image: %s\n", text);
        }
        if (image->names.n_items == 0)
                fprintf(cli->out, "Loaded image ID: %s\n", digest_format(&image->id, id));
        return 0;
}

static int run_load(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const LoadOptions *options = data;
        ArchiveLoad load = { .platform = options->platform };
        _cleanup_close_ int file = -1;
        Store *store;

        if (!str_empty(options->input)) {
                file = sys_openat(AT_FDCWD, options->input, O_RDONLY, 0);
                if (file < 0)
                        return error_errno(err, errno, "cannot open '%s'", options->input);
        } else if (isatty(STDIN_FILENO)) {
                return error_set(err, ERROR_INVALID, "requested load from stdin, but stdin is empty: use the -i flag or redirect");
        }
        if (cli_store(cli, &store, err) < 0)
                return -1;
        return archive_load(store, file >= 0 ? file : STDIN_FILENO, &load, print_loaded, cli, err);
}

const Command command_load = {
        .usage = "[OPTIONS]",
        .summary = "Load an image from a tar archive or STDIN",
        .options = { load_options },
        .options_size = sizeof(LoadOptions),
        .flags = COMMAND_NAMESPACE_TRY,
        .run = run_load,
};

/* --- import --- */

typedef struct ImportCommandOptions {
        StrList changes;
        const char *message, *platform;
} ImportCommandOptions;

static const Option import_options[] = {
        { "change", 'c', OPTION_LIST, offsetof(ImportCommandOptions, changes), .help = "Apply Dockerfile instruction to the created image" },
        { "message", 'm', OPTION_STRING, offsetof(ImportCommandOptions, message), .help = "Set commit message for imported image" },
        { "platform", 0, OPTION_STRING, offsetof(ImportCommandOptions, platform), .help = "Set the platform of the image" },
        OPTION_TABLE_END,
};

static int run_import(Cli *cli, const void *data, const StrList *args, Error *err)
{
        const ImportCommandOptions *options = data;
        const char *source = args->items[0];
        ImportOptions import = { .message = options->message,
                                 .platform = options->platform,
                                 .source = http_is_url(source) ? source : NULL,
                                 .reference = args->n_items > 1 ? args->items[1] : NULL,
                                 .changes = options->changes };
        _cleanup_close_ int file = -1;
        char text[DIGEST_TEXT_SIZE];
        Digest id;
        Store *store;

        if (cli_source_date_epoch(&import.epoch, err) < 0 || cli_store(cli, &store, err) < 0)
                return -1;
        if (http_is_url(source))
                import.url = source;
        else if (!streq(source, "-")) {
                file = sys_openat(AT_FDCWD, source, O_RDONLY, 0);
                if (file < 0)
                        return error_errno(err, errno, "cannot open '%s'", source);
        }
        if (engine_import(store, file >= 0 ? file : STDIN_FILENO, &import, &id, err) < 0)
                return -1;
        fprintf(cli->out, "%s\n", digest_format(&id, text));
        return 0;
}

const Command command_import = {
        .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        .summary = "Import the contents from a tarball to create a filesystem image",
        .options = { import_options },
        .options_size = sizeof(ImportCommandOptions),
        .min_args = 1,
        .max_args = 2,
        .flags = COMMAND_FILES | COMMAND_NAMESPACE_TRY,
        .run = run_import,
};
