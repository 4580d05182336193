/*
 * One logical line (continuations joined) and how it is cut into keyword, flags and words. Private to this folder.
 */
#pragma once

#include "dockerfile/ast.h"

/* Where the text from `offset` on came from. */
typedef struct LineSegment {
        size_t offset;
        SourcePos pos;
} LineSegment;

typedef struct LogicalLine {
        const char *text; /* NUL-terminated */
        size_t size;
        const LineSegment *segments; /* in order of offset; the first one has offset 0 */
        size_t n_segments;
        SourceRange range; /* lines read so far */
        char escape;
        const char *filename;
} LogicalLine;

SourcePos line_pos(const LogicalLine *line, size_t offset);

/* Cuts the line and fills keyword, original, pos, flags, args, child, json. Errors: INVALID. */
int line_parse(const LogicalLine *line, Arena *arena, DfNode *node, Diagnosis *diag, Error *err);

/*
 * A word of the form "3<<-NAME": 1 and *ret filled (name in the arena, no content), 0 when it is not one.
 * Errors: INVALID (quotes that do not close).
 */
int heredoc_parse_word(const char *word, Arena *arena, DfHeredoc *ret, Error *err);

/* All heredocs that the line announces. A line that cannot be lexed has none. */
int line_heredocs(const LogicalLine *line, Arena *arena, DfHeredoc **ret, size_t *ret_n, Error *err);

/* A JSON array of strings: 1 and the words; 0 when the text is not valid JSON or no array. Errors: INVALID for an array with something else than strings. */
int json_words_parse(const LogicalLine *line, size_t start, size_t end, Arena *arena, DfWord **ret, size_t *ret_n, Error *err);
