/*
 * Platforms. Names, normalising and ranking follow containerd/platforms.
 */
#include "oci/platform.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/mem.h"

const JsonField platform_fields[] = {
        { "architecture", JSON_FIELD_STRING, offsetof(Platform, architecture), 0 },
        { "os", JSON_FIELD_STRING, offsetof(Platform, os), 0 },
        { "os.version", JSON_FIELD_STRING, offsetof(Platform, os_version), JSON_OMIT_EMPTY },
        { "os.features", JSON_FIELD_STRINGS, offsetof(Platform, os_features), JSON_OMIT_EMPTY },
        { "variant", JSON_FIELD_STRING, offsetof(Platform, variant), JSON_OMIT_EMPTY },
        JSON_FIELD_END,
};

static const char *const known_os[] = { "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
                                        "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos" };
static const char *const known_arch[] = { "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
                                          "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
                                          "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64",   "wasm" };

/* Other words for an architecture; variant NULL keeps the one given. */
static const struct Alias {
        const char *word, *architecture, *variant;
} aliases[] = {
        { "i386", "386", "" },        { "x86_64", "amd64", NULL }, { "x86-64", "amd64", NULL },
        { "aarch64", "arm64", NULL }, { "armhf", "arm", "v7" },    { "armel", "arm", "v6" },
};

/* What a variant is called in the end, after the aliases. */
static const struct VariantRule {
        const char *architecture, *from, *to;
} variant_rules[] = {
        { "amd64", "v1", "" },     { "arm64", "8", "" }, { "arm64", "v8", "" }, { "arm64", "v8.0", "" }, { "arm64", "9", "v9" }, { "arm64", "9.0", "v9" },
        { "arm64", "v9.0", "v9" }, { "arm", "", "v7" },  { "arm", "7", "v7" },  { "arm", "5", "v5" },    { "arm", "6", "v6" },   { "arm", "8", "v8" },
};

/* What uname calls the machine when Go has another word. */
static const struct Machine {
        const char *machine, *architecture, *variant;
} machines[] = {
        { "x86_64", "amd64", NULL },    { "i686", "386", NULL },   { "i586", "386", NULL },     { "i386", "386", NULL },   { "aarch64", "arm64", NULL },
        { "armv7l", "arm", "v7" },      { "armv6l", "arm", "v6" }, { "armv5tel", "arm", "v5" }, { "armv8l", "arm", "v8" }, { "loongarch64", "loong64", NULL },
        { "mips64", "mips64le", NULL },
};

static bool is_one_of(const char *word, const char *const *list, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (streq(word, list[i]))
                        return true;
        return false;
}

static void replace(char **field, const char *value)
{
        char *copy = str_empty(value) ? NULL : xstrdup(value);

        free(*field);
        *field = copy;
}

static void lower(char **field)
{
        char *text = *field ? str_lower(*field) : NULL;

        free(*field);
        *field = text;
}

void platform_done(Platform *platform)
{
        json_object_done(platform_fields, platform);
}

void platform_copy(Platform *to, const Platform *from)
{
        json_object_copy(platform_fields, from, to);
}

void platform_host(Platform *ret)
{
        struct utsname name;

        *ret = (Platform){ .os = xstrdup("linux") };
        if (uname(&name) < 0)
                name.machine[0] = '\0';
        for (size_t i = 0; i < ARRAY_LEN(machines); i++)
                if (streq(machines[i].machine, name.machine)) {
                        ret->architecture = xstrdup(machines[i].architecture);
                        ret->variant = xstrdup_or_null(machines[i].variant);
                        return;
                }
        ret->architecture = xstrdup(name.machine);
}

