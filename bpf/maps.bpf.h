/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Settings, maps and the way out of the kernel side. Every event passes emit(), which is where it is counted. */
#ifndef FULLSPAN_MAPS_BPF_H
#define FULLSPAN_MAPS_BPF_H

#include "kernel.h"
#include "ports.h"
#include "probe.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

/* Set by the user side before loading. */
const volatile __u32 max_payload = 1024;
const volatile __u32 max_packet_payload = 1024;
const volatile bool has_send_start = true; /* tcp_sendmsg_locked tells when a send begins */
const volatile bool has_send_enter = false; /* else the entry of the system call does; else the first packet */
const volatile bool has_unix = true;
const volatile bool has_tls = false; /* calls of TLS libraries are seen */
const volatile bool is_syscall_tier = false; /* sockets come from sys_enter and sys_exit: untrusted pointers */
const volatile __u64 ring_bytes = 16 << 20;
const volatile __u8 port_flags[65536] = {};

/* Verifiers before 6.13 know nothing of what a change of byte order gives, not even that it is 16 bits long. */
static __always_inline __u8 flags_of_port(__u64 port)
{
	asm volatile("%0 &= 0xffff" : "+r"(port));
	return port_flags[port];
}

__u32 process_generation = 1; /* moves with every process that executes a program or ends */

/* Set by the user side at any time. */
__u32 verdict_generation = 0;     /* moves with every change of `verdicts` */
__u32 level_payload = MAX_PAYLOAD; /* bytes of an event at most, by the budget */
__u32 level_share = 65536;        /* of connections, in parts of 65536, by the budget */

/*
 * A member of a socket. In the system call tier its pointer was read from memory: only one of the branches is left when
 * the verifier sees the program.
 */
#define FIELD(pointer, member) (is_syscall_tier ? BPF_CORE_READ(pointer, member) : (pointer)->member)

enum own { OWN_UNDECIDED = 0, OWN_NO = 1, OWN_YES = 2 };

/* What is known of a socket; lives and dies with it. */
struct socket_state {
	__u64 cookie;
	__u64 inode; /* system call tier: tells a new socket at the same address */
	__u64 sent;  /* bytes in MODE_COUNTS that were not told yet */
	__u64 received;
	__u64 counted_at_ns;
	__u64 tx_time_ns; /* when the datagram, or TCP's byte tx_seq, that is being sent reached the first interface; or 0 */
	__u64 tx_skb;
	__u8 tx_source[16];
	__u32 tx_tid;
	__u32 tx_seq; /* TCP without has_send_start: where the next send begins */
	__u32 ordinal;
	__u32 counted; /* events in MODE_COUNTS that were not told yet */
	__u32 generation; /* of `verdicts`, when it was looked up there */
	__u32 allowance;
	__u32 turn_bytes; /* since the direction changed */
	__u32 rx_seq;     /* of the next byte to be received */
	__u32 filter_pid;
	__u32 told_pid; /* whose facts were told, unless a process began or ended since: told_generation */
	__u32 told_generation;
	__u8 filter;
	__u8 mode;
	__u8 turn;
	__u8 is_named;
	__u8 role;
	__u8 role_inferred;
	__u8 own;
	__u8 own_checks;
	__u8 own_told;
	__u8 ended;
	__u8 has_tx_seq;
	__u8 has_rx_seq;
	__u32 rtt_us; /* as told last */
	__u64 rtt_told_ns;
	__u64 connect_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

/* The same in the system call tier, by the address of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct socket_state);
} sockets_by_address SEC(".maps");

/* By cookie: what the reader wants of a connection. */
struct verdict {
	__u32 mode;
	__u32 allowance;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct verdict);
} verdicts SEC(".maps");

/* Where the bytes of a call lie in the memory of its process. */
enum source_kind { SOURCE_NONE = 0, SOURCE_BUFFER = 1, SOURCE_USER_IOVEC = 2, SOURCE_KERNEL_IOVEC = 3 };

struct source {
	__u64 base;
	__u64 count;  /* bytes of a buffer, elements of an iovec */
	__u64 offset; /* to skip in the first element */
	__u32 kind;
	__u64 name; /* the user's sockaddr, or 0 */
	__u64 sk;   /* whose bytes they are, as a number: functions that are verified by themselves take no sockets */
};

/* What a thread is about to send on a TCP socket, and how far it is in a sendmmsg or recvmmsg. */
struct thread_state {
	__u64 sk; /* 0: not sending */
	__u64 time_ns;
	struct source source;
	__u64 many_sk;
	__u64 many_vector;
	__u64 ready_sk;  /* Unix socket that was told of data, and when: the other end of a send under way */
	__u64 ready_ns;
	__u64 enter_ns;  /* of the send that it is in, when has_send_enter */
	__u32 many_index;
	__u32 many_moved;
	__u32 seq;
	__u32 enter_nr;
	__u64 request; /* of io_uring, submitted last */
	__u64 call_sk; /* system call tier: the socket that it is sending on */
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
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct socket_scratch);
} socket_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct packet_scratch);
} packet_scratches SEC(".maps");

struct tunnel_scratch {
	struct tunnel_packet_record record;
	__u8 payload[MAX_PAYLOAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct tunnel_scratch);
} tunnel_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct process_seen_record);
} process_scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct socket_name_record);
} name_scratches SEC(".maps");

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

/* The state of a socket, or NULL where there is none (and none was asked for). */
static __always_inline struct socket_state *find_state(struct sock *sk)
{
	__u64 address = (__u64)sk;

	if (is_syscall_tier)
		return bpf_map_lookup_elem(&sockets_by_address, &address);
	return bpf_sk_storage_get(&sockets, sk, NULL, 0);
}

static __always_inline struct socket_state *make_state(struct sock *sk)
{
	struct socket_state *state, fresh = {};
	__u64 address = (__u64)sk;

	if (!is_syscall_tier)
		return bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	state = bpf_map_lookup_elem(&sockets_by_address, &address);
	if (state)
		return state;
	bpf_map_update_elem(&sockets_by_address, &address, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sockets_by_address, &address);
}

static __always_inline bool must_shed(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > ring_bytes / 4 * 3;
}

#endif
