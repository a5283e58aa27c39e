/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* SYS: what sockets send and receive. */
#ifndef FULLSPAN_SOCKET_BPF_H
#define FULLSPAN_SOCKET_BPF_H

#include "datagram.bpf.h"
#include "filter.bpf.h"
#include "io-uring.bpf.h"
#include "own.bpf.h"
#include "network.bpf.h"
#include "payload.bpf.h"
#include "process.bpf.h"

/* Scratch of each program: see maps.bpf.h. */
#define SCRATCH_SEND 0
#define SCRATCH_RECEIVE 1
#define SCRATCH_SPLICE 2

#define COUNTS_EVERY_NS 1000000000ull

enum socket_kind { KIND_NONE = 0, KIND_STREAM = 1, KIND_DATAGRAM = 2 };

static __always_inline bool is_unix(const struct endpoints *ends)
{
	return ends->family == 1;
}

/* Datagrams of Unix sockets are nobody's requests. */
static __always_inline enum socket_kind kind_of(struct sock *sk)
{
	__u16 family = FIELD(sk, __sk_common.skc_family), protocol;

	if (family == AF_UNIX)
		return has_unix && FIELD(sk, sk_type) != SOCK_DGRAM ? KIND_STREAM : KIND_NONE;
	if (family != AF_INET && family != AF_INET6)
		return KIND_NONE;
	protocol = FIELD(sk, sk_protocol);
	return protocol == IPPROTO_TCP ? KIND_STREAM : protocol == IPPROTO_UDP ? KIND_DATAGRAM : KIND_NONE;
}

/* The end that listened has a path, and the accepted socket shares it; the end that connected has none, as a rule. */
static __always_inline __u8 role_of_unix(struct sock *sk)
{
	struct unix_sock *local = (struct unix_sock *)sk;
	bool is_bound = BPF_CORE_READ(local, addr) != NULL;
	struct unix_sock *remote = (struct unix_sock *)BPF_CORE_READ(local, peer);
	bool is_peer_bound = remote && BPF_CORE_READ(remote, addr);

	return is_bound == is_peer_bound ? ROLE_UNKNOWN : is_bound ? ROLE_SERVER : ROLE_CLIENT;
}

static __always_inline void infer_role(struct sock *sk, struct socket_state *state, const struct endpoints *ends)
{
	struct listener listener = { .netns = netns_of(sk), .port = ends->local_port };

	if (is_unix(ends)) {
		state->role = role_of_unix(sk);
		state->role_inferred = state->role == ROLE_UNKNOWN;
		return;
	}
	state->role_inferred = 1;
	if (ends->protocol == IPPROTO_TCP)
		state->role = bpf_map_lookup_elem(&listeners, &listener) ? ROLE_SERVER : ROLE_CLIENT;
}

__u64 next_cookie = 0;

/* Where the pointer was read from memory, the kernel makes no cookie for us: one it never makes stands for the socket. */
static __always_inline __u64 cookie_of(struct sock *sk)
{
	__u64 cookie;

	if (!is_syscall_tier)
		return bpf_get_socket_cookie(sk);
	cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	return cookie ? cookie : 1ull << 63 | __sync_fetch_and_add(&next_cookie, 1);
}

