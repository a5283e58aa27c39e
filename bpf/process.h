/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_PROCESS_H
#define FULLSPAN_PROCESS_H

#include "output.h"
#include "probe.h"

/* Completes what the kernel side saw of a process with what /proc still knows, and sends it. */
void process_send(struct output *output, const struct process_seen_record *seen);

#endif
