#include "dockerfile/git_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

void git_url_done(GitUrl *url)
{
        free(url->remote);
        free(url->host);
        free(url->path);
        free(url->user);
        free(url->ref);
        free(url->sub_dir);
        free(url->checksum);
        *url = (GitUrl){ 0 };
}

bool git_is_commit(const char *text)
{
        size_t n = strspn(text, "0123456789abcdef");

        return !text[n] && (n == 40 || n == 64);
}

/* --- the pieces of a URL --- */

static int hex_value(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* %XX, and '+' as a space in a query. NULL when an escape is none, or hides a NUL. New string. */
static char *decode(const char *text, size_t size, bool query)
{
        char *out = xmalloc(size + 1);
        size_t n = 0;

        for (size_t i = 0; i < size; i++) {
                if (text[i] == '%') {
                        int high = i + 2 < size ? hex_value(text[i + 1]) : -1, low = high >= 0 ? hex_value(text[i + 2]) : -1;

                        if (low < 0 || !(high << 4 | low)) {
                                free(out);
                                return NULL;
                        }
                        out[n++] = (char)(high << 4 | low);
                        i += 2;
                } else {
                        out[n++] = query && text[i] == '+' ? ' ' : text[i];
                }
        }
        out[n] = '\0';
        return out;
}

/* "/a/../b//c" -> "b/c": ".." stops at the top. NULL for the top itself. New string. */
static char *clean_dir(const char *path)
{
        _cleanup_strlist_ StrList parts = { 0 }, kept = { 0 };

        strlist_split(&parts, path, '/');
        for (size_t i = 0; i < parts.n_items; i++) {
                if (streq(parts.items[i], "..")) {
                        if (kept.n_items)
                                strlist_remove(&kept, kept.n_items - 1);
                } else if (*parts.items[i] && !streq(parts.items[i], ".")) {
                        strlist_add(&kept, parts.items[i]);
                }
        }
        return kept.n_items ? strlist_join(&kept, "/") : NULL;
}

/* A URL cut at its first '#' and the first '?' before that. */
typedef struct Cut {
        size_t size; /* of what is before both */
        const char *query, *fragment;
        size_t query_size;
} Cut;

static Cut cut_url(const char *text)
{
        const char *hash = strchr(text, '#'), *end = hash ? hash : text + strlen(text);
        const char *mark = memchr(text, '?', (size_t)(end - text));

        return (Cut){ .size = (size_t)((mark ? mark : end) - text),
                      .query = mark ? mark + 1 : NULL,
                      .query_size = mark ? (size_t)(end - mark - 1) : 0,
                      .fragment = hash ? hash + 1 : NULL };
}

static bool has_control(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return true;
        return false;
}

static bool host_is_valid(const char *host)
{
        size_t n;
        const char *port;

        if (*host == '[') {
                n = strspn(host + 1, "0123456789abcdefABCDEF:.%");
                if (host[n + 1] != ']')
                        return false;
                port = host + n + 2;
        } else {
                n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
                port = host + n;
        }
        if (!n || *host == '-')
                return false;
        return !*port || (*port == ':' && !port[1 + strspn(port + 1, "0123456789")]);
}

/* --- the two forms: scheme://…, and user@host:path --- */

static const char *const schemes[] = { "http", "https", "ssh", "git" };

/* 1, or 0 when it is none. *ret_fragment is decoded. */
static int parse_url(const char *text, size_t scheme_size, GitUrl *url, char **ret_fragment)
{
        _cleanup_free_ char *written = xstrndup(text, scheme_size), *scheme = str_lower(written), *authority = NULL, *path = NULL, *at_host = NULL;
        const char *rest = text + scheme_size + 3, *slash, *at;
        Cut cut = cut_url(rest);
        bool known = false, http;

        for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
                known |= streq(schemes[i], scheme);
        if (!known)
                return 0;
        http = str_starts(scheme, "http");
        slash = memchr(rest, '/', cut.size);
        authority = xstrndup(rest, slash ? (size_t)(slash - rest) : cut.size);
        path = slash ? xstrndup(slash, cut.size - (size_t)(slash - rest)) : xstrdup("");
        at = strrchr(authority, '@');
        at_host = xstrdup(at ? at + 1 : authority);
        if (!host_is_valid(at_host) || has_control(text) || strchr(authority, ' ') || (http && !str_ends(path, ".git")))
                return 0;
        if (cut.fragment) {
                *ret_fragment = decode(cut.fragment, strlen(cut.fragment), false);
                if (!*ret_fragment)
                        return 0;
        }
        url->ssh = streq(scheme, "ssh");
        url->host = TAKE_PTR(at_host);
        url->user = at ? xstrndup(authority, (size_t)(at - authority)) : NULL;
        url->path = TAKE_PTR(path);
        url->remote = xasprintf("%s://%s%s", scheme, authority, url->path);
        return 1;
}

static bool is_name(const char *text, size_t size, char extra)
{
        for (size_t i = 0; i < size; i++)
                if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != extra)
                        return false;
        return size > 0;
}

