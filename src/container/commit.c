/* docker commit: the writable layer becomes a layer, the container's config an image's. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "container/files.h"
#include "container/view.h"
#include "oci/reference.h"
#include "store/image_write.h"

static int write_layer(View *view, Lease *lease, LayerInfo *ret, Error *err)
{
        _cleanup_(layer_writer_freep) LayerWriter *writer = NULL;
        _cleanup_strlist_ StrList excluded = { 0 };
        _cleanup_close_ int upper = view_upper_fd(view, err);
        DiffOptions options = { .epoch = -1 };
        int lower = upper < 0 ? -1 : view_lower_fd(view, err);

        if (lower < 0 || layer_writer_open(lease, &writer, err) < 0)
                return -1;
        view_excluded(view, &excluded);
        options.exclude = (const char *const *)excluded.items;
        options.n_exclude = excluded.n_items;
        if (rootfs_diff_write(upper, lower, &options, writer, err) < 0)
                return -1;
        return layer_writer_commit(writer, NULL, ret, err);
}

/* The container's config as an image's: what the user set for this one run (host name, image, attach) stays behind. */
static void take_config(const ContainerConfig *from, RunConfig *to)
{
        json_object_done(run_config_fields, to);
        to->user = xstrdup_or_null(from->user);
        to->working_dir = xstrdup_or_null(from->working_dir);
        to->stop_signal = xstrdup_or_null(from->stop_signal);
        strlist_copy(&to->exposed_ports, &from->exposed_ports);
        strlist_copy(&to->env, &from->env);
        strlist_copy(&to->entrypoint, &from->entrypoint);
        strlist_copy(&to->cmd, &from->cmd);
        strlist_copy(&to->volumes, &from->volumes);
        strlist_copy(&to->shell, &from->shell);
        string_map_copy(&to->labels, &from->labels);
        if (from->healthcheck) {
                to->healthcheck = NEW(HealthConfig);
                json_object_copy(health_config_fields, from->healthcheck, to->healthcheck);
        }
        if (from->stop_timeout)
                to->stop_timeout = xmemdup(from->stop_timeout, sizeof(*from->stop_timeout));
}

static int base_config(Store *store, const Container *container, ImageConfig *config, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_buf_ Buf text = BUF_INIT(8 << 20);

        if (image_get(store, &container->image, &image, err) < 0 || image_config(store, image, &text, err) < 0)
                return -1;
        return image_config_parse(text.data, text.size, config, err);
}

static int commit_view(Store *store, View *view, const CommitOptions *options, const char *name, Digest *ret_id, Error *err)
{
        const Container *container = view->container;
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_free_ char *args = strlist_join(&container->data.args, " "), *command = xasprintf("%s%s%s", container->data.path, *args ? " " : "", args);
        DigestList *diff_ids = &config.rootfs.diff_ids;
        Timestamp now = clock_now();
        WrittenImage written;
        HistoryEntry *entry;
        LayerInfo layer;

        if (base_config(store, container, &config, err) < 0)
                return -1;
        for (size_t i = 0; i < diff_ids->n_items; i++)
                if (lease_hold_layer(view->lease, &diff_ids->items[i], err) < 0)
                        return -1;
        if (write_layer(view, view->lease, &layer, err) < 0)
                return error_wrap(err, "cannot commit container '%s'", container->name);
        take_config(&container->data.config, &config.config);
        if (options->changes.n_items > 0 && (!options->apply_changes || options->apply_changes(&config, &options->changes, err) < 0))
                return options->apply_changes ? -1 : error_set(err, ERROR_INTERNAL, "changes to the config cannot be applied here");
        digest_list_add(diff_ids, &layer.diff_id);
        entry = image_config_add_history(&config, &now, command, options->message, false);
        entry->author = xstrdup_or_null(options->author);
        if (options->author) {
                free(config.author);
                config.author = xstrdup(options->author);
        }
        config.created = (ConfigTime){ .set = true, .time = now };
        if ((name ? image_write_named(view->lease, &config, &name, 1, &written, err) : image_write(view->lease, &config, &written, err)) < 0)
                return -1;
        *ret_id = written.id;
        return 0;
}

int container_commit(Store *store, const char *name, const CommitOptions *options, Digest *ret_id, Error *err)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *full = NULL;
        _cleanup_view_ View view = VIEW_INIT;
        bool paused = false;
        int r;

        if (!str_empty(options->reference)) {
                if (reference_parse_target(options->reference, &reference, err) < 0)
                        return -1;
                full = reference_text(&reference);
        }
        if (view_open(store, name, VIEW_LAYERS, &view, err) < 0)
                return -1;
        if (!options->no_pause && streq(view.container->state.status, "running")) {
                _cleanup_error_ Error ignored = ERROR_INIT;

                paused = container_pause(store, view.container->id, true, &ignored) == 0;
                if (!paused)
                        log_debug("cannot pause container '%s': %s", view.container->name, error_message(&ignored));
        }
        r = commit_view(store, &view, options, full, ret_id, err);
        if (paused) {
                _cleanup_error_ Error failure = ERROR_INIT;

                if (container_pause(store, view.container->id, false, &failure) < 0)
                        log_warning("cannot unpause container '%s': %s", view.container->name, error_message(&failure));
        }
        return r;
}
