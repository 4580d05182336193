#include "dockerfile/ignore.h"

#include <string.h>

#include "base/mem.h"
#include "dockerfile/glob.h"
#include "dockerfile/limits.h"
#include "dockerfile/text.h"

typedef enum PatternKind {
        PATTERN_EXACT,
        PATTERN_PREFIX, /* "text**" */
        PATTERN_SUFFIX, /* "**text" */
        PATTERN_GLOB,
} PatternKind;

typedef struct Pattern {
        PatternKind kind;
        bool exception;
        char *text; /* cleaned, without '!' */
        size_t size;
        const char *fixed; /* PREFIX, SUFFIX: the part to compare */
        size_t n_fixed;
        Glob glob;
} Pattern;

struct IgnoreMatcher {
        Pattern *patterns;
        size_t n_patterns;
        bool has_exceptions;
};

char *path_clean(const char *path)
{
        size_t n = strlen(path);
        char *out = xmalloc(n + 2);
        bool rooted = *path == '/';
        size_t size = 0, fixed; /* `fixed`: what ".." cannot take back */

        if (rooted)
                out[size++] = '/';
        fixed = size;
        while (*path) {
                const char *end = strchrnul(path, '/');
                size_t length = (size_t)(end - path);

                if (length == 0 || (length == 1 && *path == '.')) {
                        /* nothing */
                } else if (length == 2 && path[0] == '.' && path[1] == '.') {
                        if (size > fixed) {
                                while (size > fixed && out[--size] != '/')
                                        ;
                        } else if (!rooted) {
                                if (size > 0)
                                        out[size++] = '/';
                                memcpy(out + size, "..", 2);
                                size += 2;
                                fixed = size;
                        }
                } else {
                        if (size > (size_t)rooted)
                                out[size++] = '/';
                        memcpy(out + size, path, length);
                        size += length;
                }
                path = *end ? end + 1 : end;
        }
        if (size == 0)
                out[size++] = '.';
        out[size] = '\0';
        return out;
}

bool path_pattern_has_wildcards(const char *path)
{
        for (; *path; path++) {
                if (strchr("*?[", *path))
                        return true;
                if (*path == '\\' && !*++path)
                        break;
        }
        return false;
}

int path_pattern_match(const char *pattern, const char *name, Error *err)
{
        Glob glob;
        bool matched;

        if (glob_compile(&glob, pattern, false, err) < 0)
                return -1;
        matched = glob_match(&glob, name, strlen(name));
        glob_done(&glob);
        return matched;
}

static int read_line(StrList *patterns, const char *start, const char *end)
{
        _cleanup_free_ char *line = NULL, *clean = NULL;
        const char *path;
        bool exception;

        if (start < end && *start == '#')
                return 0;
        text_trim(&start, &end);
        if (start == end)
                return 0;
        exception = *start == '!';
        if (exception) {
                start++;
                text_trim(&start, &end);
        }
        line = xstrndup(start, (size_t)(end - start));
        clean = *line ? path_clean(line) : xstrdup("");
        path = clean[0] == '/' && clean[1] ? clean + 1 : clean;
        strlist_addf(patterns, "%s%s", exception ? "!" : "", path);
        return 1;
}

