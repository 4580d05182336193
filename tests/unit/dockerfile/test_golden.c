/*
 * The cases under tests/golden/dockerfile/: what a Dockerfile means to users of BuildKit must be what it means here. Each file says its form in its first
 * lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dockerfile/chmod.h"
#include "dockerfile/git_url.h"
#include "dockerfile/ignore.h"
#include "dockerfile/lint.h"

typedef struct Golden {
        char *text;
        const char *file;
        size_t n_cases, n_failed;
} Golden;

static Golden golden_open(const char *file)
{
        _cleanup_free_ char *path = xasprintf("%s/%s", GOLDEN_DIR, file);
        FILE *f = fopen(path, "re");
        Golden golden = { .file = file };
        long size;

        assert_non_null(f);
        fseek(f, 0, SEEK_END);
        size = ftell(f);
        rewind(f);
        golden.text = xcalloc(1, (size_t)size + 1);
        assert_int_equal(fread(golden.text, 1, (size_t)size, f), size);
        fclose(f);
        return golden;
}

static void golden_close(Golden *golden, size_t at_least)
{
        free(golden->text);
        assert_int_equal(golden->n_failed, 0);
        assert_true(golden->n_cases >= at_least);
}

static void check(Golden *golden, const char *name, const char *input, const char *expected, const char *actual)
{
        golden->n_cases++;
        if (streq(expected, actual))
                return;
        golden->n_failed++;
        print_error("%s: %s\n--- input\n%s\n--- expected\n%s\n--- actual\n%s\n---\n", golden->file, name, input, expected, actual);
}

/* Blocks "=== name", input, "---", expected. Calls `run` for each; its answer is compared without trailing newlines. */
static void run_blocks(const char *file, size_t at_least, void (*run)(const char *input, Buf *out))
{
        Golden golden = golden_open(file);
        char *block = strstr(golden.text, "=== ");

        while (block) {
                char *name = block + 4, *input = strchr(name, '\n') + 1, *middle = strstr(input, "---\n"), *expected = middle + 4,
                     *next = strstr(expected, "\n=== ");
                Buf out = BUF_INIT(BUF_MAX_DEFAULT);
                size_t n;

                input[-1] = '\0';
                *middle = '\0';
                if (next)
                        *next = '\0';
                for (n = strlen(expected); n > 0 && expected[n - 1] == '\n'; n--)
                        expected[n - 1] = '\0';
                run(input, &out);
                while (out.size > 0 && out.data[out.size - 1] == '\n')
                        out.data[--out.size] = '\0';
                check(&golden, name, input, expected, buf_str(&out));
                buf_done(&out);
                block = next ? next + 1 : NULL;
        }
        golden_close(&golden, at_least);
}

static void put_failure(Buf *out, const Diagnosis *diag)
{
        _cleanup_free_ char *message = diagnosis_message(diag);

        buf_putf(out, "error: %s\nat %u:%u", message, diag->pos.line, diag->pos.column);
}

static void run_parse(const char *input, Buf *out)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_diagnosis_ Diagnosis diag = DIAGNOSIS_INIT;
        _cleanup_error_ Error err = ERROR_INIT;

        if (dockerfile_parse(&df, "Dockerfile", input, strlen(input), &diag, &err) < 0) {
                put_failure(out, &diag);
                return;
        }
        dockerfile_dump(df, out);
        for (size_t i = 0; i < df->n_nodes; i++) {
                const DfNode *node = df->nodes[i];

                buf_putf(out, "%u-%u%s\n", node->range.start, node->range.end, node->json ? " json" : "");
                for (size_t j = 0; j < node->n_heredocs; j++) {
                        const DfHeredoc *h = &node->heredocs[j];
                        size_t size;
                        _cleanup_free_ char *text = dockerfile_heredoc_text(h, &size);

                        buf_putf(out, "  <<%s fd=%u%s lines %u-%u [%s]\n", h->name, h->fd, h->expand ? " expand" : "", h->body.start, h->body.end, text);
                }
        }
}

static void test_parse(void **state)
{
        run_blocks("parse.txt", 60, run_parse);
}

static void run_errors(const char *input, Buf *out)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_(stages_freep) Stages *stages = NULL;
        _cleanup_diagnosis_ Diagnosis diag = DIAGNOSIS_INIT;
        _cleanup_error_ Error err = ERROR_INIT;
        ExpandEnv env = expand_env_empty();

        if (dockerfile_parse(&df, "Dockerfile", input, strlen(input), &diag, &err) < 0 || stages_parse(&stages, df, &diag, &err) < 0) {
                put_failure(out, &diag);
                return;
        }
        for (size_t i = 0; i < stages->n_items; i++) {
                for (size_t j = 0; j < stages->items[i].n_instructions; j++) {
                        _cleanup_(instruction_freep) Instruction *expanded = NULL;

                        if (instruction_expand(&expanded, &stages->items[i].instructions[j], &env, NULL, &diag, &err) < 0) {
                                put_failure(out, &diag);
                                return;
                        }
                }
        }
        buf_puts(out, "fine");
}

