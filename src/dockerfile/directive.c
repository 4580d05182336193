#include "dockerfile/directive.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/diagnose.h"
#include "dockerfile/text.h"

static bool is_space(char c)
{
        return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

bool directive_match(const char *line, size_t size, const char *prefix, const char **ret_name, const char **ret_value, size_t *ret_size)
{
        static const char *const names[] = { "syntax", "check", "escape" };
        const char *p = line, *end = line + size, *name, *name_end, *value;

        if (size < strlen(prefix) || memcmp(line, prefix, strlen(prefix)) != 0)
                return false;
        p += strlen(prefix);
        text_trim_left(&p, end);
        for (name = p; p < end && (rune_is_letter((unsigned char)*p & 0x7f) || (p > name && rune_is_digit((unsigned char)*p & 0x7f))) && !(*p & 0x80); p++)
                ;
        name_end = p;
        while (p < end && is_space(*p))
                p++;
        if (name_end == name || p == end || *p != '=')
                return false;
        for (p++; p < end && is_space(*p); p++)
                ;
        value = p;
        if (value == end) {
                if (!is_space(end[-1]))
                        return false;
                value = end - 1; /* nothing but white space: the last of it is the value */
        } else {
                while (is_space(end[-1]))
                        end--;
        }
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (strlen(names[i]) != (size_t)(name_end - name) || strncasecmp(names[i], name, strlen(names[i])) != 0)
                        continue;
                *ret_name = names[i];
                *ret_value = value;
                *ret_size = (size_t)(end - value);
                return true;
        }
        return false;
}

bool directive_next(const char *text, size_t size, const char *prefix, size_t *at, unsigned *line, const char **ret_name, const char **ret_value,
                    size_t *ret_size)
{
        const char *start, *newline, *end;

        if (*at == 0) {
                if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
                        *at = 3;
                if (size - *at >= 2 && memcmp(text + *at, "#!", 2) == 0) {
                        newline = memchr(text + *at, '\n', size - *at);
                        *at = newline ? (size_t)(newline + 1 - text) : size;
                        *line = 1;
                }
        }
        if (*at >= size)
                return false;
        start = text + *at;
        newline = memchr(start, '\n', size - *at);
        end = newline ? newline : text + size;
        *at = (size_t)(end - text) + (newline != NULL);
        *line += 1;
        if (end > start && end[-1] == '\r')
                end--;
        return directive_match(start, (size_t)(end - start), prefix, ret_name, ret_value, ret_size);
}

/* The frontends that mica is itself. */
static bool is_builtin(const char *ref)
{
        static const char *const repositories[] = { "docker/dockerfile", "docker/dockerfile-upstream" };
        static const char *const hosts[] = { "docker.io/", "index.docker.io/", "registry-1.docker.io/" };
        const char *rest;

        for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
                if ((rest = str_after(ref, hosts[i])) != NULL) {
                        ref = rest;
                        break;
                }
        for (size_t i = 0; i < ARRAY_LEN(repositories); i++)
                if ((rest = str_after(ref, repositories[i])) != NULL && (*rest == '\0' || *rest == ':' || *rest == '@'))
                        return true;
        return false;
}

static int check_frontend(const char *filename, const char *value, size_t size, unsigned line, Diagnosis *diag, Error *err)
{
        const char *space = memchr(value, ' ', size);
        _cleanup_free_ char *ref = xstrndup(value, space ? (size_t)(space - value) : size);
        _cleanup_free_ char *shown = NULL;

        if (is_builtin(ref))
                return 0;
        shown = str_printable(ref, strlen(ref));
        return diagnosis_set(diag, err, ERROR_UNSUPPORTED, filename, (SourcePos){ line, 1 }, (SourceRange){ line, line },
                             "frontend '%s' is not available: only docker/dockerfile is built in; remove the syntax line or use docker/dockerfile:1", shown);
}

/* {"syntax": "…"}: a file for some other frontend in JSON form. Only the plain spelling of the key is looked for. */
static bool find_json_syntax(const char *text, size_t size, const char **ret_value, size_t *ret_size)
{
        const char *end = text + size, *key, *p = text, *close;

        text_trim_left(&p, end);
        if (p == end || *p != '{')
                return false;
        key = memmem(p, (size_t)(end - p), "\"syntax\"", 8);
        if (!key)
                return false;
        p = key + 8;
        text_trim_left(&p, end);
        if (p == end || *p != ':')
                return false;
        p++;
        text_trim_left(&p, end);
        if (p == end || *p != '"')
                return false;
        close = memchr(p + 1, '"', (size_t)(end - p - 1));
        if (!close)
                return false;
        *ret_value = p + 1;
        *ret_size = (size_t)(close - p - 1);
        return true;
}

int dockerfile_check_syntax(const char *filename, const void *text, size_t size, Diagnosis *diag, Error *err)
{
        static const char *const prefixes[] = { "#", "//" };
        const char *name, *value;
        size_t n_value;

        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
                size_t at = 0;
                unsigned line = 0;

                while (directive_next(text, size, prefixes[i], &at, &line, &name, &value, &n_value))
                        if (streq(name, "syntax"))
                                return check_frontend(filename, value, n_value, line, diag, err);
        }
        if (find_json_syntax(text, size, &value, &n_value))
                return check_frontend(filename, value, n_value, 1, diag, err);
        return 0;
}
