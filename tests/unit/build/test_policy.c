/* Source policies: a rule that is read in another way than BuildKit reads it lets something in that somebody forbade, or pins the wrong thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "build/policy.h"

#define IMAGE "docker-image://docker.io/library/"
#define SHA "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

/* One rule: action, selector, match type, updates. */
#define RULE(action, identifier, type, more) "{\"action\":\"" action "\",\"selector\":{\"identifier\":\"" identifier "\",\"match_type\":\"" type "\"}" more "}"
#define TO(identifier) ",\"updates\":{\"identifier\":\"" identifier "\"}"

typedef struct Case {
        const char *rules, *identifier, *attrs;
        const char *expected; /* identifier and attributes afterwards; "deny"; "error" (evaluating) */
} Case;

static const Case cases[] = {
        /* Without a rule that matches everything is allowed. */
        { "", IMAGE "alpine:3.20", NULL, IMAGE "alpine:3.20" },
        { RULE("DENY", IMAGE "alpine:*", "WILDCARD", ""), IMAGE "busybox:1", NULL, IMAGE "busybox:1" },
        { RULE("DENY", IMAGE "alpine:*", "WILDCARD", ""), IMAGE "alpine:3.20", NULL, "deny" },
        { RULE("DENY", "*", "WILDCARD", ""), "https://example.com/x", NULL, "deny" },
        { RULE("DENY", IMAGE "alpine", "WILDCARD", ""), IMAGE "alpine:3.20", NULL, IMAGE "alpine:3.20" },
        { RULE("DENY", IMAGE "alp.ne:3", "WILDCARD", ""), IMAGE "alpine:3", NULL, IMAGE "alpine:3" },
        { RULE("DENY", IMAGE "alpine:*", "EXACT", ""), IMAGE "alpine:3.20", NULL, IMAGE "alpine:3.20" },
        { RULE("DENY", IMAGE "alpine:*", "EXACT", ""), IMAGE "alpine:*", NULL, "deny" },
        { RULE("DENY", "alpine", "REGEX", ""), IMAGE "alpine:3.20", NULL, "deny" },
        { RULE("DENY", "^docker-image://docker\\\\.io/library/alpine:\\\\d+$", "REGEX", ""), IMAGE "alpine:3", NULL, "deny" },
        { RULE("DENY", "^docker-image://docker\\\\.io/library/alpine:\\\\d+$", "REGEX", ""), IMAGE "alpine:3.20", NULL, IMAGE "alpine:3.20" },
        { RULE("DENY", "[\\\\w.]+:edge$", "REGEX", ""), IMAGE "alpine:edge", NULL, "deny" },
        /* The last rule counts. */
        { RULE("DENY", "*", "WILDCARD", "") "," RULE("ALLOW", IMAGE "*", "WILDCARD", ""), IMAGE "alpine:3", NULL, IMAGE "alpine:3" },
        { RULE("ALLOW", IMAGE "*", "WILDCARD", "") "," RULE("DENY", "*", "WILDCARD", ""), IMAGE "alpine:3", NULL, "deny" },
        /* Numbers are names too, and WILDCARD is what is meant when nothing is said. */
        { "{\"action\":1,\"selector\":{\"identifier\":\"*\"}}", IMAGE "alpine:3", NULL, "deny" },
        { "{\"selector\":{\"identifier\":\"*\"}}", IMAGE "alpine:3", NULL, IMAGE "alpine:3" },
        { "{\"action\":\"DENY\",\"selector\":{\"identifier\":\"" IMAGE "alpine:3\",\"matchType\":\"EXACT\"}}", IMAGE "alpine:3", NULL, "deny" },
        /* Converting. */
        { RULE("CONVERT", IMAGE "alpine:3", "EXACT", TO(IMAGE "alpine:3@" SHA)), IMAGE "alpine:3", NULL, IMAGE "alpine:3@" SHA },
        { RULE("CONVERT", IMAGE "golang:*", "WILDCARD", TO(IMAGE "go:${1}-alpine")) "," RULE("DENY", IMAGE "golang:*", "WILDCARD", ""), IMAGE "golang:1.19",
          NULL, IMAGE "go:1.19-alpine" },
        { RULE("CONVERT", "*/a/*", "WILDCARD", TO("https://$2/$1")), "x/a/b", NULL, "https://b/x" },
        { RULE("CONVERT", "docker.io/library/([a-z]+):(.*)", "REGEX", TO("mirror.example/$1:v$2")), IMAGE "alpine:3", NULL,
          "docker-image://mirror.example/alpine:v3" },
        { RULE("CONVERT", "docker.io", "REGEX", TO("price$$")), IMAGE "alpine:3", NULL, "docker-image://price$/library/alpine:3" },
        { RULE("CONVERT", "https://example.com/x", "EXACT", ",\"updates\":{\"attrs\":{\"http.checksum\":\"" SHA "\"}}"), "https://example.com/x", NULL,
          "https://example.com/x http.checksum=" SHA },
        { RULE("CONVERT", "https://*", "WILDCARD", ",\"updates\":{\"attrs\":{\"a\":\"b\"}}"), "https://example.com/x", NULL, "https://example.com/x a=b" },
        /* What it became is asked about again; something that never settles is an error. */
        { RULE("CONVERT", "a", "EXACT", TO("b")) "," RULE("DENY", "b", "EXACT", ""), "a", NULL, "deny" },
        { RULE("CONVERT", "a", "EXACT", TO("b")) "," RULE("CONVERT", "b", "EXACT", TO("a")), "a", NULL, "error" },
        { RULE("CONVERT", "a*", "WILDCARD", TO("aa${1}")), "a", NULL, "error" },
        { RULE("CONVERT", "a", "EXACT", TO("a")), "a", NULL, "a" },
        /* Constraints. */
        { "{\"action\":\"DENY\",\"selector\":{\"identifier\":\"*\",\"constraints\":[{\"key\":\"k\",\"value\":\"v\",\"condition\":\"EQUAL\"}]}}", "x", "k=v",
          "deny" },
        { "{\"action\":\"DENY\",\"selector\":{\"identifier\":\"*\",\"constraints\":[{\"key\":\"k\",\"value\":\"v\",\"condition\":\"EQUAL\"}]}}", "x", NULL,
          "x" },
        { "{\"action\":\"DENY\",\"selector\":{\"identifier\":\"*\",\"constraints\":[{\"key\":\"k\",\"value\":\"v\",\"condition\":\"NOTEQUAL\"}]}}", "x", NULL,
          "deny" },
        { "{\"action\":\"DENY\",\"selector\":{\"identifier\":\"*\",\"constraints\":[{\"key\":\"k\",\"value\":\"^v+$\",\"condition\":\"MATCHES\"}]}}", "x",
          "k=vv", "deny k=vv" },
};