static void normalize_arch(Platform *platform)
{
        lower(&platform->architecture);
        lower(&platform->variant);
        if (!platform->architecture)
                return;
        for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
                if (streq(aliases[i].word, platform->architecture)) {
                        if (aliases[i].variant)
                                replace(&platform->variant, aliases[i].variant);
                        replace(&platform->architecture, aliases[i].architecture);
                        break;
                }
        for (size_t i = 0; i < ARRAY_LEN(variant_rules); i++)
                if (streq(variant_rules[i].architecture, platform->architecture) && streq(variant_rules[i].from, platform->variant ? platform->variant : "")) {
                        replace(&platform->variant, variant_rules[i].to);
                        break;
                }
}

void platform_normalize(Platform *platform)
{
        if (str_empty(platform->os))
                replace(&platform->os, "linux");
        lower(&platform->os);
        if (streq(platform->os, "macos"))
                replace(&platform->os, "darwin");
        normalize_arch(platform);
}

static bool is_part(const char *s, size_t n, bool allow_dot)
{
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_' || s[i] == '-' ||
                      (allow_dot && s[i] == '.')))
                        return false;
        return n > 0;
}

/* "os" or "os(version)". */
static int parse_os(const char *part, const char *whole, Platform *out, Error *err)
{
        size_t n = strcspn(part, "("), length = strlen(part);

        if (!is_part(part, n, false) || (part[n] && (part[length - 1] != ')' || (length - n > 2 && !is_part(part + n + 1, length - n - 2, true)))))
                return error_set(err, ERROR_INVALID, "'%s' is not a platform: '%s' cannot be an operating system", whole, part);
        out->os = xstrndup(part, n);
        if (part[n] && length - n > 2)
                out->os_version = xstrndup(part + n + 1, length - n - 2);
        return 0;
}

/* One word: an operating system or an architecture; the host has the other half. */
static int parse_word(const char *s, Platform *out, Error *err)
{
        _cleanup_platform_ Platform host = { 0 };

        platform_host(&host);
        platform_normalize(out);
        if (is_one_of(out->os, known_os, ARRAY_LEN(known_os))) {
                out->architecture = TAKE_PTR(host.architecture);
                if (host.variant && !streq(host.variant, "v7"))
                        out->variant = TAKE_PTR(host.variant);
                return 0;
        }
        replace(&out->architecture, s);
        normalize_arch(out);
        if (!is_one_of(out->architecture, known_arch, ARRAY_LEN(known_arch)))
                return error_set(err, ERROR_INVALID, "'%s' is not a platform: unknown operating system or architecture (an example: linux/arm64)", s);
        replace(&out->os, "linux");
        replace(&out->os_version, NULL);
        return 0;
}

static int parse_parts(const char *s, const StrList *parts, Platform *out, Error *err)
{
        if (parts->n_items > 3)
                return error_set(err, ERROR_INVALID, "'%s' is not a platform: it has more than three parts", s);
        if (parse_os(parts->items[0], s, out, err) < 0)
                return -1;
        for (size_t i = 1; i < parts->n_items; i++)
                if (!is_part(parts->items[i], strlen(parts->items[i]), true))
                        return error_set(err, ERROR_INVALID, "'%s' is not a platform: '%s' is not a name", s, parts->items[i]);
        if (parts->n_items == 1) {
                if (parse_word(s, out, err) < 0)
                        return -1;
        } else {
                out->architecture = xstrdup(parts->items[1]);
                out->variant = parts->n_items == 3 ? xstrdup(parts->items[2]) : NULL;
                platform_normalize(out);
        }
        if (parts->n_items < 3 && streq(out->architecture, "arm") && streq_ptr(out->variant, "v7"))
                replace(&out->variant, NULL);
        if (parts->n_items == 3 && streq(out->architecture, "arm64") && !out->variant)
                replace(&out->variant, "v8");
        return 0;
}

int platform_parse(const char *s, Platform *ret, Error *err)
{
        _cleanup_platform_ Platform out = { 0 };
        _cleanup_strlist_ StrList parts = { 0 };
        _cleanup_free_ char *shown = str_printable(s, MIN(strlen(s), (size_t)100));

        strlist_split(&parts, s, '/');
        if (parse_parts(shown, &parts, &out, err) < 0)
                return -1;
        *ret = out;
        out = (Platform){ 0 };
        return 0;
}

