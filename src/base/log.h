/*
 * Diagnostics on standard error for whoever operates mica. Not the way to report errors (see base/error.h): libraries log at debug,
 * and warn of what failed where nobody is left who takes an error, such as a clean-up at the end.
 * The level comes from MICA_LOG (error, warning, info, debug); the default is warning. Thread-safe: one write per line.
 */
#pragma once

#include <stdbool.h>

#include "base/macros.h"

typedef enum LogLevel { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG } LogLevel;

void log_set_level(LogLevel level);
bool log_enabled(LogLevel level);
void log_line(LogLevel level, const char *format, ...) _printf_(2, 3);

#define log_debug(...) \
        do { \
                if (log_enabled(LOG_LEVEL_DEBUG)) \
                        log_line(LOG_LEVEL_DEBUG, __VA_ARGS__); \
        } while (0)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