static void test_evaluate(void **state)
{
        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_free_ char *text = xasprintf("{\"version\":1,\"rules\":[%s]}", cases[i].rules), *got = NULL;
                _cleanup_policy_source_ PolicySource source = { .identifier = xstrdup(cases[i].identifier) };
                _cleanup_(policy_freep) Policy *policy = NULL;
                _cleanup_error_ Error err = ERROR_INIT;
                int r;

                if (cases[i].attrs)
                        strlist_add(&source.attrs, cases[i].attrs);
                if (policy_parse(text, strlen(text), &policy, &err) < 0)
                        fail_msg("%s: %s", text, error_message(&err));
                r = policy_evaluate(policy, &source, &err);
                if (r < 0) {
                        got = xstrdup(err.code == ERROR_DENIED ? "deny" : "error");
                        if (err.code == ERROR_DENIED)
                                assert_non_null(strstr(error_message(&err), "denied by policy"));
                } else {
                        got = source.attrs.n_items ? xasprintf("%s %s", source.identifier, source.attrs.items[0]) : xstrdup(source.identifier);
                        assert_int_equal(r, !streq(source.identifier, cases[i].identifier) || (source.attrs.n_items && !cases[i].attrs));
                }
                if (!str_starts(cases[i].expected, got))
                        fail_msg("case %zu, %s: %s, expected %s", i, text, got, cases[i].expected);
        }
}

/* What is only understood in part would protect nothing. */
static void test_refused(void **state)
{
        static const struct {
                const char *text, *word;
        } bad[] = {
                { "", "source policy" },
                { "[]", "source policy" },
                { "{\"version\":2,\"rules\":[]}", "version 2" },
                { "{\"rules\":[],\"rulez\":[]}", "rulez" },
                { "{\"rules\":[{\"action\":\"FORBID\",\"selector\":{\"identifier\":\"x\"}}]}", "FORBID" },
                { "{\"rules\":[{\"action\":\"DENY\"}]}", "selector" },
                { "{\"rules\":[{\"action\":\"DENY\",\"selector\":{\"identifier\":\"x\",\"match_type\":\"GLOB\"}}]}", "GLOB" },
                { "{\"rules\":[{\"action\":\"DENY\",\"selector\":{\"identifier\":\"x\",\"ident\":\"y\"}}]}", "ident" },
                { "{\"rules\":[{\"action\":\"DENY\",\"selector\":{\"identifier\":\"a**\"}}]}", "\"**\"" },
                { "{\"rules\":[{\"action\":\"CONVERT\",\"selector\":{\"identifier\":\"x\"}}]}", "missing destination" },
                { "{\"rules\":[" RULE("DENY", "(?i)x", "REGEX", "") "]}", "(?" },
                { "{\"rules\":[" RULE("DENY", "x+?", "REGEX", "") "]}", "lazy" },
                { "{\"rules\":[" RULE("DENY", "x(", "REGEX", "") "]}", "regular expression" },
                { "{\"rules\":[" RULE("DENY", "\\\\pL", "REGEX", "") "]}", "escape" },
        };

        (void)state;
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                _cleanup_(policy_freep) Policy *policy = NULL;
                _cleanup_error_ Error err = ERROR_INIT;

                assert_int_equal(policy_parse(bad[i].text, strlen(bad[i].text), &policy, &err), -1);
                if (!strstr(error_message(&err), bad[i].word))
                        fail_msg("%s: %s", bad[i].text, error_message(&err));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_evaluate), cmocka_unit_test(test_refused) };

        return cmocka_run_group_tests_name("build/policy", tests, NULL, NULL);
}
