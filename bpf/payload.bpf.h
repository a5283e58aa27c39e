/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Finds the bytes of a system call in the memory of its process, and copies their head. */
#ifndef FULLSPAN_PAYLOAD_BPF_H
#define FULLSPAN_PAYLOAD_BPF_H

#include "maps.bpf.h"

#define MAX_IOVEC 16

/* Copies up to `want` bytes, element by element. */
static __always_inline __u32 gather(struct socket_scratch *out, const struct source *source, __u64 want)
{
	__u64 filled = 0, skip = source->offset;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_IOVEC; i++) {
		struct user_iovec element = {};
		const void *address = (const void *)(source->base + i * sizeof(element));
		__u64 n;
		long error;

		if (i >= source->count || filled >= want)
			break;
		error = source->kind == SOURCE_KERNEL_IOVEC
				? bpf_probe_read_kernel(&element, sizeof(element), address)
				: bpf_probe_read_user(&element, sizeof(element), address);
		if (error) {
			count_lost(LOSS_PAYLOAD_FAULT);
			break;
		}
		if (element.length <= skip) {
			skip -= element.length;
			continue;
		}
		n = clamp(element.length - skip, want - filled);
		if (bpf_probe_read_user(&out->payload[filled & (MAX_PAYLOAD - 1)], n, (void *)(element.base + skip))) {
			count_lost(LOSS_PAYLOAD_FAULT);
			break;
		}
		skip = 0;
		filled += n;
	}
	return filled;
}

/*
 * At most `limit` bytes of the `moved` ones. A global function, like all that loops: it is verified once and by itself, not for
 * every path that leads to it, which took most of a second at every start.
 */
__noinline int copy_payload(struct socket_scratch *out, struct source *source, __u64 moved, __u64 limit)
{
	__u64 n = clamp(moved, limit);

	if (!out || !source)
		return 0;
	if (source->kind == SOURCE_NONE || !n)
		return 0;
	if (source->kind != SOURCE_BUFFER)
		return gather(out, source, n);
	n = clamp(source->count, n);
	if (bpf_probe_read_user(out->payload, n, (void *)(source->base + source->offset))) {
		count_lost(LOSS_PAYLOAD_FAULT);
		return 0;
	}
	return n;
}

/* The open file behind a descriptor of the current task, or NULL. */
static __always_inline struct file *file_of(struct task_struct *task, __u64 fd)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd))
		return NULL;
	return file;
}

/* Does descriptor `fd` of the current task stand for this socket? Registers of another call must not be believed. */
static __always_inline bool is_descriptor_of(struct task_struct *task, __u64 fd, struct sock *sk)
{
	struct file *file = file_of(task, fd);
	struct socket *socket;

	if (!file)
		return false;
	socket = BPF_CORE_READ(file, private_data);
	return socket && BPF_CORE_READ(socket, sk) == sk;
}

static __always_inline bool is_send_call(__u64 nr)
{
	return nr == NR_WRITE || nr == NR_SENDTO || nr == NR_WRITEV || nr == NR_SENDMSG || nr == NR_SENDMMSG;
}

static __always_inline bool is_receive_call(__u64 nr)
{
	return nr == NR_READ || nr == NR_RECVFROM || nr == NR_READV || nr == NR_RECVMSG || nr == NR_RECVMMSG;
}

/* Packets also leave in softirqs, on the time of whoever runs: this is so only while the current task sends them itself. */
static __always_inline bool is_sending_on(struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return is_send_call(regs->orig_ax) && is_descriptor_of(task, regs->di, sk);
}

static __always_inline void source_of_message(struct source *source, const struct user_message *message)
{
	source->kind = SOURCE_USER_IOVEC;
	source->base = message->iov;
	source->count = message->iov_count;
	source->name = message->name;
}

