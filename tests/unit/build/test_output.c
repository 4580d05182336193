/* --output, --annotation and --attest as they are written: what each attribute means, and that nothing that is not understood is let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/str.h"
#include "build/output.h"

static void parse(const char *text, BuildOutput *ret)
{
        _cleanup_error_ Error err = ERROR_INIT;

        if (build_output_parse(text, ret, &err) < 0)
                fail_msg("'%s': %s", text, error_message(&err));
}

static void test_short_forms(void **state)
{
        static const struct {
                const char *text;
                BuildOutputType type;
                const char *dest;
        } cases[] = { { ".", BUILD_OUTPUT_LOCAL, "." },
                      { "out", BUILD_OUTPUT_LOCAL, "out" },
                      { "/a b", BUILD_OUTPUT_LOCAL, "/a b" },
                      { "-", BUILD_OUTPUT_TAR, "-" },
                      { "type=tar,dest=-", BUILD_OUTPUT_TAR, "-" },
                      { "type=docker", BUILD_OUTPUT_DOCKER, NULL },
                      { "type=image", BUILD_OUTPUT_IMAGE, NULL },
                      { "type=cacheonly", BUILD_OUTPUT_CACHE_ONLY, NULL } };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                BuildOutput output;

                parse(cases[i].text, &output);
                assert_int_equal(output.type, cases[i].type);
                if (cases[i].dest)
                        assert_string_equal(output.dest, cases[i].dest);
                else
                        assert_null(output.dest);
                assert_int_equal(build_output_to_stdout(&output), cases[i].dest && streq(cases[i].dest, "-"));
                assert_int_equal(output.level, -1);
                assert_int_equal(output.epoch, -1);
                build_output_done(&output);
        }
}

/* Fields are those of a line of CSV: quotes keep commas, doubled ones are quotes. */
static void test_quoting(void **state)
{
        BuildOutput output;

        (void)state;
        parse("type=local,\"dest=a,b\"", &output);
        assert_string_equal(output.dest, "a,b");
        build_output_done(&output);
        parse("\"dest=say \"\"x\"\"\",type=oci", &output);
        assert_string_equal(output.dest, "say \"x\"");
        build_output_done(&output);
        parse("type=image,\"name=a,b:1,localhost:5000/c\"", &output);
        assert_int_equal(output.names.n_items, 3);
        assert_string_equal(output.names.items[0], "docker.io/library/a:latest");
        assert_string_equal(output.names.items[2], "localhost:5000/c:latest");
        build_output_done(&output);
}

static void test_attributes(void **state)
{
        BuildOutput output;

        (void)state;
        parse("type=image,unpack=true,store=false,dangling-name-prefix=tmp,name-canonical=,danging-name-empty-only=true,oci-mediatypes=true,oci-artifact=false",
              &output);
        assert_true(output.unpack && output.no_store && output.name_canonical && output.dangling_empty_only && output.no_oci_artifact);
        assert_false(output.docker_types);
        assert_string_equal(output.dangling_prefix, "tmp");
        build_output_done(&output);
        parse("type=oci,dest=x,tar=false,compression=zstd,compression-level=22,force-compression=true,rewrite-timestamp=true,source-date-epoch=12", &output);
        assert_true(output.no_tar && output.has_compression && output.force_compression && output.rewrite_timestamp);
        assert_int_equal(output.compression, CODEC_ZSTD);
        assert_int_equal(output.level, 22);
        assert_int_equal(output.epoch, 12);
        build_output_done(&output);
        parse("type=local,dest=x,mode=DELETE,platform-split=false,attestation-prefix=p-", &output);
        assert_true(output.mirror);
        assert_int_equal(output.platform_split, 0);
        assert_string_equal(output.attestation_prefix, "p-");
        build_output_done(&output);
}

static void test_annotations(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        BuildAnnotations all = { 0 };
        BuildOutput output;

        (void)state;
        parse("type=oci,dest=x,annotation.org.Case=v=1,annotation-index.a=b,annotation-manifest-descriptor[linux/aarch64].c=d", &output);
        assert_int_equal(output.annotations.n_items, 3);
        assert_string_equal(output.annotations.items[0].key, "org.Case");
        assert_string_equal(output.annotations.items[0].value, "v=1");
        assert_int_equal(output.annotations.items[1].place, ANNOTATION_INDEX);
        assert_string_equal(output.annotations.items[2].platform, "linux/arm64");
        build_output_done(&output);
        assert_int_equal(build_annotation_parse("index,manifest[linux/386]:a.b=c:d", &all, &err), 0);
        assert_int_equal(all.n_items, 2);
        assert_string_equal(all.items[1].platform, "linux/386");
        assert_string_equal(all.items[1].key, "a.b");
        assert_string_equal(all.items[1].value, "c:d");
        build_annotations_done(&all);
}

typedef struct Refusal {
        const char *text, *says;
        ErrorCode code;
} Refusal;

