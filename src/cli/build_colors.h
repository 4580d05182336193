/*
 * The colours of the live view: BuildKit's defaults, what BUILDKIT_COLORS says, or none (NO_COLOR, no terminal).
 */
#pragma once

#include <stdbool.h>

typedef enum BuildColor { BUILD_COLOR_RUN, BUILD_COLOR_CANCEL, BUILD_COLOR_ERROR, BUILD_COLOR_WARNING, BUILD_COLORS } BuildColor;

#define BUILD_COLOR_SIZE 24

typedef struct BuildColors {
        char codes[BUILD_COLORS][BUILD_COLOR_SIZE]; /* escape sequences; "" for none */
        bool enabled;
} BuildColors;

/*
 * `text` is "run=green:error=light-red:warning=230,150,0" (NULL: nothing is set). What cannot be read is told as a warning in the log and left as it was, as
 * BuildKit does.
 */
void build_colors_init(BuildColors *colors, bool enabled, const char *text);
