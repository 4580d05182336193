/*
 * Image references. Each grammar rule is one scan_*() that returns where the rule ends, or NULL when it does not match.
 */
#include "oci/reference.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "oci/limits.h"

static bool is_lower_or_digit(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
        return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c)
{
        return is_alnum(c) || c == '_';
}

static bool is_hex(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* [a-z0-9]+ { ("." | "_" | "__" | "-"+) [a-z0-9]+ } */
static const char *scan_component(const char *p)
{
        for (;;) {
                const char *separator;

                if (!is_lower_or_digit(*p))
                        return NULL;
                while (is_lower_or_digit(*p))
                        p++;
                separator = p;
                if (*p == '.')
                        p++;
                else if (*p == '_')
                        p += p[1] == '_' ? 2 : 1;
                else
                        while (*p == '-')
                                p++;
                if (p == separator)
                        return p;
        }
}

static const char *scan_path(const char *p)
{
        for (;;) {
                p = scan_component(p);
                if (!p || *p != '/')
                        return p;
                p++;
        }
}

static const char *scan_tag(const char *p)
{
        size_t n = 0;

        if (!is_word(*p))
                return NULL;
        while (is_word(p[n]) || (n > 0 && (p[n] == '.' || p[n] == '-')))
                n++;
        return n <= OCI_TAG_MAX ? p + n : NULL;
}

/* Letters, digits and inner dashes. */
static const char *scan_label(const char *p)
{
        if (!is_alnum(*p))
                return NULL;
        while (is_alnum(*p) || *p == '-')
                p++;
        return p[-1] == '-' ? NULL : p;
}

static const char *scan_domain(const char *p)
{
        if (*p == '[') {
                size_t n = 1;

                while (is_hex(p[n]) || p[n] == ':')
                        n++;
                if (n == 1 || p[n] != ']')
                        return NULL;
                p += n + 1;
        } else {
                while ((p = scan_label(p)) && *p == '.')
                        p++;
                if (!p)
                        return NULL;
        }
        if (*p == ':' && isdigit((unsigned char)p[1]))
                for (p++; isdigit((unsigned char)*p);)
                        p++;
        return p;
}

static bool whole(const char *end)
{
        return end && *end == '\0';
}

static bool is_identifier(const char *s)
{
        return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

const char *reference_id_prefix(const char *s)
{
        const char *rest = str_after(s, "sha256:");
        const char *hex = rest ? rest : s;
        size_t n = strlen(hex);

        return n >= 1 && n <= 64 && strspn(hex, "0123456789abcdef") == n ? hex : NULL;
}

void reference_done(Reference *reference)
{
        free(reference->domain);
        free(reference->path);
        free(reference->tag);
        *reference = (Reference){ 0 };
}

static bool has_upper(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (s[i] >= 'A' && s[i] <= 'Z')
                        return true;
        return false;
}

/* Takes the domain off the front as docker does; the rest is new in *ret_rest. */
static void split_domain(const char *s, char **ret_domain, char **ret_rest)
{
        const char *slash = strchr(s, '/');
        size_t n = slash ? (size_t)(slash - s) : 0;
        _cleanup_free_ char *first = xstrndup(s, n);
        const char *rest = s;

        *ret_domain = NULL;
        if (slash && (streq(first, "index.docker.io") || streq(first, REFERENCE_DEFAULT_DOMAIN))) {
                rest = slash + 1;
        } else if (slash && (streq(first, "localhost") || strpbrk(first, ".:") || has_upper(first, n))) {
                *ret_domain = TAKE_PTR(first);
                *ret_rest = xstrdup(slash + 1);
                return;
        }
        *ret_domain = xstrdup(REFERENCE_DEFAULT_DOMAIN);
        *ret_rest = strchr(rest, '/') ? xstrdup(rest) : xasprintf("library/%s", rest);
}

static int invalid(const char *s, Error *err)
{
        _cleanup_free_ char *shown = str_printable(s, MIN(strlen(s), (size_t)200));

        return error_set(err, ERROR_INVALID, "invalid reference format: '%s'", shown);
}

/* path [":" tag] ["@" digest] */
static int parse_rest(const char *s, const char *rest, Reference *out, Error *err)
{
        const char *p = scan_path(rest), *end;

        if (!p)
                return invalid(s, err);
        out->path = xstrndup(rest, (size_t)(p - rest));
        if (*p == ':') {
                end = scan_tag(p + 1);
                if (!end)
                        return invalid(s, err);
                out->tag = xstrndup(p + 1, (size_t)(end - p - 1));
                p = end;
        }
        if (*p == '@') {
                if (digest_parse(p + 1, &out->digest, err) < 0)
                        return error_wrap(err, "invalid reference format");
                return 0;
        }
        return *p ? invalid(s, err) : 0;
}

int reference_parse(const char *s, Reference *ret, Error *err)
{
        _cleanup_reference_ Reference out = { 0 };
        _cleanup_free_ char *rest = NULL;
        size_t n_path;

        if (is_identifier(s))
                return error_set(err, ERROR_INVALID, "invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s);
        if (strlen(s) > 1024)
                return error_set(err, ERROR_INVALID, "invalid reference format: %zu characters are too many", strlen(s));
        split_domain(s, &out.domain, &rest);
        n_path = strcspn(rest, ":");
        if (has_upper(rest, n_path)) {
                _cleanup_free_ char *shown = str_printable(rest, MIN(n_path, (size_t)200));

                return error_set(err, ERROR_INVALID, "invalid reference format: repository name (%s) must be lowercase", shown);
        }
        if (!whole(scan_domain(out.domain)))
                return invalid(s, err);
        if (parse_rest(s, rest, &out, err) < 0)
                return -1;
        if (strlen(out.path) > OCI_REFERENCE_NAME_MAX)
                return error_set(err, ERROR_INVALID, "repository name must not be more than %d characters", OCI_REFERENCE_NAME_MAX);
        *ret = out;
        out = (Reference){ 0 };
        return 0;
}

int reference_parse_tagged(const char *s, Reference *ret, Error *err)
{
        if (reference_parse(s, ret, err) < 0)
                return -1;
        if (!ret->tag && !digest_is_set(&ret->digest))
                ret->tag = xstrdup(REFERENCE_DEFAULT_TAG);
        return 0;
}

int reference_parse_target(const char *s, Reference *ret, Error *err)
{
        _cleanup_reference_ Reference out = { 0 };

        if (reference_parse_tagged(s, &out, err) < 0)
                return error_wrap(err, "invalid tag '%s'", s);
        if (digest_is_set(&out.digest))
                return error_set(err, ERROR_INVALID, "refusing to create a tag with a digest reference: '%s'", s);
        *ret = out;
        out = (Reference){ 0 };
        return 0;
}

static char *with_tag(const char *name, const Reference *reference)
{
        char digest[DIGEST_TEXT_SIZE] = "";

        if (digest_is_set(&reference->digest))
                digest_format(&reference->digest, digest);
        return xasprintf("%s%s%s%s%s", name, reference->tag ? ":" : "", reference->tag ? reference->tag : "", *digest ? "@" : "", digest);
}

char *reference_name(const Reference *reference)
{
        return xasprintf("%s/%s", reference->domain, reference->path);
}

char *reference_text(const Reference *reference)
{
        _cleanup_free_ char *name = reference_name(reference);

        return with_tag(name, reference);
}

char *reference_familiar_name(const Reference *reference)
{
        const char *official = str_after(reference->path, "library/");

        size_t n_first = strcspn(reference->path, "/");

        if (!streq(reference->domain, REFERENCE_DEFAULT_DOMAIN))
                return reference_name(reference);
        /* "docker.io/a.b/c" without its domain would be c at the registry a.b. */
        if (reference->path[n_first] && (memchr(reference->path, '.', n_first) || str_starts(reference->path, "localhost/")))
                return reference_name(reference);
        return xstrdup(official && !strchr(official, '/') ? official : reference->path);
}

char *reference_familiar(const Reference *reference)
{
        _cleanup_free_ char *name = reference_familiar_name(reference);

        return with_tag(name, reference);
}

bool reference_equal(const Reference *a, const Reference *b)
{
        return streq(a->domain, b->domain) && streq(a->path, b->path) && streq_ptr(a->tag, b->tag) && digest_equal(&a->digest, &b->digest);
}
