/*
 * The part of Go's text/template that people use with --format, over JSON values.
 *
 * Text and {{actions}}: .Field.Nested, $variables, "strings", numbers, true/false/nil, (parentheses), pipelines, if / else if / else / end, range with one or
 * two variables and else, with, break, continue, comments, and white space trimming with {{- and -}}. Functions: see functions.c.
 *
 * Differs from Go: values are JSON, so a nil pointer and a missing member are the same; a missing member is an error when printed, and false as a condition.
 * Messages begin with docker's "template parsing error:".
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "json/json.h"

typedef struct Template Template;

/* Bounds for a template from the command line: nesting, and operations of one execution. */
#define TEMPLATE_DEPTH_MAX 64
#define TEMPLATE_STEPS_MAX 10000000

int template_parse(const char *text, Template **ret, Error *err);
void template_free(Template *template);
DEFINE_CLEANUP(Template *, template_free)

typedef struct TemplateData {
        const JsonValue *root;   /* what "." is */
        const JsonValue *labels; /* what .Label "name" looks into; may be NULL */
        bool headers;            /* root holds column headers: functions leave their subject as it is */
        bool typed;              /* root is an inspected object: typed.c says what of it prints how when it is empty */
        bool row;                /* root is a row of a list: {{json .}} escapes <, > and & as docker's rows do */
} TemplateData;

/* Appends what the template makes of the data. */
int template_execute(const Template *template, const TemplateData *data, Buf *out, Error *err);
