/*
 * History entries and chain ids.
 */
#include <stdio.h>

#include "base/mem.h"
#include "oci/config.h"

HistoryEntry *image_config_add_history(ImageConfig *config, const Timestamp *created, const char *created_by, const char *comment, bool empty_layer)
{
        HistoryEntry *entry = json_items_add(&config->history, sizeof(HistoryEntry));

        if (created)
                entry->created = (ConfigTime){ .set = true, .time = *created };
        entry->created_by = xstrdup_or_null(created_by);
        entry->comment = xstrdup_or_null(comment);
        entry->empty_layer = empty_layer;
        return entry;
}

static void set_created(HistoryEntry *entry, Timestamp time)
{
        free(entry->text);
        entry->text = NULL;
        entry->created = (ConfigTime){ .set = true, .time = time };
}

/* The first date behind the first entry without one; when there is none, the last date of all. */
static ConfigTime first_new_time(const ImageConfig *config)
{
        ConfigTime found = { 0 };
        bool missing = false;

        for (size_t i = 0; i < config->history.n_items; i++) {
                const HistoryEntry *entry = &config->history.items[i];

                if (!entry->created.set) {
                        missing = true;
                        continue;
                }
                found = entry->created;
                if (missing)
                        break;
        }
        return found;
}

static void fill_missing(ImageConfig *config)
{
        ConfigTime current = first_new_time(config);
        bool missing = false;

        for (size_t i = 0; i < config->history.n_items; i++) {
                HistoryEntry *entry = &config->history.items[i];

                if (entry->created.set) {
                        if (missing)
                                current = entry->created;
                } else {
                        missing = true;
                        if (current.set)
                                set_created(entry, current.time);
                }
        }
}

void image_config_normalize_history(ImageConfig *config, size_t n_base, int64_t epoch)
{
        Timestamp limit = epoch * NSEC_PER_SEC;

        fill_missing(config);
        for (size_t i = epoch >= 0 ? n_base : SIZE_MAX; i < config->history.n_items; i++) {
                HistoryEntry *entry = &config->history.items[i];

                if (!entry->created.set || entry->created.time > limit)
                        set_created(entry, limit);
        }
        if (epoch >= 0 && config->created.set && config->created.time > limit)
                config->created.time = limit;
        for (size_t i = config->history.n_items; !config->created.set && i > 0; i--)
                config->created = config->history.items[i - 1].created;
}

Digest chain_id_next(const Digest *parent, const Digest *diff_id)
{
        char parent_text[DIGEST_TEXT_SIZE], diff_text[DIGEST_TEXT_SIZE], both[2 * DIGEST_TEXT_SIZE];
        int n;

        if (!parent || !digest_is_set(parent))
                return *diff_id;
        n = snprintf(both, sizeof(both), "%s %s", digest_format(parent, parent_text), digest_format(diff_id, diff_text));
        return digest_of(both, (size_t)n);
}

Digest chain_id(const Digest *diff_ids, size_t n)
{
        Digest id = { 0 };

        for (size_t i = 0; i < n; i++)
                id = chain_id_next(&id, &diff_ids[i]);
        return id;
}
