/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NET on kernels whose tracing programs may not read packets (before 6.12): a packet socket in every network namespace.
 * Packets are parsed here as the kernel side does it (parse.h); what is Fullspan's own is known by its maps.
 */
#ifndef FULLSPAN_PACKET_SOCKET_H
#define FULLSPAN_PACKET_SOCKET_H

#include "filters.h"
#include <stdbool.h>
#include <stdint.h>

struct record;

struct packet_options {
	const volatile uint8_t *port_flags;
	const struct filters *filters;
	int own_tuples; /* map */
	uint32_t max_payload;
};

/* What was read in one go, by time; the budget's limits of that moment. */
struct packet_round {
	uint32_t level_payload;
	uint32_t level_share;
	bool (*take)(void *context, const struct record *record);
	void *context;
};

struct packet_counts {
	uint64_t seen; /* records that had to be made, those lost included */
	uint64_t queue_full;
	uint64_t broken;
	uint64_t budget;
};

bool packet_sockets_open(const struct packet_options *options);

/* Called in each namespace that there is, one scan after the other: opens a socket there, if none is. */
void packet_sockets_visit(uint32_t netns);
/* The scan is over: sockets whose namespaces it did not find are closed, for they would keep them alive. */
void packet_sockets_sweep(void);

void packet_sockets_read(const struct packet_round *round);
void packet_sockets_count(struct packet_counts *counts);

#endif
