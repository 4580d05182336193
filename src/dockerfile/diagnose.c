#include "dockerfile/diagnose.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/text.h"

void diagnosis_done(Diagnosis *diag)
{
        free(diag->message);
        free(diag->ranges);
        *diag = DIAGNOSIS_INIT;
}

int diagnosis_add_range(Diagnosis *diag, SourceRange range)
{
        if (diag) {
                diag->ranges = xreallocarray(diag->ranges, diag->n_ranges + 1, sizeof(*diag->ranges));
                diag->ranges[diag->n_ranges++] = range;
        }
        return -1;
}

int diagnosis_set(Diagnosis *diag, Error *err, ErrorCode code, const char *filename, SourcePos pos, SourceRange range, const char *format, ...)
{
        _cleanup_free_ char *message = NULL;
        va_list args;

        va_start(args, format);
        message = xvasprintf(format, args);
        va_end(args);
        if (pos.line > 0)
                error_set(err, code, "%s:%u:%u: %s", filename, pos.line, pos.column, message);
        else
                error_set(err, code, "%s: %s", filename, message);
        if (diag) {
                diagnosis_done(diag);
                diag->message = TAKE_PTR(message);
                diag->pos = pos;
                if (range.start > 0)
                        diagnosis_add_range(diag, range);
        }
        return -1;
}

char *diagnosis_message(const Diagnosis *diag)
{
        const char *message = diag->message ? diag->message : "";

        if (diag->in_instruction && diag->n_ranges > 0)
                return xasprintf("dockerfile parse error on line %u: %s", diag->ranges[0].start, message);
        return xstrdup(message);
}

void diagnosis_render(const Diagnosis *diag, const char *filename, const char *text, size_t size, Buf *out)
{
        source_render(filename, text, size, diag->ranges, diag->n_ranges, out);
}

static bool is_marked(const SourceRange *ranges, size_t n_ranges, uint32_t line)
{
        for (size_t i = 0; i < n_ranges; i++)
                if (ranges[i].start <= line && MAX(ranges[i].start, ranges[i].end) >= line)
                        return true;
        return false;
}

/* What is shown of one line, in bytes, and of the lines that are marked: an error must not fill the terminal with the megabytes that it is about. */
#define SHOWN_LINE_MAX 400
#define SHOWN_LINES_MAX 60

/* Tabs stay, everything else that could move the cursor is made visible. */
static void put_line(Buf *out, const char *line, size_t size)
{
        bool cut = size > SHOWN_LINE_MAX;

        if (size > 0 && line[size - 1] == '\r')
                size--;
        size = MIN(size, (size_t)SHOWN_LINE_MAX);
        while (size > 0) {
                const char *tab = memchr(line, '\t', size);
                size_t n = tab ? (size_t)(tab - line) : size;
                _cleanup_free_ char *shown = str_printable(line, n);

                buf_puts(out, shown);
                if (!tab)
                        break;
                buf_putc(out, '\t');
                line += n + 1;
                size -= n + 1;
        }
        if (cut)
                buf_puts(out, "...");
}

void source_lines_init(SourceLines *lines, const char *text, size_t size)
{
        const char *stop = text + size;

        *lines = (SourceLines){ .text = text, .size = size };
        GROW(lines->starts, lines->capacity, 1);
        lines->starts[lines->n_lines++] = text;
        for (const char *p = text; (p = memchr(p, '\n', (size_t)(stop - p))) != NULL; p++) {
                GROW(lines->starts, lines->capacity, (size_t)lines->n_lines + 1);
                lines->starts[lines->n_lines++] = p + 1;
        }
}

void source_lines_done(SourceLines *lines)
{
        free(lines->starts);
        *lines = (SourceLines){ 0 };
}

