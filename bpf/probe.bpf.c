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
	struct thread_state *thread;

	if (sk->sk_protocol == IPPROTO_TCP && result > 0) {
		on_stream_send(sk, result);
	} else if (sk->sk_protocol == IPPROTO_TCP) {
		thread = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), NULL, 0);
		if (thread)
			thread->sk = 0;
	} else if (sk->sk_protocol == IPPROTO_UDP && result > 0) {
		on_datagram(sk, result, DIRECTION_SEND);
	}
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int result, int flags)
{
	if (result < 0 || (flags & MSG_PEEK))
		return 0;
	if (sk->sk_protocol == IPPROTO_TCP)
		on_stream_receive(sk, result, flags);
	else if (sk->sk_protocol == IPPROTO_UDP && result > 0)
		on_datagram(sk, result, DIRECTION_RECEIVE);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state_changed, struct sock *sk, int old_state, int new_state)
{
	on_state_change(sk, old_state, new_state);
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

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exited, struct task_struct *task)
{
	struct process_exit_record record = {};
	__u32 pid = task->tgid;

	if (task->signal->live.counter || !bpf_map_lookup_elem(&known_processes, &pid))
		return 0;
	bpf_map_delete_elem(&known_processes, &pid);
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
	__u32 pid = task->tgid;

	bpf_map_delete_elem(&known_processes, &pid);
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
	if (!sk || (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_UDP) || !endpoints_of(sk, &ends))
		return 0;
	pid = task->tgid;
	if (sk->sk_protocol == IPPROTO_TCP && sk->__sk_common.skc_state == TCP_LISTEN) {
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
	struct process_record process;
	struct process_exit_record process_exit;
	struct interface_record interface;
	struct interface_address interface_address;
	struct interface_gone_record interface_gone;
	struct socket_data_record socket_data;
	struct socket_close_record socket_close;
	struct packet_record packet;
	struct own_connection_record own_connection;
	struct loss_record loss;
	struct gap_record gap;
} *unused_every_record __attribute__((unused));
enum record_type unused_record_type __attribute__((unused));
enum loss_reason unused_loss_reason __attribute__((unused));
