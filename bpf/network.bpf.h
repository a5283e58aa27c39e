/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What happens to TCP connections besides their bytes: how long they take to open, round-trip times, what is sent again, dropped or reset. */
#ifndef FULLSPAN_NETWORK_BPF_H
#define FULLSPAN_NETWORK_BPF_H

#include "filter.bpf.h"
#include "headers.h"
#include "own.bpf.h"

/* A round-trip time is told again when it is off by a quarter and 50 us, at most ten times a second and connection. */
#define RTT_SLACK_US 50
#define RTT_PAUSE_NS (100 * 1000000ull)

static __always_inline void start_event(struct network_event_record *record, enum network_kind kind, const struct endpoints *ends,
					__u32 netns)
{
	record->head.length = sizeof(*record);
	record->head.type = RECORD_NETWORK_EVENT;
	record->head.version = PROBE_PROTOCOL_VERSION;
	record->time_ns = bpf_ktime_get_ns();
	record->ends = *ends;
	record->netns = netns;
	record->kind = kind;
}

static __always_inline bool is_told(const struct endpoints *ends, __u32 netns)
{
	return !is_own_port(ends) && !is_own_tuple(ends, netns) && !is_left_out(ends, netns) && !is_over_budget(ends, 0) &&
	       !must_shed();
}

static __always_inline void tell_connected(struct sock *sk, struct socket_state *state, const struct endpoints *ends)
{
	struct network_event_record record = {};
	__u32 netns = netns_of(sk);

	if (!state->connect_ns || !is_told(ends, netns))
		return;
	start_event(&record, NETWORK_CONNECTED, ends, netns);
	record.value = record.time_ns - state->connect_ns;
	emit(&record, sizeof(record));
}

static __always_inline void tell_rtt(struct sock *sk, struct socket_state *state, const struct endpoints *ends)
{
	struct network_event_record record = {};
	__u32 rtt, apart;
	__u64 now;

	if (ends->protocol != IPPROTO_TCP)
		return;
	rtt = BPF_CORE_READ((struct tcp_sock *)sk, srtt_us) >> 3;
	apart = rtt > state->rtt_us ? rtt - state->rtt_us : state->rtt_us - rtt;
	if (!rtt || apart < state->rtt_us / 4 + RTT_SLACK_US)
		return;
	now = bpf_ktime_get_ns();
	if (state->rtt_told_ns && now - state->rtt_told_ns < RTT_PAUSE_NS)
		return;
	state->rtt_us = rtt;
	state->rtt_told_ns = now;
	start_event(&record, NETWORK_RTT, ends, netns_of(sk));
	record.value = rtt;
	emit(&record, sizeof(record));
}

static __always_inline void on_retransmit(struct sock *sk, const struct sk_buff *skb)
{
	struct network_event_record record = {};
	__u32 numbers[2] = {}, netns; /* struct tcp_skb_cb: seq, end_seq */
	struct endpoints ends;

	if (!endpoints_of(sk, &ends))
		return;
	netns = netns_of(sk);
	if (!is_told(&ends, netns) || bpf_probe_read_kernel(numbers, sizeof(numbers), &skb->cb))
		return;
	start_event(&record, sk->__sk_common.skc_state == TCP_SYN_SENT ? NETWORK_RETRANSMIT_SYN : NETWORK_RETRANSMIT, &ends, netns);
	record.seq = numbers[0];
	record.length = numbers[1] - numbers[0];
	emit(&record, sizeof(record));
}

/* `sk` may be a full socket, or only the memory of one. */
static __always_inline void on_reset(struct sock *sk, enum network_kind kind)
{
	struct network_event_record record = {};
	struct endpoints ends;
	__u32 netns;
	__u8 state;

	if (!sk)
		return;
	state = sk->__sk_common.skc_state;
	if (state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV || state == TCP_LISTEN || !endpoints_of(sk, &ends))
		return;
	netns = netns_of(sk);
	if (!is_told(&ends, netns))
		return;
	start_event(&record, kind, &ends, netns);
	emit(&record, sizeof(record));
}