static int parse_scp(const char *text, GitUrl *url, char **ret_fragment)
{
        const char *at = strchr(text, '@'), *colon = at ? strchr(at, ':') : NULL;
        Cut cut;

        if (!colon || !is_name(text, (size_t)(at - text), '_') || !is_name(at + 1, (size_t)(colon - at - 1), '.') || has_control(text))
                return 0;
        /* The path ends at the first '?' or '#', whichever comes first. */
        cut = cut_url(colon + 1);
        url->ssh = true;
        url->user = xstrndup(text, (size_t)(at - text));
        url->host = xstrndup(at + 1, (size_t)(colon - at - 1));
        url->path = xstrndup(colon + 1, cut.size);
        url->remote = xasprintf("%s@%s:%s", url->user, url->host, url->path);
        *ret_fragment = xstrdup_or_null(cut.fragment);
        return 1;
}

/* --- what is asked for --- */

static int set_ref(GitUrl *url, const char *ref, Error *err)
{
        if (url->ref && !streq(url->ref, ref))
                return error_set(err, ERROR_INVALID, "ref conflicts: \"%s\" vs \"%s\"", url->ref, ref);
        free(url->ref);
        url->ref = xstrdup(ref);
        return 0;
}

/* A name without a value is true. */
static int parse_bool(const char *name, const char *value, bool *ret, Error *err)
{
        if (!*value)
                *ret = true;
        else if (str_to_bool(value, ret) < 0)
                return error_set(err, ERROR_INVALID, "invalid %s value: \"%s\"", name, value);
        return 0;
}

typedef struct Asked {
        char *tag, *branch, *sub_dir;
        unsigned seen; /* bit per row of the table */
} Asked;

typedef enum Key { KEY_REF, KEY_TAG, KEY_BRANCH, KEY_SUBDIR, KEY_CHECKSUM, KEY_COMMIT, KEY_KEEP_GIT_DIR, KEY_SUBMODULES, KEY_MTIME, KEY_FETCH_BY_COMMIT } Key;

static const struct {
        const char *name;
        bool bare; /* may stand without a value */
} keys[] = {
        [KEY_REF] = { "ref" },
        [KEY_TAG] = { "tag" },
        [KEY_BRANCH] = { "branch" },
        [KEY_SUBDIR] = { "subdir" },
        [KEY_CHECKSUM] = { "checksum" },
        [KEY_COMMIT] = { "commit" },
        [KEY_KEEP_GIT_DIR] = { "keep-git-dir", true },
        [KEY_SUBMODULES] = { "submodules", true },
        [KEY_MTIME] = { "mtime" },
        [KEY_FETCH_BY_COMMIT] = { "fetch-by-commit", true },
};