static void test_errors(void **state)
{
        run_blocks("errors.txt", 80, run_errors);
}

static int ask_base(void *user, const char *image, const char *platform, LintBase *ret, Error *err)
{
        ret->known = true;
        strlist_add(&ret->env, "PATH=/bin");
        strlist_add(&ret->env, "BASEVAR=1");
        ret->os = xstrdup("linux");
        ret->arch = xstrdup("amd64");
        return 0;
}

/* Lines "#ignore PATTERN" at the front are the .dockerignore. */
static void run_lint(const char *input, Buf *out)
{
        LintOptions options = { .scope = { .build = { "linux", "amd64" }, .target = { "linux", "amd64" } }, .base_image = ask_base };
        _cleanup_(ignore_matcher_freep) IgnoreMatcher *ignore = NULL;
        _cleanup_(lint_result_done) LintResult result = LINT_RESULT_INIT;
        _cleanup_strlist_ StrList patterns = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;

        while (str_starts(input, "#ignore ")) {
                const char *end = strchr(input, '\n');

                strlist_addn(&patterns, input + 8, (size_t)(end - input - 8));
                input = end + 1;
        }
        assert_int_equal(ignore_matcher_new(&ignore, &patterns, &err), 0);
        options.ignore = ignore;
        assert_int_equal(lint_run(&result, "Dockerfile", input, strlen(input), &options, &err), 0);
        lint_result_sort(&result);
        for (size_t i = 0; i < result.n_warnings; i++)
                buf_putf(out, "%s %u-%u %s\n", result.warnings[i].rule->name, result.warnings[i].range.start, result.warnings[i].range.end,
                         result.warnings[i].detail);
        if (result.has_build_error)
                put_failure(out, &result.build_error);
}

static void test_lint(void **state)
{
        run_blocks("lint.txt", 80, run_lint);
}

/* Next line of a table without comments and blank lines, cut at " | " into fields. */
static size_t next_row(char **at, char *fields[4])
{
        while (*at && **at) {
                char *line = *at, *end = strchr(line, '\n');
                size_t n = 0;

                *at = end ? end + 1 : NULL;
                if (end)
                        *end = '\0';
                if (!*line || *line == '#')
                        continue;
                for (char *bar; n < 3 && (bar = strstr(line, " | ")) != NULL; line = bar + 3) {
                        *bar = '\0';
                        fields[n++] = line;
                }
                fields[n++] = line;
                return n;
        }
        return 0;
}

static void run_expand(const char *file, size_t at_least, bool split)
{
        Golden golden = golden_open(file);
        _cleanup_strlist_ StrList list = { 0 };
        char *at = golden.text, *fields[4];
        size_t n;

        while ((n = next_row(&at, fields)) > 0) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_strlist_ StrList words = { 0 };
                _cleanup_free_ char *actual = NULL;
                ExpandEnv env = expand_env_list(&list);
                int r;

                if (n == 1) {
                        strlist_add(&list, fields[0]); /* NAME=value */
                        continue;
                }
                if (split) {
                        r = expand_words(&words, fields[0], &env, NULL, NULL, &err);
                        actual = strlist_join(&words, ",");
                } else {
                        r = expand_word(&actual, fields[0], &env, NULL, NULL, &err);
                }
                if (r < 0) {
                        free(actual);
                        actual = xasprintf("error: %s", error_message(&err));
                }
                /* "[]" stands around the expected text so that its white space shows. */
                if (r >= 0) {
                        _cleanup_free_ char *bare = TAKE_PTR(actual);

                        actual = xasprintf("[%s]", bare);
                }
                check(&golden, fields[0], fields[0], fields[1], actual);
        }
        golden_close(&golden, at_least);
}

static void test_expand(void **state)
{
        run_expand("expand.txt", 200, false);
}

static void test_words(void **state)
{
        run_expand("words.txt", 240, true);
}

static void test_ignore(void **state)
{
        Golden golden = golden_open("ignore.txt");
        char *at = golden.text, *fields[4];

        while (next_row(&at, fields) == 3) {
                _cleanup_(ignore_matcher_freep) IgnoreMatcher *matcher = NULL;
                _cleanup_(ignore_state_done) IgnoreState parent = { 0 };
                _cleanup_strlist_ StrList patterns = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *path = xstrdup(fields[1]);
                const char *actual = "error";

                strlist_split(&patterns, fields[0], ';');
                if (ignore_matcher_new(&matcher, &patterns, &err) == 0) {
                        actual = ignore_matcher_match(matcher, path) ? "yes" : "no";
                        /* The walk from the top must come to the same end, and may not skip what is wanted. */
                        for (char *slash = path;; slash++) {
                                IgnoreState mine = { 0 };
                                char c;
                                bool matched;

                                if (*slash && *slash != '/')
                                        continue;
                                c = *slash;
                                *slash = '\0';
                                matched = ignore_matcher_match_in(matcher, path, &parent, &mine);
                                if (c && matched && ignore_matcher_can_skip(matcher, path))
                                        assert_string_equal(fields[2], "yes");
                                ignore_state_done(&parent);
                                parent = mine;
                                *slash = c;
                                if (!c) {
                                        assert_string_equal(matched ? "yes" : "no", actual);
                                        break;
                                }
                        }
                }
                check(&golden, fields[0], fields[1], fields[2], actual);
        }
        golden_close(&golden, 290);
}

