/* --format: scripts written for docker must get the same text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "format/table.h"
#include "format/template.h"

static const char document[] =
        "{\"Name\":\"web\",\"Tags\":[\"a\",\"b\",\"c\"],\"Config\":{\"Env\":[\"A=1\",\"B=2\"],\"Labels\":{\"x.y\":\"z\",\"b\":\"2\"},\"Cmd\":null,"
        "\"Html\":\"<a&b>\"},\"Size\":1234,\"Ok\":true,\"Empty\":\"\",\"Half\":0.5}";

typedef struct Case {
        const char *format, *output;
} Case;

static const Case good[] = {
        { "plain", "plain" },
        { "{{.Name}}", "web" },
        { "<{{ .Config.Env }}>", "<[A=1 B=2]>" },
        { "{{.Config.Labels}}", "map[b:2 x.y:z]" },
        { "{{json .Tags}}", "[\"a\",\"b\",\"c\"]" },
        { "{{json .Config.Html}}", "\"<a&b>\"" },
        { "{{.Tags | json}}", "[\"a\",\"b\",\"c\"]" },
        { "{{index .Tags 1}}", "b" },
        { "{{index .Config.Labels \"x.y\"}}|{{index .Config.Labels \"no\"}}", "z|" },
        { "{{range .Tags}}({{.}}){{end}}", "(a)(b)(c)" },
        { "{{range $i, $v := .Tags}}{{if $i}},{{end}}{{$i}}={{$v}}{{end}}", "0=a,1=b,2=c" },
        { "{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}} {{end}}", "b:2 x.y:z " },
        { "{{range .Config.Cmd}}x{{else}}none{{end}}", "none" },
        { "{{range .Tags}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a" },
        { "{{range .Tags}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac" },
        { "{{if .Empty}}yes{{else if .Ok}}ok{{else}}no{{end}}", "ok" },
        { "{{if and .Ok (gt .Size 1000)}}big{{end}}", "big" },
        { "{{if or .Empty .Missing}}x{{else}}y{{end}}", "y" },
        { "{{if not .Empty}}y{{end}}", "y" },
        { "{{with .Config}}{{.Html}}{{$.Name}}{{end}}", "<a&b>web" },
        { "{{with .Config.Cmd}}x{{else}}none{{end}}", "none" },
        { "{{$x := .Name}}{{$x}}{{$x = \"new\"}}{{$x}}", "webnew" },
        { "a  {{- .Name -}}  b", "awebb" },
        { "{{/* note */}}x", "x" },
        { "{{len .Tags}} {{len .Name}}", "3 3" },
        { "{{join .Tags \"/\"}} {{(split \"x:y\" \":\")}}", "a/b/c [x y]" },
        { "{{upper .Name}} {{lower \"ABC\"}} {{title .Name}}", "WEB abc Web" },
        { "{{printf \"%s-%d-%5s|%-5s|%q %v %.1f\" .Name .Size \"a\" \"b\" \"q\" .Ok .Half}}", "web-1234-    a|b    |\"q\" true 0.5" },
        { "{{println .Name}}", "web\n" },
        { "{{pad .Name 1 2}}|{{truncate .Name 2}}|{{slice .Name 1 2}}|{{slice .Tags 1}}", " web  |we|e|[b c]" },
        { "{{eq .Name \"x\" \"web\"}} {{ne .Size 3}} {{lt 1 2}} {{ge 1 2}}", "true true true false" },
        { "{{`raw \\n`}}{{\"\\t\\u00e9\"}}", "raw \\n\t\xc3\xa9" },
        { "{{(index .Config.Env 0)}}", "A=1" },
        { "{{.Config.Cmd}}", "<nil>" },
        { "{{range $i := 3}}{{$i}}{{end}}", "012" },
};

static const Case bad[] = {
        { "{{.Name", "template parsing error: template: :1: unclosed action" },
        { "{{nope}}", "template parsing error: template: :1: function \"nope\" not defined" },
        { "{{if .Name}}x", "template parsing error: template: :1: unexpected EOF" },
        { "{{end}}", "template parsing error: template: :1: unexpected {{end}}" },
        { "{{.Nope}}", "template parsing error: template: :1: executing \"\": at <.Nope>: map has no entry for key \"Nope\"" },
        { "{{.Name.X}}", "template parsing error: template: :1: executing \"\": at <.X>: can't evaluate field X in a string" },
        { "{{index .Tags 9}}", "template parsing error: template: :1: executing \"\": at <index>: error calling index: index out of range: 9" },
        { "{{\"open}}", "template parsing error: template: :1: unterminated quoted string" },
        { "{{define \"x\"}}{{end}}", "template parsing error: template: :1: {{define}} is not supported in a format" },
        { "{{$no}}", "template parsing error: template: :1: executing \"\": undefined variable \"$no\"" },
        { "{{}}", "template parsing error: template: :1: missing value for command" },
};

