/* What a build remembers of its steps, and what it says differs: a wrong reason sends a user looking in the wrong place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "build/explain_record.h"

/* Steps "stage:text". */
static ExplainRecord make(const char *const *steps)
{
        ExplainRecord record = { 0 };

        for (; *steps; steps++) {
                const char *colon = strchr(*steps, ':');
                _cleanup_free_ char *stage = xstrndup(*steps, (size_t)(colon - *steps));

                explain_record_add(&record, stage, colon + 1);
        }
        return record;
}

static void expect_match(const char *const *before, const char *const *after, const char *expected)
{
        ExplainRecord b = make(before), a = make(after);
        size_t matches[32], replaced[32];
        char got[256] = "";

        explain_match(&b, &a, matches, replaced);
        for (size_t i = 0; i < a.n_steps; i++)
                snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s%d", i ? " " : "",
                         matches[i] != SIZE_MAX    ? ""
                         : replaced[i] != SIZE_MAX ? "r"
                                                   : "n",
                         matches[i] != SIZE_MAX    ? (int)matches[i]
                         : replaced[i] != SIZE_MAX ? (int)replaced[i]
                                                   : 0);
        assert_string_equal(got, expected);
        explain_record_done(&b);
        explain_record_done(&a);
}
#define STEPS(...) \
        (const char *const[]) \
        { \
                __VA_ARGS__, NULL \
        }

static void test_match(void **state)
{
        expect_match(STEPS("a:1", "a:2", "a:3"), STEPS("a:1", "a:2", "a:3"), "0 1 2");
        expect_match(STEPS("a:1", "a:2", "a:3"), STEPS("a:1", "a:x", "a:2", "a:3"), "0 n0 1 2"); /* one is new: the others are still themselves */
        expect_match(STEPS("a:1", "a:2", "a:3"), STEPS("a:1", "a:3"), "0 2");
        expect_match(STEPS("a:1", "a:2", "a:3"), STEPS("a:1", "a:x", "a:3"), "0 r1 2");
        expect_match(STEPS("a:1", "a:2", "a:3"), STEPS("a:1", "a:x", "a:y", "a:3"), "0 r1 n0 2");
        expect_match(STEPS("a:1", "a:2"), STEPS("a:1", "a:2", "a:2"), "0 1 n0");
        expect_match(STEPS("a:1", "b:1"), STEPS("b:1", "a:1"), "1 0"); /* stages may change places */
        expect_match(STEPS("a:1"), STEPS("c:1"), "n0");
}

static char *text_of(const ExplainChanges *changes)
{
        Buf text = BUF_INIT(64 * KIB);

        for (size_t i = 0; i < changes->n_items; i++) {
                const ExplainChange *c = &changes->items[i];

                buf_putf(&text, "%s %s %s%s%s%s%s;", explain_kind_name(c->kind), c->name, c->change, c->before ? " " : "", c->before ? c->before : "",
                         c->after ? " > " : "", c->after ? c->after : "");
        }
        return buf_detach(&text);
}

static void test_compare(void **state)
{
        ExplainRecord record = { 0 };
        ExplainStep *before, *after;
        ExplainChanges changes = { 0 };
        _cleanup_free_ char *text = NULL;

        explain_record_add(&record, "s", "RUN x");
        explain_record_add(&record, "s", "RUN x");
        before = &record.steps[0];
        after = &record.steps[1];
        explain_step_add(before, EXPLAIN_ARGUMENT, "V", "1");
        explain_step_add(after, EXPLAIN_ARGUMENT, "V", "2");
        explain_step_add(before, EXPLAIN_VARIABLE, "OLD", "x");
        explain_step_add(after, EXPLAIN_VARIABLE, "NEW", "y");
        explain_step_add(before, EXPLAIN_OPTION, "USER", "5");
        explain_step_add(after, EXPLAIN_OPTION, "USER", "5");
        explain_step_add_file(before, "z", S_IFREG | 0644, 0, 1);
        explain_step_add_file(before, "gone", S_IFREG | 0644, 0, 1);
        explain_step_add_file(before, "kind", S_IFREG | 0644, 0, 1);
        explain_step_add_file(before, "both", S_IFREG | 0644, 0, 1);
        explain_step_add_file(after, "both", S_IFREG | 0755, (uint64_t)7 << 32 | 8, 2);
        explain_step_add_file(after, "kind", S_IFLNK | 0777, 0, 1);
        explain_step_add_file(after, "new", S_IFREG | 0644, 0, 1);
        explain_step_add_file(after, "z", S_IFREG | 0644, 0, 1);
        explain_step_finish(before);
        explain_step_finish(after);
        explain_compare(before, after, &changes);
        text = text_of(&changes);
        assert_string_equal(text, "argument V changed 1 > 2;variable NEW added > y;variable OLD removed x;"
                                  "file both content;file both mode 0644 > 0755;file both owner 0:0 > 7:8;file gone removed;file kind type;file new added;");
        explain_changes_done(&changes);
        explain_record_done(&record);
}

