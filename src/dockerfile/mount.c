/*
 * RUN --mount=type=…,key=value,…: one line of CSV.
 */
#include <string.h>
#include <strings.h>

#include "base/csv.h"
#include "base/mem.h"
#include "base/str.h"
#include "dockerfile/instruction_private.h"
#include "dockerfile/text.h"

static const char *const mount_types[] = { "bind", "cache", "tmpfs", "secret", "ssh" }; /* by MountType */
static const char *const sharing_modes[] = { "shared", "private", "locked" };           /* by MountSharing - 1 */
static const char *const all_keys[] = { "type", "from", "source", "target", "readonly",    "id", "sharing", "required",  "size", "mode",
                                        "uid",  "gid",  "src",    "dst",    "destination", "ro", "rw",      "readwrite", "env" };

typedef struct MountReader {
        DfMount *mount;
        bool access_given; /* ro or rw was said */
        Arena *arena;
        Error *err;
} MountReader;

static int unexpected_key(const MountReader *r, const char *key)
{
        return error_set(r->err, ERROR_INVALID, "unexpected key '%s' for mount type '%s'", key, mount_types[r->mount->type]);
}

static int invalid_value(const MountReader *r, const char *key, const char *value)
{
        return error_set(r->err, ERROR_INVALID, "invalid value for %s: %s", key, value);
}

/* `value` among `names`, in any case; fails with a suggestion. */
static int pick(const MountReader *r, const char *what, const char *value, const char *const *names, size_t n_names)
{
        _cleanup_free_ char *quoted = NULL, *suggestion = NULL;

        for (size_t i = 0; i < n_names; i++)
                if (strcasecmp(value, names[i]) == 0)
                        return (int)i;
        quoted = text_quoted(value);
        suggestion = dockerfile_suggest(value, names, n_names, false);
        if (suggestion)
                return error_set(r->err, ERROR_INVALID, "unsupported %s %s (did you mean %s?)", what, quoted, suggestion);
        return error_set(r->err, ERROR_INVALID, "unsupported %s %s", what, quoted);
}

static int parse_number(const MountReader *r, const char *key, const char *value, unsigned base, bool *ret_has, uint32_t *ret)
{
        uint64_t number;
        int bad = base == 10 ? str_to_u64(value, &number) : str_to_u64_base(value, base, &number);

        if (bad < 0 || number > UINT32_MAX)
                return error_set(r->err, ERROR_INVALID, "invalid value %s for %s", value, key);
        *ret_has = true;
        *ret = (uint32_t)number;
        return 0;
}

static int set_text(MountReader *r, const char **field, const char *value)
{
        *field = *value ? arena_strdup(r->arena, value) : NULL;
        return 0;
}

/* A key without "=". */
static int set_word(MountReader *r, const char *key, const char *field)
{
        if (streq(key, "readonly") || streq(key, "ro") || streq(key, "readwrite") || streq(key, "rw")) {
                r->mount->read_only = streq(key, "readonly") || streq(key, "ro");
                r->access_given = true;
                return 0;
        }
        if (streq(key, "required")) {
                if (r->mount->type != MOUNT_SECRET && r->mount->type != MOUNT_SSH)
                        return unexpected_key(r, key);
                r->mount->required = true;
                return 0;
        }
        return error_set(r->err, ERROR_INVALID, "invalid field '%s' must be a key=value pair", field);
}

