/*
 * What a build shows while it runs, on standard error: a live view on a terminal, BuildKit's plain lines, or nothing.
 *
 * Adding a view: a BuildView with its three functions and a row in `views[]` of build_progress.c.
 */
#pragma once

#include "build/build.h"

typedef struct BuildProgress BuildProgress;

/*
 * mode: "auto" (BUILDKIT_PROGRESS when it is set; else live on a terminal that can, else plain), "tty", "plain", "rawjson", "quiet".
 * timings: NULL for none, "text" or "json": written at the end. Errors: INVALID (unknown mode), "tty" without a terminal.
 */
int build_progress_open(const char *mode, const char *timings, BuildProgress **ret, Error *err);

/* For BuildOptions.event, with the progress as `user`. */
void build_progress_event(void *user, const BuildEvent *event);

/* Between the two nothing is drawn: the terminal is lent to a shell. Call from within the build, not from an event. */
void build_progress_suspend(BuildProgress *progress, bool suspended);

/* Ends the view: the last state is drawn, what failed is told, the terminal is as before. NULL is fine. */
void build_progress_close(BuildProgress *progress);
DEFINE_CLEANUP(BuildProgress *, build_progress_close)

/* --- for the views --- */

typedef struct BuildView {
        const char *mode;
        void *(*open)(void);
        void (*event)(void *state, const BuildEvent *event); /* one at a time */
        void (*close)(void *state);
        void (*suspend)(void *state, bool suspended); /* the terminal belongs to somebody else for a while; NULL: nothing to do */
} BuildView;

extern const BuildView build_view_plain;
extern const BuildView build_view_rawjson;
extern const BuildView build_view_tty;

/* "1.2s", "75.3s", as BuildKit writes times. `buffer` has at least 24 bytes. Returns it. */
char *build_seconds(int64_t ns, char *buffer);

/* The warnings of a build as they are told at its end: " - Rule: message (line 3)". NULL when there are none. New string. */
char *build_warnings_text(const StrList *warnings);
/* The line of one warning. New string. */
char *build_warning_line(const BuildWarning *warning);
