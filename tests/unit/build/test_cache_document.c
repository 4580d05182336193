/* The config of an exported cache: what is written is read again, and nothing that does not fit together gets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "build/cache_document.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define PLAIN "application/vnd.oci.image.layer.v1.tar"
#define LAYER(blob, diff_id, type) "{\"blob\":\"" blob "\",\"parent\":-1,\"annotations\":{\"mediaType\":\"" type "\",\"diffID\":\"" diff_id "\",\"size\":3}}"
#define RECORD(key, layer) "{\"layers\":[{\"createdAt\":\"2024-01-31T12:00:00Z\",\"layer\":" layer "}],\"digest\":\"" key "\"}"
#define DOCUMENT(layers, records, mounts) "{\"version\":1,\"layers\":[" layers "],\"records\":[" records "],\"mounts\":[" mounts "]}"
#define MOUNT(id, layer, mode) "{\"id\":\"" id "\",\"layer\":" layer ",\"mode\":" mode "}"

static void test_round_trip(void **state)
{
        static const char text[] = "{\"version\":1,\"layers\":[" LAYER(A, A, PLAIN) "," LAYER(
                A, B, PLAIN "+zstd") "],\"records\":["
                                     "{\"layers\":[{\"createdAt\":\"2024-01-31T12:00:00Z\",\"layer\":1}],\"digest\":\"" A
                                     "\",\"inputs\":[[{\"link\":1}]],\"description\":\"RUN \\u003cx\",\"kind\":\"regular\"},"
                                     "{\"layers\":[{\"layer\":0}],\"digest\":\"" B "\",\"source\":\"" A "\"}],"
                                     "\"mounts\":[{\"id\":\"b\\nprivate 0\",\"layer\":0,\"mode\":493,\"uid\":5,\"stamp\":\"" B "\"}]}";
        _cleanup_buf_ Buf out = BUF_INIT(MIB);
        CacheDocument document;
        Error err = ERROR_INIT;
        Codec codec;

        if (cache_document_parse(text, strlen(text), &document, &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_int_equal(document.records.items[0].inputs.n_items, 1);
        assert_int_equal(cache_layer_codec(&document.layers.items[1], &codec), 0);
        assert_int_equal(codec, CODEC_ZSTD);
        assert_int_equal(cache_document_text(&document, &out, &err), 0);
        assert_string_equal(buf_str(&out), text);
        cache_document_done(&document);
}

static void test_refused(void **state)
{
        static const struct {
                const char *text, *says;
        } cases[] = {
                { "", "" },
                { "[]", "object" },
                { "{\"version\":2,\"layers\":[],\"records\":[]}", "version 2" },
                { "{\"layers\":[],\"records\":[]}", "'version' is missing" },
                { DOCUMENT(LAYER(A, A, "application/vnd.oci.image.config.v1+json"), "", ""), "no layer" },
                { DOCUMENT(LAYER(A, B, PLAIN), "", ""), "differ" },
                { DOCUMENT(LAYER("sha256:..", A, PLAIN), "", ""), "blob" },
                { DOCUMENT(LAYER(A, A, PLAIN), RECORD(A, "1"), ""), "one layer" },
                { DOCUMENT(LAYER(A, A, PLAIN), RECORD(A, "-1"), ""), "one layer" },
                { DOCUMENT(LAYER(A, A, PLAIN), RECORD(A, "0") "," RECORD(A, "0"), ""), "twice" },
                { DOCUMENT(LAYER(A, A, PLAIN), "{\"layers\":[],\"digest\":\"" A "\"}", ""), "one layer" },
                { DOCUMENT(LAYER(A, A, PLAIN), "{\"layers\":[{\"layer\":0}],\"digest\":\"" A "\",\"inputs\":[[{\"link\":7}]]}", ""), "no record" },
                { DOCUMENT(LAYER(A, A, PLAIN), "{\"layers\":[{\"layer\":0}],\"digest\":\"" A "\",\"inputs\":[[{\"link\":\"7\"}]]}", ""), "number of a record" },
                { DOCUMENT(LAYER(A, A, PLAIN), "", MOUNT("x", "9", "0")), "no layer" },
                { DOCUMENT(LAYER(A, A, PLAIN), "", MOUNT("x", "0", "100000")), "mode or owner" },
                { DOCUMENT(LAYER(A, A, PLAIN), "", MOUNT("x", "0", "0") "," MOUNT("x", "0", "0")), "twice" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                CacheDocument document = { 0 };
                Error err = ERROR_INIT;

                if (cache_document_parse(cases[i].text, strlen(cases[i].text), &document, &err) == 0)
                        fail_msg("case %zu was taken", i);
                if (!strstr(error_message(&err), cases[i].says))
                        fail_msg("case %zu: %s", i, error_message(&err));
                error_done(&err);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
