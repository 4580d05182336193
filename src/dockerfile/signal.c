/* STOPSIGNAL: a name as docker knows it, or a number. */
#include <string.h>

#include "base/str.h"
#include "dockerfile/instruction.h"

/* Linux names as docker knows them, sorted; the real-time ones are recognised by their form. */
static const char *const names[] = {
        "ABRT", "ALRM", "BUS",    "CHLD", "CLD", "CONT", "FPE",  "HUP",  "ILL",  "INT",  "IO",  "IOT",  "KILL", "PIPE",   "POLL",  "PROF", "PWR",
        "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
};

static bool is_realtime(const char *name)
{
        const char *rest = str_after(name, "RT"), *number;
        uint32_t n;

        if (!rest || (!str_starts(rest, "MIN") && !str_starts(rest, "MAX")))
                return false;
        number = rest + 3;
        if (!*number)
                return true;
        /* RTMIN, RTMIN+1 … RTMIN+15, RTMAX-14 … RTMAX-1, RTMAX */
        if (*number != (str_starts(rest, "MIN") ? '+' : '-') || number[1] == '0' || str_to_u32(number + 1, &n) < 0)
                return false;
        return n >= 1 && n <= (*number == '+' ? 15 : 14);
}

bool dockerfile_signal_is_valid(const char *name)
{
        _cleanup_free_ char *upper = str_upper(name);
        const char *bare = str_starts(upper, "SIG") ? upper + 3 : upper;
        int64_t number;

        if (str_to_i64(*name == '+' && name[1] != '-' ? name + 1 : name, &number) == 0)
                return number != 0;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (streq(bare, names[i]))
                        return true;
        return is_realtime(bare);
}
