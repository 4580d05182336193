#include "dockerfile/line.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "dockerfile/arena.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/expand.h"
#include "dockerfile/limits.h"
#include "dockerfile/text.h"

#define ONBUILD_DEPTH 8 /* chains are an error later; deeper ones need not be read */

/* A part of the logical line being cut. */
typedef struct Slice {
        const LogicalLine *line;
        size_t start, end;
        Arena *arena;
        unsigned depth;
} Slice;

typedef struct WordArray {
        DfWord *items;
        size_t n_items, capacity;
} WordArray;

SourcePos line_pos(const LogicalLine *line, size_t offset)
{
        size_t low = 0, high = line->n_segments;
        SourcePos pos;

        while (high - low > 1) {
                size_t middle = (low + high) / 2;

                if (line->segments[middle].offset <= offset)
                        low = middle;
                else
                        high = middle;
        }
        pos = line->segments[low].pos;
        pos.column += (uint32_t)(offset - line->segments[low].offset);
        return pos;
}

static void add_word(WordArray *words, const Slice *slice, const char *text, size_t size, size_t offset)
{
        words->items = arena_grow(slice->arena, words->items, words->n_items, &words->capacity, sizeof(DfWord));
        words->items[words->n_items++] = (DfWord){ arena_strndup(slice->arena, text, size), line_pos(slice->line, offset) };
}

static void trim_slice(Slice *slice)
{
        const char *text = slice->line->text, *start = text + slice->start, *end = text + slice->end;

        text_trim(&start, &end);
        slice->start = (size_t)(start - text);
        slice->end = (size_t)(end - text);
}

static size_t skip_blanks(const Slice *slice, size_t at)
{
        while (at < slice->end && is_blank(slice->line->text[at]))
                at++;
        return at;
}

static size_t skip_word(const Slice *slice, size_t at)
{
        while (at < slice->end && !is_blank(slice->line->text[at]))
                at++;
        return at;
}

/*
 * Takes the "--name=value" words at the front, with quotes and escapes removed, up to the first other word or a lone "--".
 * Differs: BuildKit goes by bytes here and damages characters outside ASCII.
 */
static void take_flags(Slice *slice, WordArray *flags)
{
        const char *text = slice->line->text;
        size_t at = slice->start;
        Buf word = BUF_INIT(SIZE_MAX / 2);

        for (;;) {
                size_t start, n;
                bool quoted = false;
                char quote = 0;

                while (at < slice->end && rune_is_space(rune_at(text + at, text + slice->end, &n)))
                        at += n;
                start = at;
                if (slice->end - at < 2 || text[at] != '-' || text[at + 1] != '-')
                        break;
                buf_reset(&word);
                for (; at < slice->end; at++) {
                        char c = text[at];

                        if (!quote && rune_is_space(rune_at(text + at, text + slice->end, &n)))
                                break;
                        if (quote ? c == quote : c == '\'' || c == '"') {
                                quoted = true;
                                quote = quote ? 0 : c;
                                continue;
                        }
                        if (c == slice->line->escape) {
                                if (at + 1 == slice->end)
                                        continue;
                                c = text[++at];
                        }
                        buf_putc(&word, c);
                }
                if (streq(buf_str(&word), "--"))
                        break;
                if (quoted || word.size > 0)
                        add_word(flags, slice, buf_str(&word), word.size, start);
        }
        slice->start = at;
        buf_done(&word);
}

/* Words as the shell would cut them, quotes and escapes kept. */
static void take_words(const Slice *slice, WordArray *words)
{
        const char *text = slice->line->text, *end = text + slice->end, *p = text + slice->start;
        Buf word = BUF_INIT(SIZE_MAX / 2);
        size_t n;

        while (p < end) {
                const char *start;
                char quote = 0;
                bool quoted = false;

                text_trim_left(&p, end);
                if (p == end)
                        break;
                buf_reset(&word);
                for (start = p; p < end; p += n) {
                        uint32_t rune = rune_at(p, end, &n);

                        if (!quote && rune_is_space(rune))
                                break;
                        if (quote && *p == quote) {
                                quote = 0;
                        } else if (!quote && (*p == '\'' || *p == '"')) {
                                quote = *p;
                                quoted = true;
                        } else if (*p == slice->line->escape && quote != '\'') {
                                if (p + 1 == end)
                                        continue; /* at the very end it means nothing */
                                buf_putc(&word, *p++);
                                rune_at(p, end, &n);
                        }
                        buf_put(&word, p, n);
                }
                if (quoted || word.size > 0)
                        add_word(words, slice, buf_str(&word), word.size, (size_t)(start - text));
        }
        buf_done(&word);
}

