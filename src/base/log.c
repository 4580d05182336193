#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static int current = -1;

static int level(void)
{
        const char *name;

        if (current >= 0)
                return current;
        name = getenv("MICA_LOG");
        current = LOG_LEVEL_WARNING;
        for (size_t i = 0; name && i < ARRAY_LEN(level_names); i++)
                if (streq(name, level_names[i]))
                        current = (int)i;
        return current;
}

void log_set_level(LogLevel new_level)
{
        current = (int)new_level;
}

bool log_enabled(LogLevel wanted)
{
        return (int)wanted <= level();
}

void log_line(LogLevel wanted, const char *format, ...)
{
        _cleanup_free_ char *text = NULL, *line = NULL;
        int saved = errno;
        va_list args;

        if (!log_enabled(wanted))
                return;
        va_start(args, format);
        text = xvasprintf(format, args);
        va_end(args);
        line = xasprintf("mica: %s: %s\n", level_names[wanted], text);
        if (write(STDERR_FILENO, line, strlen(line)) < 0) { /* nowhere to say so */
        }
        errno = saved;
}
