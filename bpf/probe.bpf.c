// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The kernel side of the probe. SYS: sock_send_length and sock_recv_length (6.3) see every way of sending and receiving and
 * cost other system calls nothing; tcp_sendmsg_locked (6.16) gives a send's true start. NET: net_dev_queue and
 * netif_receive_skb with dynptr reads (6.12) see every interface of every namespace.
 */
#include "kernel.h"
#include "maps.bpf.h"
#include "packet.bpf.h"
#include "socket.bpf.h"
#include "syscall.bpf.h"
#include "tls.bpf.h"

char LICENSE[] SEC("license") = "GPL";

SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tcp_send_started, struct sock *sk, const struct msghdr *message)
{
	note_send_start(sk, message);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int result)
{
	enum socket_kind kind = kind_of(sk);

	if (kind == KIND_NONE)
		return 0;
	if (result <= 0)
		forget_send();
	else if (kind == KIND_STREAM)
		on_stream_send(sk, result);
	else
		on_datagram(sk, result, DIRECTION_SEND);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int result, int flags)
{
	enum socket_kind kind = kind_of(sk);
	struct thread_state *thread;

	if (kind == KIND_NONE || (flags & MSG_PEEK))
		return 0;
	if (result < 0) {
		thread = thread_now(false);
		if (thread)
			forget_many(thread);
	} else if (kind == KIND_STREAM) {
		on_stream_receive(sk, result, flags);
	} else if (result) {
		on_datagram(sk, result, DIRECTION_RECEIVE);
	}
	return 0;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(socket_spliced, struct sock *sk)
{
	on_splice_receive(sk);
	return 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(socket_ready, struct sock *sk)
{
	note_unix_ready(sk);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(request_submitted, struct io_kiocb *request)
{
	note_submission(request);
	return 0;
}

SEC("tp_btf/io_uring_poll_arm")
int BPF_PROG(request_waits, struct io_kiocb *request)
{
	note_wait(request);
	return 0;
}

SEC("tp_btf/io_uring_queue_async_work")
int BPF_PROG(request_queued, struct io_kiocb *request)
{
	note_wait(request);
	return 0;
}

/* Tier sock before 6.16: when a send begins. */
SEC("tp_btf/sys_enter")
int BPF_PROG(send_entered, struct pt_regs *regs, long nr)
{
	struct thread_state *thread;

	if (!sends(nr))
		return 0;
	thread = thread_now(true);
	if (!thread)
		return 0;
	thread->enter_ns = bpf_ktime_get_ns();
	thread->enter_nr = nr;
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_entered, struct pt_regs *regs, long nr)
{
	if (sends(nr))
		note_call(regs, nr);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_returned, struct pt_regs *regs, long result)
{
	on_call_returned(regs, result);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state_changed, struct sock *sk, int old_state, int new_state)
{
	on_state_change(sk, old_state, new_state);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_destroyed, struct sock *sk)
{
	on_destroyed(sk);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(packet_transmitted, struct sk_buff *skb)
{
	on_packet(skb, true);
	return 0;
}

SEC("tp_btf/netif_receive_skb")
int BPF_PROG(packet_received, struct sk_buff *skb)
{
	on_packet(skb, false);
	return 0;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(packet_retransmitted, struct sock *sk, struct sk_buff *skb)
{
	on_retransmit(sk, skb);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, struct sock *sk)
{
	on_reset(sk, NETWORK_RESET_SENT);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	on_reset(sk, NETWORK_RESET_RECEIVED);
	return 0;
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(packet_dropped, struct sk_buff *skb, void *location, int reason)
{
	on_drop(skb, location, reason);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exited, struct task_struct *task)
{
	struct process_exit_record record = {};
	__u32 pid = task->tgid;

	if (task->signal->live.counter || !bpf_map_lookup_elem(&known_processes, &pid))
		return 0;
	bpf_map_delete_elem(&known_processes, &pid);
	__sync_fetch_and_add(&process_generation, 1);
	record.head.length = sizeof(record);
	record.head.type = RECORD_PROCESS_EXIT;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.time_ns = bpf_ktime_get_ns();
	record.pid = pid;
	emit(&record, sizeof(record));
	return 0;
}

/* Another program in the same process: its facts are told again with its next event. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_executed, struct task_struct *task)
{
	struct process_executed_record record = {};
	__u32 pid = task->tgid;

	bpf_map_delete_elem(&known_processes, &pid);
	__sync_fetch_and_add(&process_generation, 1);
	if (has_tls) {
		record.head.length = sizeof(record);
		record.head.type = RECORD_PROCESS_EXECUTED;
		record.head.version = PROBE_PROTOCOL_VERSION;
		record.pid = pid;
		bpf_ringbuf_output(&events, &record, sizeof(record), BPF_RB_NO_WAKEUP);
	}
	return 0;
}

/* The functions of TLS libraries: attached by tls.c, wherever they are found. Arguments lie as x86_64's ABI has them. */
SEC("uprobe")
int tls_read_entered(struct pt_regs *regs)
{
	on_tls_entry(regs->di, regs->si, 0, DIRECTION_RECEIVE);
	return 0;
}

SEC("uprobe")
int tls_write_entered(struct pt_regs *regs)
{
	on_tls_entry(regs->di, regs->si, 0, DIRECTION_SEND);
	return 0;
}

SEC("uprobe")
int tls_read_ex_entered(struct pt_regs *regs)
{
	on_tls_entry(regs->di, regs->si, regs->cx, DIRECTION_RECEIVE);
	return 0;
}

SEC("uprobe")
int tls_write_ex_entered(struct pt_regs *regs)
{
	on_tls_entry(regs->di, regs->si, regs->cx, DIRECTION_SEND);
	return 0;
}

SEC("uretprobe")
int tls_call_returned(struct pt_regs *regs)
{
	on_tls_return((int)regs->ax);
	return 0;
}

/* Run once at start: what listens, and which connections are Fullspan's already. */
SEC("iter/task_file")
int seed_sockets(struct bpf_iter__task_file *context)
{
	struct task_struct *task = context->task;
	struct file *file = context->file;
	struct socket_state *state;
	struct listener listener;
	struct endpoints ends;
	struct socket *socket;
	struct sock *sk;
	__u32 pid;
	__u8 yes = 1;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || kind_of(sk) == KIND_NONE || !endpoints_of(sk, &ends))
		return 0;
	pid = task->tgid;
	if (ends.protocol == IPPROTO_TCP && sk->__sk_common.skc_state == TCP_LISTEN) {
		listener.netns = netns_of(sk);
		listener.port = ends.local_port;
		bpf_map_update_elem(&listeners, &listener, &yes, BPF_ANY);
	} else if (bpf_map_lookup_elem(&own_processes, &pid)) {
		state = state_of(sk, &ends, ROLE_UNKNOWN);
		if (state)
			remember_own(sk, state, &ends);
	}
	return 0;
}

/* So that the object's BTF describes every record: the reader's tables are tested with it. */
struct every_record {
	struct host_record host;
	struct clock_record clock;
	struct tick_record tick;
	struct process_record process;
	struct process_exit_record process_exit;
	struct interface_record interface;
	struct interface_address interface_address;
	struct interface_gone_record interface_gone;
	struct socket_data_record socket_data;
	struct socket_close_record socket_close;
	struct tls_data_record tls_data;
	struct packet_record packet;
	struct own_connection_record own_connection;
	struct loss_record loss;
	struct gap_record gap;
	struct socket_name_record socket_name;
	struct socket_counts_record socket_counts;
	struct level_record level;
	struct tunnel tunnel;
	struct tunnel_packet_record tunnel_packet;
	struct network_event_record network_event;
	struct connection_command connection_command;
} *unused_every_record __attribute__((unused));
enum record_type unused_record_type __attribute__((unused));
enum loss_reason unused_loss_reason __attribute__((unused));
enum network_kind unused_network_kind __attribute__((unused));
enum tunnel_type unused_tunnel_type __attribute__((unused));
enum mode unused_mode __attribute__((unused));
