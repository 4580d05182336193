#include "cli/build_cache_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/mem.h"
#include "base/str.h"

void build_cache_to_done(BuildCacheTo *to)
{
        free(to->dest);
        free(to->tag);
        strlist_done(&to->mount_ids);
}

void build_cache_from_done(BuildCacheFrom *from)
{
        free(from->src);
        free(from->tag);
}

static int parse_bool(const char *key, const char *value, bool *ret, Error *err)
{
        bool yes = streq(value, "true") || streq(value, "1");

        if (!yes && !streq(value, "false") && !streq(value, "0"))
                return error_set(err, ERROR_INVALID, "'%s=%s': say true or false", key, value);
        *ret = yes;
        return 0;
}

/* Other places to keep a cache in, and what to do instead. */
static int check_type(const char *type, Error *err)
{
        static const struct {
                const char *type, *why;
        } others[] = {
                { "registry",
                  "it needs a registry client, which mica does not have yet; use type=local and copy the directory with 'skopeo copy oci:DIR docker://…'" },
                { "inline", "a cache inside of an image needs a registry to be read from; use type=local" },
                { "gha", "use type=local and keep the directory with actions/cache" },
                { "s3", "use type=local and copy the directory with 'aws s3 sync'" },
                { "azblob", "use type=local and copy the directory with 'azcopy sync'" },
        };

        if (streq(type, "local"))
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(others); i++)
                if (streq(others[i].type, type))
                        return error_set(err, ERROR_UNSUPPORTED, "type=%s is not supported: %s", type, others[i].why);
        return error_set(err, ERROR_INVALID, "unknown type '%s': known is local", type);
}

typedef int TakeField(void *into, const char *key, const char *value, Error *err);

/* Calls `take` for each attribute but the type. A text without attributes is buildx's short form for an image in a registry. */
static int each_field(const char *text, TakeField *take, void *into, Error *err)
{
        _cleanup_strlist_ StrList fields = { 0 };
        const char *type = NULL;

        if (!strchr(text, '='))
                return check_type("registry", err);
        if (csv_split(text, &fields, err) < 0)
                return -1;
        for (size_t i = 0; i < fields.n_items; i++) {
                const char *value = str_after(fields.items[i], "type=");

                if (value)
                        type = value;
        }
        if (!type)
                return error_set(err, ERROR_INVALID, "type is required: type=local");
        if (check_type(type, err) < 0)
                return -1;
        for (size_t i = 0; i < fields.n_items; i++) {
                char *value = strchr(fields.items[i], '=');

                if (!value)
                        return error_set(err, ERROR_INVALID, "'%s' must be a key=value pair", fields.items[i]);
                *value++ = '\0';
                if (!streq(fields.items[i], "type") && take(into, fields.items[i], value, err) < 0)
                        return -1;
        }
        return 0;
}

static void set_string(char **to, const char *value)
{
        free(*to);
        *to = xstrdup(value);
}

static int unknown_key(const char *key, const char *const *known, size_t n, Error *err)
{
        const char *nearest = str_suggest(key, known, n);
        _cleanup_free_ char *all = str_join((char *const *)known, n, ", ");

        return nearest ? error_set(err, ERROR_INVALID, "unknown attribute '%s' (did you mean '%s'?)", key, nearest)
                       : error_set(err, ERROR_INVALID, "unknown attribute '%s'; known are %s", key, all);
}

/* --- to --- */

static int set_compression(BuildCacheTo *to, const char *value, Error *err)
{
        if (streq(value, "uncompressed"))
                to->codec = CODEC_NONE;
        else if (streq(value, "gzip"))
                to->codec = CODEC_GZIP;
        else if (streq(value, "zstd"))
                to->codec = CODEC_ZSTD;
        else
                return error_set(err, ERROR_INVALID, "unsupported compression '%s': known are uncompressed, gzip and zstd", value);
        return 0;
}

static int set_level(BuildCacheTo *to, const char *value, Error *err)
{
        uint32_t level;

        if (str_to_u32(value, &level) < 0 || level > 22)
                return error_set(err, ERROR_INVALID, "compression-level '%s' must be a number from 0 to 22", value);
        to->level = (int)level;
        return 0;
}

