/* What the build engine relies on besides the golden cases: places of errors, scopes, the stage graph, heredoc scripts, limits, speed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "dockerfile/ignore.h"
#include "dockerfile/limits.h"
#include "dockerfile/lint.h"

typedef struct Parsed {
        Dockerfile *df;
        Stages *stages;
} Parsed;

static Parsed parse(const char *text)
{
        Parsed p = { 0 };
        Error err = ERROR_INIT;

        if (dockerfile_parse(&p.df, "Dockerfile", text, strlen(text), NULL, &err) < 0 || stages_parse(&p.stages, p.df, NULL, &err) < 0)
                fail_msg("%s", error_message(&err));
        return p;
}

static void parsed_done(Parsed *p)
{
        stages_free(p->stages);
        dockerfile_free(p->df);
}

/* A user who mistypes an instruction must see which line, which column and what was meant. */
static void test_error_shows_the_line(void **state)
{
        static const char text[] = "FROM scratch\nCOPPY a b\nRUN x\n";
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_diagnosis_ Diagnosis diag = DIAGNOSIS_INIT;
        _cleanup_error_ Error err = ERROR_INIT;
        Stages *stages;
        Buf box = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_free_ char *message = NULL;

        assert_int_equal(dockerfile_parse(&df, "Dockerfile", text, strlen(text), &diag, &err), 0);
        assert_int_equal(stages_parse(&stages, df, &diag, &err), -1);
        assert_string_equal(error_message(&err), "Dockerfile:2:1: unknown instruction: COPPY (did you mean COPY?)");
        message = diagnosis_message(&diag);
        assert_string_equal(message, "dockerfile parse error on line 2: unknown instruction: COPPY (did you mean COPY?)");
        diagnosis_render(&diag, "Dockerfile", text, strlen(text), &box);
        assert_string_equal(
                buf_str(&box),
                "Dockerfile:2\n--------------------\n   1 |     FROM scratch\n   2 | >>> COPPY a b\n   3 |     RUN x\n   4 |     \n--------------------\n");
        buf_done(&box);
}

/* A position inside a continued line must point at the physical line. */
static void test_position_in_continuation(void **state)
{
        static const char text[] = "FROM scratch\nENV a=1 \\\n  # note\n   b\n";
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(dockerfile_parse(&df, "Dockerfile", text, strlen(text), NULL, &err), -1);
        assert_string_equal(error_message(&err), "Dockerfile:4:4: Syntax error - can't find = in \"b\". Must be of the form: name=value");
}

static void test_syntax_directive(void **state)
{
        static const struct {
                const char *text;
                bool fine;
        } cases[] = {
                { "# syntax=docker/dockerfile:1\nFROM a", true },
                { "# syntax=docker.io/docker/dockerfile:1.7-labs@sha256:00\nFROM a", true },
                { "#syntax=docker/dockerfile-upstream:master\n", true },
                { "FROM a\n# syntax=other/frontend\n", true },
                { "# syntax=other/frontend\nFROM a", false },
                { "// syntax=other/frontend\n", false },
                { "{\"syntax\": \"other/frontend\"}", false },
                { "#!/usr/bin/env x\n# syntax=other/frontend:1\n", false },
                { "# syntax=docker/dockerfileX\n", false },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(dockerfile_check_syntax("Dockerfile", cases[i].text, strlen(cases[i].text), NULL, &err), cases[i].fine ? 0 : -1);
                if (!cases[i].fine)
                        assert_int_equal(err.code, ERROR_UNSUPPORTED);
        }
}

