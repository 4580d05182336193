#include "cli/interrupt.h"

#include <unistd.h>

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
        if (caught)
                _exit(128 + number);
        caught = number;
}

const volatile sig_atomic_t *interrupt_flag(void)
{
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
        /* No SA_RESTART: a blocking call returns, and whoever made it looks at the flag. */
        struct sigaction action = { .sa_handler = catch_signal };

        for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
                sigaction(numbers[i], &action, NULL);
        return &caught;
}