static void test_glob(void **state)
{
        Golden golden = golden_open("glob.txt");
        char *at = golden.text, *fields[4];

        while (next_row(&at, fields) == 3) {
                _cleanup_error_ Error err = ERROR_INIT;
                int r = path_pattern_match(fields[0], fields[1], &err);

                check(&golden, fields[0], fields[1], fields[2], r < 0 ? "error" : r ? "yes" : "no");
        }
        golden_close(&golden, 50);
}

static void run_ignore_file(const char *input, Buf *out)
{
        _cleanup_strlist_ StrList patterns = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(ignore_file_read(&patterns, input, strlen(input), &err), 0);
        for (size_t i = 0; i < patterns.n_items; i++)
                buf_putf(out, "[%s]\n", patterns.items[i]);
}

static void test_ignore_file(void **state)
{
        run_blocks("ignorefile.txt", 60, run_ignore_file);
}

static void test_chmod(void **state)
{
        Golden golden = golden_open("chmod.txt");
        char *at = golden.text, *fields[4];

        while (next_row(&at, fields) == 3) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *actual = NULL;
                Chmod mode;

                if (chmod_parse(&mode, fields[0], &err) < 0)
                        actual = xstrdup("error");
                else
                        actual = xasprintf("%04o %04o", chmod_apply(&mode, (mode_t)strtoul(fields[1], NULL, 8), false),
                                           chmod_apply(&mode, (mode_t)strtoul(fields[1], NULL, 8), true));
                check(&golden, fields[0], fields[1], fields[2], actual);
        }
        golden_close(&golden, 40);
}

static char *describe_git_url(const char *text)
{
        static const char *const tristate[] = { "", "no", "yes" };
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        int r = git_url_parse(text, &url, &err);
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        if (r <= 0)
                return r < 0 ? xasprintf("error: %s", error_message(&err)) : xstrdup("no");
        buf_puts(&out, url.remote);
        if (url.ref)
                buf_putf(&out, " ref=%s", url.ref);
        if (url.sub_dir)
                buf_putf(&out, " dir=%s", url.sub_dir);
        if (url.checksum)
                buf_putf(&out, " checksum=%s", url.checksum);
        if (url.keep_git_dir)
                buf_putf(&out, " keep=%s", tristate[url.keep_git_dir]);
        if (url.submodules)
                buf_putf(&out, " submodules=%s", tristate[url.submodules]);
        buf_putf(&out, "%s%s%s%s", url.mtime_checkout ? " mtime=checkout" : "", url.fetch_by_commit ? " fetch-by-commit" : "", url.ssh ? " ssh" : "",
                 url.implicit ? " implicit" : "");
        return buf_detach(&out);
}

static void test_git_url(void **state)
{
        Golden golden = golden_open("git_url.txt");
        char *at = golden.text, *fields[4];

        while (next_row(&at, fields) == 2) {
                _cleanup_free_ char *actual = describe_git_url(fields[0]);

                check(&golden, fields[0], fields[0], fields[1], actual);
        }
        golden_close(&golden, 80);
}

/* Passwords stay out of everything that is shown; the identifier is what source policies are written for. */
static void test_git_url_shown(void **state)
{
        static const struct {
                const char *text, *shown, *identifier;
        } cases[] = {
                { "https://u:secret@h.example/a/b.git#v1:d", "https://h.example/a/b.git", "git://h.example/a/b.git#v1:d" },
                { "https://token@h.example/b.git", "https://h.example/b.git", "git://h.example/b.git" },
                { "ssh://git@h.example:22/b.git#:d", "ssh://git@h.example:22/b.git", "git://h.example:22/b.git#:d" },
                { "ssh://git:secret@h.example/b.git", "ssh://h.example/b.git", "git://h.example/b.git" },
                { "git@h.example:a/b.git", "git@h.example:a/b.git", "git://h.example/a/b.git" },
                { "github.com/moby/buildkit", "https://github.com/moby/buildkit", "git://github.com/moby/buildkit" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_git_url_ GitUrl url = { 0 };
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_free_ char *shown = NULL, *identifier = NULL;

                assert_int_equal(git_url_parse(cases[i].text, &url, &err), 1);
                shown = git_url_shown(&url);
                identifier = git_url_identifier(&url);
                assert_string_equal(shown, cases[i].shown);
                assert_string_equal(identifier, cases[i].identifier);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse), cmocka_unit_test(test_errors),  cmocka_unit_test(test_lint),          cmocka_unit_test(test_expand),
                cmocka_unit_test(test_words), cmocka_unit_test(test_ignore),  cmocka_unit_test(test_glob),          cmocka_unit_test(test_ignore_file),
                cmocka_unit_test(test_chmod), cmocka_unit_test(test_git_url), cmocka_unit_test(test_git_url_shown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
