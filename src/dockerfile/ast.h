/*
 * The syntax tree of a Dockerfile: directives and a flat list of nodes, one per instruction, each split into flags and words but not yet understood
 * (that is instruction.h).
 *
 * Invariants:
 *  1. Everything below a Dockerfile lives in its arena and is valid until dockerfile_free().
 *  2. No string holds a NUL byte inside; a Dockerfile with one is refused.
 *  3. Lines and columns count from 1; a column counts bytes. Line 0 means "nowhere" (a file without instructions).
 *
 * Parsing is linear in the size of the text. Spec: BuildKit's frontend/dockerfile/parser (behaviour), Dockerfile reference.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"

typedef struct Diagnosis Diagnosis; /* dockerfile/diagnose.h */
typedef struct Arena Arena;         /* private */

typedef struct SourcePos {
        uint32_t line;
        uint32_t column;
} SourcePos;

/* Whole lines, both ends included. */
typedef struct SourceRange {
        uint32_t start;
        uint32_t end;
} SourceRange;

/* A word of the source with quotes, escapes and variables as written. */
typedef struct DfWord {
        const char *text;
        SourcePos pos;
} DfWord;

typedef struct DfHeredoc {
        const char *name;    /* the delimiter without quotes */
        const char *content; /* verbatim, with its line ends; leading tabs still there: dockerfile_heredoc_text() */
        size_t content_size;
        unsigned fd;      /* "3<<EOF" */
        bool expand;      /* the delimiter was not quoted */
        bool chomp;       /* "<<-": leading tabs go */
        SourceRange body; /* the lines of the content; start > end when empty */
} DfHeredoc;

typedef struct DfNode DfNode;
struct DfNode {
        const char *keyword;  /* as written */
        const char *original; /* the logical line: continuations joined, comment lines dropped */
        SourcePos pos;        /* of the keyword */
        SourceRange range;    /* with continuations and heredocs */
        DfWord *flags;        /* "--name=value", quotes and escapes already removed */
        size_t n_flags;
        DfWord *args; /* ENV and LABEL: three per pair: key, value, "=" or "" (legacy form) */
        size_t n_args;
        DfNode *child; /* ONBUILD: the instruction inside */
        DfHeredoc *heredocs;
        size_t n_heredocs;
        bool json;             /* args came from a JSON array */
        const char **comments; /* the comment lines directly above, without '#' and white space */
        size_t n_comments;
};

typedef struct DfDirective {
        const char *name;  /* "syntax", "escape", "check" */
        const char *value; /* trimmed */
        uint32_t line;
} DfDirective;

typedef struct Dockerfile {
        const char *filename; /* for messages: "Dockerfile", "<stdin>" */
        const char *text;     /* a NUL-terminated copy of the source */
        size_t size;
        char escape; /* '\\' or '`' */
        DfDirective *directives;
        size_t n_directives;
        DfNode **nodes;
        size_t n_nodes;
        uint32_t *empty_continuations; /* last line of each instruction that holds an empty continuation line */
        size_t n_empty_continuations;
        Arena *arena;
} Dockerfile;

/*
 * Parses a Dockerfile. Only the syntax is judged here: an unknown keyword gives a node without words.
 *
 * Errors: INVALID (syntax), LIMIT (a line over 65535 bytes, or a limit of limits.h). `diag` may be NULL; when given it gets the place, for diagnosis_render().
 * Ownership: the caller frees *ret with dockerfile_free(). `text` is copied.
 */
int dockerfile_parse(Dockerfile **ret, const char *filename, const void *text, size_t size, Diagnosis *diag, Error *err);

/*
 * Parses one ONBUILD trigger as it stands in an image's config. Every position is `range.start` of the FROM that brought it in, as BuildKit reports it.
 * Errors: INVALID when it is not exactly one instruction.
 */
int dockerfile_parse_trigger(Dockerfile **ret, const char *filename, const char *text, SourceRange range, Diagnosis *diag, Error *err);

void dockerfile_free(Dockerfile *df);
DEFINE_CLEANUP(Dockerfile *, dockerfile_free)

/* The value of a directive at the head of the file, or NULL. */
const char *dockerfile_directive(const Dockerfile *df, const char *name);

/*
 * Which frontend the text asks for by `# syntax=`, `// syntax=` or {"syntax": …}; looks only at the head, before any parsing.
 * docker/dockerfile and docker/dockerfile-upstream with any tag or digest (also with docker.io/ before it) are what mica speaks itself.
 * Errors: UNSUPPORTED for any other frontend, naming it and its line.
 */
int dockerfile_check_syntax(const char *filename, const void *text, size_t size, Diagnosis *diag, Error *err);

/* The text of a heredoc as a file or script gets it: leading tabs removed for "<<-". Heap string of *ret_size bytes. */
char *dockerfile_heredoc_text(const DfHeredoc *heredoc, size_t *ret_size);

/* Appends the tree as BuildKit's S-expressions: one "(node)" per child and line. For the golden tests. */
void dockerfile_dump(const Dockerfile *df, Buf *out);