void source_lines_render(const SourceLines *lines, const char *filename, const SourceRange *ranges, size_t n_ranges, Buf *out)
{
        uint32_t n_lines = lines->n_lines, start = 0, end = 0, first;
        int padding, padded = 0;

        if (n_ranges == 0)
                return;
        for (size_t i = 0; i < n_ranges; i++) {
                if (i == 0 || ranges[i].start < start)
                        start = ranges[i].start;
                end = MAX(end, MAX(ranges[i].start, ranges[i].end));
        }
        if (start < 1 || start > n_lines)
                return;
        end = MIN(end, n_lines);

        /* As buildx: two lines around, four around a single line, taken in turns from above and below. */
        first = start;
        padding = start == end ? 4 : 2;
        while (padded < padding) {
                if (start > 1) {
                        start--;
                        padded++;
                }
                if (end != n_lines) {
                        end++;
                        padded++;
                }
                padded++;
        }

        buf_putf(out, "%s:%u\n--------------------\n", filename, first);
        for (uint32_t line = start; line <= end; line++) {
                const char *p = lines->starts[line - 1], *line_end = line < n_lines ? lines->starts[line] - 1 : lines->text + lines->size;

                if (line == start + SHOWN_LINES_MAX && end - line > SHOWN_LINES_MAX / 10) {
                        buf_putf(out, " ... | %u more lines\n", end - line + 1);
                        break;
                }
                buf_putf(out, " %3u | %s ", line, is_marked(ranges, n_ranges, line) ? ">>>" : "   ");
                put_line(out, p, (size_t)(line_end - p));
                buf_putc(out, '\n');
        }
        buf_puts(out, "--------------------\n");
}

void source_render(const char *filename, const char *text, size_t size, const SourceRange *ranges, size_t n_ranges, Buf *out)
{
        SourceLines lines;

        source_lines_init(&lines, text, size);
        source_lines_render(&lines, filename, ranges, n_ranges, out);
        source_lines_done(&lines);
}

#define SUGGEST_WORD_MAX 256

/* Characters of a word; longer words are cut and then match nothing. */
static size_t runes_of(const char *word, uint32_t *runes)
{
        const char *end = word + strlen(word);
        size_t n_runes = 0, n;

        for (; word < end && n_runes < SUGGEST_WORD_MAX; word += n)
                runes[n_runes++] = rune_at(word, end, &n);
        return word < end ? SIZE_MAX / 2 : n_runes;
}

static size_t distance(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b)
{
        size_t row[SUGGEST_WORD_MAX + 1];

        for (size_t j = 0; j <= n_b; j++)
                row[j] = j;
        for (size_t i = 1; i <= n_a; i++) {
                size_t diagonal = row[0];

                row[0] = i;
                for (size_t j = 1; j <= n_b; j++) {
                        size_t best = MIN(row[j], row[j - 1]) + 1;

                        best = MIN(best, diagonal + (a[i - 1] != b[j - 1]));
                        diagonal = row[j];
                        row[j] = best;
                }
        }
        return row[n_b];
}

char *dockerfile_suggest(const char *word, const char *const *candidates, size_t n_candidates, bool fold_case)
{
        _cleanup_free_ char *folded = str_lower(word);
        const char *key = fold_case ? folded : word;
        uint32_t key_runes[SUGGEST_WORD_MAX], runes[SUGGEST_WORD_MAX];
        size_t n_key = runes_of(key, key_runes), best = 3;
        const char *match = NULL;

        for (size_t i = 0; i < n_candidates; i++) {
                _cleanup_free_ char *lower = fold_case ? str_lower(candidates[i]) : NULL;
                const char *candidate = lower ? lower : candidates[i];
                size_t n, d;

                if (streq(key, candidate))
                        return NULL; /* then the error is about something else */
                n = runes_of(candidate, runes);
                if (n_key > SUGGEST_WORD_MAX || n > SUGGEST_WORD_MAX || (n > n_key ? n - n_key : n_key - n) >= best)
                        continue;
                d = distance(key_runes, n_key, runes, n);
                if (d < best) {
                        best = d;
                        match = candidates[i];
                }
        }
        if (str_empty(match)) /* the empty name is near to every short one, and no help */
                return NULL;
        if (fold_case) {
                _cleanup_free_ char *upper = str_upper(word);

                if (streq(word, folded))
                        return str_lower(match);
                if (streq(word, upper))
                        return str_upper(match);
                return str_lower(match);
        }
        return xstrdup(match);
}