static void test_scopes(void **state)
{
        Parsed p = parse("ARG TAG=1\nARG FULL=img:$TAG\nFROM $FULL AS a\nARG TAG\nARG x=$TAG-y z\nENV q=1\nARG q=2\nFROM a\n");
        _cleanup_strlist_ StrList args = { 0 }, base = { 0 };
        ScopeOptions options = { .build_args = &args, .build = { "linux", "amd64" }, .target = { "linux", "arm64", "v8" } };
        _cleanup_(global_scope_freep) GlobalScope *global = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_free_ char *image = NULL, *platform = NULL, *text = NULL;
        const Instruction *in = p.stages->items[0].instructions;
        StageScope scope, child;

        strlist_add(&args, "TAG=2");
        strlist_add(&args, "z=zed");
        strlist_add(&base, "PATH=/bin");
        assert_int_equal(global_scope_new(&global, p.stages, &options, NULL, &err), 0);
        assert_string_equal(global_scope_get(global, "TARGETPLATFORM"), "linux/arm64/v8");
        assert_int_equal(global_scope_from(global, p.stages->items[0].from, &image, &platform, NULL, NULL, NULL, &err), 0);
        assert_string_equal(image, "img:2");
        assert_null(platform);

        stage_scope_init(&scope, global, &base);
        assert_null(stage_scope_get(&scope, "TAG")); /* a global ARG is not seen in a stage until declared */
        assert_int_equal(stage_scope_arg(&scope, &in[0], NULL, NULL, NULL, &err), 0);
        assert_string_equal(stage_scope_get(&scope, "TAG"), "2");
        assert_int_equal(stage_scope_arg(&scope, &in[1], &text, NULL, NULL, &err), 0);
        assert_string_equal(text, "x=2-y z=zed");
        assert_int_equal(stage_scope_set(&scope, "q", "1", &err), 0);
        assert_int_equal(stage_scope_arg(&scope, &in[3], NULL, NULL, NULL, &err), 0);
        assert_string_equal(stage_scope_get(&scope, "q"), "2"); /* ARG after ENV wins */
        assert_string_equal(scope.env.items[0], "PATH=/bin");
        stage_scope_init_from(&child, &scope);
        assert_string_equal(stage_scope_get(&child, "x"), "2-y");
        assert_int_equal(child.n_args, 4);
        stage_scope_done(&child);
        stage_scope_done(&scope);
        parsed_done(&p);
}

/* One instruction expands with the values from before it. */
static void test_env_sees_old_values(void **state)
{
        Parsed p = parse("FROM a\nENV abc=bye def=$abc\n");
        _cleanup_strlist_ StrList env = { 0 };
        _cleanup_(instruction_freep) Instruction *expanded = NULL;
        _cleanup_expand_use_ ExpandUse use = EXPAND_USE_INIT;
        _cleanup_error_ Error err = ERROR_INIT;
        ExpandEnv getter;

        strlist_add(&env, "abc=hello");
        getter = expand_env_list(&env);
        assert_int_equal(instruction_expand(&expanded, &p.stages->items[0].instructions[0], &getter, &use, NULL, &err), 0);
        assert_string_equal(expanded->pairs.items[1].value, "hello");
        assert_string_equal(use.used.items[0], "abc");
        parsed_done(&p);
}

static void test_graph(void **state)
{
        Parsed p = parse("FROM x AS a\nFROM y AS unused\nFROM A\nCOPY --from=0 / /\nCOPY --from=other:1 / /\n");
        static const char *const names[] = { "x", "y", "A" };
        _cleanup_error_ Error err = ERROR_INIT;
        bool needed[3];
        int base[3];
        size_t target;

        assert_int_equal(stages_target(p.stages, NULL, &target, &err), 0);
        assert_int_equal(target, 2);
        assert_int_equal(stages_target(p.stages, "UNUSED", &target, &err), 0);
        assert_int_equal(target, 1);
        assert_int_equal(stages_target(p.stages, "unusd", &target, &err), -1);
        assert_string_equal(error_message(&err), "target stage \"unusd\" could not be found (did you mean unused?)");
        assert_int_equal(stages_reachable(p.stages, names, 2, needed, base, NULL, &err), 0);
        assert_true(needed[0] && !needed[1] && needed[2]);
        assert_int_equal(base[2], 0);
        parsed_done(&p);

        p = parse("FROM x AS a\nCOPY --from=b / /\nFROM y AS b\n");
        assert_int_equal(stages_reachable(p.stages, names, 0, needed, base, NULL, &err), -1);
        assert_non_null(strstr(error_message(&err), "cannot copy from stage \"b\", it needs to be defined before current stage \"a\""));
        parsed_done(&p);
        p = parse("FROM x AS a\nCOPY --from=b / /\nFROM a AS b\n");
        assert_int_equal(stages_reachable(p.stages, (const char *const[]){ "x", "a" }, 1, needed, base, NULL, &err), -1);
        assert_non_null(strstr(error_message(&err), "circular dependency detected on stage"));
        parsed_done(&p);
}

