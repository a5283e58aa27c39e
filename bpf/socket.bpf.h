/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* SYS: what sockets send and receive. */
#ifndef FULLSPAN_SOCKET_BPF_H
#define FULLSPAN_SOCKET_BPF_H

#include "datagram.bpf.h"
#include "own.bpf.h"
#include "payload.bpf.h"
#include "process.bpf.h"

/* Scratch of each program: see maps.bpf.h. */
#define SCRATCH_SEND 0
#define SCRATCH_RECEIVE 1

static __always_inline void infer_role(struct socket_state *state, const struct endpoints *ends, __u32 netns)
{
	struct listener listener = { .netns = netns, .port = ends->local_port };

	state->role_inferred = 1;
	if (ends->protocol == IPPROTO_TCP)
		state->role = bpf_map_lookup_elem(&listeners, &listener) ? ROLE_SERVER : ROLE_CLIENT;
}

/* State of a socket, made at its first event; `role` where it is known from a change of state. */
static __always_inline struct socket_state *state_of(struct sock *sk, const struct endpoints *ends, __u8 role)
{
	struct socket_state *state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!state) {
		count_seen();
		count_lost(LOSS_NO_STATE);
		return NULL;
	}
	if (state->cookie)
		return state;
	state->cookie = bpf_get_socket_cookie(sk);
	state->role = role;
	if (role == ROLE_UNKNOWN)
		infer_role(state, ends, netns_of(sk));
	return state;
}

/* Neither end of a datagram socket opened anything: the end with the known port serves, else who spoke first asked. */
static __always_inline void settle_datagram_role(struct socket_state *state, const struct endpoints *ends, __u8 direction)
{
	bool local = port_flags[ends->local_port] & PORT_UDP, remote = port_flags[ends->remote_port] & PORT_UDP;

	if (state->role != ROLE_UNKNOWN)
		return;
	state->role_inferred = local == remote;
	if (local != remote)
		state->role = local ? ROLE_SERVER : ROLE_CLIENT;
	else
		state->role = direction == DIRECTION_SEND ? ROLE_CLIENT : ROLE_SERVER;
}

/* Whose spans arrive on it: told once per connection, by the end that is not Fullspan. */
static __always_inline void tell_own_connection(struct sock *sk, struct socket_state *state, const struct endpoints *ends,
						__u32 scratch_index)
{
	struct own_connection_record record = {};

	if (state->own_told || is_own_process())
		return;
	state->own_told = 1;
	tell_process(scratch_index);
	record.head.length = sizeof(record);
	record.head.type = RECORD_OWN_CONNECTION;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.time_ns = bpf_ktime_get_ns();
	record.ends = *ends;
	record.pid = bpf_get_current_pid_tgid() >> 32;
	record.netns = netns_of(sk);
	emit(&record, sizeof(record));
}

static __always_inline void emit_data(struct socket_scratch *out, struct sock *sk, struct socket_state *state, __u64 payload)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 size = clamp(payload, MAX_PAYLOAD) + sizeof(out->record);

	out->record.head.length = size;
	out->record.head.type = RECORD_SOCKET_DATA;
	out->record.head.version = PROBE_PROTOCOL_VERSION;
	out->record.cookie = state->cookie;
	out->record.netns = netns_of(sk);
	out->record.pid = id >> 32;
	out->record.tid = id;
	out->record.ordinal = __sync_fetch_and_add(&state->ordinal, 1);
	out->record.role = state->role;
	out->record.role_inferred = state->role_inferred;
	out->record.padding = 0;
	out->record.payload_length = payload;
	emit(out, size);
}

