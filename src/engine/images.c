/*
 * Listing images.
 */
#include "engine/images.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/filter.h"
#include "oci/limits.h"
#include "oci/reference.h"

static const char *const list_filters[] = { "before", "dangling", "label", "label!", "reference", "since", "until", NULL };

int engine_image_config(Store *store, const Image *image, ImageConfig *ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(OCI_CONFIG_SIZE_MAX);

        if (image_config(store, image, &text, err) < 0)
                return -1;
        return image_config_parse(text.data, text.size, ret, err);
}

/* Docker's FamiliarMatch: against "name:tag" and "name", in the short and the full form. */
static bool name_matches(const char *pattern, const char *full_name)
{
        _cleanup_reference_ Reference reference = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        _cleanup_free_ char *familiar = NULL, *name = NULL, *long_name = NULL;

        if (reference_parse(full_name, &reference, &ignored) < 0)
                return false;
        familiar = reference_familiar(&reference);
        name = reference_familiar_name(&reference);
        long_name = reference_name(&reference);
        return pattern_match(pattern, familiar) || pattern_match(pattern, name) || pattern_match(pattern, full_name) || pattern_match(pattern, long_name);
}

/* Leaves the names that one of the reference filters selects; false when none is left. */
static bool keep_names(Image *image, const StrList *filters, const char *reference)
{
        bool any = reference != NULL;
        size_t at = 0;

        any |= filters_next(filters, "reference", &at) != NULL;
        if (!any)
                return true;
        for (size_t i = image->names.n_items; i-- > 0;) {
                const char *pattern;
                bool keep = reference && name_matches(reference, image->names.items[i]);

                for (at = 0; !keep && (pattern = filters_next(filters, "reference", &at));)
                        keep = name_matches(pattern, image->names.items[i]);
                if (!keep)
                        strlist_remove(&image->names, i);
        }
        return image->names.n_items > 0;
}

typedef struct Selection {
        const StrList *filters;
        const char *reference;
        Timestamp before, since, until; /* 0: no bound */
        Digest before_id, since_id;
        int dangling; /* -1: either */
        bool labels;
        bool parts; /* images that belong to the index of another too */
} Selection;

static int find_bound(Store *store, const StrList *filters, const char *key, Timestamp *ret, Digest *ret_id, Error *err)
{
        const char *value;

        for (size_t at = 0; (value = filters_next(filters, key, &at));) {
                _cleanup_(image_freep) Image *image = NULL;

                if (image_find(store, value, &image, err) < 0)
                        return -1;
                *ret = image->created;
                *ret_id = image->id;
        }
        return 0;
}

static int selection_init(Store *store, Selection *selection, Error *err)
{
        bool dangling;
        int r;

        if (filters_check(selection->filters, list_filters, err) < 0)
                return -1;
        r = filters_bool(selection->filters, "dangling", &dangling, err);
        if (r < 0)
                return -1;
        selection->dangling = r ? dangling : -1;
        selection->labels = filters_have(selection->filters, "label") || filters_have(selection->filters, "label!");
        if (filters_until(selection->filters, &selection->until, err) < 0)
                return -1;
        if (find_bound(store, selection->filters, "before", &selection->before, &selection->before_id, err) < 0)
                return -1;
        return find_bound(store, selection->filters, "since", &selection->since, &selection->since_id, err);
}

/* 1 when the image is selected. */
static int select_image(Store *store, const Selection *selection, Image *image, Error *err)
{
        if (image->is_part && !selection->parts)
                return 0;
        if (selection->dangling >= 0 && (image->names.n_items == 0 && !image->is_part) != (selection->dangling == 1))
                return 0;
        if (digest_is_set(&selection->before_id) && (image->created >= selection->before || digest_equal(&image->id, &selection->before_id)))
                return 0;
        if (digest_is_set(&selection->since_id) && (image->created <= selection->since || digest_equal(&image->id, &selection->since_id)))
                return 0;
        if (selection->until && image->created >= selection->until)
                return 0;
        if (selection->labels) {
                _cleanup_image_config_ ImageConfig config = { 0 };

                if (engine_image_config(store, image, &config, err) < 0)
                        return -1;
                if (!filters_match_labels(selection->filters, &config.config.labels))
                        return 0;
        }
        return keep_names(image, selection->filters, selection->reference);
}

int engine_images(Store *store, bool all, const StrList *filters, const char *reference, Image ***ret, size_t *ret_n, Error *err)
{
        Selection selection = { .filters = filters, .reference = reference, .parts = all };
        Image **images;
        size_t n, kept = 0;
        int r = 0;

        if (selection_init(store, &selection, err) < 0 || image_list(store, &images, &n, err) < 0)
                return -1;
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = select_image(store, &selection, images[i], err);
                if (r > 0)
                        images[kept++] = images[i];
                else
                        image_free(images[i]);
        }
        if (r < 0) {
                image_list_free(images, kept);
                return -1;
        }
        *ret = images;
        *ret_n = kept;
        return 0;
}