static int set_key(MountReader *r, const char *key, const char *value, const char *field)
{
        _cleanup_free_ char *suggestion = NULL;
        DfMount *m = r->mount;
        bool flag;
        int found;

        if (streq(key, "type")) {
                found = pick(r, "mount type", value, mount_types, ARRAY_LEN(mount_types));
                m->type = found < 0 ? m->type : (MountType)found;
                return MIN(found, 0);
        }
        if (streq(key, "from"))
                return set_text(r, &m->from, value);
        if (streq(key, "source") || streq(key, "src"))
                return set_text(r, &m->source, value);
        if (streq(key, "target") || streq(key, "dst") || streq(key, "destination"))
                return set_text(r, &m->target, value);
        if (streq(key, "readonly") || streq(key, "ro") || streq(key, "readwrite") || streq(key, "rw")) {
                if (str_to_bool(value, &flag) < 0)
                        return invalid_value(r, key, value);
                m->read_only = streq(key, "readonly") || streq(key, "ro") ? flag : !flag;
                r->access_given = true;
                return 0;
        }
        if (streq(key, "required")) {
                if (m->type != MOUNT_SECRET && m->type != MOUNT_SSH)
                        return unexpected_key(r, key);
                return str_to_bool(value, &m->required) < 0 ? invalid_value(r, key, value) : 0;
        }
        if (streq(key, "size")) {
                if (m->type != MOUNT_TMPFS)
                        return unexpected_key(r, key);
                return str_to_size(value, &m->size) < 0 ? invalid_value(r, key, value) : 0;
        }
        if (streq(key, "id"))
                return set_text(r, &m->id, value);
        if (streq(key, "sharing")) {
                found = pick(r, "sharing value", value, sharing_modes, ARRAY_LEN(sharing_modes));
                m->sharing = found < 0 ? m->sharing : (MountSharing)(found + 1);
                return MIN(found, 0);
        }
        if (streq(key, "mode"))
                return parse_number(r, key, value, 8, &m->has_mode, &m->mode);
        if (streq(key, "uid"))
                return parse_number(r, key, value, 10, &m->has_uid, &m->uid);
        if (streq(key, "gid"))
                return parse_number(r, key, value, 10, &m->has_gid, &m->gid);
        if (streq(key, "env")) {
                m->env = arena_strdup(r->arena, value);
                return 0;
        }
        suggestion = dockerfile_suggest(key, all_keys, ARRAY_LEN(all_keys), false);
        if (suggestion)
                return error_set(r->err, ERROR_INVALID, "unexpected key '%s' in '%s' (did you mean %s?)", key, field, suggestion);
        return error_set(r->err, ERROR_INVALID, "unexpected key '%s' in '%s'", key, field);
}

/* What only the whole shows. */
static int check_mount(const DfMount *m, Error *err)
{
        const char *type = mount_types[m->type], *owner = m->has_mode ? "mode" : m->has_uid ? "uid" : m->has_gid ? "gid" : NULL;

        if (owner && (m->type == MOUNT_BIND || m->type == MOUNT_TMPFS))
                return error_set(err, ERROR_INVALID, "%s not allowed for \"%s\" type mounts", owner, type);
        if (m->type == MOUNT_SECRET) {
                if (m->from)
                        return error_set(err, ERROR_INVALID, "secret mount should not have a from");
                if (m->sharing)
                        return error_set(err, ERROR_INVALID, "secret mount should not define sharing");
                if (!m->source && !m->target && !m->id)
                        return error_set(err, ERROR_INVALID, "invalid secret mount. one of source, target required");
                if (m->source && m->id)
                        return error_set(err, ERROR_INVALID, "both source and id can't be set");
        }
        if (m->sharing && m->type != MOUNT_CACHE)
                return error_set(err, ERROR_INVALID, "invalid cache sharing set for %s mount", type);
        return 0;
}

/* Before expansion only from= is read, for the graph of stages; a variable in it cannot work then. */
static int read_from_only(MountReader *r, const char *key, const char *value)
{
        const char *dollar = strchr(value, '$');

        if (!streq(key, "from"))
                return 0;
        if (dollar && dollar[1])
                return error_set(r->err, ERROR_INVALID, "'from' doesn't support variable expansion, define alias stage instead");
        return set_text(r, &r->mount->from, value);
}

int mount_parse(DfMount *ret, const char *value, SourcePos pos, bool expand, const ExpandEnv *env, char escape, ExpandUse *use, Arena *arena, Error *err)
{
        const ExpandOptions options = { .escape = escape };
        _cleanup_strlist_ StrList fields = { 0 };
        DfMount mount = { .type = MOUNT_BIND, .pos = pos };
        MountReader r = { .mount = &mount, .arena = arena, .err = err };

        if (csv_split(value, &fields, err) < 0)
                return error_wrap(err, "failed to parse csv mounts");
        for (size_t i = 0; i < fields.n_items; i++) {
                const char *field = fields.items[i], *equals = strchr(field, '=');
                _cleanup_free_ char *written = xstrndup(field, equals ? (size_t)(equals - field) : strlen(field)), *key = str_lower(written), *expanded = NULL;
                int bad;

                if (!expand)
                        bad = equals ? read_from_only(&r, key, equals + 1) : 0;
                else if (!equals)
                        bad = set_word(&r, key, field);
                else if (expand_word(&expanded, equals + 1, env, &options, use, err) < 0)
                        bad = -1;
                else
                        bad = set_key(&r, key, expanded, field);
                if (bad < 0)
                        return -1;
        }
        if (expand) {
                if (check_mount(&mount, err) < 0)
                        return -1;
                if (!r.access_given)
                        mount.read_only = mount.type != MOUNT_CACHE && mount.type != MOUNT_TMPFS;
        }
        *ret = mount;
        return 0;
}
