/*
 * The difference between what two builds recorded.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "build/explain_record.h"

/* Beyond this the square of the number of steps of a stage is too much; then only steps in the same place are compared. */
#define LCS_STEPS_MAX 1500

void explain_changes_done(ExplainChanges *changes)
{
        for (size_t i = 0; i < changes->n_items; i++) {
                free(changes->items[i].name);
                free(changes->items[i].before);
                free(changes->items[i].after);
        }
        free(changes->items);
        *changes = (ExplainChanges){ 0 };
}

void explain_changes_add(ExplainChanges *changes, ExplainKind kind, const char *name, const char *change, const char *before, const char *after)
{
        if (changes->n_items >= EXPLAIN_CHANGES_MAX) {
                changes->n_more++;
                return;
        }
        GROW(changes->items, changes->capacity, changes->n_items + 1);
        changes->items[changes->n_items++] = (ExplainChange){
                .kind = kind, .name = xstrdup(name), .change = change, .before = xstrdup_or_null(before), .after = xstrdup_or_null(after)
        };
}

/* --- fields --- */

static const ExplainField *find_field(const ExplainStep *step, const ExplainField *like)
{
        for (size_t i = 0; i < step->n_fields; i++)
                if (step->fields[i].kind == like->kind && streq(step->fields[i].name, like->name))
                        return &step->fields[i];
        return NULL;
}

static void compare_fields(const ExplainStep *before, const ExplainStep *after, ExplainChanges *changes)
{
        for (size_t i = 0; i < after->n_fields; i++) {
                const ExplainField *now = &after->fields[i], *then = find_field(before, now);

                if (!then)
                        explain_changes_add(changes, now->kind, now->name, "added", NULL, now->value);
                else if (!streq(then->value, now->value))
                        explain_changes_add(changes, now->kind, now->name, "changed", then->value, now->value);
        }
        for (size_t i = 0; i < before->n_fields; i++) {
                const ExplainField *then = &before->fields[i];

                if (!find_field(after, then))
                        explain_changes_add(changes, then->kind, then->name, "removed", then->value, NULL);
        }
}

/* --- files --- */

static char *mode_text(const ExplainFile *file)
{
        return xasprintf("%04o", (unsigned)(file->mode & 07777));
}

static char *owner_text(const ExplainFile *file)
{
        return xasprintf("%u:%u", (unsigned)(file->owner >> 32), (unsigned)file->owner);
}

static void compare_file(const ExplainFile *before, const ExplainFile *after, ExplainChanges *changes)
{
        if ((before->mode & S_IFMT) != (after->mode & S_IFMT)) {
                explain_changes_add(changes, EXPLAIN_FILE, after->path, "type", NULL, NULL);
                return;
        }
        if (before->content != after->content)
                explain_changes_add(changes, EXPLAIN_FILE, after->path, "content", NULL, NULL);
        if (before->mode != after->mode) {
                _cleanup_free_ char *then = mode_text(before), *now = mode_text(after);

                explain_changes_add(changes, EXPLAIN_FILE, after->path, "mode", then, now);
        }
        if (before->owner != after->owner) {
                _cleanup_free_ char *then = owner_text(before), *now = owner_text(after);

                explain_changes_add(changes, EXPLAIN_FILE, after->path, "owner", then, now);
        }
}

/* Both lists are sorted. */
static void compare_files(const ExplainStep *before, const ExplainStep *after, ExplainChanges *changes)
{
        size_t i = 0, k = 0;

        if (before->files_left_out || after->files_left_out)
                return;
        while (i < before->n_files || k < after->n_files) {
                int order = i == before->n_files ? 1 : k == after->n_files ? -1 : strcmp(before->files[i].path, after->files[k].path);

                if (order < 0)
                        explain_changes_add(changes, EXPLAIN_FILE, before->files[i++].path, "removed", NULL, NULL);
                else if (order > 0)
                        explain_changes_add(changes, EXPLAIN_FILE, after->files[k++].path, "added", NULL, NULL);
                else
                        compare_file(&before->files[i++], &after->files[k++], changes);
        }
}