/* tcp_sendmsg_locked runs once per segment: the first run of a call is before the first byte is transmitted. */
static __always_inline void note_send_start(struct sock *sk, const struct msghdr *message)
{
	struct thread_state *thread;
	struct tcp_sock *tcp;

	thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread || thread->sk == (__u64)sk)
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	thread->sk = (__u64)sk;
	thread->time_ns = bpf_ktime_get_ns();
	thread->seq = tcp->write_seq;
	thread->source.kind = SOURCE_NONE;
	thread->source.offset = message->msg_iter.iov_offset;
	if (message->msg_iter.iter_type == ITER_UBUF) {
		thread->source.kind = SOURCE_BUFFER;
		thread->source.base = (__u64)message->msg_iter.ubuf;
		thread->source.count = MAX_PAYLOAD;
	} else if (message->msg_iter.iter_type == ITER_IOVEC) {
		thread->source.kind = SOURCE_KERNEL_IOVEC;
		thread->source.base = (__u64)message->msg_iter.__iov;
		thread->source.count = message->msg_iter.nr_segs;
	}
}

/* As take_send_start(), from what packets told (packet.bpf.h). */
static __always_inline void take_transmit_time(struct socket_state *state, struct socket_data_record *record)
{
	if (state->has_tx_seq && state->tx_time_ns && state->tx_seq == record->seq)
		record->time_ns = state->tx_time_ns;
	state->tx_time_ns = 0;
	state->tx_seq = record->seq + record->moved;
	state->has_tx_seq = 1;
}

/* Time, sequence number and source of what was just sent; takes the note away. */
static __always_inline void take_send_start(struct sock *sk, struct socket_state *state,
					    struct socket_data_record *record, struct source *source)
{
	struct thread_state *thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);
	struct tcp_sock *tcp;

	if (thread && thread->sk == (__u64)sk) {
		thread->sk = 0;
		record->time_ns = thread->time_ns;
		record->seq = thread->seq;
		*source = thread->source;
		return;
	}
	tcp = bpf_skc_to_tcp_sock(sk);
	record->time_ns = bpf_ktime_get_ns();
	record->seq = tcp ? tcp->write_seq - record->moved : 0;
	source_of_call(source, sk, false, record->moved);
	if (!has_send_start)
		take_transmit_time(state, record);
}

/* The FIN has a sequence number of its own: the read that reaches it moves copied_seq over it, too. */
static __always_inline __u32 received_seq(struct sock *sk, __u32 moved)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	bool has_fin;

	if (!tcp)
		return 0;
	has_fin = (sk->sk_shutdown & RCV_SHUTDOWN) && tcp->copied_seq == tcp->rcv_nxt;
	return tcp->copied_seq - moved - has_fin;
}

static __always_inline void on_stream_send(struct sock *sk, __u32 moved)
{
	struct socket_state *state;
	struct socket_scratch *out;
	struct source source = {};
	__u32 index = SCRATCH_SEND;

	out = bpf_map_lookup_elem(&socket_scratches, &index);
	if (!out || !endpoints_of(sk, &out->record.ends))
		return;
	out->record.moved = moved;
	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	take_send_start(sk, state, &out->record, &source);
	if (is_own_socket(sk, state, &out->record.ends, true)) {
		tell_own_connection(sk, state, &out->record.ends, SCRATCH_SEND);
		return;
	}
	tell_process(SCRATCH_SEND);
	out->record.direction = DIRECTION_SEND;
	emit_data(out, sk, state, copy_payload(out, &source, moved));
}

static __always_inline void on_stream_receive(struct sock *sk, __u32 moved, int flags)
{
	struct socket_state *state;
	struct socket_scratch *out;
	struct source source = {};
	__u32 index = SCRATCH_RECEIVE;

	if (!moved && !(sk->sk_shutdown & RCV_SHUTDOWN))
		return;
	out = bpf_map_lookup_elem(&socket_scratches, &index);
	if (!out || !endpoints_of(sk, &out->record.ends))
		return;
	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	if (is_own_socket(sk, state, &out->record.ends, true)) {
		tell_own_connection(sk, state, &out->record.ends, SCRATCH_RECEIVE);
		return;
	}
	if (!moved && state->ended)
		return;
	if (!moved)
		state->ended = 1;
	tell_process(SCRATCH_RECEIVE);
	out->record.time_ns = bpf_ktime_get_ns();
	out->record.moved = moved;
	out->record.seq = received_seq(sk, moved);
	out->record.direction = DIRECTION_RECEIVE;
	if (moved && !(flags & MSG_TRUNC))
		source_of_call(&source, sk, true, moved);
	emit_data(out, sk, state, copy_payload(out, &source, moved));
}