static int bad_line(const Slice *slice, Diagnosis *diag, Error *err, const char *message)
{
        return diagnosis_set(diag, err, ERROR_INVALID, slice->line->filename, line_pos(slice->line, slice->start), slice->line->range, "%s", message);
}

/* The line parsers: what is left of the line after keyword and flags -> args. */
typedef int (*LineParser)(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err);

static int parse_whitespace_words(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        for (size_t at = slice->start, end; at < slice->end; at = skip_blanks(slice, end)) {
                end = skip_word(slice, at);
                add_word(args, slice, slice->line->text + at, end - at, at);
        }
        return 0;
}

static int parse_string(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        if (slice->start < slice->end)
                add_word(args, slice, slice->line->text + slice->start, slice->end - slice->start, slice->start);
        return 0;
}

static int parse_json(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        _cleanup_error_ Error inner = ERROR_INIT;
        DfWord *words = NULL;
        size_t n_words = 0;
        int r = json_words_parse(slice->line, slice->start, slice->end, slice->arena, &words, &n_words, &inner);

        if (r < 0)
                return bad_line(slice, diag, err, error_message(&inner));
        if (r == 0)
                return 0;
        node->json = true;
        for (size_t i = 0; i < n_words; i++) {
                args->items = arena_grow(slice->arena, args->items, args->n_items, &args->capacity, sizeof(DfWord));
                args->items[args->n_items++] = words[i];
        }
        return 1;
}

static int parse_json_or_string(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        int r = parse_json(slice, node, args, diag, err);

        return r ? MIN(r, 0) : parse_string(slice, node, args, diag, err);
}

static int parse_json_or_words(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        int r = parse_json(slice, node, args, diag, err);

        return r ? MIN(r, 0) : parse_whitespace_words(slice, node, args, diag, err);
}

static int parse_shell_words(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        take_words(slice, args);
        return 0;
}

static int parse_pairs(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        const char *text = slice->line->text;
        _cleanup_free_ char *message = NULL, *quoted = NULL;
        WordArray words = { 0 };

        take_words(slice, &words);
        if (words.n_items == 0)
                return 0;
        if (!strchr(words.items[0].text, '=')) {
                size_t end = skip_word(slice, slice->start), value = skip_blanks(slice, end);

                if (end == slice->end) {
                        message = xasprintf("%s must have two arguments", strcasecmp(node->keyword, "env") == 0 ? "ENV" : "LABEL");
                        return bad_line(slice, diag, err, message);
                }
                add_word(args, slice, text + slice->start, end - slice->start, slice->start);
                add_word(args, slice, text + value, slice->end - value, value);
                add_word(args, slice, "", 0, value);
                return 0;
        }
        for (size_t i = 0; i < words.n_items; i++) {
                const DfWord *word = &words.items[i];
                const char *equals = strchr(word->text, '=');
                size_t n_key;

                if (!equals) {
                        quoted = text_quoted(word->text);
                        return diagnosis_set(diag, err, ERROR_INVALID, slice->line->filename, word->pos, slice->line->range,
                                             "Syntax error - can't find = in %s. Must be of the form: name=value", quoted);
                }
                n_key = (size_t)(equals - word->text);
                add_word(args, slice, word->text, n_key, 0);
                add_word(args, slice, equals + 1, strlen(equals + 1), 0);
                add_word(args, slice, "=", 1, 0);
                for (size_t j = 1; j <= 3; j++)
                        args->items[args->n_items - j].pos = word->pos;
        }
        return 0;
}

static int parse_health(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        size_t end = skip_word(slice, slice->start);

        if (end == slice->start)
                return 0;
        add_word(args, slice, slice->line->text + slice->start, end - slice->start, slice->start);
        slice->start = skip_blanks(slice, end);
        return slice->start < slice->end ? parse_json_or_string(slice, node, args, diag, err) : 0;
}

static int parse_slice(Slice *slice, DfNode *node, Diagnosis *diag, Error *err);

static int parse_onbuild(Slice *slice, DfNode *node, WordArray *args, Diagnosis *diag, Error *err)
{
        if (slice->start == slice->end || slice->depth >= ONBUILD_DEPTH)
                return 0;
        slice->depth++;
        node->child = ARENA_NEW(slice->arena, DfNode);
        node->child->range = slice->line->range;
        return parse_slice(slice, node->child, diag, err);
}

static const struct {
        const char *keyword;
        LineParser parse;
} line_parsers[] = {
        { "add", parse_json_or_words },         { "arg", parse_shell_words },
        { "cmd", parse_json_or_string },        { "copy", parse_json_or_words },
        { "entrypoint", parse_json_or_string }, { "env", parse_pairs },
        { "expose", parse_whitespace_words },   { "from", parse_whitespace_words },
        { "healthcheck", parse_health },        { "label", parse_pairs },
        { "maintainer", parse_string },         { "onbuild", parse_onbuild },
        { "run", parse_json_or_string },        { "shell", parse_json_or_string },
        { "stopsignal", parse_string },         { "user", parse_string },
        { "volume", parse_json_or_words },      { "workdir", parse_string },
};

