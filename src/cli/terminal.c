#include "cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_size(int fd, unsigned *ret_columns, unsigned *ret_rows)
{
        struct winsize size;

        if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
                return false;
        *ret_columns = size.ws_col;
        *ret_rows = size.ws_row;
        return true;
}

unsigned terminal_width(int fd)
{
        unsigned columns, rows;

        return terminal_size(fd, &columns, &rows) ? columns : TERMINAL_WIDTH_DEFAULT;
}

bool terminal_is_smart(int fd)
{
        const char *term = getenv("TERM");

        return isatty(fd) && (!term || strcmp(term, "dumb") != 0);
}

bool terminal_has_color(int fd)
{
        const char *no_color = getenv("NO_COLOR");

        return terminal_is_smart(fd) && !(no_color && *no_color);
}
