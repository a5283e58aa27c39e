/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * TLS: what programs hand to SSL_write and get from SSL_read, before and after encryption. The socket is the one that the same
 * thread sends or receives on within the call; where there is none (memory buffers), the reader finds it (flow/tls.ts).
 */
#ifndef FULLSPAN_TLS_BPF_H
#define FULLSPAN_TLS_BPF_H

#include "filter.bpf.h"
#include "own.bpf.h"
#include "payload.bpf.h"
#include "process.bpf.h"

/* The call of the TLS library that a thread is in. */
struct tls_call {
	__u64 session; /* SSL *; 0: in none */
	__u64 buffer;
	__u64 count; /* size_t * that tells how much it was; 0: the result does */
	__u64 enter_ns;
	__u64 cookie; /* of the first socket that the call used; 0: of none */
	__u32 seq;
	__u8 direction;
	__u8 is_left_out; /* its socket is not captured */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

/* Payload as in socket_scratch. */
struct tls_scratch {
	struct tls_data_record record;
	__u8 payload[2 * MAX_PAYLOAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tls_scratch);
} tls_scratches SEC(".maps");

static __always_inline struct tls_call *tls_call_now(bool makes)
{
	return bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL,
				    makes ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
}

/* A socket was used: by the call that the thread is in, if it is in one. */
static __always_inline void note_tls_socket(__u64 cookie, __u32 seq, __u8 direction)
{
	struct tls_call *call;

	if (!has_tls)
		return;
	call = tls_call_now(false);
	if (!call || !call->session || call->cookie || call->direction != direction)
		return;
	call->cookie = cookie;
	call->seq = seq;
}

static __always_inline void leave_tls_out(void)
{
	struct tls_call *call;

	if (!has_tls)
		return;
	call = tls_call_now(false);
	if (call)
		call->is_left_out = 1;
}

static __always_inline void on_tls_entry(__u64 session, __u64 buffer, __u64 count, __u8 direction)
{
	struct tls_call *call;

	if (is_own_process() || ((pid_lists | cgroup_lists) && is_process_left_out()))
		return;
	call = tls_call_now(true);
	if (!call) {
		count_seen();
		count_lost(LOSS_NO_STATE);
		return;
	}
	call->session = session;
	call->buffer = buffer;
	call->count = count;
	call->direction = direction;
	call->enter_ns = bpf_ktime_get_ns();
	call->cookie = 0;
	call->seq = 0;
	call->is_left_out = 0;
}

static __always_inline void tell_tls(const struct tls_call *call, __u64 moved)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_scratch *out;
	__u32 zero = 0;
	__u64 payload;

	out = bpf_map_lookup_elem(&tls_scratches, &zero);
	if (!out)
		return;
	payload = clamp(moved, max_payload < level_payload ? max_payload : level_payload);
	if (bpf_probe_read_user(out->payload, payload, (void *)call->buffer)) {
		count_lost(LOSS_PAYLOAD_FAULT);
		payload = 0;
	}
	tell_process(0);
	payload = clamp(payload, MAX_PAYLOAD);
	out->record.head.length = sizeof(out->record) + payload;
	out->record.head.type = RECORD_TLS_DATA;
	out->record.head.version = PROBE_PROTOCOL_VERSION;
	out->record.time_ns = call->direction == DIRECTION_SEND ? call->enter_ns : bpf_ktime_get_ns();
	out->record.cookie = call->cookie;
	out->record.session = call->session;
	out->record.pid = id >> 32;
	out->record.tid = id;
	out->record.seq = call->seq;
	out->record.moved = moved;
	out->record.direction = call->direction;
	out->record.payload_length = payload;
	emit(out, sizeof(out->record) + payload);
}

static __always_inline void on_tls_return(long result)
{
	struct tls_call *call = tls_call_now(false);
	__u64 moved = result;

	if (!call || !call->session)
		return;
	if (result > 0 && call->count && bpf_probe_read_user(&moved, sizeof(moved), (void *)call->count))
		moved = 0;
	if (result > 0 && moved && moved < 1ull << 31 && !call->is_left_out)
		tell_tls(call, moved);
	call->session = 0;
}

#endif