void explain_compare(const ExplainStep *before, const ExplainStep *after, ExplainChanges *changes)
{
        compare_fields(before, after, changes);
        /* A step that was found without looking at its files says nothing about them. */
        if (before->n_files && after->n_files)
                compare_files(before, after, changes);
}

/* --- which step is which --- */

typedef struct Part {
        size_t *items; /* numbers of the steps of one stage */
        size_t n_items, capacity;
} Part;

static void steps_of(const ExplainRecord *record, const char *stage, Part *part)
{
        for (size_t i = 0; i < record->n_steps; i++) {
                if (!streq(record->steps[i].stage, stage))
                        continue;
                GROW(part->items, part->capacity, part->n_items + 1);
                part->items[part->n_items++] = i;
        }
}

static void match_in_place(const ExplainRecord *before, const ExplainRecord *after, const Part *b, const Part *a, size_t *matches)
{
        for (size_t i = 0; i < MIN(b->n_items, a->n_items); i++)
                if (streq(before->steps[b->items[i]].text, after->steps[a->items[i]].text))
                        matches[a->items[i]] = b->items[i];
}

static void match_longest(const ExplainRecord *before, const ExplainRecord *after, const Part *b, const Part *a, size_t *matches)
{
        size_t width = b->n_items + 1, i = 0, k = 0;
        _cleanup_free_ uint16_t *length = NEW_ARRAY(uint16_t, (a->n_items + 1) * width);

#define LENGTH(x, y) length[(x)*width + (y)]
        for (i = a->n_items; i-- > 0;)
                for (k = b->n_items; k-- > 0;)
                        LENGTH(i, k) = streq(after->steps[a->items[i]].text, before->steps[b->items[k]].text) ? (uint16_t)(LENGTH(i + 1, k + 1) + 1)
                                                                                                              : MAX(LENGTH(i + 1, k), LENGTH(i, k + 1));
        for (i = k = 0; i < a->n_items && k < b->n_items;) {
                if (streq(after->steps[a->items[i]].text, before->steps[b->items[k]].text))
                        matches[a->items[i++]] = b->items[k++];
                else if (LENGTH(i + 1, k) >= LENGTH(i, k + 1))
                        i++;
                else
                        k++;
        }
#undef LENGTH
}

/* Between two matches, the n-th step that is new stands where the n-th one stood that has gone. */
static void match_replaced(const Part *b, const Part *a, const size_t *matches, size_t *replaced)
{
        size_t next = 0; /* in b */

        for (size_t i = 0; i < a->n_items; i++) {
                size_t at = a->items[i], end = b->n_items;

                if (matches[at] != SIZE_MAX) {
                        while (next < b->n_items && b->items[next] != matches[at])
                                next++;
                        next++;
                        continue;
                }
                for (size_t k = i + 1; k < a->n_items && end == b->n_items; k++)
                        for (size_t m = next; matches[a->items[k]] != SIZE_MAX && m < b->n_items; m++)
                                if (b->items[m] == matches[a->items[k]])
                                        end = m;
                if (next < end)
                        replaced[at] = b->items[next++];
        }
}

void explain_match(const ExplainRecord *before, const ExplainRecord *after, size_t *matches, size_t *replaced)
{
        _cleanup_(map_freep) Map *seen = map_new(NULL);

        for (size_t i = 0; i < after->n_steps; i++)
                matches[i] = replaced[i] = SIZE_MAX;
        for (size_t i = 0; i < after->n_steps; i++) {
                const char *stage = after->steps[i].stage;
                Part b = { 0 }, a = { 0 };

                if (map_has(seen, stage))
                        continue;
                map_set(seen, stage, NULL);
                steps_of(before, stage, &b);
                steps_of(after, stage, &a);
                if (b.n_items > LCS_STEPS_MAX || a.n_items > LCS_STEPS_MAX)
                        match_in_place(before, after, &b, &a, matches);
                else
                        match_longest(before, after, &b, &a, matches);
                match_replaced(&b, &a, matches, replaced);
                free(a.items);
                free(b.items);
        }
}
