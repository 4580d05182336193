#include "engine/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/sys.h"
#include "json/json.h"

#define CONFIG_FILE_MAX MIB

const ConfigKey config_keys[] = {
        { "builder.gc.enabled", CONFIG_BOOL, "true", "Keep the build cache within its limits after each build" },
        { "builder.gc.keep-duration", CONFIG_DURATION, "0s", "Never remove what was used within this time" },
        { "builder.gc.max-used-space", CONFIG_SIZE, "75%", "What the build cache may take at most" },
        { "builder.gc.min-free-space", CONFIG_SIZE, "10%", "What the build cache is to leave free on its file system" },
        { "builder.gc.reserved-space", CONFIG_SIZE, "10GB", "What the build cache may take in any case" },
};
const size_t n_config_keys = ARRAY_LEN(config_keys);

struct Config {
        char **values; /* of each key, or NULL: the default */
        ConfigScope *scopes;
};

const char *config_scope_name(ConfigScope scope)
{
        static const char *const names[] = { [CONFIG_DEFAULT] = "default", [CONFIG_SYSTEM] = "system", [CONFIG_USER] = "user" };

        return names[scope];
}

const ConfigKey *config_key_find(const char *name, Error *err)
{
        const char *names[ARRAY_LEN(config_keys)], *nearest;

        for (size_t i = 0; i < n_config_keys; i++) {
                if (streq(config_keys[i].name, name))
                        return &config_keys[i];
                names[i] = config_keys[i].name;
        }
        nearest = str_suggest(name, names, n_config_keys);
        if (nearest)
                error_set(err, ERROR_INVALID, "unknown setting '%s' (did you mean '%s'?)", name, nearest);
        else
                error_set(err, ERROR_INVALID, "unknown setting '%s': 'mica config list' shows all", name);
        return NULL;
}

/* --- values --- */

static int parse_size(const char *text, uint64_t whole, uint64_t *ret)
{
        size_t n = strlen(text);
        _cleanup_free_ char *number = n && text[n - 1] == '%' ? xstrndup(text, n - 1) : NULL;
        uint64_t percent;

        if (!number)
                return str_to_size(text, ret);
        if (str_to_u64(number, &percent) < 0 || percent > 100)
                return -EINVAL;
        *ret = whole / 100 * percent;
        return 0;
}

static int check_value(const ConfigKey *key, const char *text, Error *err)
{
        uint64_t size;
        int64_t duration;

        switch (key->type) {
        case CONFIG_BOOL:
                if (streq(text, "true") || streq(text, "false"))
                        return 0;
                return error_set(err, ERROR_INVALID, "'%s' is no value for '%s': say true or false", text, key->name);
        case CONFIG_SIZE:
                if (parse_size(text, 0, &size) == 0)
                        return 0;
                return error_set(err, ERROR_INVALID, "'%s' is no value for '%s': say a size (20GB) or a part of the file system (50%%)", text, key->name);
        case CONFIG_DURATION:
                if (duration_parse(text, &duration) == 0 && duration >= 0)
                        return 0;
                return error_set(err, ERROR_INVALID, "'%s' is no value for '%s': say a duration (48h)", text, key->name);
        }
        return -1;
}

static size_t index_of(const char *name)
{
        size_t at = 0;

        while (!streq(config_keys[at].name, name))
                at++;
        return at;
}

const char *config_text(const Config *config, const char *name, ConfigScope *ret_scope)
{
        size_t at = index_of(name);

        if (ret_scope)
                *ret_scope = config->scopes[at];
        return config->values[at] ? config->values[at] : config_keys[at].value;
}

bool config_bool(const Config *config, const char *name)
{
        return streq(config_text(config, name, NULL), "true");
}

uint64_t config_size(const Config *config, const char *name, uint64_t whole)
{
        uint64_t size = 0;

        (void)parse_size(config_text(config, name, NULL), whole, &size);
        return size;
}

int64_t config_duration(const Config *config, const char *name)
{
        int64_t duration = 0;

        (void)duration_parse(config_text(config, name, NULL), &duration);
        return duration;
}

/* --- files --- */

char *config_path(ConfigScope scope)
{
        const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

        if (scope == CONFIG_SYSTEM)
                return xstrdup("/etc/mica/config.json");
        if (base && *base == '/')
                return xasprintf("%s/mica/config.json", base);
        return str_empty(home) ? NULL : xasprintf("%s/.config/mica/config.json", home);
}

/* An empty object when the file is not there. */
static int read_file(const char *path, JsonValue **ret, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(CONFIG_FILE_MAX);
        int r = file_read(AT_FDCWD, path, &text);

        if (r == -ENOENT || r == -ENOTDIR) {
                *ret = json_value_new_object();
                return 0;
        }
        if (r < 0)
                return error_errno(err, r, "cannot read '%s'", path);
        if (json_value_parse(text.data ? text.data : "", text.size, NULL, ret, err) < 0)
                return error_wrap(err, "cannot use '%s'", path);
        if (json_value_type(*ret) != JSON_TYPE_OBJECT) {
                json_value_unref(*ret);
                *ret = NULL;
                return error_set(err, ERROR_INVALID, "cannot use '%s': it must hold an object", path);
        }
        return 0;
}

