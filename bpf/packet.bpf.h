/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* NET: packets with payload at every interface of every namespace. */
#ifndef FULLSPAN_PACKET_BPF_H
#define FULLSPAN_PACKET_BPF_H

#include "datagram.bpf.h"
#include "filter.bpf.h"
#include "own.bpf.h"
#include "payload.bpf.h"

#define SCRATCH_QUEUE 0
#define SCRATCH_NETIF 1

#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_IPV6 0x86dd
#define NO_OFFSET 0xffff
#define MAX_EXTENSIONS 4

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym __weak;

struct ipv4_header {
	__u8 version_and_length;
	__u8 tos;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__u32 source;
	__u32 destination;
};

struct ipv6_header {
	__be32 version_and_flow;
	__be16 payload_length;
	__u8 next;
	__u8 hops;
	__u32 source[4];
	__u32 destination[4];
};

struct tcp_header {
	__be16 source;
	__be16 destination;
	__be32 seq;
	__be32 ack;
	__u8 data_offset;
	__u8 flags;
	__be16 window;
};

struct udp_header {
	__be16 source;
	__be16 destination;
	__be16 length;
	__be16 checksum;
};

/* Where a packet's payload is; offsets from skb->data. */
struct packet {
	struct bpf_dynptr bytes;
	__u32 offset;
	__u32 end;
	__u64 mark; /* the same at every hop */
	__u32 is_broken;
};

static __always_inline bool read_at(struct packet *packet, void *to, __u32 size)
{
	if (bpf_dynptr_read(to, size, &packet->bytes, packet->offset, 0) == 0)
		return true;
	packet->is_broken = 1;
	return false;
}

static __always_inline bool parse_ipv4(struct packet *packet, struct endpoints *ends, __u32 length)
{
	struct ipv4_header ip;
	__u32 total;

	if (!read_at(packet, &ip, sizeof(ip)))
		return false;
	if (ip.fragment & bpf_htons(0x1fff))
		return false;
	total = bpf_ntohs(ip.total_length);
	/* 0: a super-packet of more than 64 KiB. Ethernet pads short frames: the IP length is the true one. */
	packet->end = total && packet->offset + total < length ? packet->offset + total : length;
	packet->offset += (ip.version_and_length & 15) * 4;
	ends->family = 4;
	ends->protocol = ip.protocol;
	*(__u32 *)ends->local = ip.source;
	*(__u32 *)ends->remote = ip.destination;
	return true;
}

static __always_inline bool parse_ipv6(struct packet *packet, struct endpoints *ends, __u32 length)
{
	struct {
		__u8 next;
		__u8 size;
		__be16 fragment;
	} extension;
	struct ipv6_header ip;
	__u32 total;

	if (!read_at(packet, &ip, sizeof(ip)))
		return false;
	total = bpf_ntohs(ip.payload_length);
	packet->offset += sizeof(ip);
	packet->end = total && packet->offset + total < length ? packet->offset + total : length;
	ends->family = 6;
	__builtin_memcpy(ends->local, ip.source, 16);
	__builtin_memcpy(ends->remote, ip.destination, 16);
	ends->protocol = ip.next;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		/* hop-by-hop, routing, fragment, destination options */
		if (ends->protocol != 0 && ends->protocol != 43 && ends->protocol != 44 && ends->protocol != 60)
			break;
		if (!read_at(packet, &extension, sizeof(extension)))
			return false;
		if (ends->protocol == 44 && (extension.fragment & bpf_htons(0xfff8)))
			return false;
		packet->offset += ends->protocol == 44 ? 8 : (extension.size + 1) * 8;
		ends->protocol = extension.next;
	}
	fold_mapped(ends);
	return true;
}

static __always_inline bool parse_transport(struct packet *packet, struct packet_record *record)
{
	struct endpoints *ends = &record->ends;
	struct tcp_header tcp;
	struct udp_header udp;

	if (ends->protocol == IPPROTO_TCP) {
		if (!read_at(packet, &tcp, sizeof(tcp)))
			return false;
		ends->local_port = bpf_ntohs(tcp.source);
		ends->remote_port = bpf_ntohs(tcp.destination);
		record->seq = bpf_ntohl(tcp.seq) + ((tcp.flags & 2) >> 1); /* a SYN has a sequence number of its own */
		packet->mark = (__u64)record->seq << 32 | tcp.ack;
		packet->offset += (tcp.data_offset >> 4) * 4;
	} else if (ends->protocol == IPPROTO_UDP) {
		if (!read_at(packet, &udp, sizeof(udp)))
			return false;
		ends->local_port = bpf_ntohs(udp.source);
		ends->remote_port = bpf_ntohs(udp.destination);
		record->seq = 0;
		packet->mark = 0;
		packet->offset += sizeof(udp);
		if (!((flags_of_port(ends->local_port) | flags_of_port(ends->remote_port)) & PORT_UDP))
			return false;
	} else {
		return false;
	}
	if (packet->offset >= packet->end)
		return false;
	record->moved = packet->end - packet->offset;
	return true;
}

/*
 * On transmit the headers are in place and skb->data is the link header; on receive skb->data is what follows the link
 * header, and network_header is not set yet.
 */
