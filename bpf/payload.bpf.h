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

static __always_inline __u32 copy_payload(struct socket_scratch *out, const struct source *source, __u64 moved)
{
	__u64 n = clamp(moved, max_payload);

	if (source->kind == SOURCE_NONE)
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

/* Does descriptor `fd` of the current task stand for this socket? Registers of another call must not be believed. */
static __always_inline bool is_descriptor_of(struct task_struct *task, __u64 fd, struct sock *sk)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;
	struct socket *socket;

	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return false;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd) || !file)
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
 * Which message of a sendmmsg is this? The event does not say, so it is counted per thread, socket and vector; a datagram
 * moves as a whole, so a length that is not its message's shows a wrong guess (caller checks).
 */
static __always_inline __u32 next_of_many(struct thread_state *thread, struct sock *sk, __u64 vector, __u32 size)
{
	if (thread->many_sk == (__u64)sk && thread->many_vector == vector && thread->many_index + 1 < size)
		return ++thread->many_index;
	thread->many_sk = (__u64)sk;
	thread->many_vector = vector;
	thread->many_index = 0;
	return 0;
}

static __always_inline __u64 length_of_message(const struct user_message *message)
{
	__u64 sum = 0;

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

/* From the registers of the system call that the current task is in. SOURCE_NONE when it is not one that we know. */
static __always_inline void source_of_call(struct source *source, struct sock *sk, bool receiving, __u64 moved)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct user_message_slot slot = {};
	struct thread_state *thread;
	__u64 nr = regs->orig_ax, buffer = regs->si;
	__u32 index;

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
		if (bpf_probe_read_user(&slot.message, sizeof(slot.message), (void *)buffer))
			return;
		source_of_message(source, &slot.message);
		return;
	case NR_SENDMMSG:
		thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!thread)
			return;
		index = next_of_many(thread, sk, buffer, regs->dx);
		if (bpf_probe_read_user(&slot, sizeof(slot), (void *)(buffer + index * sizeof(slot))))
			return;
		source_of_message(source, &slot.message);
		if (length_of_message(&slot.message) != moved)
			source->kind = SOURCE_NONE;
		return;
	case NR_RECVMMSG:
		/* Which one of several is not decidable: only a vector of one has a payload. */
		if (regs->dx != 1 || bpf_probe_read_user(&slot, sizeof(slot), (void *)buffer))
			return;
		source_of_message(source, &slot.message);
		return;
	}
}

#endif
