#include "dockerfile/image_name.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/text.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX DIGITS "abcdefABCDEF"

/* Lower-case words joined by '.', '_', "__" or dashes. */
static bool is_path_component(const char *s, size_t n)
{
        const char *end = s + n;

        for (;;) {
                size_t word = strspn(s, LOWER DIGITS);

                if (word == 0 || word > (size_t)(end - s))
                        return false;
                s += word;
                if (s == end)
                        return true;
                if (*s == '-')
                        s += strspn(s, "-");
                else if (*s == '.')
                        s++;
                else if (*s == '_')
                        s += s[1] == '_' ? 2 : 1;
                else
                        return false;
        }
}

static bool is_path(const char *s, size_t n)
{
        const char *end = s + n;

        for (;;) {
                size_t length = MIN(strcspn(s, "/:@"), (size_t)(end - s));

                if (!is_path_component(s, length))
                        return false;
                s += length;
                if (s == end)
                        return true;
                if (*s++ != '/')
                        return false;
        }
}

static bool is_domain(const char *s, size_t n)
{
        const char *end = s + n;

        if (*s == '[') {
                size_t address = strspn(s + 1, HEX ":");

                if (address == 0 || s[1 + address] != ']')
                        return false;
                s += address + 2;
        } else {
                for (;;) {
                        size_t label = strspn(s, LOWER UPPER DIGITS "-");

                        if (label == 0 || s[0] == '-' || s[label - 1] == '-')
                                return false;
                        s += label;
                        if (*s != '.')
                                break;
                        s++;
                }
        }
        if (s < end && *s == ':') {
                size_t port = strspn(s + 1, DIGITS);

                if (port == 0)
                        return false;
                s += port + 1;
        }
        return s == end;
}

static bool is_digest(const char *s)
{
        const char *colon = strchr(s, ':');
        size_t n = colon ? strlen(colon + 1) : 0, expected = 0;

        if (!colon || strspn(colon + 1, HEX) != n)
                return false;
        if (str_starts(s, "sha256:"))
                expected = 64;
        else if (str_starts(s, "sha384:"))
                expected = 96;
        else if (str_starts(s, "sha512:"))
                expected = 128;
        return n == expected;
}

static bool is_tag(const char *s, size_t n)
{
        return n >= 1 && n <= 128 && *s != '.' && *s != '-' && strspn(s, LOWER UPPER DIGITS "_.-") >= n;
}

int image_name_check(const char *name, Error *err)
{
        const char *slash = strchr(name, '/'), *rest = name, *at, *colon, *path_end;
        _cleanup_free_ char *first = slash ? xstrndup(name, (size_t)(slash - name)) : NULL;
        size_t n;

        if (strlen(name) == 64 && strspn(name, DIGITS "abcdef") == 64)
                return error_set(err, ERROR_INVALID, "invalid repository name (%s), cannot specify 64-byte hexadecimal strings", name);
        if (first && (strpbrk(first, ".:" UPPER) || streq(first, "localhost"))) {
                if (!is_domain(first, strlen(first)))
                        return error_set(err, ERROR_INVALID, "invalid reference format");
                rest = slash + 1;
        }
        n = strcspn(rest, ":");
        for (size_t i = 0; i < n; i++)
                if (rest[i] >= 'A' && rest[i] <= 'Z')
                        return error_set(err, ERROR_INVALID, "invalid reference format: repository name (%s%.*s) must be lowercase",
                                         rest == name && !slash ? "library/" : "", (int)n, rest);
        at = strchrnul(rest, '@');
        colon = memchr(rest, ':', (size_t)(at - rest));
        path_end = colon ? colon : at;
        if (!is_path(rest, (size_t)(path_end - rest)) || (colon && !is_tag(colon + 1, (size_t)(at - colon - 1))) || (*at && !is_digest(at + 1)))
                return error_set(err, ERROR_INVALID, "invalid reference format");
        if ((size_t)(path_end - name) > 255)
                return error_set(err, ERROR_INVALID, "repository name must not be more than 255 characters");
        return 0;
}

static bool is_known(const char *word, const char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (streq(word, names[i]))
                        return true;
        return false;
}

