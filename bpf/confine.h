/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_CONFINE_H
#define FULLSPAN_CONFINE_H

#include <stdbool.h>

/*
 * Leaves this process, and those it forks, only the system calls that supervising and loading take (seccomp, an allow-list).
 * No file can be opened for writing, no program executed, no other namespace entered than a network's. What is not on the list
 * fails with EPERM; another architecture's call kills. Needs no_new_privs.
 */
bool confine_supervisor(void);

/* Further, once everything is loaded: no program loaded, no map made, no process made, signalled or waited for. */
bool confine_capture(void);

#endif
