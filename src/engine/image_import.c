/*
 * docker import: a tar of a root file system becomes an image of one layer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/images.h"
#include "http/client.h"
#include "oci/reference.h"
#include "store/image_write.h"

static int feed(void *user, const void *data, size_t size, Error *err)
{
        return layer_import_write(user, data, size, err);
}

static int download(LayerImport *import, const ImportOptions *options, Error *err)
{
        _cleanup_http_response_ HttpResponse response = HTTP_RESPONSE_INIT;
        HttpRequest request = { .url = options->url };

        return http_fetch(&request, &(Sink){ feed, import }, &response, err);
}

static int read_layer(Lease *lease, int fd, const ImportOptions *options, LayerInfo *ret, Error *err)
{
        _cleanup_(layer_import_freep) LayerImport *import = NULL;
        const volatile sig_atomic_t *cancel = options->cancel;

        if (layer_import_open(lease, false, &import, err) < 0)
                return -1;
        if (options->url)
                return download(import, options, err) < 0 ? -1 : layer_import_commit(import, NULL, NULL, NULL, NULL, ret, err);
        for (;;) {
                ssize_t n = layer_import_read(import, fd, err);

                if (n < 0)
                        return -1;
                if (cancel && *cancel)
                        return error_set(err, ERROR_CANCELLED, "cancelled");
                if (n == 0)
                        return layer_import_commit(import, NULL, NULL, NULL, NULL, ret, err);
        }
}

int engine_import(Store *store, int fd, const ImportOptions *options, Digest *ret_id, Error *err)
{
        _cleanup_(lease_freep) Lease *lease = NULL;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_free_ char *name = NULL, *message = NULL;
        Timestamp now = clock_now_or_epoch(options->epoch);
        WrittenImage written;
        LayerInfo layer;

        if (options->reference) {
                if (reference_parse_target(options->reference, &reference, err) < 0)
                        return -1;
                name = reference_text(&reference);
        }
        if (options->platform) {
                if (platform_parse(options->platform, &platform, err) < 0)
                        return -1;
        } else {
                platform_host(&platform);
        }
        image_config_init(&config, &platform);
        /* An import starts from nothing: BuildKit's defaults for scratch are not docker import's. */
        run_config_done(&config.config);
        config.config = (RunConfig){ 0 };
        if (engine_apply_changes(&config, &options->changes, err) < 0)
                return -1;
        if (lease_new(store, "import", &lease, err) < 0 || read_layer(lease, fd, options, &layer, err) < 0)
                return -1;
        digest_list_add(&config.rootfs.diff_ids, &layer.diff_id);
        message = options->message ? xstrdup(options->message) : xasprintf("Imported from %s", options->source ? options->source : "-");
        image_config_add_history(&config, &now, NULL, message, false);
        config.created = (ConfigTime){ .set = true, .time = now };
        if (image_write(lease, &config, &written, err) < 0)
                return -1;
        if (name && image_tag(store, name, &written.id, err) < 0)
                return -1;
        *ret_id = written.id;
        return 0;
}