/* Architectures have many names. */
static void normalize_arch(PlatformName *p)
{
        static const struct {
                const char *arch, *variant, *to_arch, *to_variant; /* variant NULL: any, which stays */
        } table[] = {
                { "i386", NULL, "386", "" },       { "x86_64", "v1", "amd64", "" },   { "x86-64", "v1", "amd64", "" },    { "amd64", "v1", "amd64", "" },
                { "x86_64", NULL, "amd64", NULL }, { "x86-64", NULL, "amd64", NULL }, { "aarch64", "8", "arm64", "" },    { "aarch64", "v8", "arm64", "" },
                { "arm64", "8", "arm64", "" },     { "arm64", "v8", "arm64", "" },    { "aarch64", NULL, "arm64", NULL }, { "armhf", NULL, "arm", "v7" },
                { "armel", NULL, "arm", "v6" },    { "arm", "", "arm", "v7" },        { "arm", "7", "arm", "v7" },        { "arm", "5", "arm", "v5" },
                { "arm", "6", "arm", "v6" },       { "arm", "8", "arm", "v8" },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                if (!streq(p->arch, table[i].arch) || (table[i].variant && !streq(p->variant, table[i].variant)))
                        continue;
                snprintf(p->arch, sizeof(p->arch), "%s", table[i].to_arch);
                if (table[i].to_variant)
                        snprintf(p->variant, sizeof(p->variant), "%s", table[i].to_variant);
                return;
        }
}

static int take_part(const char **p, char *to, size_t size, bool first)
{
        static const char allowed[] = LOWER UPPER DIGITS "_.-";
        size_t n = strspn(*p, allowed), length = n;

        if (n == 0 || n >= size)
                return -1;
        if (first && (*p)[n] == '(') {
                size_t version = strcspn(*p + n, ")/");

                if ((*p)[n + version] != ')')
                        return -1;
                length = n + version + 1;
        }
        if ((*p)[length] && (*p)[length] != '/')
                return -1;
        for (size_t i = 0; i < n; i++)
                to[i] = (char)((*p)[i] >= 'A' && (*p)[i] <= 'Z' ? (*p)[i] | 0x20 : (*p)[i]);
        to[n] = '\0';
        *p += length;
        return 0;
}

/* What containerd's errors quote. */
#define PART_RE "\"^[A-Za-z0-9_.-]+$\""
#define OS_RE "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$\""

int platform_name_parse(const char *text, PlatformName *ret, Error *err)
{
        static const char *const systems[] = { "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
                                               "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos" };
        static const char *const archs[] = { "386",     "amd64",  "amd64p32", "arm",      "armbe",     "arm64",       "arm64be", "loong64",
                                             "mips",    "mipsle", "mips64",   "mips64le", "mips64p32", "mips64p32le", "ppc",     "ppc64",
                                             "ppc64le", "riscv",  "riscv64",  "s390",     "s390x",     "sparc",       "sparc64", "wasm" };
        _cleanup_free_ char *quoted = text_quoted(text);
        PlatformName p = { 0 };
        const char *rest = text;
        int parts = 0;

        while (parts < 3) {
                if (take_part(&rest, parts == 0 ? p.os : parts == 1 ? p.arch : p.variant, sizeof(p.os), parts == 0) < 0) {
                        _cleanup_free_ char *part = xstrndup(rest, strcspn(rest, "/")), *quoted_part = text_quoted(part);

                        return error_set(err, ERROR_INVALID, "%s is an invalid %scomponent of %s: %s specifier component must match %s: invalid argument",
                                         quoted_part, parts ? "" : "OS ", quoted, parts ? "platform" : "OSAndVersion", parts ? PART_RE : OS_RE);
                }
                parts++;
                if (!*rest)
                        break;
                rest++;
        }
        if (parts == 3 && *rest)
                return error_set(err, ERROR_INVALID, "%s: cannot parse platform specifier: invalid argument", quoted);
        if (streq(p.os, "macos"))
                snprintf(p.os, sizeof(p.os), "darwin");
        if (parts == 1 && is_known(p.os, systems, ARRAY_LEN(systems))) {
                struct utsname host;

                snprintf(p.arch, sizeof(p.arch), "%.63s", uname(&host) == 0 ? host.machine : "amd64");
        } else if (parts == 1) {
                snprintf(p.arch, sizeof(p.arch), "%s", p.os);
                snprintf(p.os, sizeof(p.os), "linux");
        }
        normalize_arch(&p);
        if (parts == 1 && !is_known(p.arch, archs, ARRAY_LEN(archs)))
                return error_set(err, ERROR_INVALID, "%s: unknown operating system or architecture: invalid argument", quoted);
        if (parts <= 2 && streq(p.arch, "arm") && streq(p.variant, "v7"))
                *p.variant = '\0';
        *ret = p;
        return 0;
}
