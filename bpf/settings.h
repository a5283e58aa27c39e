/* SPDX-License-Identifier: Apache-2.0 */
/* The command line, parsed. */
#ifndef FULLSPAN_SETTINGS_H
#define FULLSPAN_SETTINGS_H

#include "budget.h"
#include "filters.h"
#include <stdbool.h>
#include <stdint.h>

#define MAX_LISTED 32

/* Exit codes. */
enum { EXIT_USAGE = 2, EXIT_CANNOT_RUN = 3 };

struct number_list {
	uint32_t values[MAX_LISTED];
	uint32_t count;
};

/* AUTO takes the first that the kernel has. */
enum sys_tier { SYS_AUTO, SYS_SOCK, SYS_SYSCALL };
/* What tells when a send began: tcp_sendmsg_locked, sys_enter, the first packet. */
enum send_start { START_AUTO, START_LOCKED, START_ENTER, START_PACKET };

/* AUTO: tracepoints from kernel 6.12 on, else a packet socket in each namespace. */
enum net_tier { NET_AUTO, NET_TRACEPOINT, NET_PACKET_SOCKET };

struct settings {
	int fd;
	uint32_t max_payload;
	uint32_t max_packet_payload;
	uint32_t ring_bytes;
	struct number_list own_pids;
	struct number_list own_ports;
	struct number_list udp_ports;
	struct filters filters;
	struct budget_limits budget;
	enum sys_tier sys_tier;
	enum send_start send_start;
	enum net_tier net_tier;
	bool has_net;
	bool has_unix;
};

/* Shared between the supervisor and the capturing process. */
struct progress {
	uint64_t complete_until_ns; /* everything seen until then has been handed to the reader */
	uint64_t gap_from_ns;       /* 0: first start */
	bool was_capturing;
};

#endif
