// SPDX-License-Identifier: Apache-2.0
#include "budget.h"

#define HEADERS 256 /* bytes: a request line and what matters of its headers */
#define FULL_SHARE 65536u
#define LAST_LEVEL 14 /* nothing but counts */
#define CALM_WINDOWS 3
#define CALM_PERMILLE 400 /* stepping up doubles the load at most */

uint32_t budget_payload(uint32_t level, uint32_t max_payload)
{
	return level && max_payload > HEADERS ? HEADERS : max_payload;
}

uint32_t budget_share(uint32_t level)
{
	return level < 2 ? FULL_SHARE : level >= LAST_LEVEL ? 0 : FULL_SHARE >> (level - 1);
}

static uint64_t permille_of(uint64_t used, uint64_t limit)
{
	return limit ? used * 1000 / limit : 0;
}

static uint64_t load_of(const struct budget *budget)
{
	uint64_t cpu = permille_of(budget->cpu_permille, budget->limits.cpu_percent * 10ull);
	uint64_t events = permille_of(budget->events_per_second, budget->limits.events_per_second);

	return cpu > events ? cpu : events;
}

static uint32_t step_down(uint32_t level, uint64_t load)
{
	level += load > 8000 ? 4 : load > 4000 ? 3 : load > 2000 ? 2 : 1;
	return level > LAST_LEVEL ? LAST_LEVEL : level;
}

bool budget_look(struct budget *budget, uint64_t now_ns, uint64_t cpu_ns, uint64_t events)
{
	uint64_t passed = now_ns - budget->looked_at_ns, load;
	uint32_t level = budget->level;

	if (budget->looked_at_ns && passed < BUDGET_WINDOW_NS)
		return false;
	budget->cpu_permille = budget->looked_at_ns ? (cpu_ns - budget->cpu_ns) * 1000 / passed : 0;
	budget->events_per_second = budget->looked_at_ns ? (events - budget->events) * 1000000000ull / passed : 0;
	budget->looked_at_ns = now_ns;
	budget->cpu_ns = cpu_ns;
	budget->events = events;
	load = load_of(budget);
	if (load > 1000) {
		budget->level = step_down(level, load);
		budget->calm_windows = 0;
	} else if (load >= CALM_PERMILLE || !level) {
		budget->calm_windows = 0;
	} else if (++budget->calm_windows >= CALM_WINDOWS) {
		budget->level--;
		budget->calm_windows = 0;
	}
	return budget->level != level;
}
