/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_CAPTURE_H
#define FULLSPAN_CAPTURE_H

#include "settings.h"
#include <stdbool.h>
#include <stddef.h>

/* What the running kernel offers, or why capture is not possible (one line, returns false). */
struct tiers {
	bool has_sock;       /* sock_send_length and sock_recv_length */
	bool has_send_start; /* tcp_sendmsg_locked */
	bool has_io_uring;
	bool has_net;        /* tracepoints that may read packets */
	bool has_packet_sockets; /* used instead of them */
	bool has_drops;      /* kfree_skb says why */
	bool has_network;    /* retransmissions, resets, drops are told */
	enum sys_tier sys_tier; /* that is used */
	enum send_start send_start;
	const char *sys;
	const char *net;
};

/* `settings` may be NULL. */
bool capture_check(struct tiers *tiers, const struct settings *settings, char *reason, size_t reason_size);

/* Captures until the reader closes its end or a signal ends it. Returns the exit code. */
int capture_run(const struct settings *settings, struct progress *progress);

#endif
