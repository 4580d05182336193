/*
 * From text to nodes: physical lines are joined to logical lines, comments are collected, heredoc bodies are cut out.
 */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/arena.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/directive.h"
#include "dockerfile/limits.h"
#include "dockerfile/line.h"
#include "dockerfile/text.h"

typedef struct Line {
        const char *start, *end; /* without the line end */
        const char *next;        /* behind the newline */
} Line;

typedef struct Parser {
        Dockerfile *df;
        const char *at, *stop;
        uint32_t n_lines; /* read so far */
        bool directives_done;
        unsigned seen; /* directives, by address of the first letter: s, c, e */
        const char **comments;
        size_t n_comments, comments_capacity;
        Buf logical;
        LineSegment *segments;
        size_t n_segments, segments_capacity;
        size_t nodes_capacity, empty_capacity, directives_capacity;
        Diagnosis *diag;
        Error *err;
} Parser;

static int fail(Parser *p, ErrorCode code, uint32_t start, uint32_t end, const char *message)
{
        return diagnosis_set(p->diag, p->err, code, p->df->filename, (SourcePos){ start, 1 }, (SourceRange){ start, MAX(start, end) }, "%s", message);
}

/* 1: a line; 0: end of the file. */
static int next_line(Parser *p, Line *ret)
{
        const char *newline;

        if (p->at == p->stop)
                return 0;
        newline = memchr(p->at, '\n', (size_t)(p->stop - p->at));
        ret->start = p->at;
        ret->end = newline ? newline : p->stop;
        ret->next = newline ? newline + 1 : p->stop;
        p->at = ret->next;
        p->n_lines++;
        if ((size_t)(ret->end - ret->start) > LIMIT_LINE_SIZE) {
                _cleanup_free_ char *message = xasprintf("dockerfile line greater than max allowed size of %d", LIMIT_LINE_SIZE);

                return fail(p, ERROR_LIMIT, p->n_lines, p->n_lines, message);
        }
        if (p->n_lines == 1 && ret->end - ret->start >= 3 && memcmp(ret->start, "\xef\xbb\xbf", 3) == 0)
                ret->start += 3;
        while (ret->end > ret->start && ret->end[-1] == '\r')
                ret->end--;
        return 1;
}

static bool is_comment(const Line *line)
{
        const char *p = line->start;

        text_trim_left(&p, line->end);
        return p < line->end && *p == '#';
}

/*
 * Comments gather until an instruction or an empty comment; BuildKit drops the first byte of the line, not the '#', and blank lines do not end a block.
 */
static void collect_comment(Parser *p, const Line *line)
{
        const char *start = line->start + 1, *end = line->end;

        text_trim(&start, &end);
        if (start == end) {
                p->n_comments = 0;
                p->comments = NULL;
                p->comments_capacity = 0;
                return;
        }
        p->comments = arena_grow(p->df->arena, p->comments, p->n_comments, &p->comments_capacity, sizeof(char *));
        p->comments[p->n_comments++] = arena_strndup(p->df->arena, start, (size_t)(end - start));
}

/* 1: the line was a directive. */
static int take_directive(Parser *p, const char *start, const char *end)
{
        static const char *const letters = "sce";
        const char *name, *value;
        size_t size;
        unsigned bit;

        if (p->directives_done)
                return 0;
        if (!directive_match(start, (size_t)(end - start), "#", &name, &value, &size)) {
                p->directives_done = true;
                return 0;
        }
        bit = 1U << (strchr(letters, *name) - letters);
        if (p->seen & bit) {
                _cleanup_free_ char *message = xasprintf("only one %s parser directive can be used", name);

                return fail(p, ERROR_INVALID, p->n_lines, p->n_lines, message);
        }
        p->seen |= bit;
        if (streq(name, "escape")) {
                if (size != 1 || (*value != '`' && *value != '\\')) {
                        _cleanup_free_ char *message = xasprintf("invalid escape token '%.*s' does not match ` or \\", (int)MIN(size, (size_t)200), value);

                        return fail(p, ERROR_INVALID, p->n_lines, p->n_lines, message);
                }
                p->df->escape = *value;
        }
        return 1;
}

/* Cuts a continuation mark off; returns whether there was one. An escaped escape character is none. */
static bool cut_continuation(const Parser *p, const char *start, const char **end)
{
        const char *e = *end;

        while (e > start && (e[-1] == ' ' || e[-1] == '\t'))
                e--;
        if (e == start || e[-1] != p->df->escape || (e - 1 > start && e[-2] == p->df->escape))
                return false;
        *end = e - 1;
        return true;
}

