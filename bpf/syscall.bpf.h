/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * SYS on kernels before 6.3: every system call is seen at its entry and its return, and its descriptor is walked to the
 * socket. The same events; what io_uring moves is not seen, and every system call of the machine pays for it.
 */
#ifndef FULLSPAN_SYSCALL_BPF_H
#define FULLSPAN_SYSCALL_BPF_H

#include "socket.bpf.h"

#define MAX_MANY 8 /* of the messages of one sendmmsg or recvmmsg; the rest counts as lost */

/* The socket behind a descriptor of the current task, or NULL. */
static __always_inline struct sock *socket_of(__u64 fd, __u64 *inode)
{
	struct file *file = file_of(bpf_get_current_task_btf(), fd);
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	*inode = BPF_CORE_READ(file, f_inode, i_ino);
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline bool sends(__u64 nr)
{
	return is_send_call(nr) || nr == NR_SENDFILE || nr == NR_SPLICE;
}

/* Before anything is transmitted. */
static __always_inline void note_call(struct pt_regs *regs, long nr)
{
	__u64 fd = nr == NR_SPLICE ? regs->dx : regs->di, inode;
	struct thread_state *thread;
	struct tcp_sock *tcp;
	struct sock *sk;

	sk = socket_of(fd, &inode);
	if (!sk || kind_of(sk) == KIND_NONE)
		return;
	thread = thread_now(true);
	if (!thread)
		return;
	thread->call_sk = (__u64)sk;
	thread->time_ns = bpf_ktime_get_ns();
	tcp = (struct tcp_sock *)sk;
	thread->seq = FIELD(sk, sk_protocol) == IPPROTO_TCP ? BPF_CORE_READ(tcp, write_seq) : 0;
}

/* One message that a call moved. */
struct moved {
	struct sock *sk;
	__u64 inode;
	__u64 time_ns;
	struct source source;
	__u32 length;
	__u32 seq;
	__u8 direction;
};

/* Another socket may have been made at the address of one that is gone. */
static __always_inline void forget_former(struct sock *sk, __u64 inode)
{
	__u64 address = (__u64)sk;
	struct socket_state *state = find_state(sk);

	if (!state)
		return;
	if (state->inode && state->inode != inode)
		bpf_map_delete_elem(&sockets_by_address, &address);
	else
		state->inode = inode;
}

static __always_inline void on_stream_call(struct moved *moved, struct socket_scratch *out, __u32 index)
{
	struct socket_state *state = state_of(moved->sk, &out->record.ends, ROLE_UNKNOWN);

	if (!state || (!moved->length && state->ended))
		return;
	state->inode = moved->inode;
	if (!is_to_be_told(moved->sk, state, out, index))
		return;
	if (!moved->length)
		state->ended = 1;
	tell_process(index);
	out->record.time_ns = moved->time_ns;
	out->record.seq = moved->seq;
	if (moved->direction == DIRECTION_RECEIVE && !is_unix(&out->record.ends))
		out->record.seq = received_seq(moved->sk, moved->length);
	emit_data(out, moved->sk, state,
		  copy_payload(out, &moved->source, moved->length, allowance_of(state, &out->record)));
}

static __noinline int on_moved(struct moved *moved)
{
	__u32 index = moved->direction == DIRECTION_SEND ? SCRATCH_SEND : SCRATCH_RECEIVE;
	struct socket_scratch *out = bpf_map_lookup_elem(&socket_scratches, &index);
	enum socket_kind kind = kind_of(moved->sk);

	if (!out || kind == KIND_NONE)
		return 0;
	forget_former(moved->sk, moved->inode);
	if (!endpoints_of(moved->sk, &out->record.ends))
		return 0;
	out->record.moved = moved->length;
	out->record.direction = moved->direction;
	if (kind == KIND_STREAM)
		on_stream_call(moved, out, index);
	else if (moved->length)
		tell_datagram(moved->sk, out, &moved->source, moved->time_ns);
	return 0;
}

/* The flags of a receive, of those that change what it means. */
static __always_inline __u64 flags_of(const struct pt_regs *regs, __u64 nr)
{
	return nr == NR_RECVFROM || nr == NR_RECVMMSG ? regs->r10 : nr == NR_RECVMSG ? regs->dx : 0;
}

/* A vector's slots say how much moved. */
static __always_inline void on_many(struct moved *moved, __u64 vector, __u64 count)
{
	struct user_message_slot slot;

	for (__u32 i = 0; i < MAX_MANY; i++) {
		if (i >= count)
			return;
		if (bpf_probe_read_user(&slot, sizeof(slot), (void *)(vector + i * sizeof(slot))))
			return;
		source_of_message(&moved->source, &slot.message);
		moved->length = slot.length;
		on_moved(moved);
		moved->seq += slot.length;
	}
	if (count > MAX_MANY) {
		count_seen();
		count_lost(LOSS_NO_STATE);
	}
}

static __always_inline void source_of_regs(struct source *source, const struct pt_regs *regs, __u64 nr)
{
	struct user_message message = {};

	source->kind = SOURCE_NONE;
	source->base = regs->si;
	source->count = regs->dx;
	if (nr == NR_READ || nr == NR_WRITE || nr == NR_SENDTO || nr == NR_RECVFROM) {
		source->kind = SOURCE_BUFFER;
		source->name = nr == NR_SENDTO ? regs->r8 : 0;
	} else if (nr == NR_READV || nr == NR_WRITEV) {
		source->kind = SOURCE_USER_IOVEC;
	} else if (nr == NR_SENDMSG || nr == NR_RECVMSG) {
		if (!bpf_probe_read_user(&message, sizeof(message), (void *)regs->si))
			source_of_message(source, &message);
	}
}

static __always_inline void on_call_returned(struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread_state *thread;
	struct moved moved = {};
	__u64 nr = regs->orig_ax;
	struct sock *sk;

	if (task->thread_info.status & TS_COMPAT)
		return;
	if (!sends(nr) && !is_receive_call(nr))
		return;
	thread = thread_now(false);
	if (sends(nr) && thread && thread->call_sk) {
		moved.sk = socket_of(nr == NR_SPLICE ? regs->dx : regs->di, &moved.inode);
		if (result > 0 && moved.sk == (struct sock *)thread->call_sk) {
			moved.time_ns = thread->time_ns;
			moved.seq = thread->seq;
			moved.direction = DIRECTION_SEND;
		} else {
			moved.sk = NULL;
		}
		thread->call_sk = 0;
	}
	if (!moved.sk && (is_receive_call(nr) || nr == NR_SPLICE)) {
		if (result < 0 || (flags_of(regs, nr) & MSG_PEEK))
			return;
		sk = socket_of(regs->di, &moved.inode);
		if (!sk || (!result && !(FIELD(sk, sk_shutdown) & RCV_SHUTDOWN)))
			return;
		moved.sk = sk;
		moved.time_ns = bpf_ktime_get_ns();
		moved.direction = DIRECTION_RECEIVE;
	}
	if (!moved.sk)
		return;
	if (nr == NR_SENDMMSG || nr == NR_RECVMMSG) {
		on_many(&moved, regs->si, result);
		return;
	}
	moved.length = result;
	if (result && !(flags_of(regs, nr) & MSG_TRUNC))
		source_of_regs(&moved.source, regs, nr);
	on_moved(&moved);
}

#endif