int ignore_file_read(StrList *patterns, const void *text, size_t size, Error *err)
{
        const char *p = text, *stop = p + size;
        size_t n_lines = 0, n_patterns = 0;

        if (size > LIMIT_IGNORE_FILE_SIZE)
                return error_set(err, ERROR_LIMIT, "ignore file is larger than %zu MiB", LIMIT_IGNORE_FILE_SIZE >> 20);
        if (size > 0 && memchr(text, 0, size))
                return error_set(err, ERROR_INVALID, "ignore file holds a NUL byte");
        if (size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
                p += 3;
        while (p < stop) {
                const char *newline = memchr(p, '\n', (size_t)(stop - p)), *end = newline ? newline : stop;

                n_lines++;
                if ((size_t)(end - p) > LIMIT_LINE_SIZE)
                        return error_set(err, ERROR_LIMIT, "ignore file: line %zu is longer than %d bytes", n_lines, LIMIT_LINE_SIZE);
                n_patterns += (size_t)read_line(patterns, p, end);
                if (n_patterns > LIMIT_IGNORE_PATTERNS)
                        return error_set(err, ERROR_LIMIT, "ignore file holds more than %d patterns", LIMIT_IGNORE_PATTERNS);
                p = newline ? newline + 1 : stop;
        }
        return 0;
}

/* Most patterns need no glob. The kinds are patternmatcher's, with their edges: "**x" also matches "ax". */
static int compile(Pattern *p, Error *err)
{
        const char *text = p->text;
        size_t double_stars = 0, others = 0;
        Glob plain;

        /* The syntax is judged by filepath.Match's rules. */
        if (glob_compile(&plain, text, false, err) < 0)
                return -1;
        glob_done(&plain);
        for (const char *c = text; *c; c++) {
                if (c[0] == '*' && c[1] == '*') {
                        double_stars++;
                        c++;
                } else if (strchr("*?[]\\", *c)) {
                        others++;
                }
        }
        p->size = strlen(text);
        p->fixed = text;
        p->n_fixed = p->size;
        if (others == 0 && double_stars == 0) {
                p->kind = PATTERN_EXACT;
                return 0;
        }
        if (others == 0 && double_stars == 1 && str_starts(text, "**")) {
                p->kind = PATTERN_SUFFIX;
                p->fixed = text + 2;
                p->n_fixed -= 2;
                return 0;
        }
        if (others == 0 && double_stars == 1 && str_ends(text, "**")) {
                p->kind = PATTERN_PREFIX;
                p->n_fixed -= 2;
                return 0;
        }
        p->kind = PATTERN_GLOB;
        return glob_compile(&p->glob, text, true, err);
}

static int add_pattern(IgnoreMatcher *m, const char *raw, Error *err)
{
        const char *start = raw, *end = start + strlen(start);
        _cleanup_free_ char *trimmed = NULL, *clean = NULL;
        Pattern *p = &m->patterns[m->n_patterns];

        text_trim(&start, &end);
        if (start == end)
                return 0;
        if ((size_t)(end - start) > LIMIT_IGNORE_PATTERN_SIZE)
                return error_set(err, ERROR_LIMIT, "ignore pattern is longer than %d bytes: '%.60s…'", LIMIT_IGNORE_PATTERN_SIZE, start);
        trimmed = xstrndup(start, (size_t)(end - start));
        clean = path_clean(trimmed);
        if (streq(clean, "!"))
                return error_set(err, ERROR_INVALID, "illegal exclusion pattern: \"!\"");
        p->exception = *clean == '!';
        p->text = xstrdup(clean + p->exception);
        m->n_patterns++;
        m->has_exceptions |= p->exception;
        return compile(p, err) < 0 ? error_wrap(err, "ignore pattern '%s'", trimmed) : 0;
}

int ignore_matcher_new(IgnoreMatcher **ret, const StrList *patterns, Error *err)
{
        _cleanup_(ignore_matcher_freep) IgnoreMatcher *m = NEW(IgnoreMatcher);

        if (patterns->n_items > LIMIT_IGNORE_PATTERNS)
                return error_set(err, ERROR_LIMIT, "more than %d ignore patterns", LIMIT_IGNORE_PATTERNS);
        m->patterns = NEW_ARRAY(Pattern, patterns->n_items);
        for (size_t i = 0; i < patterns->n_items; i++)
                if (add_pattern(m, patterns->items[i], err) < 0)
                        return -1;
        *ret = TAKE_PTR(m);
        return 0;
}

void ignore_matcher_free(IgnoreMatcher *matcher)
{
        if (!matcher)
                return;
        for (size_t i = 0; i < matcher->n_patterns; i++) {
                free(matcher->patterns[i].text);
                glob_done(&matcher->patterns[i].glob);
        }
        free(matcher->patterns);
        free(matcher);
}

bool ignore_matcher_has_exceptions(const IgnoreMatcher *matcher)
{
        return matcher->has_exceptions;
}

bool ignore_matcher_excludes_root(const IgnoreMatcher *matcher)
{
        for (size_t i = 0; i < matcher->n_patterns; i++) {
                const Pattern *p = &matcher->patterns[i];

                if (!p->exception && (streq(p->text, "*") || streq(p->text, "**") || streq(p->text, "**/*")))
                        return true;
        }
        return false;
}

static bool pattern_matches(const Pattern *p, const char *path, size_t size)
{
        const GlobPart *last;

        switch (p->kind) {
        case PATTERN_EXACT:
                return size == p->size && memcmp(path, p->text, size) == 0;
        case PATTERN_PREFIX:
                return size >= p->n_fixed && memcmp(path, p->fixed, p->n_fixed) == 0;
        case PATTERN_SUFFIX:
                if (size >= p->n_fixed && memcmp(path + size - p->n_fixed, p->fixed, p->n_fixed) == 0)
                        return true;
                return *p->fixed == '/' && size == p->n_fixed - 1 && memcmp(path, p->fixed + 1, size) == 0;
        case PATTERN_GLOB:
                /* What the pattern begins and ends with rules most paths out. */
                if (p->glob.parts[0].step == GLOB_LITERAL && (size < p->glob.parts[0].size || memcmp(path, p->glob.parts[0].text, p->glob.parts[0].size) != 0))
                        return false;
                last = &p->glob.parts[p->glob.n_parts - 1];
                if (last->step == GLOB_LITERAL && (size < last->size || memcmp(path + size - last->size, last->text, last->size) != 0))
                        return false;
                return glob_match(&p->glob, path, size);
        }
        return false;
}

/* The path itself or any directory above it. */
static bool matches_with_parents(const Pattern *p, const char *path, size_t size)
{
        if (pattern_matches(p, path, size))
                return true;
        for (size_t i = 1; i < size; i++)
                if (path[i] == '/' && pattern_matches(p, path, i))
                        return true;
        return false;
}

bool ignore_matcher_match(const IgnoreMatcher *matcher, const char *path)
{
        return ignore_matcher_match_in(matcher, path, NULL, NULL);
}

void ignore_state_done(IgnoreState *state)
{
        free(state->matched);
        state->matched = NULL;
}

bool ignore_matcher_match_in(const IgnoreMatcher *matcher, const char *path, const IgnoreState *parent, IgnoreState *ret)
{
        const unsigned char *above = parent ? parent->matched : NULL;
        size_t size = strlen(path);
        bool matched = false;

        if (ret)
                ret->matched = xcalloc(matcher->n_patterns + 1, 1);
        for (size_t i = 0; i < matcher->n_patterns; i++) {
                const Pattern *p = &matcher->patterns[i];
                bool match = above && above[i];

                if (!match) {
                        /* Only what would change the answer is tried. */
                        if (p->exception != matched)
                                continue;
                        match = above ? pattern_matches(p, path, size) : matches_with_parents(p, path, size);
                }
                if (ret)
                        ret->matched[i] = match;
                if (match)
                        matched = !p->exception;
        }
        return matched;
}

/* Whether an exception may match something below `directory`: compares component by component as far as both go. */
static bool may_match_below(const Pattern *p, const char *directory)
{
        const char *pattern = p->text;

        while (*pattern && *directory) {
                size_t n_pattern = strcspn(pattern, "/"), n_directory = strcspn(directory, "/");
                _cleanup_free_ char *component = xstrndup(pattern, n_pattern), *name = xstrndup(directory, n_directory);
                _cleanup_error_ Error ignored = ERROR_INIT;

                if (strstr(component, "**") || strpbrk(component, "[\\"))
                        return true;
                if (path_pattern_match(component, name, &ignored) == 0)
                        return false;
                pattern += n_pattern + (pattern[n_pattern] == '/');
                directory += n_directory + (directory[n_directory] == '/');
        }
        return true;
}

bool ignore_matcher_can_skip(const IgnoreMatcher *matcher, const char *directory)
{
        for (size_t i = 0; i < matcher->n_patterns; i++)
                if (matcher->patterns[i].exception && may_match_below(&matcher->patterns[i], directory))
                        return false;
        return true;
}
