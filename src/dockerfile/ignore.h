/*
 * .dockerignore files and the patterns they share with COPY --exclude, COPY --parents and wildcards in sources.
 *
 * Patterns: '*' and '?' stop at '/', "**" is any number of directories (also none), [a-z] [^a-z] classes, '\' quotes the next character, '!' makes an
 * exception. The last pattern that matches a path or one of its parents wins.
 *
 * Thread rule: a matcher is immutable after ignore_matcher_new(); any number of threads may match.
 * Spec: github.com/moby/patternmatcher (MatchesOrParentMatches, MatchesUsingParentResults), Go's path/filepath.Match.
 * Differs: '\' always makes the next character literal, and "^", "[[:alpha:]]" have no meaning of their own (patternmatcher hands them to a regular
 * expression).
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

/*
 * Reads an ignore file: comments ('#' in the first column) and blank lines go, paths are cleaned, a leading '/' is dropped. Appends to `patterns`.
 * Errors: LIMIT (size, line length as bufio.Scanner's 64 KiB), INVALID (NUL byte).
 */
int ignore_file_read(StrList *patterns, const void *text, size_t size, Error *err);

typedef struct IgnoreMatcher IgnoreMatcher;

/* Errors: INVALID: bad class, trailing '\', a lone "!". LIMIT. Ownership: free with ignore_matcher_free(). */
int ignore_matcher_new(IgnoreMatcher **ret, const StrList *patterns, Error *err);
void ignore_matcher_free(IgnoreMatcher *matcher); /* NULL is fine */
DEFINE_CLEANUP(IgnoreMatcher *, ignore_matcher_free)

bool ignore_matcher_has_exceptions(const IgnoreMatcher *matcher); /* any "!" pattern */
bool ignore_matcher_excludes_root(const IgnoreMatcher *matcher);  /* a pattern that is a star, two stars, or two stars and a star below */

/* Whether `path` ("a/b/c", no leading '/', clean) is matched, itself or by a parent. */
bool ignore_matcher_match(const IgnoreMatcher *matcher, const char *path);

/*
 * For tree walks: which patterns matched a directory, handed down to its entries so that parents are not matched again.
 * Zero-initialise for the root. A state takes about a byte per pattern.
 */
typedef struct IgnoreState {
        unsigned char *matched; /* NULL: nothing known, parents are matched too */
} IgnoreState;

void ignore_state_done(IgnoreState *state);

/*
 * As ignore_matcher_match() for an entry of the directory whose state is `parent` (NULL: unknown). *ret (may be NULL) becomes the state of `path`, for its own
 * entries; it needs ignore_state_done(). This is what decides on a build context. As upstream, it forgets that a pattern would have matched a parent when the
 * answer stood already: with the patterns "*", "!a/?", "?*" the file "a/b" is ignored by ignore_matcher_match() and not by a walk.
 */
bool ignore_matcher_match_in(const IgnoreMatcher *matcher, const char *path, const IgnoreState *parent, IgnoreState *ret);

/* For an excluded directory: true when no exception can bring back anything below it, so that it need not be read. */
bool ignore_matcher_can_skip(const IgnoreMatcher *matcher, const char *directory);

/*
 * Go's filepath.Match over the whole of `name`: '*' and '?' stop at '/'. For wildcards in COPY sources, component by component or whole.
 * Returns 1 on match, 0 on none. Errors: INVALID "syntax error in pattern".
 */
int path_pattern_match(const char *pattern, const char *name, Error *err);
bool path_pattern_has_wildcards(const char *path); /* an unquoted * ? or [ */

/* Go's path.Clean: "a//b/../c/." -> "a/c", "" -> ".". Heap string. */
char *path_clean(const char *path);
