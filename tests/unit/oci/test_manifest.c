/*
 * Manifests, indexes and descriptors. If these fail, a user pushes manifests that others read differently, or trusts content that was swapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/layout.h"
#include "oci/manifest.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define CONFIG "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" EMPTY "\",\"size\":0}"
#define LAYER(size) "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" EMPTY "\",\"size\":" size "}"

static void a_manifest_is_written_as_buildkit_does(void **state)
{
        static const char expected[] = "{\n  \"schemaVersion\": 2,\n  \"mediaType\": \"application/vnd.oci.image.manifest.v1+json\",\n  \"config\": {\n"
                                       "    \"mediaType\": \"application/vnd.oci.image.config.v1+json\",\n    \"digest\": \"" EMPTY
                                       "\",\n    \"size\": 0\n  },\n"
                                       "  \"layers\": [\n    {\n      \"mediaType\": \"application/vnd.oci.image.layer.v1.tar\",\n      \"digest\": \"" EMPTY
                                       "\",\n"
                                       "      \"size\": 0\n    }\n  ],\n  \"annotations\": {\n    \"a\": \"\\u003c1\\u003e\",\n    \"b\": \"2\"\n  }\n}";
        _cleanup_manifest_ Manifest manifest = { 0 }, again = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        manifest_init(&manifest, false);
        descriptor_of(&manifest.config, MEDIA_OCI_CONFIG, "", 0);
        descriptor_of(descriptor_list_add(&manifest.layers), MEDIA_OCI_LAYER, "", 0);
        string_map_set(&manifest.annotations, "b", "2");
        string_map_set(&manifest.annotations, "a", "<1>");
        assert_int_equal(manifest_text(&manifest, &text, &err), 0);
        assert_string_equal(buf_str(&text), expected);
        assert_int_equal(manifest_parse(text.data, text.size, &again, &err), 0);
        assert_int_equal(again.layers.n_items, 1);
        assert_true(manifest_is_image(&again));
}

static void hostile_manifests_are_refused(void **state)
{
        static const struct {
                const char *text;
                ErrorCode code;
        } table[] = {
                { "", ERROR_INVALID },
                { "[]", ERROR_INVALID },
                { "{}", ERROR_INVALID },
                { "null", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[],\"manifests\":[]}", ERROR_INVALID },
                { "{\"schemaVersion\":1,\"config\":" CONFIG ",\"layers\":[]}", ERROR_UNSUPPORTED },
                { "{\"schemaVersion\":1,\"fsLayers\":[]}", ERROR_UNSUPPORTED },
                { "{\"schemaVersion\":2,\"config\":" CONFIG "}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"layers\":[]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER("-1") "]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER("1.5") "]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER("\"1\"") "]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER("9223372036854775807") "]}", ERROR_LIMIT },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[" LAYER("99999999999999999999") "]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"sha256:zz\",\"size\":1}]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"../../etc\",\"size\":1}]}", ERROR_INVALID },
                { "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"config\":" CONFIG ",\"layers\":[]}", ERROR_INVALID },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                Manifest manifest = { 0 };

                if (manifest_parse(table[i].text, strlen(table[i].text), &manifest, &err) >= 0 || err.code != table[i].code)
                        fail_msg("%zu: %s: %s", i, table[i].text, error_message(&err));
        }
}

/* BuildKit writes "layers": null for an image that has none. */
static void no_layers_can_be_null(void **state)
{
        static const char text[] = "{\"schemaVersion\":2,\"config\":" CONFIG ",\"layers\":null}";
        _cleanup_error_ Error err = ERROR_INIT;
        Manifest manifest = { 0 };

        if (manifest_parse(text, strlen(text), &manifest, &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_int_equal(manifest.layers.n_items, 0);
        manifest_done(&manifest);
}

static void embedded_data_must_match(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_descriptor_ Descriptor d = { 0 };

        descriptor_of(&d, MEDIA_OCI_EMPTY, "{}", 2);
        d.data = xstrdup("e30=");
        assert_int_equal(descriptor_validate(&d, "config", &err), 0);
        assert_int_equal(descriptor_verify(&d, "config", "{]", 2, &err), -1);
        assert_int_equal(err.code, ERROR_CORRUPT);
        free(d.data);
        d.data = xstrdup("e31=");
        assert_int_equal(descriptor_validate(&d, "config", &err), -1);
}

static void an_index_gives_the_platforms_image(void **state)
{
        static const char text[] = "{\"schemaVersion\":2,\"manifests\":["
                                   "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" EMPTY
                                   "\",\"size\":1,\"platform\":{\"architecture\":\"386\",\"os\":\"linux\"}},"
                                   "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" EMPTY
                                   "\",\"size\":2,\"platform\":{\"architecture\":\"amd64\",\"os\":\"linux\"}},"
                                   "{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" EMPTY
                                   "\",\"size\":3,\"annotations\":{\"vnd.docker.reference.type\":"
                                   "\"attestation-manifest\"},\"platform\":{\"architecture\":\"unknown\",\"os\":\"unknown\"}}]}";
        _cleanup_index_ Index index = { 0 };
        _cleanup_platform_ Platform want = { 0 }, other = { 0 };
        _cleanup_error_ Error err = ERROR_INIT;
        const Descriptor *found;

        assert_int_equal(index_parse(text, strlen(text), &index, &err), 0);
        assert_int_equal(platform_parse("linux/amd64", &want, &err), 0);
        assert_int_equal(index_select(&index, &want, &found, &err), 0);
        assert_int_equal(found->size, 2);
        assert_int_equal(platform_parse("linux/s390x", &other, &err), 0);
        assert_int_equal(index_select(&index, &other, &found, &err), -1);
        assert_int_equal(err.code, ERROR_NOT_FOUND);
        assert_non_null(strstr(error_message(&err), "there are: linux/386, linux/amd64)"));
}

static void media_types_are_a_whole_table(void **state)
{
        for (int i = 1; i < _MEDIA_MAX; i++) {
                const MediaTypeInfo *info = media_type_info((MediaType)i);

                assert_int_equal(info->type, i);
                assert_int_equal(media_type_find(info->name)->type, i);
                if (info->twin != MEDIA_UNKNOWN)
                        assert_int_equal(media_type_info(info->twin)->twin, i);
        }
        assert_int_equal(media_type_find("application/vnd.oci.image.index.v1+json; charset=utf-8")->type, MEDIA_OCI_INDEX);
        assert_int_equal(media_type_find(NULL)->type, MEDIA_UNKNOWN);
}

static void archives_cannot_name_paths_outside(void **state)
{
        static const char good[] = "[{\"Config\":\"blobs/sha256/ab\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"l1/layer.tar\"]}]";
        static const char *const bad[] = { "[{\"Config\":\"../x\",\"Layers\":[]}]", "[{\"Config\":\"x\",\"Layers\":[\"/etc/passwd\"]}]", "[],\"x\":1", "{}",
                                           "[{}]" };
        _cleanup_docker_archive_ DockerArchive archive = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(BUF_MAX_DEFAULT);
        _cleanup_error_ Error err = ERROR_INIT;

        assert_int_equal(docker_archive_parse(good, strlen(good), &archive, &err), 0);
        assert_int_equal(docker_archive_text(&archive, &text, &err), 0);
        assert_string_equal(buf_str(&text), good);
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                DockerArchive refused = { 0 };

                assert_int_equal(docker_archive_parse(bad[i], strlen(bad[i]), &refused, &err), -1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_manifest_is_written_as_buildkit_does),
                cmocka_unit_test(hostile_manifests_are_refused),
                cmocka_unit_test(no_layers_can_be_null),
                cmocka_unit_test(embedded_data_must_match),
                cmocka_unit_test(an_index_gives_the_platforms_image),
                cmocka_unit_test(media_types_are_a_whole_table),
                cmocka_unit_test(archives_cannot_name_paths_outside),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
