/*
 * Drives store/ without the rest of the program: what the fault runs need, and handy by hand.
 *
 *   store_tool import ROOT NAME TAR...   stores the tars as layers of one image and names it
 *   store_tool remove ROOT NAME          removes the image
 *   store_tool gc ROOT
 *   store_tool check ROOT                fsck without repair; exit status 1 when there are problems
 *   store_tool repair ROOT
 *   store_tool names ROOT                the names of all images, one a line
 */
#include <fcntl.h>
#include <stdio.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "oci/config.h"
#include "oci/reference.h"
#include "store/image.h"
#include "store/image_write.h"
#include "store/maintain.h"
#include "store/store.h"

static int import_layer(Lease *lease, const char *path, ImageConfig *config, Error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        _cleanup_(layer_import_freep) LayerImport *import = NULL;
        _cleanup_free_ char *buffer = xmalloc(64 * KIB);
        LayerInfo info;
        ssize_t n;

        if (fd < 0 || layer_import_open(lease, true, &import, err) < 0)
                return fd < 0 ? error_set(err, ERROR_NOT_FOUND, "cannot open '%s'", path) : -1;
        while ((n = fd_read_full(fd, buffer, 64 * KIB)) > 0)
                if (layer_import_write(import, buffer, (size_t)n, err) < 0)
                        return -1;
        if (layer_import_commit(import, NULL, NULL, NULL, NULL, &info, err) < 0)
                return -1;
        digest_list_add(&config->rootfs.diff_ids, &info.diff_id);
        return 0;
}

static int do_import(Store *store, int argc, char **argv, Error *err)
{
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *name = NULL;
        WrittenImage written;
        char text[DIGEST_TEXT_SIZE];

        if (argc < 2)
                return error_set(err, ERROR_INVALID, "import needs a name and tars");
        if (reference_parse_target(argv[0], &reference, err) < 0 || lease_new(store, "import", &lease, err) < 0)
                return -1;
        name = reference_text(&reference);
        platform_host(&platform);
        image_config_init(&config, &platform);
        for (int i = 1; i < argc; i++)
                if (import_layer(lease, argv[i], &config, err) < 0)
                        return -1;
        if (image_write_named(lease, &config, (const char *const[]){ name }, 1, &written, err) < 0)
                return -1;
        puts(digest_format(&written.id, text));
        return 0;
}

static int do_remove(Store *store, int argc, char **argv, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;

        if (argc < 1)
                return error_set(err, ERROR_INVALID, "remove needs a name");
        return image_find(store, argv[0], &image, err) < 0 ? -1 : image_remove(store, &image->id, false, err);
}

static int do_gc(Store *store, int argc, char **argv, Error *err)
{
        return store_gc(store, false, NULL, err);
}

static void print_problem(void *user, const FsckProblem *problem)
{
        printf("%s %s: %s%s\n", problem->kind, problem->name, problem->text, problem->repaired ? " (repaired)" : "");
}

static int check(Store *store, bool repair, Error *err)
{
        FsckResult result;

        if (store_fsck(store, repair, print_problem, NULL, NULL, &result, err) < 0)
                return -1;
        printf("%llu layers, %llu blobs, %llu images, %llu problems\n", (unsigned long long)result.n_layers, (unsigned long long)result.n_blobs,
               (unsigned long long)result.n_images, (unsigned long long)result.n_problems);
        return result.n_problems ? error_set(err, ERROR_CORRUPT, "the store has problems") : 0;
}

static int do_check(Store *store, int argc, char **argv, Error *err)
{
        return check(store, false, err);
}

static int do_repair(Store *store, int argc, char **argv, Error *err)
{
        return check(store, true, err);
}

static int do_names(Store *store, int argc, char **argv, Error *err)
{
        Image **images;
        size_t n;

        if (image_list(store, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < images[i]->names.n_items; k++)
                        puts(images[i]->names.items[k]);
        image_list_free(images, n);
        return 0;
}

static const struct {
        const char *name;
        int (*run)(Store *store, int argc, char **argv, Error *err);
} commands[] = {
        { "check", do_check }, { "gc", do_gc }, { "import", do_import }, { "names", do_names }, { "remove", do_remove }, { "repair", do_repair },
};

int main(int argc, char **argv)
{
        const StoreOptions options = { .root = argc > 2 ? argv[2] : NULL };
        _cleanup_(store_closep) Store *store = NULL;
        _cleanup_error_ Error err = ERROR_INIT;

        for (size_t i = 0; argc > 2 && i < ARRAY_LEN(commands); i++) {
                if (!streq(argv[1], commands[i].name))
                        continue;
                if (store_open(&options, &store, &err) == 0 && commands[i].run(store, argc - 3, argv + 3, &err) == 0)
                        return 0;
                fprintf(stderr, "store_tool: %s\n", error_message(&err));
                return 1;
        }
        fprintf(stderr, "usage: store_tool import|remove|gc|check|repair|names ROOT [arguments]\n");
        return 2;
}