static int take_value(GitUrl *url, Asked *asked, Key key, const char *value, Error *err)
{
        bool on = false;

        switch (key) {
        case KEY_REF:
                return set_ref(url, value, err);
        case KEY_TAG:
                asked->tag = str_starts(value, "refs/tags/") ? xstrdup(value) : xasprintf("refs/tags/%s", value);
                return 0;
        case KEY_BRANCH:
                asked->branch = str_starts(value, "refs/heads/") ? xstrdup(value) : xasprintf("refs/heads/%s", value);
                return 0;
        case KEY_SUBDIR:
                asked->sub_dir = xstrdup(value);
                return 0;
        case KEY_CHECKSUM:
        case KEY_COMMIT:
                if (url->checksum && !streq(url->checksum, value))
                        return error_set(err, ERROR_INVALID, "checksum conflicts: \"%s\" vs \"%s\"", url->checksum, value);
                if (value[strspn(value, "0123456789abcdefABCDEF")])
                        return error_set(err, ERROR_INVALID, "invalid checksum %s for Git URL, expected hex commit hash", value);
                free(url->checksum);
                url->checksum = str_lower(value);
                return 0;
        case KEY_KEEP_GIT_DIR:
        case KEY_SUBMODULES:
        case KEY_FETCH_BY_COMMIT:
                if (parse_bool(keys[key].name, value, &on, err) < 0)
                        return -1;
                if (key == KEY_FETCH_BY_COMMIT)
                        url->fetch_by_commit = on;
                else
                        *(key == KEY_SUBMODULES ? &url->submodules : &url->keep_git_dir) = on ? TRISTATE_TRUE : TRISTATE_FALSE;
                return 0;
        case KEY_MTIME:
                if (!streq(value, "checkout") && !streq(value, "commit"))
                        return error_set(err, ERROR_INVALID, "invalid mtime value: \"%s\" (must be \"checkout\" or \"commit\")", value);
                url->mtime_checkout = streq(value, "checkout");
                return 0;
        }
        return 0;
}

static int take_pair(GitUrl *url, Asked *asked, const char *pair, Error *err)
{
        const char *equals = strchr(pair, '=');
        _cleanup_free_ char *name = decode(pair, equals ? (size_t)(equals - pair) : strlen(pair), true);
        _cleanup_free_ char *value = equals ? decode(equals + 1, strlen(equals + 1), true) : xstrdup("");

        if (!name || !value)
                return error_set(err, ERROR_INVALID, "invalid query \"%s\": a '%%' that is no escape", pair);
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
                if (!streq(keys[i].name, name))
                        continue;
                if (asked->seen & 1U << i)
                        return error_set(err, ERROR_INVALID, "query \"%s\" has multiple values", name);
                asked->seen |= 1U << i;
                if (!*value && !keys[i].bare)
                        return error_set(err, ERROR_INVALID, "query \"%s\" has no value", name);
                return take_value(url, asked, (Key)i, value, err);
        }
        return error_set(err, ERROR_INVALID, "unexpected query \"%s\"", name);
}

/* What git-check-ref-format(1) forbids, and what git would read as an option. */
static int check_ref(const char *ref, Error *err)
{
        _cleanup_free_ char *shown = NULL;

        if (*ref != '-' && !strstr(ref, "..") && !strstr(ref, "@{") && !ref[strcspn(ref, " ~^:?*[\\")] && !has_control(ref))
                return 0;
        shown = str_printable(ref, strlen(ref));
        return error_set(err, ERROR_INVALID, "invalid git ref \"%s\"", shown);
}

