/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * io_uring: a request is carried out at submission, in a worker, or as task work inside whatever system call its thread is
 * in, so registers say nothing of it. Its buffer is noted when it is submitted and found again when its bytes have moved.
 */
#ifndef FULLSPAN_IO_URING_BPF_H
#define FULLSPAN_IO_URING_BPF_H

#include "payload.bpf.h"

struct io_key {
	__u64 sk;
	__u64 receiving;
};

/* `waiting`: requests on that socket and way that were submitted and have not moved bytes yet. */
struct io_buffer {
	struct source source;
	__u64 waiting;
	__u64 is_ambiguous; /* several waited at once: which one moves first is not known */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct io_key);
	__type(value, struct io_buffer);
} io_buffers SEC(".maps");

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

static __always_inline bool source_of_request(struct source *source, struct io_kiocb *request, __u8 *receiving)
{
	struct user_message message = {};
	__u8 op = request->opcode;

	*receiving = op == OP_READV || op == OP_RECVMSG || op == OP_READ || op == OP_RECV;
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

static __always_inline void note_request(struct io_kiocb *request)
{
	struct file *file = BPF_CORE_READ(request, file);
	struct io_buffer fresh = {}, *noted;
	struct socket *socket;
	struct io_key key = {};
	__u8 receiving;

	if (!file || !source_of_request(&fresh.source, request, &receiving) ||
	    (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return;
	socket = BPF_CORE_READ(file, private_data);
	key.sk = (__u64)BPF_CORE_READ(socket, sk);
	key.receiving = receiving;
	fresh.waiting = 1;
	/* A provided buffer is chosen when the bytes are there: its address is not known yet. */
	if (!fresh.source.base)
		fresh.source.kind = SOURCE_NONE;
	noted = bpf_map_lookup_elem(&io_buffers, &key);
	if (!noted) {
		bpf_map_update_elem(&io_buffers, &key, &fresh, BPF_ANY);
		return;
	}
	noted->waiting++;
	noted->is_ambiguous = 1;
}

/* Only when the registers are of no call on this socket. Leaves `source` alone when no request is known. */
static __always_inline void take_request(struct source *source, struct sock *sk, bool receiving)
{
	struct io_key key = { .sk = (__u64)sk, .receiving = receiving };
	struct io_buffer *noted = bpf_map_lookup_elem(&io_buffers, &key);

	if (!noted)
		return;
	if (!noted->is_ambiguous)
		*source = noted->source;
	if (noted->waiting <= 1)
		bpf_map_delete_elem(&io_buffers, &key);
	else
		noted->waiting--;
}

#endif