static __always_inline bool parse(struct sk_buff *skb, bool transmit, struct packet *packet, struct packet_record *record)
{
	__u16 protocol = bpf_ntohs(skb->protocol);
	__u32 length = skb->len;
	__u8 version;

	if (protocol != ETH_P_IP && protocol != ETH_P_IPV6 && protocol != ETH_P_8021Q && protocol != ETH_P_8021AD)
		return false;
	packet->offset = 0;
	packet->is_broken = 0;
	if (transmit) {
		__u64 data_offset = skb->data - skb->head;
		__u16 network = skb->network_header;

		if (network == NO_OFFSET || network < data_offset)
			return false;
		packet->offset = network - data_offset;
	} else if (protocol == ETH_P_8021Q || protocol == ETH_P_8021AD) {
		packet->offset = 4;
	}
	if (bpf_dynptr_from_skb((struct __sk_buff *)skb, 0, &packet->bytes))
		return false;
	__builtin_memset(&record->ends, 0, sizeof(record->ends));
	if (!read_at(packet, &version, sizeof(version)))
		return false;
	if (version >> 4 == 4) {
		if (!parse_ipv4(packet, &record->ends, length))
			return false;
	} else if (version >> 4 == 6) {
		if (!parse_ipv6(packet, &record->ends, length))
			return false;
	} else {
		return false;
	}
	return parse_transport(packet, record);
}

/* At the first interface the packet still belongs to its socket; later its addresses or its numbers tell. */
static __always_inline bool is_own_packet(struct sk_buff *skb, bool transmit, const struct packet *packet,
					  const struct packet_record *record)
{
	const struct endpoints *ends = &record->ends;
	__u64 key = packet->mark;
	struct socket_state *state;
	struct sock *sk = transmit ? skb->sk : NULL;
	bool is_own = is_own_port(ends);
	__u8 yes = 1;

	if (!is_own && sk) {
		state = find_state(sk);
		if (state && state->own == OWN_NO)
			return false;
		is_own = state && is_own_socket(sk, state, ends, false);
	}
	is_own = is_own || is_own_tuple(ends, record->netns);
	if (is_own)
		bpf_map_update_elem(&own_packets, &key, &yes, BPF_ANY);
	else if (bpf_map_lookup_elem(&own_packets, &key)) {
		remember_own_tuple(ends, record->netns);
		is_own = true;
	}
	return is_own;
}

/* Kernels without tcp_sendmsg_locked: a send is as early as its first byte at the first interface. */
static __always_inline void note_stream_sent(struct sk_buff *skb, const struct packet_record *record)
{
	struct socket_state *state;
	struct sock *sk = skb->sk;

	if (has_send_start || !sk)
		return;
	state = find_state(sk);
	if (state && state->has_tx_seq && !state->tx_time_ns && state->tx_seq - record->seq < record->moved)
		state->tx_time_ns = record->time_ns;
}

/* UDP has no tcp_sendmsg_locked: its latest datagram's time at the first interface is the time of the send. */
static __always_inline void note_datagram_sent(struct sk_buff *skb, const struct packet_record *record)
{
	struct socket_state *state;
	struct sock *sk = skb->sk;

	if (!sk)
		return;
	state = make_state(sk);
	if (!state || (state->tx_time_ns && state->tx_skb == (__u64)skb))
		return;
	state->tx_time_ns = record->time_ns;
	state->tx_skb = (__u64)skb;
	state->tx_tid = bpf_get_current_pid_tgid();
	__builtin_memcpy(state->tx_source, record->ends.local, sizeof(state->tx_source));
	if (is_own_process() && is_sending_on(sk))
		state->own = OWN_YES;
	if (state->own == OWN_YES)
		remember_own_tuple(&record->ends, record->netns);
}

static __always_inline void on_packet(struct sk_buff *skb, bool transmit)
{
	__u32 index = transmit ? SCRATCH_QUEUE : SCRATCH_NETIF;
	struct packet_scratch *out;
	struct packet packet;
	__u64 size;

	out = bpf_map_lookup_elem(&packet_scratches, &index);
	if (!out)
		return;
	if (!parse(skb, transmit, &packet, &out->record)) {
		if (packet.is_broken) {
			count_seen();
			count_lost(LOSS_PACKET_BROKEN);
		}
		return;
	}
	out->record.time_ns = bpf_ktime_get_ns();
	out->record.netns = skb->dev->nd_net.net->ns.inum;
	out->record.interface_index = skb->dev->ifindex;
	out->record.direction = transmit ? DIRECTION_SEND : DIRECTION_RECEIVE;
	size = clamp(out->record.moved, max_packet_payload);
	if (out->record.ends.protocol == IPPROTO_UDP)
		__builtin_memset(out->payload, 0, DATAGRAM_PREFIX);
	if (bpf_dynptr_read(out->payload, size, &packet.bytes, packet.offset, 0)) {
		count_lost(LOSS_PAYLOAD_FAULT);
		size = 0;
	}
	if (out->record.ends.protocol == IPPROTO_UDP) {
		packet.mark = datagram_digest(out->payload) + out->record.moved;
		if (transmit)
			note_datagram_sent(skb, &out->record);
		else
			remember_datagram(out->record.netns, out->record.moved, out->payload, &out->record.ends);
	} else if (transmit) {
		note_stream_sent(skb, &out->record);
	}
	if (is_own_packet(skb, transmit, &packet, &out->record) || is_left_out(&out->record.ends, out->record.netns))
		return;
	if (is_over_budget(&out->record.ends, 0)) {
		count_seen();
		count_lost(LOSS_BUDGET);
		return;
	}
	size = clamp(size, level_payload);
	if (must_shed()) {
		count_seen();
		count_lost(LOSS_PACKET_SHED);
		return;
	}
	out->record.payload_length = size;
	size = clamp(size, MAX_PAYLOAD) + sizeof(out->record);
	out->record.head.length = size;
	out->record.head.type = RECORD_PACKET;
	out->record.head.version = PROBE_PROTOCOL_VERSION;
	emit(out, size);
}

#endif