/* A send names its destination in the call; a receive is recognised among the datagrams that arrived. */
static __always_inline void on_datagram(struct sock *sk, __u32 moved, __u8 direction)
{
	struct socket_state *state;
	struct socket_scratch *out;
	struct source source = {};
	__u32 index = direction == DIRECTION_SEND ? SCRATCH_SEND : SCRATCH_RECEIVE;
	__u64 payload;

	out = bpf_map_lookup_elem(&socket_scratches, &index);
	if (!out || !endpoints_of(sk, &out->record.ends))
		return;
	source_of_call(&source, sk, direction == DIRECTION_RECEIVE, moved);
	__builtin_memset(out->payload, 0, DATAGRAM_PREFIX);
	payload = copy_payload(out, &source, moved);
	if (direction == DIRECTION_SEND && source.name)
		read_destination(source.name, &out->record.ends);
	if (direction == DIRECTION_RECEIVE)
		find_datagram(netns_of(sk), moved, out->payload, &out->record.ends);
	if (!((port_flags[out->record.ends.local_port] | port_flags[out->record.ends.remote_port]) & PORT_UDP))
		return;

	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	out->record.time_ns = bpf_ktime_get_ns();
	if (direction == DIRECTION_SEND && state->tx_time_ns) {
		if (state->tx_tid == (__u32)bpf_get_current_pid_tgid()) {
			out->record.time_ns = state->tx_time_ns;
			if (is_unset(out->record.ends.local))
				__builtin_memcpy(out->record.ends.local, state->tx_source, sizeof(state->tx_source));
		}
		state->tx_time_ns = 0;
	}
	if (is_own_socket(sk, state, &out->record.ends, true))
		return;
	settle_datagram_role(state, &out->record.ends, direction);
	tell_process(index);
	out->record.moved = moved;
	out->record.seq = 0;
	out->record.direction = direction;
	emit_data(out, sk, state, payload);
}

static __always_inline void note_first_seq(struct sock *sk, struct socket_state *state)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);

	if (has_send_start || !tcp || !state)
		return;
	state->tx_seq = tcp->write_seq;
	state->has_tx_seq = 1;
}

static __always_inline void on_state_change(struct sock *sk, int old_state, int new_state)
{
	struct socket_close_record record = {};
	struct socket_state *state;
	struct listener listener;
	struct endpoints ends;
	__u8 yes = 1;

	if (sk->sk_protocol != IPPROTO_TCP || !endpoints_of(sk, &ends))
		return;
	if (new_state == TCP_LISTEN) {
		listener.netns = netns_of(sk);
		listener.port = ends.local_port;
		bpf_map_update_elem(&listeners, &listener, &yes, BPF_ANY);
	} else if (new_state == TCP_SYN_SENT) {
		state = state_of(sk, &ends, ROLE_CLIENT);
		if (state)
			is_own_socket(sk, state, &ends, true);
	} else if (new_state == TCP_ESTABLISHED) {
		state = state_of(sk, &ends, old_state == TCP_SYN_SENT ? ROLE_CLIENT : ROLE_SERVER);
		if (state && is_own_socket(sk, state, &ends, false))
			remember_own(sk, state, &ends);
		note_first_seq(sk, state);
	} else if (new_state == TCP_CLOSE) {
		state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
		if (!state || !state->ordinal || state->own == OWN_YES)
			return;
		record.head.length = sizeof(record);
		record.head.type = RECORD_SOCKET_CLOSE;
		record.head.version = PROBE_PROTOCOL_VERSION;
		record.time_ns = bpf_ktime_get_ns();
		record.cookie = state->cookie;
		record.ordinal = state->ordinal;
		emit(&record, sizeof(record));
	}
}

#endif