/* Where a packet is dropped skb->data may be anywhere; its headers still lie in the linear part. */
static __always_inline bool read_dropped(struct sk_buff *skb, struct network_event_record *event)
{
	const unsigned char *at = skb->head + skb->network_header;
	struct ipv4_header ip;
	struct ipv6_header ip6;
	struct tcp_header tcp;
	struct udp_header udp;
	__u32 left;

	if (skb->network_header == NO_OFFSET || bpf_probe_read_kernel(&ip, sizeof(ip), at))
		return false;
	if (ip.version_and_length >> 4 == 4) {
		if (ip.fragment & bpf_htons(0x1fff))
			return false;
		event->ends.family = 4;
		event->ends.protocol = ip.protocol;
		*(__u32 *)event->ends.local = ip.source;
		*(__u32 *)event->ends.remote = ip.destination;
		left = bpf_ntohs(ip.total_length) - (ip.version_and_length & 15) * 4;
		at += (ip.version_and_length & 15) * 4;
	} else if (ip.version_and_length >> 4 == 6) {
		if (bpf_probe_read_kernel(&ip6, sizeof(ip6), at))
			return false;
		event->ends.family = 6;
		event->ends.protocol = ip6.next;
		__builtin_memcpy(event->ends.local, ip6.source, 16);
		__builtin_memcpy(event->ends.remote, ip6.destination, 16);
		fold_mapped(&event->ends);
		left = bpf_ntohs(ip6.payload_length);
		at += sizeof(ip6);
	} else {
		return false;
	}
	if (event->ends.protocol == IPPROTO_UDP) {
		if (bpf_probe_read_kernel(&udp, sizeof(udp), at))
			return false;
		event->ends.local_port = bpf_ntohs(udp.source);
		event->ends.remote_port = bpf_ntohs(udp.destination);
		event->length = left - sizeof(udp);
		return (port_flags[event->ends.local_port] | port_flags[event->ends.remote_port]) & PORT_UDP;
	}
	if (event->ends.protocol != IPPROTO_TCP || bpf_probe_read_kernel(&tcp, sizeof(tcp), at))
		return false;
	event->ends.local_port = bpf_ntohs(tcp.source);
	event->ends.remote_port = bpf_ntohs(tcp.destination);
	event->seq = bpf_ntohl(tcp.seq);
	event->length = left - (tcp.data_offset >> 4) * 4;
	/* bytes, or a connection's begin; what only acknowledges is nobody's message */
	return ((__s32)event->length > 0 && left < 1 << 20) || (tcp.flags & TCP_SYN);
}

/* What a packet socket (tcpdump, our own fallback) has no room for was only a copy: the packet went on. */
static __always_inline bool is_copy_for_listener(const char *place)
{
	/* in powers of two, which clang compares in place; of other sizes it makes calls to a memcmp that there is not */
	return (__builtin_memcmp(place, "packet_r", 8) == 0 && __builtin_memcmp(place + 8, "cv", 2) == 0) ||
	       (__builtin_memcmp(place, "tpacket_", 8) == 0 && __builtin_memcmp(place + 8, "rc", 2) == 0);
}

static __always_inline void on_drop(struct sk_buff *skb, void *location, __u32 reason)
{
	struct drop_seen_record record = {};
	struct net_device *device = skb->dev;
	struct sock *sk = skb->sk;
	__u64 arguments[1] = { (__u64)location };
	__u16 protocol = bpf_ntohs(skb->protocol);

	if ((protocol != ETH_P_IP && protocol != ETH_P_IPV6) || !read_dropped(skb, &record.event))
		return;
	if (device) {
		record.event.netns = BPF_CORE_READ(device, nd_net.net, ns.inum);
		record.event.interface_index = BPF_CORE_READ(device, ifindex);
	} else if (sk) {
		record.event.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	}
	if (!is_told(&record.event.ends, record.event.netns))
		return;
	record.event.head.length = sizeof(record);
	record.event.head.type = RECORD_DROP_SEEN;
	record.event.head.version = PROBE_PROTOCOL_VERSION;
	record.event.time_ns = bpf_ktime_get_ns();
	record.event.kind = NETWORK_DROP;
	record.reason = reason;
	bpf_snprintf(record.place, sizeof(record.place), "%ps", arguments, sizeof(arguments));
	if (is_copy_for_listener(record.place))
		return;
	emit(&record, sizeof(record));
}

#endif
