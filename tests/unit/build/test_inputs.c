/* What a change has to do with a build: one that is missed leaves an old image, one too many builds for nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "build/inputs.h"

static void test_use(void **state)
{
        static const struct {
                const char *use, *path;
                InputMatch match;
        } cases[] = {
                { "", "anything/at/all", INPUT_USED },
                { "", "", INPUT_USED },
                { "src", "", INPUT_ABOVE },
                { "src", "src", INPUT_USED },
                { "src", "src/a/b.c", INPUT_USED },
                { "src", "srcs", INPUT_NONE },
                { "src", "other", INPUT_NONE },
                { "a/b/c", "a", INPUT_ABOVE },
                { "a/b/c", "a/b", INPUT_ABOVE },
                { "a/b/c", "a/x", INPUT_NONE },
                { "a/b/c", "a/b/c", INPUT_USED },
                { "*.go", "main.go", INPUT_USED },
                { "*.go", "main.c", INPUT_NONE },
                { "cmd/*/main.go", "cmd/new", INPUT_ABOVE },
                { "cmd/*/main.go", "cmd/new/main.go", INPUT_USED },
                { "cmd/*/main.go", "cmd/new/other.go", INPUT_NONE },
                { "**/*.json", "a/b/c.json", INPUT_USED },
                { "f[ab]", "fa", INPUT_USED },
                { "f[ab]", "fc", INPUT_NONE },
                { "[", "[", INPUT_USED }, /* a pattern that is none is a name */
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
                if (build_use_match(cases[i].use, cases[i].path) != cases[i].match)
                        fail_msg("'%s' and '%s'", cases[i].use, cases[i].path);
}

static void test_concern(void **state)
{
        BuildInputTree tree = { .root = (char *)"/work/app" };
        BuildInputs inputs = { .trees = &tree, .n_trees = 1 };
        StrList ignore = { 0 };
        Error err = ERROR_INIT;
        static const struct {
                const char *path;
                bool is_dir, attributes, concerns;
        } cases[] = {
                { "/work/app/src/a.c", false, false, true },
                { "/work/app/src/a.c", false, true, true },
                { "/work/app/src/new", true, false, true },
                { "/work/app/src/a.o", false, false, false },
                { "/work/app/src/keep.o", false, false, true },
                { "/work/app/src/node_modules", true, false, false },
                { "/work/app/src/node_modules/x/y", false, false, false },
                { "/work/app/README", false, false, false },
                { "/work/app/config", true, false, true }, /* on the way to what is used: made or removed … */
                { "/work/app/config", true, true, false }, /* … but its times are no part of anything */
                { "/work/app/config/app.yml", false, false, true },
                { "/work/app/config/other.yml", false, false, false },
                { "/work/apps/src/a.c", false, false, false },
                { "/work/secret", false, false, true },
                { "/work/secrets", false, false, false },
                { "/work/app", true, true, false },
                { "/work/app", true, false, true },
        };

        strlist_add(&ignore, "**/*.o");
        strlist_add(&ignore, "!src/keep.o");
        strlist_add(&ignore, "src/node_modules");
        strlist_add(&tree.uses, "src");
        strlist_add(&tree.uses, "config/app.yml");
        strlist_add(&inputs.files, "/work/secret");
        strlist_add(&inputs.files, "/work/app");
        assert_int_equal(ignore_matcher_new(&tree.ignore, &ignore, &err), 0);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
                if (build_inputs_concern(&inputs, cases[i].path, cases[i].is_dir, cases[i].attributes) != cases[i].concerns)
                        fail_msg("'%s'", cases[i].path);
        ignore_matcher_free(tree.ignore);
        strlist_done(&tree.uses);
        strlist_done(&inputs.files);
        strlist_done(&ignore);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_use), cmocka_unit_test(test_concern) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