static void test_run_scripts(void **state)
{
        static const struct {
                const char *text, *command, *file;
        } cases[] = {
                { "FROM a\nRUN echo x\n", "echo x", NULL },
                { "FROM a\nRUN <<EOF\necho 1\necho 2\nEOF\n", "echo 1\necho 2\n", NULL },
                { "FROM a\nRUN <<-EOF\n\techo 1\nEOF\n", "echo 1\n", NULL },
                { "FROM a\nRUN <<EOF\n#!/usr/bin/python3\nprint()\nEOF\n", NULL, "EOF" },
                { "FROM a\nRUN python3 <<EOF && echo\nx\nEOF\n", "python3 <<EOF && echo\nx\nEOF", NULL },
                { "FROM a\nRUN [\"a\"]\n", NULL, NULL },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                Parsed p = parse(cases[i].text);
                _cleanup_error_ Error err = ERROR_INIT;
                RunScript script;

                assert_int_equal(run_script_make(&script, &p.stages->items[0].instructions[0], &err), 0);
                assert_true(streq_ptr(script.command, cases[i].command));
                assert_true(streq_ptr(script.file_name, cases[i].file));
                run_script_done(&script);
                parsed_done(&p);
        }
}

static void test_onbuild_trigger(void **state)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(dockerfile_parse_trigger(&df, "Dockerfile", "RUN <<E\nx\nE", (SourceRange){ 7, 7 }, NULL, &err), 0);
        assert_int_equal(df->nodes[0]->range.start, 7);
        assert_int_equal(df->nodes[0]->n_heredocs, 1);
        dockerfile_free(TAKE_PTR(df));
        assert_int_equal(dockerfile_parse_trigger(&df, "Dockerfile", "RUN a\nRUN b", (SourceRange){ 1, 1 }, NULL, &err), -1);
        assert_non_null(strstr(error_message(&err), "onbuild trigger should be a single expression"));
}