static void test_refused(void **state)
{
        static const Refusal cases[] = {
                { "", "write a directory", ERROR_INVALID },
                { "dest=x", "type is required", ERROR_INVALID },
                { "type=ocy,dest=x", "unknown output type 'ocy'; known are image, oci, docker, tar, local, cacheonly", ERROR_INVALID },
                { "type=registry", "no registry client", ERROR_UNSUPPORTED },
                { "type=image,push=true", "cannot push", ERROR_UNSUPPORTED },
                { "type=image,push-by-digest=", "cannot push by digest", ERROR_UNSUPPORTED },
                { "type=image,push=perhaps", "non-bool value 'perhaps' specified for push", ERROR_INVALID },
                { "type=oci", "needs a destination", ERROR_INVALID },
                { "type=tar", "needs a destination", ERROR_INVALID },
                { "type=local", "needs a directory", ERROR_INVALID },
                { "type=local,dest=-", "needs a directory", ERROR_INVALID },
                { "type=oci,dest=-,tar=false", "tar=false needs a directory", ERROR_INVALID },
                { "type=image,dest=x", "unknown attribute 'dest' for type=image", ERROR_INVALID },
                { "type=local,dest=x,compression=gzip", "unknown attribute 'compression' for type=local", ERROR_INVALID },
                { "type=local,dest=x,annotation.a=b", "unknown attribute 'annotation.a'", ERROR_INVALID },
                { "type=cacheonly,dest=x", "known are: none", ERROR_INVALID },
                { "type=image,colour=red", "unknown attribute 'colour'", ERROR_INVALID },
                { "type=image,unpack", "must be a key=value pair", ERROR_INVALID },
                { "type=image,unpack=maybe", "non-bool value 'maybe' specified for unpack", ERROR_INVALID },
                { "type=oci,dest=x,compression=xz", "unsupported compression type 'xz'", ERROR_INVALID },
                { "type=oci,dest=x,compression-level=ten", "must be a number", ERROR_INVALID },
                { "type=oci,dest=x,compression-level=10", "too high for gzip", ERROR_INVALID },
                { "type=oci,dest=x,compression-level=23,compression=zstd", "must be a number", ERROR_INVALID },
                { "type=oci,dest=x,compression=zstd,oci-mediatypes=false", "conflicts with 'oci-mediatypes=false'", ERROR_INVALID },
                { "type=oci,dest=x,annotation.a=b,oci-mediatypes=false", "cannot export annotations", ERROR_INVALID },
                { "type=image,rewrite-timestamp=true,unpack=true", "conflicts with 'unpack'", ERROR_INVALID },
                { "type=oci,dest=x,source-date-epoch=-1", "not a number of seconds", ERROR_INVALID },
                { "type=local,dest=x,mode=move", "known are copy and delete", ERROR_INVALID },
                { "type=image,name=UPPER", "invalid name 'UPPER'", ERROR_INVALID },
                { "type=image,annotation.=b", "invalid annotation key", ERROR_INVALID },
                { "type=image,annotation-page.a=b", "unknown annotation type 'page'", ERROR_INVALID },
                { "type=image,annotation-index[linux.a=b", "invalid annotation", ERROR_INVALID },
                { "type=local,\"dest=x", "quot", ERROR_INVALID },
                { "type=local,dest=\"x\"", "quot", ERROR_INVALID },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                BuildOutput output;

                if (build_output_parse(cases[i].text, &output, &err) == 0)
                        fail_msg("'%s' is taken", cases[i].text);
                if (!strstr(error_message(&err), cases[i].says) || err.code != cases[i].code)
                        fail_msg("'%s': %s", cases[i].text, error_message(&err));
        }
}

static void test_attestations(void **state)
{
        static const Refusal cases[] = { { "mode=max", "attestation type not specified", ERROR_INVALID },
                                         { "type=vex", "known are provenance and sbom", ERROR_INVALID },
                                         { "type=provenance,generator=x", "unknown attribute 'generator'", ERROR_INVALID },
                                         { "type=provenance,mode", "key=value", ERROR_INVALID },
                                         { "type=sbom,a.b=c", "unknown attribute 'a.b'", ERROR_INVALID } };
        _cleanup_error_ Error err = ERROR_INIT;
        BuildProvenance provenance = { 0 };
        BuildSbom sbom = { 0 };

        (void)state;
        assert_int_equal(build_attest_parse("type=provenance,mode=min,version=v0.2", &provenance, &sbom, &err), 0);
        assert_true(provenance.enabled && provenance.min && provenance.v02 && !sbom.enabled);
        assert_int_equal(build_attest_parse("type=provenance,disabled=true", &provenance, &sbom, &err), 0);
        assert_int_equal(build_attest_parse("type=sbom,generator=a/b:1,\"file=x,y\",DEPTH=2", &provenance, &sbom, &err), 0);
        assert_true(!provenance.enabled && sbom.enabled);
        assert_string_equal(sbom.generator, "a/b:1");
        assert_string_equal(sbom.files.items[0], "x,y");
        assert_string_equal(sbom.params.items[0], "DEPTH=2");
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                assert_int_equal(build_attest_parse(cases[i].text, &provenance, &sbom, &err), -1);
                assert_non_null(strstr(error_message(&err), cases[i].says));
                error_done(&err);
        }
        build_provenance_done(&provenance);
        build_sbom_done(&sbom);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_short_forms), cmocka_unit_test(test_quoting), cmocka_unit_test(test_attributes),
                                            cmocka_unit_test(test_annotations), cmocka_unit_test(test_refused), cmocka_unit_test(test_attestations) };

        return cmocka_run_group_tests_name("build/output", tests, NULL, NULL);
}
