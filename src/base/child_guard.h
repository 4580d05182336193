/*
 * Private to base/: the guard between a child process and us.
 *
 * PR_SET_PDEATHSIG alone kills one process: a program's own children (git's transport, apt below mmdebstrap) would go on for as long as they like. So the
 * program runs below a guard, which is a subreaper: everything that the program starts stays its descendant, also what leaves the session or forks into the
 * background. The guard ends as the program does. When its parent is gone or tells it to (child_kill), it kills all of them and itself.
 */
#pragma once

#include <signal.h>
#include <sys/types.h>

/* What tells a guard to kill. Not SIGTERM, which is sent to the whole process group where a program has something to put away. */
#define CHILD_GUARD_KILL SIGUSR2

/*
 * In a freshly forked child of the process `parent`: returns in a grandchild, which is to become the program, with all signals blocked; the caller stays as the
 * guard and never returns. Only async-signal-safe calls: usable after fork() in a process with threads. When the guard itself is killed, the program is too.
 */
void child_guard(pid_t parent);
