/*
 * Matching keeps the set of positions that the parts so far can end at, so its cost is parts times length and no pattern can make it explode.
 */
#include "dockerfile/glob.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/text.h"

#define STACK_POSITIONS 512

static int bad_pattern(Error *err)
{
        return error_set(err, ERROR_INVALID, "syntax error in pattern");
}

static GlobPart *add_part(Glob *glob, GlobStep step)
{
        GROW(glob->parts, glob->capacity, glob->n_parts + 1);
        glob->parts[glob->n_parts] = (GlobPart){ .step = step };
        return &glob->parts[glob->n_parts++];
}

static void add_literal(Glob *glob, const char *text, size_t size)
{
        GlobPart *last = glob->n_parts > 0 ? &glob->parts[glob->n_parts - 1] : NULL;

        if (!last || last->step != GLOB_LITERAL)
                last = add_part(glob, GLOB_LITERAL);
        last->text = xrealloc(last->text, last->size + size + 1);
        memcpy(last->text + last->size, text, size);
        last->size += size;
        last->text[last->size] = '\0';
}

/* One character inside [ ]. */
static int take_class_char(const char **p, const char *end, uint32_t *ret)
{
        size_t n;

        if (*p == end || **p == '-' || **p == ']')
                return -1;
        if (**p == '\\' && ++*p == end)
                return -1;
        *ret = rune_at(*p, end, &n);
        if (*ret == RUNE_INVALID && n == 1)
                return -1;
        *p += n;
        return *p == end ? -1 : 0;
}

/* `ordered`: a range may not run backwards (to filepath.Match it is one that holds nothing). */
static int take_class(Glob *glob, const char **p, const char *end, bool ordered, Error *err)
{
        GlobPart *part = add_part(glob, GLOB_CLASS);
        size_t capacity = 0;

        (*p)++;
        if (*p < end && **p == '^') {
                part->negated = true;
                (*p)++;
        }
        while (!(*p < end && **p == ']' && part->n_ranges > 0)) {
                GlobRange range;

                if (take_class_char(p, end, &range.first) < 0)
                        return bad_pattern(err);
                range.last = range.first;
                if (**p == '-') {
                        (*p)++;
                        if (take_class_char(p, end, &range.last) < 0 || (ordered && range.last < range.first))
                                return bad_pattern(err);
                }
                GROW(part->ranges, capacity, part->n_ranges + 1);
                part->ranges[part->n_ranges++] = range;
        }
        (*p)++;
        return 0;
}

int glob_compile(Glob *ret, const char *pattern, bool double_star, Error *err)
{
        _cleanup_(glob_done) Glob glob = { 0 };
        const char *p = pattern, *end = pattern + strlen(pattern);

        while (p < end) {
                if (*p == '*' && double_star && p[1] == '*') {
                        p += 2;
                        p += *p == '/';
                        add_part(&glob, p == end ? GLOB_REST : GLOB_DIRS);
                } else if (*p == '*') {
                        add_part(&glob, GLOB_STAR);
                        p++;
                } else if (*p == '?') {
                        add_part(&glob, GLOB_ANY);
                        p++;
                } else if (*p == '[') {
                        if (take_class(&glob, &p, end, double_star, err) < 0)
                                return -1;
                } else {
                        if (*p == '\\' && ++p == end)
                                return bad_pattern(err);
                        add_literal(&glob, p++, 1);
                }
        }
        *ret = glob;
        glob = (Glob){ 0 };
        return 0;
}

void glob_done(Glob *glob)
{
        for (size_t i = 0; i < glob->n_parts; i++) {
                free(glob->parts[i].text);
                free(glob->parts[i].ranges);
        }
        free(glob->parts);
        *glob = (Glob){ 0 };
}

static bool in_class(const GlobPart *part, uint32_t rune)
{
        for (size_t i = 0; i < part->n_ranges; i++)
                if (rune >= part->ranges[i].first && rune <= part->ranges[i].last)
                        return !part->negated;
        return part->negated;
}

/* From the positions in `from` to those behind one part. Returns whether there are any. */
static bool advance(const GlobPart *part, const char *path, size_t size, const unsigned char *from, unsigned char *to)
{
        bool any = false, open = false;

        memset(to, 0, size + 1);
        for (size_t at = 0; at <= size; at++) {
                size_t next = at, n;
                bool fits = false;

                switch (part->step) {
                case GLOB_LITERAL:
                        fits = from[at] && size - at >= part->size && memcmp(path + at, part->text, part->size) == 0;
                        next = at + part->size;
                        break;
                case GLOB_ANY:
                case GLOB_CLASS:
                        if (from[at] && at < size) {
                                uint32_t rune = rune_at(path + at, path + size, &n);

                                fits = part->step == GLOB_ANY ? rune != '/' : in_class(part, rune);
                                next = at + n;
                        }
                        break;
                case GLOB_STAR:
                        fits = open = from[at] || open;
                        open = open && at < size && path[at] != '/';
                        break;
                case GLOB_DIRS:
                        fits = from[at] || (open && path[at - 1] == '/');
                        open |= from[at] != 0;
                        break;
                case GLOB_REST:
                        fits = open = from[at] || open;
                        break;
                }
                if (fits)
                        to[next] = any = true;
        }
        return any;
}

bool glob_match(const Glob *glob, const char *path, size_t size)
{
        unsigned char stack[2 * STACK_POSITIONS], *memory = stack, *from, *to;
        bool alive = true, matched;

        if (size + 1 > STACK_POSITIONS)
                memory = xmalloc(2 * (size + 1));
        from = memory;
        to = memory + size + 1;
        memset(from, 0, size + 1);
        from[0] = true;
        for (size_t i = 0; i < glob->n_parts && alive; i++) {
                unsigned char *swap = from;

                alive = advance(&glob->parts[i], path, size, from, to);
                from = to;
                to = swap;
        }
        matched = alive && from[size];
        if (memory != stack)
                free(memory);
        return matched;
}
