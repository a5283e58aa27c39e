/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Settings, maps and the way out of the kernel side. Every event passes emit(), which is where it is counted. */
#ifndef FULLSPAN_MAPS_BPF_H
#define FULLSPAN_MAPS_BPF_H

#include "kernel.h"
#include "probe.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

#define PORT_OWN 1 /* Fullspan listens here */
#define PORT_UDP 2 /* datagrams from or to this port are captured */

/* Set by the user side before loading. */
const volatile __u32 max_payload = 1024;
const volatile __u32 max_packet_payload = 1024;
const volatile bool has_send_start = true; /* tcp_sendmsg_locked is there */
const volatile __u64 ring_bytes = 16 << 20;
const volatile __u8 port_flags[65536] = {};

enum own { OWN_UNDECIDED = 0, OWN_NO = 1, OWN_YES = 2 };

/* What is known of a socket; lives and dies with it. */
struct socket_state {
	__u64 cookie;
	__u64 tx_time_ns; /* when the datagram, or TCP's byte tx_seq, that is being sent reached the first interface; or 0 */
	__u64 tx_skb;
	__u8 tx_source[16];
	__u32 tx_tid;
	__u32 tx_seq; /* TCP without has_send_start: where the next send begins */
	__u32 ordinal;
	__u8 role;
	__u8 role_inferred;
	__u8 own;
	__u8 own_checks;
	__u8 own_told;
	__u8 ended;
	__u8 has_tx_seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

/* Where the bytes of a call lie in the memory of its process. */
enum source_kind { SOURCE_NONE = 0, SOURCE_BUFFER = 1, SOURCE_USER_IOVEC = 2, SOURCE_KERNEL_IOVEC = 3 };

struct source {
	__u64 base;
	__u64 count;  /* bytes of a buffer, elements of an iovec */
	__u64 offset; /* to skip in the first element */
	__u32 kind;
	__u64 name; /* the user's sockaddr, or 0 */
};

/* What a thread is about to send on a TCP socket, and how far it is in a sendmmsg or recvmmsg. */
struct thread_state {
	__u64 sk; /* 0: not sending */
	__u64 time_ns;
	struct source source;
	__u64 many_sk;
	__u64 many_vector;
	__u32 many_index;
	__u32 seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_state);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} events SEC(".maps");

struct counters {
	__u64 seen;
	__u64 lost[LOSS_REASONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counts SEC(".maps");

/* One record under construction per processor and program: a program never interrupts itself. */
/* Payload follows its record at a constant offset; twice the limit, so that masked offsets stay inside for the verifier. */
struct socket_scratch {
	struct socket_data_record record;
	__u8 payload[2 * MAX_PAYLOAD];
};

struct packet_scratch {
	struct packet_record record;
	__u8 payload[MAX_PAYLOAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct socket_scratch);
} socket_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct packet_scratch);
} packet_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct process_seen_record);
} process_scratches SEC(".maps");

/* Processes whose facts have been sent. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, __u8);
} known_processes SEC(".maps");

struct listener {
	__u32 netns;
	__u32 port;
};

/* Ports that something listened on: makes the server's end out of a connection that is older than the probe. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct listener);
	__type(value, __u8);
} listeners SEC(".maps");

/* Clamped in 64 bits behind a barrier: clang-14 otherwise checks a copy, and the verifier sees no bound. */
static __always_inline __u64 clamp(__u64 n, __u64 limit)
{
	if (n > limit)
		n = limit;
	asm volatile("" : "+r"(n));
	if (n > MAX_PAYLOAD)
		n = MAX_PAYLOAD;
	return n;
}

static __always_inline void count_lost(enum loss_reason reason)
{
	struct counters *counters;
	__u32 zero = 0;

	counters = bpf_map_lookup_elem(&counts, &zero);
	if (counters)
		__sync_fetch_and_add(&counters->lost[reason], 1);
}

static __always_inline void count_seen(void)
{
	struct counters *counters;
	__u32 zero = 0;

	counters = bpf_map_lookup_elem(&counts, &zero);
	if (counters)
		__sync_fetch_and_add(&counters->seen, 1);
}

/* The reader polls; it is woken only when an eighth of the ring is waiting. */
static __always_inline bool emit(void *record, __u64 size)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	__u64 flags = waiting > ring_bytes / 8 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;

	count_seen();
	if (bpf_ringbuf_output(&events, record, size, flags) == 0)
		return true;
	count_lost(LOSS_RING_FULL);
	return false;
}

static __always_inline bool must_shed(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > ring_bytes / 4 * 3;
}

#endif