/* State of a socket, made at its first event; `role` where it is known from a change of state. */
static __always_inline struct socket_state *state_of(struct sock *sk, const struct endpoints *ends, __u8 role)
{
	struct socket_state *state = make_state(sk);

	if (!state) {
		count_seen();
		count_lost(LOSS_NO_STATE);
		return NULL;
	}
	if (state->cookie)
		return state;
	state->cookie = cookie_of(sk);
	state->role = role;
	if (role == ROLE_UNKNOWN)
		infer_role(sk, state, ends);
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

	if (state->own_told || is_unix(ends) || is_own_process())
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

/* A connection is judged once, and again when another process uses it. */
static __always_inline bool is_filtered(struct socket_state *state, const struct endpoints *ends, __u32 netns)
{
	__u32 pid;

	if (!(port_lists | netns_lists | pid_lists | cgroup_lists | address_lists))
		return false;
	pid = bpf_get_current_pid_tgid() >> 32;
	if (state->filter == FILTER_UNDECIDED || state->filter_pid != pid || ends->protocol == IPPROTO_UDP) {
		state->filter = is_left_out(ends, netns) || is_process_left_out() ? FILTER_DROPS : FILTER_KEEPS;
		state->filter_pid = pid;
	}
	return state->filter == FILTER_DROPS;
}

/* One of the event's own connection that is not made because of the budget: the hole in the ordinals shows it. */
static __always_inline bool is_shed(struct socket_state *state, const struct endpoints *ends)
{
	if (!is_over_budget(ends, state->cookie))
		return false;
	__sync_fetch_and_add(&state->ordinal, 1);
	count_seen();
	count_lost(LOSS_BUDGET);
	return true;
}

static __always_inline void look_up_verdict(struct socket_state *state)
{
	__u32 generation = verdict_generation;
	struct verdict *verdict;

	if (state->generation == generation)
		return;
	state->generation = generation;
	verdict = bpf_map_lookup_elem(&verdicts, &state->cookie);
	if (!verdict)
		return;
	state->mode = verdict->mode;
	state->allowance = verdict->allowance;
}

static __noinline int tell_counts(struct socket_state *state, __u64 time_ns)
{
	struct socket_counts_record record = {};

	record.head.length = sizeof(record);
	record.head.type = RECORD_SOCKET_COUNTS;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.time_ns = time_ns;
	record.cookie = state->cookie;
	record.sent = state->sent;
	record.received = state->received;
	record.events = state->counted;
	state->sent = state->received = 0;
	state->counted = 0;
	state->counted_at_ns = time_ns;
	emit(&record, sizeof(record));
	return 0;
}

/* True: only counted, there is no event. */
static __always_inline bool is_only_counted(struct socket_state *state, const struct socket_data_record *record)
{
	__u64 time_ns;

	look_up_verdict(state);
	if (state->mode != MODE_COUNTS)
		return false;
	if (record->direction == DIRECTION_SEND)
		state->sent += record->moved;
	else
		state->received += record->moved;
	state->counted++;
	time_ns = bpf_ktime_get_ns();
	if (time_ns - state->counted_at_ns > COUNTS_EVERY_NS)
		tell_counts(state, time_ns);
	return true;
}

/* How many bytes of this message may be captured. */
static __always_inline __u64 allowance_of(struct socket_state *state, const struct socket_data_record *record)
{
	__u64 limit = max_payload < level_payload ? max_payload : level_payload;
	__u32 before;

	if (state->mode != MODE_HEADS)
		return limit;
	if (state->turn != record->direction) {
		state->turn = record->direction;
		state->turn_bytes = 0;
	}
	before = state->turn_bytes;
	if (before >= state->allowance)
		return 0;
	state->turn_bytes = before + record->moved;
	return limit < state->allowance - before ? limit : state->allowance - before;
}

static __always_inline __u8 read_name(const struct unix_address *address, char *to)
{
	__u64 length;

	if (!address)
		return 0;
	length = BPF_CORE_READ(address, len) - 2;
	asm volatile("" : "+r"(length));
	if (length > MAX_SOCKET_NAME)
		length = MAX_SOCKET_NAME;
	bpf_probe_read_kernel(to, length, &address->name[0].sun_path);
	return length;
}

static __noinline bool tell_name(struct unix_sock *local, __u64 cookie, __u32 scratch_index)
{
	struct unix_sock *remote = (struct unix_sock *)BPF_CORE_READ(local, peer);
	struct socket_name_record *record = bpf_map_lookup_elem(&name_scratches, &scratch_index);

	if (!record)
		return false;
	record->head.length = sizeof(*record);
	record->head.type = RECORD_SOCKET_NAME;
	record->head.version = PROBE_PROTOCOL_VERSION;
	record->cookie = cookie;
	record->local_length = read_name(BPF_CORE_READ(local, addr), record->local);
	record->remote_length = remote ? read_name(BPF_CORE_READ(remote, addr), record->remote) : 0;
	return emit(record, sizeof(*record));
}

static __always_inline void emit_data(struct socket_scratch *out, struct sock *sk, struct socket_state *state, __u64 payload)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 size = clamp(payload, MAX_PAYLOAD) + sizeof(out->record);

	tell_rtt(sk, state, &out->record.ends);
	if (is_unix(&out->record.ends) && !state->is_named)
		state->is_named = tell_name((struct unix_sock *)sk, state->cookie, out->record.direction);
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

static __always_inline struct thread_state *thread_now(bool makes)
{
	return bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL,
				    makes ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

/* tcp_sendmsg_locked runs once per segment: the first run of a call is before the first byte is transmitted. */
static __always_inline void note_send_start(struct sock *sk, const struct msghdr *message)
{
	struct thread_state *thread = thread_now(true);
	struct tcp_sock *tcp;

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

/* The other end of a Unix socket learns of data: as early as it can act on it. */
static __always_inline void note_unix_ready(struct sock *sk)
{
	struct thread_state *thread;

	if (!has_unix || sk->__sk_common.skc_family != AF_UNIX)
		return;
	thread = thread_now(true);
	if (!thread || thread->ready_sk == (__u64)sk)
		return;
	thread->ready_sk = (__u64)sk;
	thread->ready_ns = bpf_ktime_get_ns();
}

static __always_inline void take_unix_ready(struct sock *sk, struct thread_state *thread, struct socket_data_record *record)
{
	struct unix_sock *local = (struct unix_sock *)sk;

	if (!thread || !thread->ready_sk)
		return;
	if (thread->ready_sk == (__u64)BPF_CORE_READ(local, peer) && thread->ready_ns < record->time_ns)
		record->time_ns = thread->ready_ns;
	thread->ready_sk = 0;
}

static __always_inline void forget_start(void)
{
	struct thread_state *thread = thread_now(false);

	if (thread)
		thread->sk = 0;
}

/* A send that failed, or ended a sendmmsg early. */
static __always_inline void forget_send(void)
{
	struct thread_state *thread = thread_now(false);

	if (!thread)
		return;
	thread->sk = 0;
	thread->ready_sk = 0;
	forget_many(thread);
}

/* As take_send_start(), from what packets told (packet.bpf.h). */
static __always_inline void take_transmit_time(struct socket_state *state, struct socket_data_record *record)
{
	if (state->has_tx_seq && state->tx_time_ns && state->tx_seq == record->seq && state->tx_time_ns < record->time_ns)
		record->time_ns = state->tx_time_ns;
	state->tx_time_ns = 0;
	state->tx_seq = record->seq + record->moved;
	state->has_tx_seq = 1;
}

/* From the registers, or from io_uring's request. */
static __always_inline void find_source(struct source *source, struct sock *sk, bool receiving, __u64 moved)
{
	source_of_call(source, sk, receiving, moved);
	if (source->kind != SOURCE_NONE)
		return;
	source->sk = (__u64)sk;
	take_request(source, receiving);
}

/* Number of the system call that the current task is in. */
static __always_inline __u32 call_now(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

	return regs->orig_ax;
}

/* Time, sequence number and source of what was just sent; takes the note away. */
static __always_inline void take_send_start(struct sock *sk, struct socket_state *state,
					    struct socket_data_record *record, struct source *source)
{
	struct thread_state *thread = thread_now(false);
	struct tcp_sock *tcp;

	if (thread && thread->sk == (__u64)sk) {
		thread->sk = 0;
		record->time_ns = thread->time_ns;
		record->seq = thread->seq;
		*source = thread->source;
		return;
	}
	record->time_ns = bpf_ktime_get_ns();
	record->seq = 0;
	find_source(source, sk, false, record->moved);
	if (has_send_enter && thread && thread->enter_nr == call_now() && thread->enter_ns) {
		record->time_ns = thread->enter_ns;
		if (thread->enter_nr != NR_SENDMMSG)
			thread->enter_ns = 0;
	}
	if (is_unix(&record->ends)) {
		take_unix_ready(sk, thread, record);
		return;
	}
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		record->seq = tcp->write_seq - record->moved;
	if (!has_send_start)
		take_transmit_time(state, record);
}

/* The FIN has a sequence number of its own: the read that reaches it moves copied_seq over it, too. */
static __always_inline __u32 received_seq(struct sock *sk, __u32 moved)
{
	struct tcp_sock *tcp;
	__u32 copied;
	bool has_fin;

	if (is_syscall_tier) {
		tcp = (struct tcp_sock *)sk;
		copied = BPF_CORE_READ(tcp, copied_seq);
		has_fin = (FIELD(sk, sk_shutdown) & RCV_SHUTDOWN) && copied == BPF_CORE_READ(tcp, rcv_nxt);
		return copied - moved - has_fin;
	}
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return 0;
	has_fin = (sk->sk_shutdown & RCV_SHUTDOWN) && tcp->copied_seq == tcp->rcv_nxt;
	return tcp->copied_seq - moved - has_fin;
}

/* The record has its ends, `moved` and direction. False: nothing is to be made of it. */
static __always_inline bool is_to_be_told(struct sock *sk, struct socket_state *state, struct socket_scratch *out,
					  __u32 index)
{
	if (is_own_socket(sk, state, &out->record.ends, true)) {
		tell_own_connection(sk, state, &out->record.ends, index);
		return false;
	}
	if (is_filtered(state, &out->record.ends, netns_of(sk)))
		return false;
	return !is_shed(state, &out->record.ends) && !is_only_counted(state, &out->record);
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
	out->record.direction = DIRECTION_SEND;
	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	if (!is_to_be_told(sk, state, out, index)) {
		forget_start();
		return;
	}
	take_send_start(sk, state, &out->record, &source);
	tell_process_on(state, index);
	emit_data(out, sk, state, copy_payload(out, &source, moved, allowance_of(state, &out->record)));
}

/* An end of the stream is told once, and by nobody's leave. */
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
	out->record.moved = moved;
	out->record.direction = DIRECTION_RECEIVE;
	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state || (!moved && state->ended))
		return;
	if (!is_to_be_told(sk, state, out, index))
		return;
	if (moved && !(flags & MSG_TRUNC))
		find_source(&source, sk, true, moved);
	if (!moved)
		state->ended = 1;
	tell_process_on(state, index);
	out->record.time_ns = bpf_ktime_get_ns();
	out->record.seq = is_unix(&out->record.ends) ? 0 : received_seq(sk, moved);
	state->rx_seq = out->record.seq + moved;
	state->has_rx_seq = 1;
	emit_data(out, sk, state, copy_payload(out, &source, moved, allowance_of(state, &out->record)));
}

/*
 * A splice from a socket into a pipe is no receive to the kernel, but moves copied_seq and adjusts the buffer
 * (tcp_splice_read, tcp_read_sock), once or several times. The bytes stay in the kernel: there is no payload.
 */
static __always_inline void on_splice_receive(struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct socket_state *state;
	struct socket_scratch *out;
	struct tcp_sock *tcp;
	__u32 index = SCRATCH_SPLICE;
	bool is_known;

	if (regs->orig_ax != NR_SPLICE || !is_descriptor_of(task, regs->di, sk))
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	out = bpf_map_lookup_elem(&socket_scratches, &index);
	if (!tcp || !out || !endpoints_of(sk, &out->record.ends))
		return;
	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	/* Where a connection is older than the probe and was never read, nobody knows how much came by. */
	is_known = state->has_rx_seq || !state->role_inferred;
	out->record.seq = state->has_rx_seq ? state->rx_seq : tcp->rcv_nxt - (__u32)tcp->bytes_received;
	out->record.moved = tcp->copied_seq - out->record.seq;
	out->record.direction = DIRECTION_RECEIVE;
	state->rx_seq = tcp->copied_seq;
	state->has_rx_seq = 1;
	if (!is_known || !out->record.moved || out->record.moved > 1u << 30 || !is_to_be_told(sk, state, out, SCRATCH_RECEIVE))
		return;
	tell_process(SCRATCH_RECEIVE);
	out->record.time_ns = bpf_ktime_get_ns();
	allowance_of(state, &out->record);
	emit_data(out, sk, state, 0);
}

/* A send names its destination in the call; a receive is recognised among the datagrams that arrived. */
static __always_inline void tell_datagram(struct sock *sk, struct socket_scratch *out, struct source *source, __u64 time_ns)
{
	__u8 direction = out->record.direction;
	__u32 index = direction == DIRECTION_SEND ? SCRATCH_SEND : SCRATCH_RECEIVE;
	__u32 moved = out->record.moved;
	struct socket_state *state;
	__u64 payload;

	__builtin_memset(out->payload, 0, DATAGRAM_PREFIX);
	payload = copy_payload(out, source, moved, max_payload);
	if (direction == DIRECTION_SEND && source->name)
		read_destination(source->name, &out->record.ends);
	if (direction == DIRECTION_RECEIVE)
		find_datagram(netns_of(sk), moved, out->payload, &out->record.ends);
	if (!((port_flags[out->record.ends.local_port] | port_flags[out->record.ends.remote_port]) & PORT_UDP))
		return;

	state = state_of(sk, &out->record.ends, ROLE_UNKNOWN);
	if (!state)
		return;
	out->record.time_ns = time_ns;
	if (direction == DIRECTION_SEND && state->tx_time_ns) {
		if (state->tx_tid == (__u32)bpf_get_current_pid_tgid()) {
			if (!is_syscall_tier)
				out->record.time_ns = state->tx_time_ns;
			if (is_unset(out->record.ends.local))
				__builtin_memcpy(out->record.ends.local, state->tx_source, sizeof(state->tx_source));
		}
		state->tx_time_ns = 0;
	}
	if (is_own_socket(sk, state, &out->record.ends, true) || is_filtered(state, &out->record.ends, netns_of(sk)) ||
	    is_shed(state, &out->record.ends))
		return;
	settle_datagram_role(state, &out->record.ends, direction);
	tell_process(index);
	out->record.seq = 0;
	if (payload > level_payload)
		payload = level_payload;
	emit_data(out, sk, state, payload);
}

static __always_inline void on_datagram(struct sock *sk, __u32 moved, __u8 direction)
{
	struct socket_scratch *out;
	struct source source = {};
	__u32 index = direction == DIRECTION_SEND ? SCRATCH_SEND : SCRATCH_RECEIVE;

	out = bpf_map_lookup_elem(&socket_scratches, &index);
	if (!out || !endpoints_of(sk, &out->record.ends))
		return;
	out->record.moved = moved;
	out->record.direction = direction;
	find_source(&source, sk, direction == DIRECTION_RECEIVE, moved);
	tell_datagram(sk, out, &source, bpf_ktime_get_ns());
}

static __always_inline void note_first_seq(struct sock *sk, struct socket_state *state)
{
	struct tcp_sock *tcp;

	if (has_send_start || is_syscall_tier || !state)
		return;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return;
	state->tx_seq = tcp->write_seq;
	state->has_tx_seq = 1;
}

static __always_inline void tell_close(struct socket_state *state)
{
	struct socket_close_record record = {};

	if (!state->ordinal || state->own == OWN_YES)
		return;
	record.time_ns = bpf_ktime_get_ns();
	if (state->counted)
		tell_counts(state, record.time_ns);
	record.head.length = sizeof(record);
	record.head.type = RECORD_SOCKET_CLOSE;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.cookie = state->cookie;
	record.ordinal = state->ordinal;
	emit(&record, sizeof(record));
}

static __always_inline void on_state_change(struct sock *sk, int old_state, int new_state)
{
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
		if (state) {
			is_own_socket(sk, state, &ends, true);
			state->connect_ns = bpf_ktime_get_ns();
		}
	} else if (new_state == TCP_ESTABLISHED) {
		state = state_of(sk, &ends, old_state == TCP_SYN_SENT ? ROLE_CLIENT : ROLE_SERVER);
		if (state && is_own_socket(sk, state, &ends, false))
			remember_own(sk, state, &ends);
		else if (state)
			tell_connected(sk, state, &ends);
		note_first_seq(sk, state);
	}
}

/* Not at TCP_CLOSE: a socket may be in that state with bytes that were not read yet (tcp_time_wait after a half close). */
static __always_inline void on_destroyed(struct sock *sk)
{
	struct socket_state *state = find_state(sk);
	__u64 address = (__u64)sk;

	if (!state)
		return;
	tell_close(state);
	if (is_syscall_tier)
		bpf_map_delete_elem(&sockets_by_address, &address);
}

#endif
