#include "cli/build_colors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

static const struct {
        const char *name;
        int code; /* SGR */
} names[] = {
        { "default", 39 },      { "black", 30 },      { "red", 31 },           { "green", 32 },       { "yellow", 33 },      { "blue", 34 },
        { "magenta", 35 },      { "cyan", 36 },       { "white", 37 },         { "light-black", 90 }, { "light-red", 91 },   { "light-green", 92 },
        { "light-yellow", 93 }, { "light-blue", 94 }, { "light-magenta", 95 }, { "light-cyan", 96 },  { "light-white", 97 },
};

static const struct {
        const char *key, *standard;
} roles[BUILD_COLORS] = {
        [BUILD_COLOR_RUN] = { "run", "blue" },
        [BUILD_COLOR_CANCEL] = { "cancel", "yellow" },
        [BUILD_COLOR_ERROR] = { "error", "red" },
        [BUILD_COLOR_WARNING] = { "warning", "yellow" },
};

/* "R,G,B" as one of the 216 colours of the cube that every terminal with 256 colours has, as BuildKit rounds it. */
static bool parse_rgb(const char *value, char *code)
{
        _cleanup_strlist_ StrList parts = { 0 };
        uint32_t channel[3];

        strlist_split(&parts, value, ',');
        if (parts.n_items != 3)
                return false;
        for (size_t i = 0; i < 3; i++)
                if (str_to_u32(parts.items[i], &channel[i]) < 0 || channel[i] > 255)
                        return false;
        snprintf(code, BUILD_COLOR_SIZE, "\x1b[38;5;%um", 16 + 36 * (channel[0] / 43) + 6 * (channel[1] / 43) + channel[2] / 43);
        return true;
}

static bool parse_color(const char *value, char *code)
{
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (strcasecmp(names[i].name, value) == 0) {
                        snprintf(code, BUILD_COLOR_SIZE, "\x1b[%dm", names[i].code);
                        return true;
                }
        return parse_rgb(value, code);
}

static void set(BuildColors *colors, const char *field)
{
        const char *value = strchr(field, '=');

        for (size_t i = 0; value && i < BUILD_COLORS; i++) {
                if (strlen(roles[i].key) != (size_t)(value - field) || strncasecmp(roles[i].key, field, (size_t)(value - field)) != 0)
                        continue;
                if (!parse_color(value + 1, colors->codes[i]))
                        log_warning("BUILDKIT_COLORS: '%s' is no colour: give a name (blue, light-red, …) or three numbers up to 255", value + 1);
                return;
        }
        log_warning("BUILDKIT_COLORS: '%s' is not understood; known are run, cancel, error and warning, each with =COLOUR", field);
}

void build_colors_init(BuildColors *colors, bool enabled, const char *text)
{
        _cleanup_strlist_ StrList fields = { 0 };

        *colors = (BuildColors){ .enabled = enabled };
        if (!enabled)
                return;
        for (size_t i = 0; i < BUILD_COLORS; i++)
                (void)parse_color(roles[i].standard, colors->codes[i]);
        if (str_empty(text))
                return;
        strlist_split(&fields, text, ':');
        for (size_t i = 0; i < fields.n_items; i++)
                set(colors, fields.items[i]);
}
