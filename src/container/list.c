/* docker ps: what it shows of each container, and its filters. */
#include <regex.h>
#include <string.h>

#include "base/mem.h"
#include "container/private.h"
#include "oci/reference.h"
#include "store/image.h"

static void info_done(ContainerInfo *info)
{
        free(info->name);
        free(info->image);
        free(info->command);
        free(info->status);
        free(info->ports);
        free(info->networks);
        string_map_done(&info->labels);
        strlist_done(&info->mounts);
}

/* "Up 2 minutes (Paused)", "Exited (0) 3 hours ago" */
static char *status_text(const ContainerState *state, Timestamp now)
{
        if (container_state_is(state, "created"))
                return xstrdup("Created");
        if (container_state_is(state, "running") || container_state_is(state, "paused")) {
                _cleanup_free_ char *span = duration_words(now - state->started);

                return xasprintf("Up %s%s", span, container_state_is(state, "paused") ? " (Paused)" : "");
        }
        if (container_state_is(state, "dead"))
                return xstrdup("Dead");
        {
                _cleanup_free_ char *ago = timestamp_ago(state->finished, now);

                return xasprintf("%s (%jd) %s", container_state_is(state, "restarting") ? "Restarting" : "Exited", (intmax_t)state->exit_code, ago);
        }
}

/* The name that the user gave, while it still is this image's; else the short id, as docker shows. */
static char *image_text(Store *store, const Container *container)
{
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_reference_ Reference reference = { 0 };
        const char *given = container->data.config.image;
        char hex[DIGEST_TEXT_SIZE];

        if (image_get(store, &container->image, &image, &ignored) == 0 && reference_parse_tagged(given, &reference, &ignored) == 0) {
                _cleanup_free_ char *full = reference_text(&reference);

                if (strlist_has(&image->names, full) || strlist_has(&image->repo_digests, full))
                        return xstrdup(given);
        }
        digest_hex(&container->image, hex);
        if (reference_id_prefix(given) && str_starts(hex, reference_id_prefix(given)))
                return xstrdup(given);
        return xstrndup(hex, 12);
}

/* As docker: what has a space stands in quotes, which says what is one argument and is no more than that. New string. */
static char *command_text(const ContainerData *data)
{
        _cleanup_strlist_ StrList words = { 0 };

        strlist_add(&words, data->path);
        for (size_t i = 0; i < data->args.n_items; i++)
                strlist_addf(&words, strchr(data->args.items[i], ' ') ? "'%s'" : "%s", data->args.items[i]);
        return strlist_join(&words, " ");
}

static int fill_info(Store *store, const Container *container, bool size, ContainerInfo *info, Error *err)
{
        memcpy(info->id, container->id, sizeof(info->id));
        info->name = xstrdup(container->name);
        info->image = image_text(store, container);
        info->image_id = container->image;
        info->command = command_text(&container->data);
        info->created = container->created;
        info->started = container->state.started;
        info->finished = container->state.finished;
        info->state = container->state.status;
        info->status = status_text(&container->state, clock_now());
        info->exit_code = (int)container->state.exit_code;
        info->pid = container->state.pid;
        info->ports = xstrdup("");
        info->networks = xstrdup(container->data.host.network_mode);
        string_map_copy(&info->labels, &container->data.config.labels);
        for (size_t i = 0; i < container->data.mounts.n_items; i++) {
                const MountPoint *mount = &container->data.mounts.items[i];

                if (!streq(mount->type, "tmpfs"))
                        strlist_add(&info->mounts, mount->name ? mount->name : mount->source);
        }
        return size ? container_size(store, container, &info->size_rw, &info->size_rootfs, err) : 0;
}

/* --- filters: each says whether a container passes one value --- */

typedef struct FilterContext {
        Store *store;
        const Container *container;
} FilterContext;

/* docker's expressions are Go's; POSIX's are the same for what the letters of names and ids allow. */
static int matches(const char *key, const char *expression, const char *text, const char *other, Error *err)
{
        regex_t regex;
        int found;

        if (regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB) != 0)
                return error_set(err, ERROR_INVALID, "invalid filter '%s=%s': it must be a regular expression", key, expression);
        found = regexec(&regex, text, 0, NULL, 0) == 0 || (other && regexec(&regex, other, 0, NULL, 0) == 0);
        regfree(&regex);
        return found;
}

static int filter_id(const FilterContext *context, const char *value, Error *err)
{
        return matches("id", value, context->container->id, NULL, err);
}

static int filter_name(const FilterContext *context, const char *value, Error *err)
{
        _cleanup_free_ char *with_slash = xasprintf("/%s", context->container->name);

        return matches("name", value, context->container->name, with_slash, err);
}

static int filter_label(const FilterContext *context, const char *value, Error *err)
{
        const char *equals = strchr(value, '='), *have;
        _cleanup_free_ char *key = equals ? xstrndup(value, (size_t)(equals - value)) : xstrdup(value);

        have = string_map_get(&context->container->data.config.labels, key);
        return have && (!equals || streq(have, equals + 1));
}