static int set_mounts(BuildCacheTo *to, const char *value, Error *err)
{
        if (!*value)
                return error_set(err, ERROR_INVALID, "cache-mounts needs true, false, or the id of a cache mount");
        to->mounts = !streq(value, "false") && !streq(value, "0");
        if (to->mounts && !streq(value, "true") && !streq(value, "1"))
                strlist_add(&to->mount_ids, value);
        return 0;
}

static int take_to(void *into, const char *key, const char *value, Error *err)
{
        static const char *const known[] = {
                "type",         "dest",           "tag",           "mode", "compression", "compression-level", "force-compression", "ignore-error",
                "cache-mounts", "oci-mediatypes", "image-manifest"
        };
        BuildCacheTo *to = into;
        bool yes;

        if (streq(key, "dest")) {
                set_string(&to->dest, value);
        } else if (streq(key, "tag")) {
                set_string(&to->tag, value);
        } else if (streq(key, "mode")) {
                to->max = streq(value, "max");
                return to->max || streq(value, "min") ? 0 : error_set(err, ERROR_INVALID, "unknown mode '%s': known are min and max", value);
        } else if (streq(key, "compression")) {
                return set_compression(to, value, err);
        } else if (streq(key, "compression-level")) {
                return set_level(to, value, err);
        } else if (streq(key, "force-compression")) {
                return parse_bool(key, value, &to->force_compression, err);
        } else if (streq(key, "ignore-error")) {
                return parse_bool(key, value, &to->ignore_error, err);
        } else if (streq(key, "cache-mounts")) {
                return set_mounts(to, value, err);
        } else if (streq(key, "oci-mediatypes") || streq(key, "image-manifest")) {
                if (parse_bool(key, value, &yes, err) < 0)
                        return -1;
                return yes ? 0 : error_set(err, ERROR_UNSUPPORTED, "%s=false is not supported: the cache is an OCI image manifest", key);
        } else {
                return unknown_key(key, known, ARRAY_LEN(known), err);
        }
        return *value ? 0 : error_set(err, ERROR_INVALID, "'%s' is empty", key);
}

int build_cache_to_parse(const char *text, BuildCacheTo *ret, Error *err)
{
        *ret = (BuildCacheTo){ .level = -1, .tag = xstrdup("latest") };
        if (each_field(text, take_to, ret, err) < 0)
                return error_wrap(err, "--cache-to '%s'", text);
        if (!ret->dest)
                return error_set(err, ERROR_INVALID, "--cache-to '%s': dest is required", text);
        if (ret->codec == CODEC_NONE && ret->level >= 0)
                return error_set(err, ERROR_INVALID, "--cache-to '%s': compression-level needs compression=gzip or compression=zstd", text);
        if (ret->codec == CODEC_GZIP && ret->level > 9)
                return error_set(err, ERROR_INVALID, "--cache-to '%s': gzip has the levels 0 to 9", text);
        return 0;
}

/* --- from --- */

static int take_from(void *into, const char *key, const char *value, Error *err)
{
        static const char *const known[] = { "type", "src", "tag", "digest" };
        BuildCacheFrom *from = into;

        if (streq(key, "src"))
                set_string(&from->src, value);
        else if (streq(key, "tag"))
                set_string(&from->tag, value);
        else if (streq(key, "digest"))
                return digest_parse(value, &from->digest, err);
        else
                return unknown_key(key, known, ARRAY_LEN(known), err);
        return *value ? 0 : error_set(err, ERROR_INVALID, "'%s' is empty", key);
}

int build_cache_from_parse(const char *text, BuildCacheFrom *ret, Error *err)
{
        *ret = (BuildCacheFrom){ .tag = xstrdup("latest") };
        if (each_field(text, take_from, ret, err) < 0)
                return error_wrap(err, "--cache-from '%s'", text);
        return ret->src ? 0 : error_set(err, ERROR_INVALID, "--cache-from '%s': src is required", text);
}
