/*
 * Removing and pruning images, with docker's rules for names and containers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/filter.h"
#include "engine/images.h"
#include "oci/reference.h"
#include "store/container.h"
#include "store/image_index.h"
#include "json/json.h"

static char *familiar(const char *full_name)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;

        return reference_parse(full_name, &reference, &ignored) < 0 ? xstrdup(full_name) : reference_familiar(&reference);
}

static void report_name(RemovalReport report, void *user, RemovalKind kind, const char *full_name)
{
        _cleanup_free_ char *name = familiar(full_name);

        if (report)
                report(user, kind, name);
}

/* --- containers that use an image --- */

typedef struct Users {
        const Digest *image;
        char id[65];
        bool found, running;
} Users;

static int on_container(void *data, const ContainerRecord *record, Error *err)
{
        Users *users = data;
        _cleanup_json_ JsonValue *state = NULL;
        _cleanup_error_ Error ignored = ERROR_INIT;
        const char *status;

        if (!digest_equal(&record->image, users->image))
                return 0;
        if (record->state)
                json_value_parse(record->state, strlen(record->state), NULL, &state, &ignored);
        status = json_value_string(json_value_get(state, "Status"));
        if (!users->found || !users->running) {
                memcpy(users->id, record->id, sizeof(users->id));
                users->id[12] = '\0';
        }
        users->found = true;
        users->running |= status && (streq(status, "running") || streq(status, "paused"));
        return 0;
}

static int find_users(Store *store, const Digest *image, Users *ret, Error *err)
{
        *ret = (Users){ .image = image };
        return container_record_list(store, on_container, ret, err);
}

/* --- rmi --- */

static int delete_image(Store *store, const Image *image, bool force, RemovalReport report, void *user, Error *err)
{
        char digest[DIGEST_TEXT_SIZE];

        if (image_remove(store, &image->id, force, err) < 0)
                return -1;
        for (size_t i = 0; i < image->names.n_items; i++)
                report_name(report, user, REMOVAL_UNTAGGED, image->names.items[i]);
        for (size_t i = 0; i < image->repo_digests.n_items; i++)
                report_name(report, user, REMOVAL_UNTAGGED, image->repo_digests.items[i]);
        if (report)
                report(user, REMOVAL_DELETED, digest_format(&image->id, digest));
        /* docker names the layers that go with it, by their chains and from the top */
        for (size_t i = image->n_diff_ids; report && i > 0; i--) {
                Digest chain = chain_id(image->diff_ids, i);
                int used = layer_is_used(store, &image->diff_ids[i - 1], err);

                if (used < 0)
                        return -1;
                if (!used)
                        report(user, REMOVAL_DELETED, digest_format(&chain, digest));
        }
        return 0;
}

/* The name among those of the image that the user typed; NULL when it was typed as an id. */
static const char *typed_name(const Image *image, const char *typed)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *full = NULL;

        if (reference_parse_tagged(typed, &reference, &ignored) < 0)
                return NULL;
        full = reference_text(&reference);
        for (size_t i = 0; i < image->names.n_items; i++)
                if (streq(image->names.items[i], full))
                        return image->names.items[i];
        return NULL;
}

static int remove_by_name(Store *store, const Image *image, const char *name, bool force, RemovalReport report, void *user, Error *err)
{
        Users users;
        char id[13];

        if (image->names.n_items > 1) {
                if (image_untag(store, name, err) < 0)
                        return -1;
                report_name(report, user, REMOVAL_UNTAGGED, name);
                return 0;
        }
        if (find_users(store, &image->id, &users, err) < 0)
                return -1;
        if (users.found && !force) {
                _cleanup_free_ char *text = familiar(name);

                return error_set(err, ERROR_CONFLICT,
                                 "conflict: unable to remove repository reference \"%s\" (must force) - container %s is using its referenced image %s", text,
                                 users.id, digest_short(&image->id, id));
        }
        /* Nothing forces a running container's image away: it stays without a name. */
        if (users.running) {
                if (image_untag(store, name, err) < 0)
                        return -1;
                report_name(report, user, REMOVAL_UNTAGGED, name);
                return 0;
        }
        return delete_image(store, image, force, report, user, err);
}