char *platform_format(const Platform *platform, bool with_version)
{
        _cleanup_strlist_ StrList parts = { 0 };

        if (str_empty(platform->os))
                return xstrdup("unknown");
        if (with_version && !str_empty(platform->os_version))
                strlist_addf(&parts, "%s(%s)", platform->os, platform->os_version);
        else
                strlist_add(&parts, platform->os);
        if (!str_empty(platform->architecture))
                strlist_add(&parts, platform->architecture);
        if (!str_empty(platform->variant))
                strlist_add(&parts, platform->variant);
        return strlist_join(&parts, "/");
}

/* Equal where NULL equals "". */
static bool same(const char *a, const char *b)
{
        return streq(a ? a : "", b ? b : "");
}

static bool equal_normalized(const Platform *a, const Platform *b)
{
        return same(a->os, b->os) && same(a->architecture, b->architecture) && same(a->variant, b->variant);
}

bool platform_equal(const Platform *a, const Platform *b)
{
        _cleanup_platform_ Platform x = { 0 }, y = { 0 };

        platform_copy(&x, a);
        platform_copy(&y, b);
        platform_normalize(&x);
        platform_normalize(&y);
        return equal_normalized(&x, &y);
}

/* "v8.4" -> 8, 4; "" -> the default. False when it is no version. */
static bool variant_version(const char *variant, int otherwise, int *ret_major, int *ret_minor)
{
        int n = 0;

        *ret_major = otherwise;
        *ret_minor = 0;
        if (str_empty(variant))
                return true;
        if (sscanf(variant, "v%2d%n.%2d%n", ret_major, &n, ret_minor, &n) < 1)
                return false;
        return variant[n] == '\0';
}

/* Steps down from one version to an older one of the same architecture, or -1. arm64 v9.x holds all of v8.(x+5). */
static int version_steps(const Platform *want, const Platform *have, int otherwise)
{
        int major, minor, major2, minor2, steps;

        if (!variant_version(want->variant, otherwise, &major, &minor) || !variant_version(have->variant, otherwise, &major2, &minor2))
                return same(want->variant, have->variant) ? 0 : -1;
        if (major == major2)
                steps = minor - minor2;
        else if (otherwise == 8 && major == 9 && major2 == 8)
                steps = MIN(minor + 5, 9) >= minor2 ? minor + 1 + MIN(minor + 5, 9) - minor2 : -1;
        else
                steps = otherwise == 8 ? -1 : major - major2;
        return steps < 0 ? -1 : steps;
}

static int rank_normalized(const Platform *want, const Platform *have)
{
        bool same_arch = same(want->architecture, have->architecture);
        int major, minor;

        if (!same(want->os, have->os) || !want->architecture || !have->architecture)
                return -1;
        if (equal_normalized(want, have))
                return 0;
        if (same_arch && streq(want->architecture, "amd64"))
                return version_steps(want, have, 1);
        if (same_arch && streq(want->architecture, "arm"))
                return variant_version(have->variant, 7, &major, &minor) && major >= 5 ? version_steps(want, have, 7) : -1;
        if (same_arch && streq(want->architecture, "arm64"))
                return version_steps(want, have, 8);
        if (streq(want->architecture, "amd64") && streq(have->architecture, "386"))
                return 100;
        if (streq(want->architecture, "arm64") && streq(have->architecture, "arm") && variant_version(have->variant, 7, &major, &minor) && major >= 5 &&
            major <= 8)
                return 100 + 8 - major;
        return -1;
}

int platform_rank(const Platform *want, const Platform *have)
{
        _cleanup_platform_ Platform x = { 0 }, y = { 0 };

        platform_copy(&x, want);
        platform_copy(&y, have);
        platform_normalize(&x);
        platform_normalize(&y);
        return rank_normalized(&x, &y);
}