/*
 * Which message of a sendmmsg or recvmmsg is this? The event does not say, so it is counted per thread, socket and vector,
 * from the call's first message; forget_many() when a call fails or fills its vector. A wrong guess shows: the caller
 * checks the lengths that are in the vector.
 */
static __always_inline __u32 next_of_many(struct thread_state *thread, __u64 sk, __u64 vector, __u32 size)
{
	if (thread->many_sk == sk && thread->many_vector == vector && thread->many_index + 1 < size)
		return ++thread->many_index;
	thread->many_sk = sk;
	thread->many_vector = vector;
	thread->many_index = 0;
	return 0;
}

static __always_inline void forget_many(struct thread_state *thread)
{
	thread->many_sk = 0;
}

static __always_inline __u64 length_of_message(const struct user_message *message)
{
	__u64 sum = 0;

#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < MAX_IOVEC; i++) {
		struct user_iovec element;

		if (i >= message->iov_count)
			break;
		if (bpf_probe_read_user(&element, sizeof(element), (void *)(message->iov + i * sizeof(element))))
			break;
		sum += element.length;
	}
	return sum;
}

/* The kernel fills in a slot's length after the event: what the one before holds must be what was counted for it. */
static __always_inline bool is_next_received(const struct thread_state *thread, __u64 vector, __u32 index)
{
	__u32 length = 0;

	if (!index)
		return true;
	bpf_probe_read_user(&length, sizeof(length),
			    (void *)(vector + (index - 1) * sizeof(struct user_message_slot) +
				     __builtin_offsetof(struct user_message_slot, length)));
	return length == thread->many_moved;
}

__noinline int source_of_many(struct source *source, bool receiving, __u64 moved)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct user_message_slot slot = {};
	struct thread_state *thread;
	__u64 vector = regs->si;
	__u32 index, size = regs->dx;

	if (!source)
		return 0;
	source->kind = SOURCE_NONE;
	thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!thread)
		return 0;
	index = next_of_many(thread, source->sk, vector, size);
	if (receiving && size > 1 && (regs->r8 || !is_next_received(thread, vector, index))) {
		/* A call with a timeout may end without a sign. */
		forget_many(thread);
		return 0;
	}
	thread->many_moved = moved;
	if (bpf_probe_read_user(&slot, sizeof(slot), (void *)(vector + index * sizeof(slot))))
		return 0;
	source_of_message(source, &slot.message);
	if (!receiving && length_of_message(&slot.message) != moved)
		source->kind = SOURCE_NONE;
	if (index + 1 >= size)
		forget_many(thread);
	return 0;
}

/* From the registers of the system call that the current task is in. SOURCE_NONE when it is not one that we know. */
static __always_inline void source_of_call(struct source *source, struct sock *sk, bool receiving, __u64 moved)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct user_message message = {};
	__u64 nr = regs->orig_ax, buffer = regs->si;

	source->kind = SOURCE_NONE;
	if (task->thread_info.status & TS_COMPAT)
		return;
	if (!(receiving ? is_receive_call(nr) : is_send_call(nr)) || !is_descriptor_of(task, regs->di, sk))
		return;

	source->base = buffer;
	source->count = regs->dx;
	source->offset = 0;
	source->name = 0;
	switch (nr) {
	case NR_SENDTO:
		source->name = regs->r8;
		/* fall through */
	case NR_READ:
	case NR_WRITE:
	case NR_RECVFROM:
		source->kind = SOURCE_BUFFER;
		return;
	case NR_READV:
	case NR_WRITEV:
		source->kind = SOURCE_USER_IOVEC;
		return;
	case NR_SENDMSG:
	case NR_RECVMSG:
		if (bpf_probe_read_user(&message, sizeof(message), (void *)buffer))
			return;
		source_of_message(source, &message);
		return;
	case NR_SENDMMSG:
	case NR_RECVMMSG:
		source->sk = (__u64)sk;
		source_of_many(source, receiving, moved);
		return;
	}
}

#endif
