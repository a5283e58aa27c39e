/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* NET: packets with payload at every interface of every namespace. */
#ifndef FULLSPAN_PACKET_BPF_H
#define FULLSPAN_PACKET_BPF_H

#include "datagram.bpf.h"
#include "filter.bpf.h"
#include "headers.h"
#include "network.bpf.h"
#include "own.bpf.h"
#include "payload.bpf.h"

#define SCRATCH_QUEUE 0
#define SCRATCH_NETIF 1

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym __weak;

#define PACKET_BYTES struct bpf_dynptr
#include "parse.h"

static __always_inline bool read_at(struct packet *packet, void *to, __u32 size)
{
	if (bpf_dynptr_read(to, size, &packet->bytes, packet->offset, 0) == 0)
		return true;
	packet->is_broken = 1;
	return false;
}

/*
 * On transmit the headers are in place and skb->data is the link header; on receive skb->data is what follows the link
 * header, and network_header is not set yet.
 */
static __always_inline bool parse(struct sk_buff *skb, bool transmit, struct packet *packet, struct tunnel_packet_record *out)
{
	__u16 protocol = bpf_ntohs(skb->protocol);
	__u32 length = skb->len;

	if (protocol != ETH_P_IP && protocol != ETH_P_IPV6 && protocol != ETH_P_8021Q && protocol != ETH_P_8021AD)
		return false;
	packet->offset = 0;
	packet->is_broken = 0;
	packet->has_no_room = 0;
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
	return parse_from(packet, out, length);
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

static __always_inline void emit_packet(struct packet_scratch *out, __u64 payload)
{
	__u64 size = clamp(payload, MAX_PAYLOAD) + sizeof(out->record);

	out->record.payload_length = payload;
	out->record.head.length = size;
	out->record.head.type = RECORD_PACKET;
	emit(out, size);
}

static __always_inline void emit_tunnelled(struct tunnel_scratch *out, __u64 payload)
{
	__u64 size = clamp(payload, MAX_PAYLOAD) + sizeof(out->record);

	out->record.packet.payload_length = payload;
	out->record.packet.head.length = size;
	out->record.packet.head.type = RECORD_TUNNEL_PACKET;
	emit(out, size);
}

/* Told once at each interface: on loopback a packet is transmitted and received. */
static __always_inline void tell_no_room(const struct packet_record *record)
{
	struct network_event_record event = {};

	if (record->direction == DIRECTION_RECEIVE && is_loopback(&record->ends))
		return;
	if (!is_told(&record->ends, record->netns))
		return;
	start_event(&event, NETWORK_ZERO_WINDOW, &record->ends, record->netns);
	event.interface_index = record->interface_index;
	emit(&event, sizeof(event));
}

static __always_inline void fill(struct packet_record *record, struct sk_buff *skb, bool transmit)
{
	record->head.version = PROBE_PROTOCOL_VERSION;
	record->time_ns = bpf_ktime_get_ns();
	record->netns = skb->dev->nd_net.net->ns.inum;
	record->interface_index = skb->dev->ifindex;
	record->direction = transmit ? DIRECTION_SEND : DIRECTION_RECEIVE;
}

static __always_inline void on_packet(struct sk_buff *skb, bool transmit)
{
	__u32 index = transmit ? SCRATCH_QUEUE : SCRATCH_NETIF;
	struct tunnel_scratch *tunnelled;
	struct packet_scratch *out;
	struct packet packet = {};
	__u64 size;

	out = bpf_map_lookup_elem(&packet_scratches, &index);
	tunnelled = bpf_map_lookup_elem(&tunnel_scratches, &index);
	if (!out || !tunnelled)
		return;
	if (!parse(skb, transmit, &packet, &tunnelled->record)) {
		if (packet.is_broken) {
			count_seen();
			count_lost(LOSS_PACKET_BROKEN);
		} else if (packet.has_no_room) {
			fill(&tunnelled->record.packet, skb, transmit);
			tell_no_room(&tunnelled->record.packet);
		}
		return;
	}
	fill(&tunnelled->record.packet, skb, transmit);
	if (packet.has_no_room)
		tell_no_room(&tunnelled->record.packet);
	out->record = tunnelled->record.packet;
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
	if (must_shed()) {
		count_seen();
		count_lost(LOSS_PACKET_SHED);
		return;
	}
	size = clamp(size, level_payload);
	if (!tunnelled->record.tunnel.type) {
		emit_packet(out, size);
		return;
	}
	if (size && bpf_dynptr_read(tunnelled->payload, size, &packet.bytes, packet.offset, 0))
		size = 0;
	emit_tunnelled(tunnelled, size);
}

#endif