static int filter_exited(const FilterContext *context, const char *value, Error *err)
{
        int64_t code;

        if (str_to_i64(value, &code) < 0)
                return error_set(err, ERROR_INVALID, "invalid filter 'exited=%s': it must be a number", value);
        return streq(context->container->state.status, "exited") && context->container->state.exit_code == code;
}

static int filter_status(const FilterContext *context, const char *value, Error *err)
{
        static const char *const known[] = { "created", "restarting", "running", "removing", "paused", "exited", "dead" };

        if (str_is_one_of(value, known, ARRAY_LEN(known)))
                return streq(context->container->state.status, value);
        return error_set(err, ERROR_INVALID, "invalid filter 'status=%s'", value);
}

static int filter_ancestor(const FilterContext *context, const char *value, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL, *ours = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (image_find(context->store, value, &image, &ignored) < 0)
                return 0;
        if (digest_equal(&image->id, &context->container->image))
                return 1;
        error_done(&ignored);
        /* Its layers are the first of ours: it was built from it */
        if (image_get(context->store, &context->container->image, &ours, &ignored) < 0 || ours->n_diff_ids < image->n_diff_ids || image->n_diff_ids == 0)
                return 0;
        for (size_t i = 0; i < image->n_diff_ids; i++)
                if (!digest_equal(&image->diff_ids[i], &ours->diff_ids[i]))
                        return 0;
        return 1;
}

static int compare_created(const FilterContext *context, const char *value, Timestamp *ret, Error *err)
{
        _cleanup_(container_record_done) ContainerRecord record = { 0 };

        if (container_record_find(context->store, value, &record, err) < 0)
                return -1;
        *ret = record.created;
        return 0;
}

static int filter_before(const FilterContext *context, const char *value, Error *err)
{
        Timestamp other;

        return compare_created(context, value, &other, err) < 0 ? -1 : context->container->created < other;
}

static int filter_since(const FilterContext *context, const char *value, Error *err)
{
        Timestamp other;

        return compare_created(context, value, &other, err) < 0 ? -1 : context->container->created > other;
}

static int filter_volume(const FilterContext *context, const char *value, Error *err)
{
        for (size_t i = 0; i < context->container->data.mounts.n_items; i++) {
                const MountPoint *mount = &context->container->data.mounts.items[i];

                if (streq_ptr(mount->name, value) || streq(mount->source, value) || streq(mount->destination, value))
                        return 1;
        }
        return 0;
}

static int filter_network(const FilterContext *context, const char *value, Error *err)
{
        return streq(context->container->data.host.network_mode, value);
}

static int filter_health(const FilterContext *context, const char *value, Error *err)
{
        static const char *const known[] = { "starting", "healthy", "unhealthy", "none" };

        if (str_is_one_of(value, known, ARRAY_LEN(known)))
                return streq(value, "none"); /* nothing watches HEALTHCHECK yet */
        return error_set(err, ERROR_INVALID, "unrecognized filter value for health: %s", value);
}

static int filter_expose(const FilterContext *context, const char *value, Error *err)
{
        _cleanup_free_ char *port = strchr(value, '/') ? xstrdup(value) : xasprintf("%s/tcp", value);

        return strlist_has(&context->container->data.config.exposed_ports, port);
}

static int filter_publish(const FilterContext *context, const char *value, Error *err)
{
        return 0; /* no network with published ports yet */
}

static int filter_is_task(const FilterContext *context, const char *value, Error *err)
{
        bool wanted;

        return str_to_bool(value, &wanted) < 0 ? error_set(err, ERROR_INVALID, "invalid filter 'is-task=[%s]'", value) : !wanted;
}

/* Sorted by name. `all`: every value must hold (labels); otherwise one is enough. `shows_all`: asks for containers that do not run, too. */
static const struct Filter {
        const char *name;
        int (*passes)(const FilterContext *context, const char *value, Error *err);
        bool all, shows_all;
} filters[] = {
        { "ancestor", filter_ancestor, false, false }, { "before", filter_before, false, true },    { "exited", filter_exited, false, true },
        { "expose", filter_expose, false, false },     { "health", filter_health, false, false },   { "id", filter_id, false, false },
        { "is-task", filter_is_task, false, false },   { "label", filter_label, true, false },      { "name", filter_name, false, false },
        { "network", filter_network, false, false },   { "publish", filter_publish, false, false }, { "since", filter_since, false, true },
        { "status", filter_status, false, true },      { "volume", filter_volume, false, false },
};

static const struct Filter *find_filter(const char *text, const char **ret_value)
{
        for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
                const char *rest = str_after(text, filters[i].name);

                if (rest && *rest == '=') {
                        *ret_value = rest + 1;
                        return &filters[i];
                }
        }
        return NULL;
}

static int unknown_filter(const char *text, Error *err)
{
        return error_set(err, ERROR_INVALID, "invalid filter '%.*s'", (int)strcspn(text, "="), text);
}

