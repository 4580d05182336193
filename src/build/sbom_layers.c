/*
 * What BuildKit's exporter adds to the SBOM of an image: to each file the layer that it comes from, and who did that.
 *
 * The layer is named by what travels (its digest in the manifest). The topmost layer that has the path counts, also when it was removed above.
 */
#include <stdint.h>

#include "base/fd.h"
#include "base/map.h"
#include "base/mem.h"
#include "build/sbom.h"
#include "build/sbom_layers.h"
#include "tar/tar.h"

#define READ_SIZE ((size_t)64 << 10)
#define CREATOR "Tool: mica-" MICA_VERSION

typedef struct Finder {
        const Export *export;
        Map *paths; /* clean path -> number of the layer + 1; UNKNOWN at first */
        size_t n_unknown, layer;
} Finder;

#define UNKNOWN ((void *)UINTPTR_MAX)

/* The path as a tar has it. NULL: none. New string. */
static char *path_of(const JsonValue *file)
{
        const char *name = json_value_string(json_value_get(file, "fileName")), *comment = json_value_string(json_value_get(file, "comment"));
        _cleanup_error_ Error ignored = ERROR_INIT;
        char *path = NULL;

        if (!name || !str_empty(comment) || tar_path_clean(name, &path, &ignored) < 0)
                return NULL;
        return path;
}

static int on_member(void *user, const TarEntry *entry, Error *err)
{
        Finder *finder = user;

        if (entry->whiteout == TAR_WHITEOUT_NONE && map_get(finder->paths, entry->path) == UNKNOWN) {
                map_set(finder->paths, entry->path, (void *)(finder->layer + 1));
                finder->n_unknown--;
        }
        return 0;
}

static int read_layer(Finder *finder, const Digest *diff_id, Error *err)
{
        static const TarReaderOps ops = { .entry = on_member };
        _cleanup_(tar_reader_freep) TarReader *reader = tar_reader_new(&ops, finder);
        _cleanup_close_ int fd = layer_open_tar(finder->export->build->store, diff_id, NULL, err);
        _cleanup_free_ char *buffer = xmalloc(READ_SIZE);
        uint64_t offset = 0;
        ssize_t n = 0;

        while (fd >= 0 && (n = fd_pread_full(fd, buffer, READ_SIZE, offset)) > 0) {
                uint64_t skip;

                if (build_check(finder->export->build, err) < 0 || tar_reader_feed(reader, buffer, (size_t)n, err) < 0)
                        return -1;
                skip = tar_reader_skippable(reader);
                tar_reader_skip(reader, skip);
                offset += (uint64_t)n + skip;
        }
        if (n < 0)
                return error_errno(err, (int)n, "cannot read a layer");
        return fd < 0 ? -1 : tar_reader_finish(reader, err);
}

static void add_creator(JsonValue *document)
{
        JsonValue *info = json_value_get(document, "creationInfo"), *creators = json_value_get(info, "creators");

        if (!info)
                json_value_set(document, "creationInfo", info = json_value_new_object());
        if (json_value_type(info) == JSON_TYPE_OBJECT && !creators)
                json_value_set(info, "creators", creators = json_value_new_array());
        if (json_value_type(creators) == JSON_TYPE_ARRAY)
                json_value_append_string(creators, CREATOR);
}

int sbom_add_layers(const Export *export, const ExportImage *image, JsonValue *document, Error *err)
{
        JsonValue *files = json_value_get(document, "files");
        Finder finder = { .export = export, .paths = map_new(NULL) };
        int r = 0;

        for (size_t i = 0; i < json_value_size(files); i++) {
                _cleanup_free_ char *path = path_of(json_value_at(files, i));

                if (!path || map_has(finder.paths, path))
                        continue;
                map_set(finder.paths, path, UNKNOWN);
                finder.n_unknown++;
        }
        for (size_t i = image->n_layers; i-- > 0 && finder.n_unknown && r == 0;) {
                finder.layer = i;
                r = read_layer(&finder, &image->layers[i].diff_id, err);
        }
        for (size_t i = 0; i < json_value_size(files) && r == 0; i++) {
                JsonValue *file = json_value_at(files, i);
                _cleanup_free_ char *path = path_of(file), *comment = NULL;
                void *found = path ? map_get(finder.paths, path) : NULL;
                char digest[DIGEST_TEXT_SIZE];

                if (!found || found == UNKNOWN)
                        continue;
                comment = xasprintf("layerID: %s", digest_format(&image->layers[(size_t)found - 1].descriptor.digest, digest));
                json_value_set_string(file, "comment", comment);
        }
        map_free(finder.paths);
        if (r == 0)
                add_creator(document);
        return r;
}