static int parse_slice(Slice *slice, DfNode *node, Diagnosis *diag, Error *err)
{
        const LogicalLine *line = slice->line;
        WordArray flags = { 0 }, args = { 0 };
        size_t end;
        bool known = false;
        int r = 0;

        node->original = arena_strndup(slice->arena, line->text + slice->start, slice->end - slice->start);
        trim_slice(slice);
        end = skip_word(slice, slice->start);
        node->keyword = arena_strndup(slice->arena, line->text + slice->start, end - slice->start);
        node->pos = line_pos(line, slice->start);
        if (end < slice->end) {
                slice->start = skip_blanks(slice, end);
                take_flags(slice, &flags);
                trim_slice(slice);
        } else {
                slice->start = end;
        }
        node->flags = flags.items;
        node->n_flags = flags.n_items;
        for (size_t i = 0; i < ARRAY_LEN(line_parsers) && !known; i++) {
                if (strcasecmp(node->keyword, line_parsers[i].keyword) == 0) {
                        known = true;
                        r = line_parsers[i].parse(slice, node, &args, diag, err);
                }
        }
        if (!known)
                add_word(&args, slice, "", 0, slice->start); /* as BuildKit's dump shows it */
        node->args = args.items;
        node->n_args = args.n_items;
        return r;
}

int line_parse(const LogicalLine *line, Arena *arena, DfNode *node, Diagnosis *diag, Error *err)
{
        Slice slice = { .line = line, .start = 0, .end = line->size, .arena = arena };

        return parse_slice(&slice, node, diag, err);
}

static size_t count_quotes(const char *s)
{
        size_t n = 0;

        for (; *s; s++)
                n += *s == '\'' || *s == '"';
        return n;
}

int heredoc_parse_word(const char *word, Arena *arena, DfHeredoc *ret, Error *err)
{
        _cleanup_strlist_ StrList words = { 0 }, raw = { 0 };
        ExpandOptions options = { .skip_unset = true };
        ExpandEnv empty = expand_env_empty();
        const char *p = word;
        DfHeredoc heredoc = { 0 };
        uint64_t fd = 0;

        for (; *p >= '0' && *p <= '9'; p++)
                fd = MIN(fd * 10 + (uint64_t)(*p - '0'), (uint64_t)UINT32_MAX);
        if (p[0] != '<' || p[1] != '<')
                return 0;
        p += 2;
        heredoc.chomp = *p == '-';
        p += heredoc.chomp;
        p += strspn(p, "\t\n\f\r ");
        if (!*p || strchr(p, '<'))
                return 0;
        if (expand_words(&words, p, &empty, &options, NULL, err) < 0)
                return -1;
        if (words.n_items != 1)
                return 0;
        options.raw_quotes = true;
        if (expand_words(&raw, p, &empty, &options, NULL, err) < 0)
                return -1;
        if (raw.n_items != 1)
                return error_set(err, ERROR_INVALID, "internal lexing of heredoc produced inconsistent results: %s", p);
        heredoc.name = arena_strdup(arena, words.items[0]);
        heredoc.fd = (unsigned)fd;
        /* A quoted delimiter means: take the text as it is. */
        heredoc.expand = count_quotes(words.items[0]) == count_quotes(raw.items[0]);
        *ret = heredoc;
        return 1;
}

int line_heredocs(const LogicalLine *line, Arena *arena, DfHeredoc **ret, size_t *ret_n, Error *err)
{
        const ExpandOptions options = { .raw_quotes = true, .raw_escapes = true, .skip_unset = true };
        ExpandEnv empty = expand_env_empty();
        _cleanup_strlist_ StrList words = { 0 };
        _cleanup_error_ Error ignored = ERROR_INIT;
        size_t capacity = 0;

        if (expand_words(&words, line->text, &empty, &options, NULL, &ignored) < 0)
                return 0;
        for (size_t i = 0; i < words.n_items; i++) {
                DfHeredoc heredoc;
                int r = heredoc_parse_word(words.items[i], arena, &heredoc, err);

                if (r < 0)
                        return -1;
                if (r == 0)
                        continue;
                if (*ret_n == LIMIT_HEREDOCS)
                        return error_set(err, ERROR_LIMIT, "more than %d heredocs in one instruction", LIMIT_HEREDOCS);
                *ret = arena_grow(arena, *ret, *ret_n, &capacity, sizeof(DfHeredoc));
                (*ret)[(*ret_n)++] = heredoc;
        }
        return 0;
}
