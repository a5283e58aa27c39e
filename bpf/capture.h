/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_CAPTURE_H
#define FULLSPAN_CAPTURE_H

#include "settings.h"
#include <stdbool.h>
#include <stddef.h>

/* What the running kernel offers, or why capture is not possible (one line, returns false). */
struct tiers {
	bool has_send_start;
	bool has_net;
	const char *sys;
	const char *net;
};

bool capture_check(struct tiers *tiers, char *reason, size_t reason_size);

/* Captures until the reader closes its end or a signal ends it. Returns the exit code. */
int capture_run(const struct settings *settings, struct progress *progress);

#endif
