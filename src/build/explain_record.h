/*
 * What went into the keys of a build's steps, by name: as a struct, as bytes, and the difference between two. No I/O.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "crypto/digest.h"

/* What a difference can be in; the names are those of --explain=json. To add one: a row in explain_kinds[]. */
typedef enum ExplainKind {
        EXPLAIN_FILE,        /* of a context, or of another stage */
        EXPLAIN_ARGUMENT,    /* ARG */
        EXPLAIN_VARIABLE,    /* ENV */
        EXPLAIN_INSTRUCTION, /* its text */
        EXPLAIN_COMMAND,     /* what RUN executes, after expansion, with SHELL */
        EXPLAIN_OPTION,      /* USER, WORKDIR, --chown, --network, … */
        EXPLAIN_MOUNT,       /* of a RUN */
        EXPLAIN_DOWNLOAD,    /* ADD of a URL */
        EXPLAIN_STAGE,       /* that it reads from */
        EXPLAIN_BELOW,       /* the layers below */
        EXPLAIN_BASE,        /* image of FROM */
        _EXPLAIN_KINDS,
} ExplainKind;

const char *explain_kind_name(ExplainKind kind); /* "file", "argument" */

typedef struct ExplainField {
        ExplainKind kind;
        char *name, *value;
} ExplainField;

typedef struct ExplainFile {
        char *path;
        uint32_t mode;  /* with the type bits */
        uint64_t owner; /* uid << 32 | gid */
        uint64_t content;
} ExplainFile;

typedef struct ExplainStep {
        char *stage;
        char *text; /* the instruction as written */
        Digest key; /* unset: it failed before it had one */
        Digest layer;
        bool complete;
        ExplainField *fields;
        size_t n_fields, fields_capacity;
        ExplainFile *files; /* sorted by path */
        size_t n_files, files_capacity;
        bool files_left_out; /* too many to keep */
} ExplainStep;

typedef struct ExplainRecord {
        ExplainStep *steps;
        size_t n_steps, capacity;
} ExplainRecord;

/* Bytes of one record on disk, and of the file lists in it: 16 MiB hold some 300,000 files. */
#define EXPLAIN_SIZE_MAX ((size_t)16 << 20)
/* Longer values are cut, with a digest of the whole behind them. */
#define EXPLAIN_VALUE_MAX 200

void explain_record_done(ExplainRecord *record);
void explain_step_done(ExplainStep *step);
/* Adds a step; valid until the next one is added. Strings are copied, passwords in URLs cut out. */
ExplainStep *explain_record_add(ExplainRecord *record, const char *stage, const char *text);
void explain_step_add(ExplainStep *step, ExplainKind kind, const char *name, const char *value);
/* `content`: what tells two contents apart. explain_step_finish() when all are there. */
void explain_step_add_file(ExplainStep *step, const char *path, uint32_t mode, uint64_t owner, uint64_t content);
/* Sorts the files; after the last one was added. */
void explain_step_finish(ExplainStep *step);

/* What two builds must have in common for the file not to be written: all keys, layers, and how far it came. */
Digest explain_record_summary(const ExplainRecord *record);

/* The bytes of the file (docs/formats/explain.md); file lists that do not fit are left out. */
void explain_record_encode(const ExplainRecord *record, Buf *out);
/* Errors: CORRUPT. */
int explain_record_decode(const void *data, size_t size, ExplainRecord *ret, Error *err);
/* Only the summary, from the first EXPLAIN_HEAD_SIZE bytes. False when they are no such file's. */
#define EXPLAIN_HEAD_SIZE 72
bool explain_head_summary(const void *data, size_t size, Digest *ret);

/* --- differences --- */

typedef struct ExplainChange {
        ExplainKind kind;
        char *name;
        const char *change;   /* "added", "removed", "changed"; of files also "content", "mode", "owner", "type" */
        char *before, *after; /* values, or NULL */
} ExplainChange;

typedef struct ExplainChanges {
        ExplainChange *items;
        size_t n_items, capacity;
        size_t n_more; /* beyond EXPLAIN_CHANGES_MAX */
} ExplainChanges;
#define EXPLAIN_CHANGES_MAX 1000

void explain_changes_done(ExplainChanges *changes);
/* `change` is static, the rest is copied. Beyond EXPLAIN_CHANGES_MAX it is only counted. */
void explain_changes_add(ExplainChanges *changes, ExplainKind kind, const char *name, const char *change, const char *before, const char *after);

/* Adds what differs between two steps. */
void explain_compare(const ExplainStep *before, const ExplainStep *after, ExplainChanges *changes);

/*
 * Which step of `before` each step of `after` is: by the longest common sequence of instructions within a stage. matches[i] is the number in `before`, or
 * SIZE_MAX. replaced[i]: for a step without a match, the step of `before` in the same place that has none either; else SIZE_MAX.
 */
void explain_match(const ExplainRecord *before, const ExplainRecord *after, size_t *matches, size_t *replaced);