/* Filters of one name are alternatives (but for labels); different names must all hold. */
static int passes(const FilterContext *context, const StrList *texts, Error *err)
{
        for (size_t f = 0; f < ARRAY_LEN(filters); f++) {
                bool asked = false, any = false;

                for (size_t i = 0; texts && i < texts->n_items; i++) {
                        const char *value = NULL;
                        int r;

                        if (find_filter(texts->items[i], &value) != &filters[f])
                                continue;
                        r = filters[f].passes(context, value, err);
                        if (r < 0)
                                return -1;
                        if (filters[f].all && r == 0)
                                return 0;
                        asked = true;
                        any |= r > 0;
                }
                if (asked && !any)
                        return 0;
        }
        return 1;
}

static int collect_id(void *user, const ContainerRecord *record, Error *err)
{
        strlist_add(user, record->id);
        return 0;
}

int container_list(Store *store, const ListOptions *options, int (*each)(void *user, const ContainerInfo *info, Error *err), void *user, Error *err)
{
        _cleanup_strlist_ StrList ids = { 0 };
        bool all = options->all || options->last > 0;
        int64_t n_shown = 0;

        for (size_t i = 0; options->filters && i < options->filters->n_items; i++) {
                const char *value = NULL;
                const struct Filter *filter = find_filter(options->filters->items[i], &value);

                if (!filter)
                        return unknown_filter(options->filters->items[i], err);
                all |= filter->shows_all;
        }
        container_dirs_sweep(store);
        if (container_record_list(store, collect_id, &ids, err) < 0)
                return -1;
        for (size_t i = 0; i < ids.n_items && (options->last <= 0 || n_shown < options->last); i++) {
                _cleanup_(container_freep) Container *container = NULL;
                ContainerInfo info = { 0 };
                int r;

                if (container_load(store, ids.items[i], &container, err) < 0) {
                        if (err->code != ERROR_NOT_FOUND)
                                return -1;
                        error_done(err); /* removed meanwhile */
                        continue;
                }
                if (!all && !container_is_active(container))
                        continue;
                r = passes(&(FilterContext){ .store = store, .container = container }, options->filters, err);
                if (r < 0)
                        return -1;
                if (r == 0)
                        continue;
                r = fill_info(store, container, options->size, &info, err);
                if (r == 0)
                        r = each(user, &info, err);
                info_done(&info);
                if (r < 0)
                        return -1;
                n_shown++;
        }
        return 0;
}

/* Best effort: a machine without a runtime has nothing of it either. */
static void sweep_runtime(void)
{
        _cleanup_(runtime_closep) Runtime *runtime = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;

        if (runtime_open(NULL, &runtime, &ignored) == 0)
                runtime_sweep(runtime);
}

/* Whether all filters of a prune select the container: 1, 0, -1. */
static int prune_selects(const FilterContext *context, const StrList *texts, Error *err)
{
        for (size_t i = 0; texts && i < texts->n_items; i++) {
                const char *value = NULL;
                Timestamp until;
                bool wanted;

                if ((value = str_after(texts->items[i], "label="))) {
                        wanted = filter_label(context, value, err) > 0;
                } else if ((value = str_after(texts->items[i], "label!="))) {
                        wanted = filter_label(context, value, err) == 0;
                } else if ((value = str_after(texts->items[i], "until="))) {
                        if (timestamp_parse_any(value, clock_now(), &until) < 0)
                                return error_set(err, ERROR_INVALID, "invalid filter '%s'", texts->items[i]);
                        wanted = context->container->created < until;
                } else {
                        return error_set(err, ERROR_INVALID, "invalid filter '%s'", texts->items[i]);
                }
                if (!wanted)
                        return 0;
        }
        return 1;
}

int container_prune(Store *store, const StrList *texts, void (*removed)(void *user, const char *id), void *user, uint64_t *ret_size, Error *err)
{
        _cleanup_strlist_ StrList ids = { 0 };
        uint64_t total = 0;

        if (container_record_list(store, collect_id, &ids, err) < 0)
                return -1;
        for (size_t i = 0; i < ids.n_items; i++) {
                _cleanup_(container_freep) Container *container = NULL;
                _cleanup_error_ Error ignored = ERROR_INIT;
                uint64_t rw = 0, root;
                int selected;

                if (container_load(store, ids.items[i], &container, &ignored) < 0 || container_is_active(container))
                        continue;
                selected = prune_selects(&(FilterContext){ .store = store, .container = container }, texts, err);
                if (selected < 0)
                        return -1;
                if (!selected)
                        continue;
                container_size(store, container, &rw, &root, &ignored);
                error_done(&ignored);
                if (container_remove(store, container->id, NULL, &ignored) < 0)
                        continue; /* started meanwhile */
                total += rw;
                if (removed)
                        removed(user, container->id);
        }
        container_dirs_sweep(store);
        sweep_runtime();
        *ret_size = total;
        return 0;
}