static int add_segment(Parser *p, const Line *line, const char *start, const char *end)
{
        uint32_t column = (uint32_t)(start - line->start) + 1;

        GROW(p->segments, p->segments_capacity, p->n_segments + 1);
        p->segments[p->n_segments++] = (LineSegment){ p->logical.size, { p->n_lines, column } };
        if (buf_add(&p->logical, start, (size_t)(end - start)) < 0)
                return fail(p, ERROR_LIMIT, p->segments[0].pos.line, p->n_lines, "instruction is longer than 4 MiB");
        return 0;
}

/* The continuation lines of an instruction whose first line ended in a mark. */
static int join_lines(Parser *p, bool *ret_empty)
{
        bool open = true;

        while (open) {
                Line line;
                const char *start, *end;
                int r = next_line(p, &line);

                if (r <= 0)
                        return r;
                if (is_comment(&line))
                        continue;
                start = line.start;
                text_trim_left(&start, line.end);
                if (start == line.end) {
                        *ret_empty = true;
                        continue;
                }
                end = line.end;
                open = cut_continuation(p, line.start, &end);
                if (add_segment(p, &line, line.start, end) < 0)
                        return -1;
        }
        return 0;
}

static bool can_hold_heredocs(const DfNode *node)
{
        if (strcasecmp(node->keyword, "onbuild") == 0 && node->child)
                node = node->child;
        return !node->json && (strcasecmp(node->keyword, "add") == 0 || strcasecmp(node->keyword, "copy") == 0 || strcasecmp(node->keyword, "run") == 0);
}

static bool is_terminator(const Line *line, const DfHeredoc *heredoc)
{
        const char *start = line->start;
        size_t n = strlen(heredoc->name);

        while (heredoc->chomp && start < line->end && *start == '\t')
                start++;
        return (size_t)(line->end - start) == n && memcmp(start, heredoc->name, n) == 0;
}

static int read_heredoc(Parser *p, DfHeredoc *heredoc, uint32_t start)
{
        const char *from = p->at;
        Line line;
        int r;

        heredoc->body = (SourceRange){ p->n_lines + 1, p->n_lines };
        while ((r = next_line(p, &line)) > 0) {
                if (is_terminator(&line, heredoc)) {
                        size_t size = (size_t)(line.start - from);

                        heredoc->content = arena_strndup(p->df->arena, from, size);
                        heredoc->content_size = size;
                        heredoc->body.end = p->n_lines - 1;
                        return 0;
                }
        }
        return r < 0 ? -1 : fail(p, ERROR_INVALID, start, p->n_lines, "unterminated heredoc");
}

static int add_node(Parser *p, uint32_t start, bool empty_continuation)
{
        Dockerfile *df = p->df;
        DfNode *node = ARENA_NEW(df->arena, DfNode);
        _cleanup_error_ Error inner = ERROR_INIT;
        LogicalLine line = {
                .text = buf_str(&p->logical),
                .size = p->logical.size,
                .segments = p->segments,
                .n_segments = p->n_segments,
                .range = { start, p->n_lines },
                .escape = df->escape,
                .filename = df->filename,
        };

        if (empty_continuation) {
                df->empty_continuations = arena_grow(df->arena, df->empty_continuations, df->n_empty_continuations, &p->empty_capacity, sizeof(uint32_t));
                df->empty_continuations[df->n_empty_continuations++] = p->n_lines;
        }
        if (df->n_nodes == LIMIT_INSTRUCTIONS)
                return fail(p, ERROR_LIMIT, start, start, "more than 100000 instructions");
        if (line_parse(&line, df->arena, node, p->diag, p->err) < 0)
                return -1;
        if (can_hold_heredocs(node) && strstr(line.text, "<<")) {
                if (line_heredocs(&line, df->arena, &node->heredocs, &node->n_heredocs, &inner) < 0)
                        return fail(p, inner.code, start, p->n_lines, error_message(&inner));
                for (size_t i = 0; i < node->n_heredocs; i++)
                        if (read_heredoc(p, &node->heredocs[i], start) < 0)
                                return -1;
        }
        node->range = (SourceRange){ start, p->n_lines };
        if (node->child)
                node->child->range = node->range;
        node->comments = p->comments;
        node->n_comments = p->n_comments;
        p->comments = NULL;
        p->n_comments = p->comments_capacity = 0;
        df->nodes = arena_grow(df->arena, df->nodes, df->n_nodes, &p->nodes_capacity, sizeof(DfNode *));
        df->nodes[df->n_nodes++] = node;
        return 0;
}

/* 1 when there may be more. */
static int parse_instruction(Parser *p)
{
        Line line;
        const char *start, *end;
        bool open, empty = false;
        uint32_t first;
        int r = next_line(p, &line);

        if (r <= 0)
                return r;
        start = line.start;
        end = line.end;
        text_trim_left(&start, end);
        if (start < end && *start == '#') {
                collect_comment(p, &line);
                r = take_directive(p, start, end);
                if (r > 0 && p->n_comments > 0)
                        p->n_comments--;
                return r < 0 ? r : 1;
        }
        p->directives_done = true;
        if (start == end)
                return 1;
        first = p->n_lines;
        p->n_segments = 0;
        buf_reset(&p->logical);
        open = cut_continuation(p, start, &end);
        if (add_segment(p, &line, start, end) < 0 || (open && join_lines(p, &empty) < 0) || add_node(p, first, empty) < 0)
                return -1;
        return 1;
}

