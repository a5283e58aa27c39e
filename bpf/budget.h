/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the cost of capture within what the user allows: over it, payloads are cut to headers, then a share of the
 * connections is only counted, half as many at each step; under it, step by step back again.
 */
#ifndef FULLSPAN_BUDGET_H
#define FULLSPAN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_WINDOW_NS (500 * 1000000ull)

struct budget_limits {
	uint32_t cpu_percent;       /* of one processor; 0: no limit */
	uint32_t events_per_second; /* 0: no limit */
};

struct budget {
	struct budget_limits limits;
	uint32_t level;
	uint32_t calm_windows;
	uint64_t looked_at_ns;
	uint64_t cpu_ns;
	uint64_t events;
	uint32_t cpu_permille;      /* of the last window */
	uint32_t events_per_second; /* likewise */
};

/* What a level lets through. */
uint32_t budget_payload(uint32_t level, uint32_t max_payload);
uint32_t budget_share(uint32_t level);

/* All CPU time and all events so far. True: the level has changed. */
bool budget_look(struct budget *budget, uint64_t now_ns, uint64_t cpu_ns, uint64_t events);

#endif