/* A hostile Dockerfile must end in an error, not in an exhausted machine. */
static void test_limits(void **state)
{
        Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        LintOptions options = { 0 };
        LintResult result = LINT_RESULT_INIT;
        Error err = ERROR_INIT;
        Dockerfile *df;

        /* doubling variables */
        buf_puts(&text, "FROM scratch\nENV a=xxxxxxxxxxxxxxxx\n");
        for (int i = 0; i < 60; i++)
                buf_puts(&text, "ENV a=$a$a\n");
        lint_run(&result, "Dockerfile", text.data, text.size, &options, &err);
        assert_true(result.has_build_error);
        assert_non_null(strstr(result.build_error.message, "expanded text is longer"));
        lint_result_done(&result);
        error_done(&err);

        /* nesting */
        buf_reset(&text);
        buf_puts(&text, "FROM scratch\nENV a=");
        for (int i = 0; i < 10000; i++)
                buf_puts(&text, "${a:-");
        lint_run(&result, "Dockerfile", text.data, text.size, &options, &err);
        assert_true(result.has_build_error);
        lint_result_done(&result);
        error_done(&err);

        /* a long line */
        buf_reset(&text);
        buf_puts(&text, "FROM scratch\nRUN ");
        for (int i = 0; i < LIMIT_LINE_SIZE; i++)
                buf_putc(&text, 'x');
        assert_int_equal(dockerfile_parse(&df, "Dockerfile", text.data, text.size, NULL, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        error_done(&err);

        /* a binary */
        assert_int_equal(dockerfile_parse(&df, "Dockerfile", "FROM a\n\0", 8, NULL, &err), -1);
        error_done(&err);
        buf_done(&text);
}

static double now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The budgets with room for a busy machine and sanitizers: what they catch is a quadratic algorithm. */
static void test_speed(void **state)
{
        Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        LintOptions options = { 0 };
        LintResult result = LINT_RESULT_INIT;
        Error err = ERROR_INIT;
        _cleanup_strlist_ StrList patterns = { 0 };
        IgnoreMatcher *matcher;
        Dockerfile *df;
        double start;
        size_t n = 0;

        buf_puts(&text, "FROM scratch\n");
        for (int i = 0; i < 250; i++)
                buf_putf(&text, "ARG v%d=x\nENV e%d=$v%d b=${nope:-1}\nRUN --mount=type=cache,target=/x make $v%d \\\n  && y\n", i, i, i, i);
        start = now_ms();
        assert_int_equal(lint_run(&result, "Dockerfile", text.data, text.size, &options, &err), 0);
        print_message("all checks over 1,000 lines: %.2f ms\n", now_ms() - start);
        assert_true(now_ms() - start < 500);
        lint_result_done(&result);

        /* a stage that each further one starts from, and a name that all have */
        for (int kind = 0; kind < 2; kind++) {
                buf_reset(&text);
                for (int i = 0; i < 20000; i++) {
                        if (kind)
                                buf_putf(&text, "FROM other%d AS x\n", i);
                        else if (i == 0)
                                buf_puts(&text, "FROM scratch AS s0\n");
                        else
                                buf_putf(&text, "FROM s%d AS s%d\n", i - 1, i);
                }
                start = now_ms();
                lint_run(&result, "Dockerfile", text.data, text.size, &options, &err);
                print_message("20,000 stages: %.2f ms\n", now_ms() - start);
                assert_true(now_ms() - start < 5000);
                lint_result_done(&result);
                error_done(&err);
        }

        buf_reset(&text);
        buf_puts(&text, "FROM scratch\n");
        while (text.size < 4U << 20)
                buf_puts(&text, "RUN a \\\n # c\n b\nCOPY <<EOF /x\nsome text\nEOF\nENV a=b c=\"d e\"\n");
        start = now_ms();
        if (dockerfile_parse(&df, "Dockerfile", text.data, text.size, NULL, &err) == 0)
                dockerfile_free(df);
        error_done(&err);
        print_message("parsing 4 MiB: %.2f ms\n", now_ms() - start);
        assert_true(now_ms() - start < 5000);
        buf_done(&text);

        for (int i = 0; i < 10; i++) {
                strlist_addf(&patterns, "dir%d/**", i);
                strlist_addf(&patterns, "**/*.o%d", i);
                strlist_addf(&patterns, "!keep/*/x%d?", i);
        }
        assert_int_equal(ignore_matcher_new(&matcher, &patterns, &err), 0);
        start = now_ms();
        for (int i = 0; i < 10000; i++) {
                char path[64];

                snprintf(path, sizeof(path), "src/module%d/sub/file%d.o%d", i % 100, i, i % 20);
                n += ignore_matcher_match(matcher, path);
        }
        print_message("10,000 paths against 30 patterns: %.2f ms\n", now_ms() - start);
        assert_int_equal(n, 5000);
        assert_true(now_ms() - start < 1000);
        ignore_matcher_free(matcher);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error_shows_the_line),
                cmocka_unit_test(test_position_in_continuation),
                cmocka_unit_test(test_syntax_directive),
                cmocka_unit_test(test_scopes),
                cmocka_unit_test(test_env_sees_old_values),
                cmocka_unit_test(test_graph),
                cmocka_unit_test(test_run_scripts),
                cmocka_unit_test(test_onbuild_trigger),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_speed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
