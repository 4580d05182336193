/*
 * Image configs. If these fail, a rebuild of the same Dockerfile has another image id, or the history of a base image is rewritten.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/config.h"

#define DIFF "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

/* Every member, in the order and with the escapes of Go's encoder (checked against it). */
static const char whole[] =
        "{\"architecture\":\"arm64\",\"author\":\"me "
        "\\u003cme@x\\u003e\",\"config\":{\"User\":\"1:2\",\"ExposedPorts\":{\"443/tcp\":{},\"80/tcp\":{}},\"Env\":[\"PATH=/bin\",\"A=\\u0026\"],"
        "\"Entrypoint\":[\"/e\"],\"Cmd\":[\"a\",\"b\\n\"],\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/"
        "w\",\"Labels\":{\"a\":\"1\",\"b\":\"\\u2028\"},\"StopSignal\":\"SIGINT\",\"ArgsEscaped\":true,"
        "\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":30000000000,\"Retries\":3},\"OnBuild\":[\"RUN "
        "x\"],\"Shell\":[\"/bin/bash\",\"-c\"]},\"created\":\"2024-01-02T03:04:05.5Z\","
        "\"history\":[{\"created\":\"2024-01-01T00:00:00Z\",\"created_by\":\"ADD x / # "
        "buildkit\",\"comment\":\"buildkit.dockerfile.v0\"},{\"created\":\"2024-01-02T03:04:05.5Z\","
        "\"created_by\":\"CMD [\\\"a\\\"]\",\"empty_layer\":true}],\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIFF
        "\"]},\"variant\":\"v8\"}";

static void round_trip(const char *in, const char *out)
{
        _cleanup_image_config_ ImageConfig config = { 0 }, copy = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        if (image_config_parse(in, strlen(in), &config, &err) < 0)
                fail_msg("%s", error_message(&err));
        image_config_copy(&copy, &config);
        assert_int_equal(image_config_text(&copy, &text, &err), 0);
        assert_string_equal(buf_str(&text), out);
}

static void a_config_comes_back_byte_for_byte(void **state)
{
        round_trip(whole, whole);
}

static void the_bases_history_and_unknown_members_are_kept(void **state)
{
        round_trip(
                "{ \"rootfs\" : {\"type\":\"layers\",\"diff_ids\":[]}, \"zz\": {\"x\": 1.0}, \"os\":\"linux\",\"architecture\":\"amd64\", \"container\":\"c\","
                "\"config\":{\"Hostname\":\"h\",\"Volumes\":null,\"Future\":[1, 2],\"Cmd\":null},\"history\":[ {\"empty_layer\":true, "
                "\"created\":\"0001-01-01T00:00:00Z\", \"odd\":1e2} ]}",
                "{\"architecture\":\"amd64\",\"config\":{\"Future\":[1,2]},\"history\":[{\"empty_layer\":true,\"created\":\"0001-01-01T00:00:00Z\",\"odd\":1e2}"
                "],"
                "\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"zz\":{\"x\":1.0}}");
}

static void bad_configs_are_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "[]",
                "{}",
                "{\"os\":\"linux\",\"architecture\":\"\",\"rootfs\":{\"type\":\"layers\"}}",
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"other\",\"diff_ids\":[]}}",
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]},\"history\":[{}]}",
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"x\"]}}",
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\"},\"config\":{\"Env\":[1]}}",
                "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\"},\"created\":\"yesterday\"}",
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                ImageConfig config = { 0 };

                if (image_config_parse(bad[i], strlen(bad[i]), &config, &err) >= 0)
                        fail_msg("accepted: %s", bad[i]);
        }
}

static void history_dates_are_filled_and_clamped(void **state)
{
        _cleanup_image_config_ ImageConfig config = { 0 };
        _cleanup_platform_ Platform host = { 0 };
        Timestamp base = 1000 * NSEC_PER_SEC, step = 5000 * NSEC_PER_SEC;

        platform_host(&host);
        image_config_init(&config, &host);
        image_config_add_history(&config, &base, "base", NULL, false);
        image_config_add_history(&config, NULL, "ENV", NULL, true);
        image_config_add_history(&config, &step, "RUN", NULL, false);
        image_config_normalize_history(&config, 1, -1);
        assert_true(config.history.items[1].created.time == step);
        assert_true(config.created.time == step);
        image_config_normalize_history(&config, 1, 10);
        assert_true(config.history.items[0].created.time == base);
        assert_true(config.history.items[2].created.time == 10 * NSEC_PER_SEC);
        assert_true(config.created.time == 10 * NSEC_PER_SEC);
}

/* The example of image-spec config.md, by its rule. */
static void chain_ids_are_the_specs(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        Digest ids[2], chain, expected = digest_of(DIFF " " DIFF, 2 * strlen(DIFF) + 1);

        assert_int_equal(digest_parse(DIFF, &ids[0], &err), 0);
        ids[1] = ids[0];
        chain = chain_id(ids, 1);
        assert_true(digest_equal(&chain, &ids[0]));
        chain = chain_id(ids, 2);
        assert_true(digest_equal(&chain, &expected));
        chain = chain_id(ids, 0);
        assert_false(digest_is_set(&chain));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_config_comes_back_byte_for_byte), cmocka_unit_test(the_bases_history_and_unknown_members_are_kept),
                cmocka_unit_test(bad_configs_are_refused),           cmocka_unit_test(history_dates_are_filled_and_clamped),
                cmocka_unit_test(chain_ids_are_the_specs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
