/*
 * What --explain prints: text for people, or one JSON document.
 */
#pragma once

#include <stdio.h>

#include "base/error.h"
#include "build/explain.h"

typedef struct ExplainView {
        bool json;
        char *text; /* what is to be printed when the progress display has ended */
} ExplainView;

/* "text" or "json". INVALID. */
int explain_view_parse(const char *format, ExplainView *ret, Error *err);

/* For BuildOptions.explain, with the view as `user`. */
void explain_view_take(void *user, const ExplainedStep *steps, size_t n_steps);

void explain_view_done(ExplainView *view);
