/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * io_uring: a request is carried out at submission, in a worker, or as task work inside whatever system call its thread is
 * in, so registers say nothing of it. The request itself says where its buffer is (a provided one once it was chosen): it is
 * the one that its thread submitted last, or that waits for the socket.
 */
#ifndef FULLSPAN_IO_URING_BPF_H
#define FULLSPAN_IO_URING_BPF_H

#include "payload.bpf.h"

struct io_key {
	__u64 sk;
	__u64 receiving;
};

/* `waiting`: requests on that socket and way that wait for it and have not moved bytes yet. */
struct io_waiter {
	__u64 request;
	__u64 waiting;
	__u64 is_ambiguous; /* several waited at once: which one moves first is not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct io_key);
	__type(value, struct io_waiter);
} io_waiters SEC(".maps");

/* Of a vector the first element only: the array itself need not live until the request is carried out. */
static __always_inline void source_of_element(struct source *source, __u64 iov, __u64 count)
{
	struct user_iovec element = {};

	source->kind = SOURCE_NONE;
	if (!count || bpf_probe_read_user(&element, sizeof(element), (void *)iov))
		return;
	source->kind = SOURCE_BUFFER;
	source->base = element.base;
	source->count = element.length;
}

static __always_inline bool receives_by(__u8 op)
{
	return op == OP_READV || op == OP_RECVMSG || op == OP_READ || op == OP_RECV;
}

static __always_inline bool sends_by(__u8 op)
{
	return op == OP_WRITEV || op == OP_SENDMSG || op == OP_WRITE || op == OP_SEND || op == OP_SEND_ZC ||
	       op == OP_SENDMSG_ZC;
}

static __always_inline bool source_of_request(struct source *source, struct io_kiocb *request)
{
	struct user_message message = {};
	__u8 op = BPF_CORE_READ(request, opcode);

	switch (op) {
	case OP_READ:
	case OP_WRITE:
		source->kind = SOURCE_BUFFER;
		source->base = BPF_CORE_READ((struct io_rw *)request, addr);
		source->count = BPF_CORE_READ((struct io_rw *)request, len);
		return true;
	case OP_READV:
	case OP_WRITEV:
		source_of_element(source, BPF_CORE_READ((struct io_rw *)request, addr),
				  BPF_CORE_READ((struct io_rw *)request, len));
		return true;
	case OP_SEND:
	case OP_SEND_ZC:
	case OP_RECV:
		source->kind = SOURCE_BUFFER;
		source->base = (__u64)BPF_CORE_READ((struct io_sr_msg *)request, buf);
		source->count = BPF_CORE_READ((struct io_sr_msg *)request, len);
		return true;
	case OP_SENDMSG:
	case OP_SENDMSG_ZC:
	case OP_RECVMSG:
		if (bpf_probe_read_user(&message, sizeof(message), BPF_CORE_READ((struct io_sr_msg *)request, buf)))
			return false;
		source_of_element(source, message.iov, message.iov_count);
		source->name = message.name;
		return true;
	}
	return false;
}

/* The file is known once the request was begun. */
static __always_inline __u64 socket_of_request(struct io_kiocb *request)
{
	struct file *file = BPF_CORE_READ(request, file);
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return (__u64)BPF_CORE_READ(socket, sk);
}

static __always_inline void note_submission(struct io_kiocb *request)
{
	struct thread_state *thread;
	__u8 op = request->opcode;

	if (!receives_by(op) && !sends_by(op))
		return;
	thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (thread)
		thread->request = (__u64)request;
}

static __always_inline bool is_request_of(__u64 request, const struct io_key *key)
{
	struct io_kiocb *candidate = (struct io_kiocb *)request;
	__u8 op;

	if (!request)
		return false;
	op = BPF_CORE_READ(candidate, opcode);
	return (key->receiving ? receives_by(op) : sends_by(op)) && socket_of_request(candidate) == key->sk;
}

/* It could not be carried out at once. It may wait several times. */
static __always_inline void note_wait(struct io_kiocb *request)
{
	struct io_key key = { .sk = socket_of_request(request), .receiving = receives_by(request->opcode) };
	struct io_waiter fresh = { .request = (__u64)request, .waiting = 1 }, *noted;

	if (!key.sk || (!key.receiving && !sends_by(request->opcode)))
		return;
	noted = bpf_map_lookup_elem(&io_waiters, &key);
	if (!noted || !is_request_of(noted->request, &key)) {
		bpf_map_update_elem(&io_waiters, &key, &fresh, BPF_ANY);
	} else if (noted->request != (__u64)request) {
		noted->waiting++;
		noted->is_ambiguous = 1;
	}
}

static __always_inline __u64 take_waiter(const struct io_key *key)
{
	struct io_waiter *noted = bpf_map_lookup_elem(&io_waiters, key);
	__u64 request;

	if (!noted)
		return 0;
	request = noted->is_ambiguous ? 0 : noted->request;
	if (noted->waiting <= 1)
		bpf_map_delete_elem(&io_waiters, key);
	else
		noted->waiting--;
	return request;
}

/* Only when the registers are of no call on this socket. Leaves `source` alone when no request is known. */
__noinline int take_request(struct source *source, bool receiving)
{
	struct thread_state *thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);
	struct io_key key = { .receiving = receiving };
	__u64 request;

	if (!source)
		return 0;
	key.sk = source->sk;
	request = take_waiter(&key);
	if (!is_request_of(request, &key)) {
		request = thread ? thread->request : 0;
		if (!is_request_of(request, &key))
			return 0;
		thread->request = 0;
	}
	if (!source_of_request(source, (struct io_kiocb *)request) || !source->base)
		source->kind = SOURCE_NONE;
	return 0;
}

#endif