static int check_text(Parser *p, const char *text, size_t size)
{
        const char *nul;

        if (size == 0)
                return fail(p, ERROR_INVALID, 0, 0, "the Dockerfile cannot be empty");
        if (size > LIMIT_DOCKERFILE_SIZE)
                return fail(p, ERROR_LIMIT, 0, 0, "the Dockerfile is larger than 16 MiB");
        nul = memchr(text, 0, size);
        if (nul) {
                uint32_t line = 1;

                for (const char *q = text; (q = memchr(q, '\n', (size_t)(nul - q))) != NULL; q++)
                        line++;
                return fail(p, ERROR_INVALID, line, line, "a NUL byte, which no text has: is this really a Dockerfile?");
        }
        return 0;
}

/* `# check=` and `# syntax=` count only at the very head, where white space in front of '#' is not allowed. */
static void note_directives(Parser *p)
{
        Dockerfile *df = p->df;
        const char *name, *value;
        size_t at = 0, size;
        unsigned line = 0;

        while (directive_next(df->text, df->size, "#", &at, &line, &name, &value, &size)) {
                if (dockerfile_directive(df, name))
                        break;
                df->directives = arena_grow(df->arena, df->directives, df->n_directives, &p->directives_capacity, sizeof(DfDirective));
                df->directives[df->n_directives++] = (DfDirective){ name, arena_strndup(df->arena, value, size), line };
        }
}

int dockerfile_parse(Dockerfile **ret, const char *filename, const void *text, size_t size, Diagnosis *diag, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NEW(Dockerfile);
        Parser p = { .df = df, .diag = diag, .err = err, .logical = BUF_INIT(LIMIT_LOGICAL_LINE_SIZE) };
        int r;

        df->arena = arena_new();
        df->filename = arena_strdup(df->arena, filename);
        df->escape = '\\';
        if (check_text(&p, text, size) < 0)
                return -1;
        df->text = arena_strndup(df->arena, text, size);
        df->size = size;
        note_directives(&p);
        p.at = df->text;
        p.stop = df->text + size;
        do {
                r = parse_instruction(&p);
        } while (r > 0);
        if (r == 0 && df->n_nodes == 0)
                r = fail(&p, ERROR_INVALID, p.n_lines, p.n_lines, "file with no instructions");
        buf_done(&p.logical);
        free(p.segments);
        if (r < 0)
                return -1;
        *ret = TAKE_PTR(df);
        return 0;
}

int dockerfile_parse_trigger(Dockerfile **ret, const char *filename, const char *text, SourceRange range, Diagnosis *diag, Error *err)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_error_ Error inner = ERROR_INIT;
        _cleanup_diagnosis_ Diagnosis where = DIAGNOSIS_INIT;
        SourcePos pos = { range.start, 1 };

        if (dockerfile_parse(&df, filename, text, strlen(text), &where, &inner) < 0)
                return diagnosis_set(diag, err, inner.code, filename, pos, range, "%s", where.message ? where.message : error_message(&inner));
        if (df->n_nodes != 1)
                return diagnosis_set(diag, err, ERROR_INVALID, filename, pos, range, "onbuild trigger should be a single expression");
        for (DfNode *node = df->nodes[0]; node; node = node->child) {
                node->pos = pos;
                node->range = range;
                for (size_t i = 0; i < node->n_flags; i++)
                        node->flags[i].pos = pos;
                for (size_t i = 0; i < node->n_args; i++)
                        node->args[i].pos = pos;
        }
        *ret = TAKE_PTR(df);
        return 0;
}

void dockerfile_free(Dockerfile *df)
{
        if (!df)
                return;
        arena_free(df->arena);
        free(df);
}

const char *dockerfile_directive(const Dockerfile *df, const char *name)
{
        for (size_t i = 0; i < df->n_directives; i++)
                if (streq(df->directives[i].name, name))
                        return df->directives[i].value;
        return NULL;
}

char *dockerfile_heredoc_text(const DfHeredoc *heredoc, size_t *ret_size)
{
        char *text = xmalloc(heredoc->content_size + 1), *to = text;
        bool at_start = true;

        for (size_t i = 0; i < heredoc->content_size; i++) {
                char c = heredoc->content[i];

                if (heredoc->chomp && at_start && c == '\t')
                        continue;
                at_start = c == '\n';
                *to++ = c;
        }
        *to = '\0';
        *ret_size = (size_t)(to - text);
        return text;
}
