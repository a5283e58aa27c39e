/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Own traffic is no traffic: a connection of which either end is Fullspan. Known by port, by process, by address pair, and
 * across NAT by the pair of initial sequence numbers, which both ends can compute at any time and no NAT changes.
 */
#ifndef FULLSPAN_OWN_BPF_H
#define FULLSPAN_OWN_BPF_H

#include "endpoints.bpf.h"

/* A connection is looked up this many times before it counts as foreign: its far end may be told a little later. */
#define OWN_CHECKS 8

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u8);
} own_processes SEC(".maps");

/* Loopback addresses mean something else in each namespace; others are the same connection wherever they are seen. */
struct tuple {
	struct endpoints ends;
	__u32 netns;
};

/* Until when (ktime) a tuple is Fullspan's: its ports may be another's later. Own packets renew it at every hop. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tuple);
	__type(value, __u64);
} own_tuples SEC(".maps");

#define STREAM_TUPLE_NS (60 * 1000000000ull)
#define DATAGRAM_TUPLE_NS (5 * 1000000000ull)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} own_streams SEC(".maps");

/* What address translation leaves alone of own packets: (seq, ack), or a digest of the datagram. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u8);
} own_packets SEC(".maps");

static __always_inline bool is_own_process(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&own_processes, &pid) != NULL;
}

static __always_inline bool is_own_port(const struct endpoints *ends)
{
	return (flags_of_port(ends->local_port) | flags_of_port(ends->remote_port)) & PORT_OWN;
}

static __always_inline void tuple_of(const struct endpoints *ends, __u32 netns, struct tuple *tuple)
{
	tuple->ends = *ends;
	tuple->ends.padding = 0;
	tuple->netns = is_loopback(ends) ? netns : 0;
}

static __always_inline bool is_own_tuple(const struct endpoints *ends, __u32 netns)
{
	struct tuple tuple;
	__u64 *until;

	tuple_of(ends, netns, &tuple);
	until = bpf_map_lookup_elem(&own_tuples, &tuple);
	return until && *until > bpf_ktime_get_ns();
}

static __always_inline void remember_own_tuple(const struct endpoints *ends, __u32 netns)
{
	__u64 until = bpf_ktime_get_ns() + (ends->protocol == IPPROTO_TCP ? STREAM_TUPLE_NS : DATAGRAM_TUPLE_NS);
	struct tuple tuple;

	tuple_of(ends, netns, &tuple);
	bpf_map_update_elem(&own_tuples, &tuple, &until, BPF_ANY);
	__builtin_memcpy(tuple.ends.local, ends->remote, sizeof(tuple.ends.local));
	__builtin_memcpy(tuple.ends.remote, ends->local, sizeof(tuple.ends.remote));
	tuple.ends.local_port = ends->remote_port;
	tuple.ends.remote_port = ends->local_port;
	bpf_map_update_elem(&own_tuples, &tuple, &until, BPF_ANY);
}

/*
 * First byte each side sends, as a pair that is the same at both ends. What was acknowledged includes the SYN at the end
 * that opened the connection (snd_una was moved over it by tcp_ack), but not at the other: `opened` tells them apart.
 */
static __always_inline __u64 stream_key(struct sock *sk, bool opened)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk; /* bpf_skc_to_tcp_sock() refuses the socket of a packet */
	__u32 sent = BPF_CORE_READ(tcp, snd_una) - (__u32)BPF_CORE_READ(tcp, bytes_acked) + opened;
	__u32 received = BPF_CORE_READ(tcp, rcv_nxt) - (__u32)BPF_CORE_READ(tcp, bytes_received);

	return sent < received ? (__u64)sent << 32 | received : (__u64)received << 32 | sent;
}

static __always_inline bool is_own_stream(struct sock *sk, bool opened)
{
	__u64 key = stream_key(sk, opened);

	return bpf_map_lookup_elem(&own_streams, &key) != NULL;
}

static __always_inline void remember_own_stream(struct sock *sk, bool opened)
{
	__u64 key = stream_key(sk, opened);
	__u8 yes = 1;

	bpf_map_update_elem(&own_streams, &key, &yes, BPF_ANY);
}

static __always_inline bool may_have_opened(const struct socket_state *state)
{
	return state->role != ROLE_SERVER || state->role_inferred;
}

static __always_inline bool may_have_accepted(const struct socket_state *state)
{
	return state->role != ROLE_CLIENT || state->role_inferred;
}

static __always_inline void remember_own(struct sock *sk, struct socket_state *state, const struct endpoints *ends)
{
	__u8 tcp_state = FIELD(sk, __sk_common.skc_state);

	state->own = OWN_YES;
	if (!ends->remote_port)
		return;
	remember_own_tuple(ends, netns_of(sk));
	if (ends->protocol != IPPROTO_TCP || tcp_state == TCP_SYN_SENT || tcp_state == TCP_CLOSE)
		return;
	if (may_have_opened(state))
		remember_own_stream(sk, true);
	if (may_have_accepted(state))
		remember_own_stream(sk, false);
}

/* A datagram socket may serve others, too: only Fullspan's own socket is excluded as a whole. */
static __always_inline bool is_own_datagram(struct sock *sk, struct socket_state *state, const struct endpoints *ends,
					    bool in_process)
{
	if (in_process && is_own_process())
		remember_own(sk, state, ends);
	return state->own == OWN_YES || is_own_port(ends) || is_own_tuple(ends, netns_of(sk));
}

/* Both ends know whose process the other was when they were connected. */
static __always_inline bool is_own_unix(struct sock *sk, struct socket_state *state)
{
	__u32 peer = 0;

	if (is_own_process()) {
		state->own = OWN_YES;
		return true;
	}
	peer = BPF_CORE_READ(sk, sk_peer_pid, numbers[0].nr);
	state->own = peer && bpf_map_lookup_elem(&own_processes, &peer) ? OWN_YES : OWN_NO;
	return state->own == OWN_YES;
}

/* `in_process`: the current task is the one that uses the socket. */
static __always_inline bool is_own_socket(struct sock *sk, struct socket_state *state, const struct endpoints *ends,
					  bool in_process)
{
	bool is_own;

	if (state->own == OWN_YES)
		return true;
	if (state->own == OWN_NO)
		return false;
	if (ends->family == 1)
		return is_own_unix(sk, state);
	if (ends->protocol != IPPROTO_TCP)
		return is_own_datagram(sk, state, ends, in_process);
	is_own = is_own_port(ends) || (in_process && is_own_process()) || is_own_tuple(ends, netns_of(sk));
	if (!is_own) {
		if (may_have_opened(state))
			is_own = is_own_stream(sk, true);
		if (!is_own && may_have_accepted(state))
			is_own = is_own_stream(sk, false);
	}
	if (is_own)
		remember_own(sk, state, ends);
	else if (++state->own_checks >= OWN_CHECKS)
		state->own = OWN_NO;
	return is_own;
}

#endif
