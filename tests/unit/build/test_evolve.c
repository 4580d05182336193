/*
 * Dockerfile -> config and history, without running anything: tests/golden/build/NAME.Dockerfile and NAME.json. When one fails, images built by mica have
 * another config or history than those of BuildKit. GOLDEN_UPDATE=1 writes the expected files anew; read the difference before you commit it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"
#include "build/evolve.h"
#include "dockerfile/stage.h"
#include "json/json.h"
#include "json/writer.h"

/* Layers are numbered instead of made. */
static void add_fake_layer(Stem *stem)
{
        unsigned char number = (unsigned char)stem->image.rootfs.diff_ids.n_items;
        Digest digest = digest_of(&number, 1);

        digest_list_add(&stem->image.rootfs.diff_ids, &digest);
}

static void apply(Stem *stem, const Instruction *instruction)
{
        _cleanup_(instruction_freep) Instruction *in = NULL;
        _cleanup_strlist_ StrList args = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        ExpandEnv env = stage_scope_env(&stem->scope);
        RunScript script = { 0 };
        bool layer;

        assert_int_equal(instruction_expand(&in, instruction, &env, NULL, NULL, &err), 0);
        if (in->kind == INSTRUCTION_RUN) {
                assert_int_equal(run_script_make(&script, in, &err), 0);
                stem_run_args(stem, in, &script, &args);
        }
        layer = stem_makes_layer(stem, in);
        assert_int_equal(stem_apply(stem, in, &args, NULL, &err), 0);
        run_script_done(&script);
        if (layer)
                add_fake_layer(stem);
}

static char *evolve_all(const Stages *stages, const GlobalScope *global)
{
        _cleanup_platform_ Platform platform = { 0 };
        _cleanup_image_config_ ImageConfig base = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT), pretty = BUF_INIT(BUF_MAX_DEFAULT);
        Stem *stems = NEW_ARRAY(Stem, stages->n_items);

        assert_int_equal(platform_parse("linux/amd64", &platform, &err), 0);
        image_config_init(&base, &platform);
        for (size_t i = 0; i < stages->n_items; i++) {
                const Stage *stage = &stages->items[i];
                int from = stages_find(stages, stage->from->from.image.text, i);

                if (from >= 0)
                        stem_init_stage(&stems[i], &stems[from]);
                else
                        stem_init_image(&stems[i], &base, global, 1700000000);
                for (size_t j = 0; j < stage->n_instructions; j++)
                        apply(&stems[i], &stage->instructions[j]);
        }
        image_config_normalize_history(&stems[stages->n_items - 1].image, 0, 1700000000);
        assert_int_equal(image_config_text(&stems[stages->n_items - 1].image, &text, &err), 0);
        assert_int_equal(json_text_indent(text.data, text.size, 2, &pretty), 0);
        buf_putc(&pretty, '\n');
        for (size_t i = 0; i < stages->n_items; i++)
                stem_done(&stems[i]);
        free(stems);
        return buf_detach(&pretty);
}

static char *evolve_file(const char *path)
{
        _cleanup_(dockerfile_freep) Dockerfile *df = NULL;
        _cleanup_(stages_freep) Stages *stages = NULL;
        _cleanup_(global_scope_freep) GlobalScope *global = NULL;
        _cleanup_strlist_ StrList build_args = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        ScopeOptions options = { .build_args = &build_args, .build = { "linux", "amd64", NULL, NULL }, .target = { "linux", "amd64", NULL, NULL } };

        strlist_add(&build_args, "GIVEN=given");
        strlist_add(&build_args, "HTTP_PROXY=http://proxy.test");
        assert_int_equal(file_read(AT_FDCWD, path, &text), 0);
        if (dockerfile_parse(&df, "Dockerfile", text.data, text.size, NULL, &err) < 0 || stages_parse(&stages, df, NULL, &err) < 0)
                fail_msg("%s: %s", path, error_message(&err));
        assert_int_equal(global_scope_new(&global, stages, &options, NULL, &err), 0);
        return evolve_all(stages, global);
}

static void golden_configs(void **state)
{
        DIR *dir = opendir(GOLDEN_DIRECTORY);
        struct dirent *entry;
        size_t n = 0;

        (void)state;
        assert_non_null(dir);
        while ((entry = readdir(dir))) {
                _cleanup_free_ char *path = xasprintf("%s/%s", GOLDEN_DIRECTORY, entry->d_name), *got = NULL, *expected_path = NULL;
                _cleanup_buf_ Buf expected = BUF_INIT(BUF_MAX_DEFAULT);

                if (!str_ends(entry->d_name, ".Dockerfile"))
                        continue;
                n++;
                got = evolve_file(path);
                expected_path = str_replace(path, ".Dockerfile", ".json");
                if (getenv("GOLDEN_UPDATE"))
                        assert_int_equal(file_write_atomic(AT_FDCWD, expected_path, got, strlen(got), 0644, false), 0);
                assert_int_equal(file_read(AT_FDCWD, expected_path, &expected), 0);
                if (!streq(got, buf_str(&expected)))
                        fail_msg("%s: expected\n%s\ngot\n%s", entry->d_name, buf_str(&expected), got);
        }
        closedir(dir);
        assert_true(n >= 4);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(golden_configs) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
