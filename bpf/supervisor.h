/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_SUPERVISOR_H
#define FULLSPAN_SUPERVISOR_H

#include "settings.h"

/*
 * Runs the capturing process, and another one when it dies, on the same socket. Ends with it when the reader closes its end,
 * on SIGTERM and on SIGINT. Returns the exit code.
 */
int supervise(const struct settings *settings);

#endif