static char *value_text(const JsonValue *value)
{
        switch (json_value_type(value)) {
        case JSON_TYPE_STRING:
                return xstrdup(json_value_string(value));
        case JSON_TYPE_BOOL:
                return xstrdup(json_value_bool(value) ? "true" : "false");
        case JSON_TYPE_INT:
                return xasprintf("%lld", (long long)json_value_int(value, 0));
        default:
                return NULL;
        }
}

static int take_value(Config *config, ConfigScope scope, const char *name, const JsonValue *value, Error *err)
{
        const ConfigKey *key = config_key_find(name, err);
        _cleanup_free_ char *text = key ? value_text(value) : NULL;
        size_t at = key ? (size_t)(key - config_keys) : 0;

        if (!key)
                return -1;
        if (!text)
                return error_set(err, ERROR_INVALID, "'%s' must be a string, a number, or true or false", name);
        if (check_value(key, text, err) < 0)
                return -1;
        free(config->values[at]);
        config->values[at] = TAKE_PTR(text);
        config->scopes[at] = scope;
        return 0;
}

static int take_object(Config *config, ConfigScope scope, const char *prefix, const JsonValue *object, Error *err)
{
        JsonValue *value;
        const char *name;

        for (void *at = NULL; json_value_next(object, &at, &name, &value);) {
                _cleanup_free_ char *path = *prefix ? xasprintf("%s.%s", prefix, name) : xstrdup(name);
                int r = json_value_type(value) == JSON_TYPE_OBJECT ? take_object(config, scope, path, value, err) : take_value(config, scope, path, value, err);

                if (r < 0)
                        return -1;
        }
        return 0;
}

static int load_file(Config *config, ConfigScope scope, Error *err)
{
        _cleanup_free_ char *path = config_path(scope);
        _cleanup_json_ JsonValue *root = NULL;

        if (!path)
                return 0;
        if (read_file(path, &root, err) < 0)
                return -1;
        return take_object(config, scope, "", root, err) < 0 ? error_wrap(err, "cannot use '%s'", path) : 0;
}

int config_load(Config **ret, Error *err)
{
        _cleanup_(config_freep) Config *config = NEW(Config);

        config->values = NEW_ARRAY(char *, n_config_keys);
        config->scopes = NEW_ARRAY(ConfigScope, n_config_keys);
        if (load_file(config, CONFIG_SYSTEM, err) < 0 || load_file(config, CONFIG_USER, err) < 0)
                return -1;
        *ret = TAKE_PTR(config);
        return 0;
}

void config_free(Config *config)
{
        if (!config)
                return;
        for (size_t i = 0; i < n_config_keys; i++)
                free(config->values[i]);
        free(config->values);
        free(config->scopes);
        free(config);
}

/* --- changing --- */

static JsonValue *make_value(const ConfigKey *key, const char *text)
{
        return key->type == CONFIG_BOOL ? json_value_new_bool(streq(text, "true")) : json_value_new_string(text);
}

/* Sets or takes out the value at "a.b.c"; objects that become empty go with it. False when there was nothing to take out. */
static bool change_at(JsonValue *object, const char *name, JsonValue *value)
{
        const char *dot = strchr(name, '.');
        _cleanup_free_ char *part = dot ? xstrndup(name, (size_t)(dot - name)) : xstrdup(name);
        JsonValue *child = json_value_get(object, part);
        bool done;

        if (!dot && value) {
                json_value_set(object, part, value);
                return true;
        }
        if (!dot)
                return json_value_remove(object, part);
        if (json_value_type(child) != JSON_TYPE_OBJECT) {
                if (!value)
                        return false;
                json_value_set(object, part, json_value_new_object());
                child = json_value_get(object, part);
        }
        done = change_at(child, dot + 1, value);
        if (json_value_size(child) == 0)
                json_value_remove(object, part);
        return done;
}

static int write_file(const char *path, const JsonValue *root, Error *err)
{
        _cleanup_buf_ Buf text = BUF_INIT(CONFIG_FILE_MAX);
        int r;

        if (json_value_write(root, JSON_WRITE_INDENT_2 | JSON_WRITE_SORTED | JSON_WRITE_NO_HTML, &text, err) < 0)
                return -1;
        buf_putc(&text, '\n');
        r = file_write_atomic(AT_FDCWD, path, text.data, text.size, 0644, true);
        return r < 0 ? error_errno(err, r, "cannot write '%s'", path) : 0;
}

int config_change(ConfigScope scope, const char *name, const char *value, Error *err)
{
        const ConfigKey *key = config_key_find(name, err);
        _cleanup_free_ char *path = config_path(scope), *dir = path ? xstrndup(path, (size_t)(strrchr(path, '/') - path)) : NULL;
        _cleanup_json_ JsonValue *root = NULL;
        _cleanup_close_ int lock = -1;
        int r;

        if (!key || (value && check_value(key, value, err) < 0))
                return -1;
        if (!path)
                return error_set(err, ERROR_NOT_FOUND, "there is no place for settings: HOME is not set");
        r = dir_make(AT_FDCWD, dir, 0755);
        if (r < 0)
                return error_errno(err, r, "cannot make '%s'", dir);
        /* Two of us at the same time must not undo each other's change. */
        lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (lock < 0 || flock(lock, LOCK_EX) < 0)
                return error_errno(err, errno, "cannot lock '%s'", dir);
        if (read_file(path, &root, err) < 0)
                return -1;
        if (!change_at(root, name, value ? make_value(key, value) : NULL))
                return error_set(err, ERROR_NOT_FOUND, "'%s' is not set in '%s'", name, path);
        return write_file(path, root, err);
}
