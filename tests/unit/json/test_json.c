/*
 * JSON in and out. If these fail, a hostile document is read in two ways or exhausts memory, or digests differ from what other tools compute.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "json/dispatch.h"

static void hostile_text_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                " ",
                "{",
                "}",
                "[1,]",
                "{\"a\":1,}",
                "{\"a\":1,\"a\":2}",
                "{\"a\":{\"b\":1,\"b\":1}}",
                "[1] x",
                "nul",
                "01",
                "+1",
                "1.",
                ".5",
                "1e999",
                "9223372036854775808",
                "-9223372036854775809",
                "\"\\x\"",
                "\"\t\"",
                "\"\\u0000\"",
                "\"\\ud800\"",
                "\"\\udc00\\ud800\"",
                "\"\xff\"",
                "\"\xc0\x80\"",
                "\"\xed\xa0\x80\"",
                "\"\xf4\x90\x80\x80\"",
                "\"abc",
                "NaN",
                "Infinity",
                "'a'",
                "{a:1}",
                "/* */1",
                "\xef\xbb\xbf{}",
                "[1 2]",
                "{\"a\" 1}",
        };

        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                JsonValue *value = NULL;

                if (json_value_parse(bad[i], strlen(bad[i]), NULL, &value, &err) >= 0)
                        fail_msg("accepted: %s", bad[i]);
                assert_int_equal(err.code, ERROR_INVALID);
        }
}

