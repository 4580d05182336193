/*
 * Ctrl-C: the first one asks the running command to stop and clean up, the second one ends the program.
 */
#pragma once

#include <signal.h>

/*
 * Catches SIGINT, SIGTERM and SIGHUP from now on. The flag becomes the number of the signal. After a second signal the process ends with 128 + number.
 */
const volatile sig_atomic_t *interrupt_flag(void);