static int run(const char *format, Buf *out, Error *err)
{
        _cleanup_json_ JsonValue *value = NULL;
        _cleanup_(template_freep) Template *template = NULL;
        TemplateData data = { 0 };

        assert_int_equal(json_value_parse(document, strlen(document), NULL, &value, err), 0);
        data.root = value;
        return template_parse(format, &template, err) < 0 || template_execute(template, &data, out, err) < 0 ? -1 : 0;
}

static void templates_print_what_go_prints(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(good); i++) {
                _cleanup_buf_ Buf out = BUF_INIT(MIB);
                _cleanup_error_ Error err = ERROR_INIT;

                if (run(good[i].format, &out, &err) < 0)
                        fail_msg("%s: %s", good[i].format, error_message(&err));
                assert_string_equal(buf_str(&out), good[i].output);
        }
}

static void mistakes_are_named(void **state)
{
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_buf_ Buf out = BUF_INIT(MIB);
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(run(bad[i].format, &out, &err), -1);
                assert_string_equal(error_message(&err), bad[i].output);
        }
}

static void deep_nesting_is_refused(void **state)
{
        _cleanup_buf_ Buf text = BUF_INIT(MIB), out = BUF_INIT(MIB);
        _cleanup_error_ Error err = ERROR_INIT;

        buf_puts(&text, "{{");
        for (int i = 0; i < 10000; i++)
                buf_puts(&text, "(");
        assert_int_equal(run(buf_str(&text), &out, &err), -1);
}

static void columns_are_aligned_as_docker_aligns_them(void **state)
{
        _cleanup_buf_ Buf out = BUF_INIT(MIB);

        table_align("REPOSITORY\tTAG\tIMAGE ID\nbusybox\tlatest\tabc\nlonger-than-that\t1\td\n", TABLE_MIN_WIDTH, &out);
        assert_string_equal(buf_str(&out), "REPOSITORY         TAG       IMAGE ID\n"
                                           "busybox            latest    abc\n"
                                           "longer-than-that   1         d\n");
}

static const ListColumn columns[] = { { "ID", "IMAGE ID" }, { "Repository", "REPOSITORY" }, { NULL, NULL } };

static char *print_list(const char *format, const char *quiet)
{
        _cleanup_(list_freep) List *list = NULL;
        _cleanup_error_ Error err = ERROR_INIT;
        JsonValue *row = json_value_new_object();
        char *text = NULL;
        size_t size = 0;
        FILE *to = open_memstream(&text, &size);

        json_value_set_string(row, "Repository", "<none>");
        json_value_set_string(row, "ID", "1234");
        assert_int_equal(list_new(format, "{{.ID}}\t{{.Repository}}", quiet, columns, &list, &err), 0);
        assert_int_equal(list_add(list, row, NULL, &err), 0);
        assert_int_equal(list_print(list, to, &err), 0);
        fclose(to);
        return text;
}

static void lists_follow_the_format(void **state)
{
        static const struct {
                const char *format, *quiet, *output;
        } cases[] = {
                { NULL, NULL, "IMAGE ID   REPOSITORY\n1234       <none>\n" },
                { NULL, "ID", "1234\n" },
                { "table", NULL, "IMAGE ID   REPOSITORY\n1234       <none>\n" },
                { "table {{.Repository}}\\t{{.ID}}", NULL, "REPOSITORY   IMAGE ID\n<none>       1234\n" },
                { "table {{upper .ID}}", NULL, "IMAGE ID\n1234\n" },
                { "json", NULL, "{\"ID\":\"1234\",\"Repository\":\"\\u003cnone\\u003e\"}\n" },
                { "{{json .ID}}", NULL, "\"1234\"\n" },
                { "{{.ID}}: {{.Repository}}", NULL, "1234: <none>\n" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_free_ char *text = print_list(cases[i].format, cases[i].quiet);

                assert_string_equal(text, cases[i].output);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(templates_print_what_go_prints), cmocka_unit_test(mistakes_are_named),
                cmocka_unit_test(deep_nesting_is_refused),        cmocka_unit_test(columns_are_aligned_as_docker_aligns_them),
                cmocka_unit_test(lists_follow_the_format),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
