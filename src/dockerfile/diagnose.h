/*
 * Where in a Dockerfile something went wrong, and how that is shown.
 *
 * An Error carries "FILE:LINE:COLUMN: sentence". A Diagnosis beside it carries the same in parts, so that the border can draw the source lines as buildx does:
 *
 *   Dockerfile:2
 *   --------------------
 *      1 |     FROM scratch
 *      2 | >>> COPPY a b
 *   --------------------
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "dockerfile/ast.h"

struct Diagnosis {
        char *message; /* the bare sentence in BuildKit's words, with its suggestion: "unknown instruction: COPPY (did you mean COPY?)"; NULL when nothing is
                          wrong */
        bool in_instruction; /* found while one instruction was read: BuildKit puts "dockerfile parse error on line N: " in front */
        SourcePos pos;       /* line 0: the whole file */
        SourceRange *ranges; /* the lines to mark */
        size_t n_ranges;
};

#define DIAGNOSIS_INIT ((Diagnosis){ 0 })
#define _cleanup_diagnosis_ _cleanup_(diagnosis_done)

void diagnosis_done(Diagnosis *diag); /* frees and empties */

/*
 * Fills `diag` (may be NULL) and `err` at once: "FILE:LINE:COLUMN: message". For checks outside this folder (a stage that does not exist, an entitlement).
 * Returns -1.
 */
int diagnosis_set(Diagnosis *diag, Error *err, ErrorCode code, const char *filename, SourcePos pos, SourceRange range, const char *format, ...) _printf_(7, 8);
int diagnosis_add_range(Diagnosis *diag, SourceRange range); /* marks further lines; returns -1 so that it can end a failing function */

/* The whole message as BuildKit reports it ("dockerfile parse error on line 2: …"). Heap string. */
char *diagnosis_message(const Diagnosis *diag);

/*
 * Appends the box with the marked lines and their surroundings, as buildx prints it. `text` is the whole Dockerfile. Control characters are shown as \xNN.
 * Appends nothing when no lines are marked.
 */
void diagnosis_render(const Diagnosis *diag, const char *filename, const char *text, size_t size, Buf *out);

/* Where the lines of a text begin, for showing many places of it. The text is borrowed. */
typedef struct SourceLines {
        const char *text, **starts;
        size_t size, capacity;
        uint32_t n_lines;
} SourceLines;

void source_lines_init(SourceLines *lines, const char *text, size_t size);
void source_lines_done(SourceLines *lines);
void source_lines_render(const SourceLines *lines, const char *filename, const SourceRange *ranges, size_t n_ranges, Buf *out);

/* The same for any set of lines (lint warnings). */
void source_render(const char *filename, const char *text, size_t size, const SourceRange *ranges, size_t n_ranges, Buf *out);

/*
 * " (did you mean X?)" candidates by BuildKit's rule: Levenshtein distance below 3, the first best wins, none when `word` itself is a candidate.
 * `fold_case`: compare without case and answer in the case of `word`. Returns a heap string or NULL.
 */
char *dockerfile_suggest(const char *word, const char *const *candidates, size_t n_candidates, bool fold_case);