int engine_image_remove(Store *store, const char *typed, bool force, RemovalReport report, void *user, Error *err)
{
        _cleanup_(image_freep) Image *image = NULL;
        const char *name;
        Users users;
        char id[13];

        if (image_find(store, typed, &image, err) < 0)
                return -1;
        name = typed_name(image, typed);
        if (name)
                return remove_by_name(store, image, name, force, report, user, err);
        digest_short(&image->id, id);
        if (find_users(store, &image->id, &users, err) < 0)
                return -1;
        if (users.running)
                return error_set(err, ERROR_CONFLICT, "conflict: unable to delete %s (cannot be forced) - image is being used by running container %s", id,
                                 users.id);
        if (image->names.n_items > 1 && !force)
                return error_set(err, ERROR_CONFLICT, "conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", id);
        if (users.found && !force)
                return error_set(err, ERROR_CONFLICT, "conflict: unable to delete %s (must be forced) - image is being used by stopped container %s", id,
                                 users.id);
        return delete_image(store, image, force, report, user, err);
}

/* --- prune --- */

static const char *const prune_filters[] = { "dangling", "label", "label!", "until", NULL };

/* 1 when the image may go. */
static int may_prune(Store *store, const Image *image, bool all, const StrList *filters, Timestamp until, Error *err)
{
        Users users;

        /* What belongs to another image goes with that. */
        if (image->is_part || (!all && image->names.n_items) || (until && image->created >= until))
                return 0;
        if (find_users(store, &image->id, &users, err) < 0)
                return -1;
        if (users.found)
                return 0;
        if (filters_have(filters, "label") || filters_have(filters, "label!")) {
                _cleanup_image_config_ ImageConfig config = { 0 };

                if (engine_image_config(store, image, &config, err) < 0)
                        return -1;
                return filters_match_labels(filters, &config.config.labels);
        }
        return 1;
}

int engine_image_prune(Store *store, bool all, const StrList *filters, RemovalReport report, void *user, uint64_t *ret_size, Error *err)
{
        Timestamp until = 0;
        Image **images;
        bool dangling = true;
        GcResult collected;
        size_t n;
        int r;

        if (filters_check(filters, prune_filters, err) < 0 || filters_until(filters, &until, err) < 0 ||
            filters_bool(filters, "dangling", &dangling, err) < 0 || image_list(store, &images, &n, err) < 0)
                return -1;
        r = 0;
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = may_prune(store, images[i], all || !dangling, filters, until, err);
                if (r > 0)
                        r = delete_image(store, images[i], false, report, user, err);
                if (r < 0 && err->code == ERROR_CONFLICT) {
                        /* A container took it meanwhile: that one stays. */
                        error_done(err);
                        r = 0;
                }
        }
        image_list_free(images, n);
        if (r < 0 || store_gc(store, false, &collected, err) < 0)
                return -1;
        *ret_size = collected.size;
        return 0;
}

int engine_image_tag(Store *store, const char *source, const char *target, Error *err)
{
        _cleanup_(image_index_freep) ImageIndex *index = NULL;
        _cleanup_(image_freep) Image *image = NULL;
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_free_ char *name = NULL;
        int r;

        if (reference_parse_target(target, &reference, err) < 0)
                return error_wrap(err, "\"%s\" is not a valid repository/tag", target);
        name = reference_text(&reference);
        r = image_index_find(store, source, &index, err);
        if (r != 0)
                return r < 0 ? -1 : image_tag_index(store, name, &index->digest, err);
        if (image_find(store, source, &image, err) < 0)
                return -1;
        return image_tag(store, name, &image->id, err);
}