static void limits_hold(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        JsonValue *value = NULL;
        JsonLimits small = { .size = 10, .depth = 2 };
        _cleanup_free_ char *deep = xcalloc(1, 200001), *many = xcalloc(1, 700001);

        memset(deep, '[', 200000);
        assert_int_equal(json_value_parse(deep, 200000, NULL, &value, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        many[0] = '[';
        for (size_t i = 1; i < 700000; i += 3)
                memcpy(many + i, "[],", 3);
        assert_int_equal(json_value_parse(many, 700000, NULL, &value, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_int_equal(json_value_parse("[[[]]]", 6, &small, &value, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_int_equal(json_value_parse("[          ]", 12, &small, &value, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_int_equal(json_value_parse("[[1]]", 5, &small, &value, &err), 0);
        json_value_unref(value);
}

static void numbers_and_strings_are_gos(void **state)
{
        static const struct {
                double number;
                const char *text;
        } doubles[] = {
                { 0, "0" },
                { 1, "1" },
                { -1.5, "-1.5" },
                { 1e20, "100000000000000000000" },
                { 1e21, "1e+21" },
                { 1e-6, "0.000001" },
                { 1e-7, "1e-7" },
                { 0.1, "0.1" },
                { 1.0 / 3, "0.3333333333333333" },
                { 5e-324, "5e-324" },
                { 1.7976931348623157e308, "1.7976931348623157e+308" },
                { 123456789.125, "123456789.125" },
        };
        static const char *const strings[][2] = {
                { "a\"\\/", "\"a\\\"\\\\/\"" },
                { "\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"" },
                { "<&>", "\"\\u003c\\u0026\\u003e\"" },
                { "\xe2\x80\xa8\xe2\x80\xa9", "\"\\u2028\\u2029\"" },
                { "\xff\xc3\xa9\xed\xa0\x80", "\"\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd\"" },
                { "", "\"\"" },
        };
        _cleanup_buf_ Buf out = BUF_INIT(1000);
        JsonWriter writer;

        for (size_t i = 0; i < ARRAY_LEN(doubles); i++) {
                buf_reset(&out);
                json_writer_init(&writer, &out, 0);
                json_writer_double(&writer, doubles[i].number);
                assert_string_equal(buf_str(&out), doubles[i].text);
        }
        for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
                buf_reset(&out);
                assert_int_equal(json_text_quote(strings[i][0], strlen(strings[i][0]), 0, &out), 0);
                assert_string_equal(buf_str(&out), strings[i][1]);
        }
        buf_reset(&out);
        json_writer_init(&writer, &out, 0);
        json_writer_uint(&writer, UINT64_MAX);
        assert_string_equal(buf_str(&out), "18446744073709551615");
}

static void a_tree_is_written_sorted_and_indented(void **state)
{
        _cleanup_json_ JsonValue *object = json_value_new_object(), *copy = NULL;
        _cleanup_free_ char *sorted = NULL, *pretty = NULL;
        JsonValue *list = json_value_new_array();

        json_value_set_string(object, "b", "<\xff>");
        json_value_set_int(object, "a", INT64_MIN);
        json_value_append(list, json_value_new_object());
        json_value_append(list, json_value_new_null());
        json_value_append(list, json_value_new_bool(true));
        json_value_set(object, "Z", list);
        copy = json_value_copy(object);
        sorted = json_value_text(copy, JSON_WRITE_SORTED);
        assert_string_equal(sorted, "{\"Z\":[{},null,true],\"a\":-9223372036854775808,\"b\":\"\\u003c\xef\xbf\xbd\\u003e\"}");
        pretty = json_value_text(copy, JSON_WRITE_INDENT_4 | JSON_WRITE_NO_HTML);
        assert_string_equal(
                pretty,
                "{\n    \"b\": \"<\xef\xbf\xbd>\",\n    \"a\": -9223372036854775808,\n    \"Z\": [\n        {},\n        null,\n        true\n    ]\n}");
}

static void messages_name_the_path(void **state)
{
        static const char text[] = "{\"config\":{\"Env\":[\"a\",\"b\",3]},\"n\":null}";
        _cleanup_json_ JsonValue *root = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        const char *s = NULL;

        assert_int_equal(json_value_parse(text, strlen(text), NULL, &root, &err), 0);
        assert_int_equal(json_value_find_string(root, "config.Env[1]", true, &s, &err), 0);
        assert_string_equal(s, "b");
        assert_int_equal(json_value_find_string(root, "config.Env[2]", true, &s, &err), -1);
        assert_string_equal(error_message(&err), "'config.Env[2]' must be a string, not an integer");
        assert_int_equal(json_value_find_string(root, "n", false, &s, &err), 0);
        assert_int_equal(json_value_find_string(root, "n", true, &s, &err), -1);
        assert_string_equal(error_message(&err), "'n' is missing");
}

typedef struct Item {
        char *text;
        char *name;
} Item;

typedef struct Thing {
        char *name;
        bool on;
        uint64_t big;
        int64_t *maybe;
        StrList list, set;
        StringMap map, unknown;
        JSON_ITEMS(Item) items;
        char *raw;
} Thing;

static const JsonField item_fields[] = { { "name", JSON_FIELD_STRING, offsetof(Item, name), JSON_MANDATORY }, JSON_FIELD_END };
static const JsonField thing_fields[] = {
        { "name", JSON_FIELD_STRING, offsetof(Thing, name), JSON_MANDATORY },
        { "on", JSON_FIELD_BOOL, offsetof(Thing, on), JSON_OMIT_EMPTY },
        { "big", JSON_FIELD_UINT, offsetof(Thing, big), 0 },
        { "maybe", JSON_FIELD_INT_PTR, offsetof(Thing, maybe), JSON_OMIT_EMPTY },
        { "list", JSON_FIELD_STRINGS, offsetof(Thing, list), 0 },
        { "set", JSON_FIELD_SET, offsetof(Thing, set), JSON_OMIT_EMPTY },
        { "map", JSON_FIELD_STRING_MAP, offsetof(Thing, map), JSON_OMIT_EMPTY },
        { "items", JSON_FIELD_OBJECTS, offsetof(Thing, items), JSON_KEEP_TEXT | JSON_OMIT_EMPTY, item_fields, sizeof(Item) },
        { "raw", JSON_FIELD_RAW, offsetof(Thing, raw), JSON_OMIT_EMPTY },
        { "ballast", .flags = JSON_IGNORE },
        { "", JSON_FIELD_UNKNOWN, offsetof(Thing, unknown), 0 },
        JSON_FIELD_END,
};

static void a_table_reads_copies_and_writes(void **state)
{
        static const char in[] = "\n{ \"x\" : [ 1.0 ],\"items\":[ {\"name\" : \"\\u0041\", \"n\": 1e1 } , "
                                 "{\"name\":\"b\"}],\"map\":{\"b\":\"2\",\"a\":\"1\"},\"set\":{\"q\":{},\"p\":{}},"
                                 "\"raw\" : { \"k\" : [ ] } ,\"maybe\":0,\"name\":\"t\",\"on\":false,\"ballast\":[{}],\"list\":null}";
        static const char out[] = "{\"name\":\"t\",\"big\":0,\"maybe\":0,\"list\":[],\"set\":{\"p\":{},\"q\":{}},\"map\":{\"a\":\"1\",\"b\":\"2\"},"
                                  "\"items\":[{\"name\":\"\\u0041\",\"n\":1e1},{\"name\":\"b\"}],\"raw\":{\"k\":[]},\"x\":[1.0]}";
        Thing thing = { 0 }, copy = { 0 };
        _cleanup_buf_ Buf text = BUF_INIT(10000);
        _cleanup_error_ Error err = ERROR_INIT;

        if (json_object_read(in, strlen(in), NULL, thing_fields, &thing, sizeof(thing), &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_string_equal(thing.items.items[0].name, "A");
        json_object_copy(thing_fields, &thing, &copy);
        json_object_done(thing_fields, &thing);
        assert_int_equal(json_object_text(thing_fields, &copy, 0, &text, &err), 0);
        assert_string_equal(buf_str(&text), out);
        json_object_done(thing_fields, &copy);
}

static void a_table_refuses_with_the_path(void **state)
{
        static const char *const table[][2] = {
                { "{}", "'name' is missing or empty" },
                { "{\"name\":\"\"}", "'name' is missing or empty" },
                { "{\"name\":\"a\",\"items\":[{\"name\":\"x\"},{}]}", "'items[1].name' is missing or empty" },
                { "{\"name\":\"a\",\"list\":[\"x\",{}]}", "'list[1]' must be a string, not an object" },
                { "{\"name\":\"a\",\"map\":{\"k\\u001b\":1}}", "'map.k\\x1b' must be a string, not an integer" },
                { "{\"name\":\"a\",\"big\":-1}", "'big' must be zero or more, not an integer" },
                { "{\"name\":\"a\",\"on\":\"yes\"}", "'on' must be a boolean, not a string" },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                Thing thing = { 0 };

                assert_int_equal(json_object_read(table[i][0], strlen(table[i][0]), NULL, thing_fields, &thing, sizeof(thing), &err), -1);
                assert_string_equal(error_message(&err), table[i][1]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(hostile_text_is_refused),       cmocka_unit_test(limits_hold),
                cmocka_unit_test(numbers_and_strings_are_gos),   cmocka_unit_test(a_tree_is_written_sorted_and_indented),
                cmocka_unit_test(messages_name_the_path),        cmocka_unit_test(a_table_reads_copies_and_writes),
                cmocka_unit_test(a_table_refuses_with_the_path),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