/* Of the fragment and of the query; the two may not disagree. */
static int settle(GitUrl *url, const Asked *asked, Error *err)
{
        if (asked->tag && asked->branch)
                return error_set(err, ERROR_INVALID, "branch conflicts with tag");
        if (asked->tag && set_ref(url, asked->tag, err) < 0)
                return -1;
        if (asked->branch && set_ref(url, asked->branch, err) < 0)
                return -1;
        if (asked->sub_dir) {
                char *clean = clean_dir(asked->sub_dir);

                if (url->sub_dir && !streq_ptr(url->sub_dir, clean)) {
                        error_set(err, ERROR_INVALID, "subdir conflicts: \"%s\" vs \"%s\"", url->sub_dir, asked->sub_dir);
                        free(clean);
                        return -1;
                }
                free(url->sub_dir);
                url->sub_dir = clean;
        }
        if (url->user && *url->user == '-')
                return error_set(err, ERROR_INVALID, "invalid user \"%s\" in a git URL", url->user);
        if (*url->host == '-')
                return error_set(err, ERROR_INVALID, "invalid host \"%s\" in a git URL", url->host);
        if (*url->path == '-')
                return error_set(err, ERROR_INVALID, "invalid path \"%s\" in a git URL", url->path);
        return url->ref ? check_ref(url->ref, err) : 0;
}

static int take_rest(GitUrl *url, const char *text, const char *fragment, Error *err)
{
        Cut cut = cut_url(text);
        _cleanup_free_ char *query = xstrndup(cut.query ? cut.query : "", cut.query_size);
        _cleanup_strlist_ StrList pairs = { 0 };
        Asked asked = { 0 };
        int r = 0;

        if (!str_empty(fragment)) {
                const char *colon = strchr(fragment, ':');

                if (colon != fragment)
                        url->ref = colon ? xstrndup(fragment, (size_t)(colon - fragment)) : xstrdup(fragment);
                url->sub_dir = colon ? clean_dir(colon + 1) : NULL;
        }
        strlist_split(&pairs, query, '&');
        for (size_t i = 0; i < pairs.n_items && r == 0; i++)
                if (*pairs.items[i])
                        r = take_pair(url, &asked, pairs.items[i], err);
        if (r == 0)
                r = settle(url, &asked, err);
        free(asked.tag);
        free(asked.branch);
        free(asked.sub_dir);
        return r;
}

static size_t scheme_size(const char *text)
{
        size_t n = 0;

        while (isalnum((unsigned char)text[n]))
                n++;
        return n && str_starts(text + n, "://") ? n : 0;
}

int git_url_parse(const char *text, GitUrl *ret, Error *err)
{
        _cleanup_git_url_ GitUrl url = { 0 };
        _cleanup_free_ char *fragment = NULL, *full = NULL;
        size_t scheme = scheme_size(text);

        if (scheme) {
                if (!parse_url(text, scheme, &url, &fragment))
                        return 0;
        } else if (str_starts(text, "github.com/")) {
                /* Without ".git" too: only here is every path a repository. */
                full = xasprintf("git://%s", text);
                if (!parse_url(full, strlen("git"), &url, &fragment))
                        return 0;
                free(url.remote);
                url.remote = xasprintf("https://%s%s", url.host, url.path);
                url.implicit = true;
        } else if (!parse_scp(text, &url, &fragment)) {
                return 0;
        }
        if (take_rest(&url, text, fragment, err) < 0)
                return -1;
        *ret = url;
        url = (GitUrl){ 0 };
        return 1;
}

char *git_url_shown(const GitUrl *url)
{
        const char *rest = strstr(url->remote, "://");

        /* In user@host:path and ssh:// the user is part of the name, and there is no password in it. */
        if (!rest || !url->user || (url->ssh && !strchr(url->user, ':')))
                return xstrdup(url->remote);
        return xasprintf("%.*s://%s%s", (int)(rest - url->remote), url->remote, url->host, url->path);
}

char *git_url_identifier(const GitUrl *url)
{
        _cleanup_free_ char *path = clean_dir(url->path);
        Buf out = BUF_INIT(BUF_MAX_DEFAULT);

        buf_putf(&out, "git://%s/%s", url->host, path ? path : "");
        if (url->ref || url->sub_dir)
                buf_putf(&out, "#%s", url->ref ? url->ref : "");
        if (url->sub_dir)
                buf_putf(&out, ":%s", url->sub_dir);
        return buf_detach(&out);
}