static void test_bytes(void **state)
{
        ExplainRecord record = { 0 }, read = { 0 };
        _cleanup_buf_ Buf data = BUF_INIT(64 * MIB);
        Digest before, after;
        ExplainStep *step;
        Error err = ERROR_INIT;
        char value[1000];

        memset(value, 'v', sizeof(value) - 1);
        value[sizeof(value) - 1] = '\0';
        step = explain_record_add(&record, "build", "COPY . /");
        step->key = digest_of("k", 1);
        step->complete = true;
        explain_step_add(step, EXPLAIN_ARGUMENT, "LONG", value);
        explain_step_add_file(step, "a\nb", S_IFREG | 0644, 5, 6);
        explain_record_add(&record, "", "RUN false");
        explain_record_encode(&record, &data);
        before = explain_record_summary(&record);
        assert_int_equal(explain_record_decode(data.data, data.size, &read, &err), 0);
        after = explain_record_summary(&read);
        assert_true(digest_equal(&before, &after));
        assert_true(explain_head_summary(data.data, EXPLAIN_HEAD_SIZE, &after) && digest_equal(&before, &after));
        assert_string_equal(read.steps[0].files[0].path, "a\nb");
        assert_true(read.steps[0].complete && !read.steps[1].complete && !digest_is_set(&read.steps[1].key));
        assert_true(strlen(read.steps[0].fields[0].value) <= EXPLAIN_VALUE_MAX); /* build arguments may be long, and are cut */
        explain_record_done(&read);
        /* Cut off anywhere, or with any byte changed, it is refused. */
        for (size_t i = EXPLAIN_HEAD_SIZE; i < data.size; i++) {
                assert_int_equal(explain_record_decode(data.data, i, &read, &err), -1);
                data.data[i] ^= 1;
                assert_int_equal(explain_record_decode(data.data, data.size, &read, &err), -1);
                data.data[i] ^= 1;
                error_done(&err);
        }
        explain_record_done(&record);
}

/* A context with more files than anybody lists does not make a file without end. */
static void test_bounded(void **state)
{
        ExplainRecord record = { 0 }, read = { 0 };
        _cleanup_buf_ Buf data = BUF_INIT(SIZE_MAX / 2);
        Error err = ERROR_INIT;
        char path[128];

        for (int s = 0; s < 3; s++) {
                ExplainStep *step = explain_record_add(&record, "", "COPY . /");

                for (int i = 0; i < 60000; i++) {
                        snprintf(path, sizeof(path), "a/path/that/is/as/long/as/paths/are/in/real/trees/of/sources/%d/%d", s, i);
                        explain_step_add_file(step, path, S_IFREG, 0, 0);
                }
                explain_step_finish(step);
        }
        explain_record_encode(&record, &data);
        assert_true(data.size < EXPLAIN_SIZE_MAX);
        assert_int_equal(explain_record_decode(data.data, data.size, &read, &err), 0);
        assert_true(!read.steps[0].files_left_out && read.steps[2].files_left_out);
        explain_record_done(&read);
        explain_record_done(&record);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_match), cmocka_unit_test(test_compare), cmocka_unit_test(test_bytes),
                                            cmocka_unit_test(test_bounded) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
