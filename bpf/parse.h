/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * From a packet's IP header to its payload, through tunnels. Included by the kernel side and by the user side (packet
 * sockets): both define PACKET_BYTES, what a packet's bytes are read from, bpf_ntohs, bpf_ntohl, bpf_htons, bpf_htonl and
 * port_flags, and read_at() behind this.
 */
#ifndef FULLSPAN_PARSE_H
#define FULLSPAN_PARSE_H

#include "headers.h"
#include "mapped.h"

#define MAX_EXTENSIONS 4
#define VXLAN_PORT 4789
#define VXLAN_PORT_LINUX 8472 /* the kernel's own default */
#define GENEVE_PORT 6081
#define GRE_CHECKSUM 0x8000
#define GRE_KEY 0x2000
#define GRE_SEQUENCE 0x1000

/* Where a packet's payload is. */
struct packet {
	PACKET_BYTES bytes;
	__u32 offset;
	__u32 end;
	__u64 mark; /* the same at every hop */
	__u32 is_broken;
	__u32 has_no_room; /* its sender says so: a window of zero */
};

/* Moves nothing. False, and is_broken, where the packet is too short. */
static __always_inline bool read_at(struct packet *packet, void *to, __u32 size);

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
		record->seq = bpf_ntohl(tcp.seq) + ((tcp.flags & TCP_SYN) >> 1); /* a SYN has a sequence number of its own */
		packet->mark = (__u64)record->seq << 32 | tcp.ack;
		packet->offset += (tcp.data_offset >> 4) * 4;
		packet->has_no_room = !tcp.window && (tcp.flags & TCP_ACK) && !(tcp.flags & (TCP_SYN | TCP_RST));
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

static __always_inline bool parse_network(struct packet *packet, struct endpoints *ends, __u32 length)
{
	__u8 version;

	__builtin_memset(ends, 0, sizeof(*ends));
	if (!read_at(packet, &version, sizeof(version)))
		return false;
	if (version >> 4 == 4)
		return parse_ipv4(packet, ends, length);
	return version >> 4 == 6 && parse_ipv6(packet, ends, length);
}

/* What the frame at the packet's offset carries, past its header and one VLAN tag. */
static __always_inline __u16 enter_ethernet(struct packet *packet)
{
	struct ethernet_header ethernet;
	__u16 protocol;

	if (!read_at(packet, &ethernet, sizeof(ethernet)))
		return 0;
	packet->offset += sizeof(ethernet);
	protocol = bpf_ntohs(ethernet.protocol);
	if (protocol != ETH_P_8021Q && protocol != ETH_P_8021AD)
		return protocol;
	packet->offset += 2;
	if (!read_at(packet, &ethernet.protocol, sizeof(ethernet.protocol)))
		return 0;
	packet->offset += 2;
	return bpf_ntohs(ethernet.protocol);
}

/* Bytes from the UDP header on. What it carries, or 0: no tunnel. */
static __always_inline __u16 enter_udp_tunnel(struct packet *packet, struct tunnel *tunnel)
{
	struct {
		struct udp_header udp;
		union {
			struct vxlan_header vxlan;
			struct geneve_header geneve;
		};
	} outer;
	__u16 port, protocol;

	if (!read_at(packet, &outer.udp, sizeof(outer.udp)))
		return 0;
	port = bpf_ntohs(outer.udp.destination);
	if (port != VXLAN_PORT && port != VXLAN_PORT_LINUX && port != GENEVE_PORT)
		return 0;
	if (!read_at(packet, &outer, sizeof(outer)))
		return 0;
	if (port != GENEVE_PORT) {
		if (!(outer.vxlan.flags & 8))
			return 0;
		tunnel->type = TUNNEL_VXLAN;
		tunnel->id = bpf_ntohl(outer.vxlan.id) >> 8;
		protocol = ETH_P_TEB;
		packet->offset += sizeof(outer.udp) + sizeof(outer.vxlan);
	} else {
		if (outer.geneve.version_and_length >> 6)
			return 0;
		tunnel->type = TUNNEL_GENEVE;
		tunnel->id = bpf_ntohl(outer.geneve.id) >> 8;
		protocol = bpf_ntohs(outer.geneve.protocol);
		packet->offset += sizeof(outer.udp) + sizeof(outer.geneve) + (outer.geneve.version_and_length & 63) * 4;
	}
	tunnel->has_id = 1;
	return protocol;
}

static __always_inline __u16 enter_gre(struct packet *packet, struct tunnel *tunnel)
{
	struct gre_header gre;
	__be32 key;
	__u16 flags;

	if (!read_at(packet, &gre, sizeof(gre)))
		return 0;
	flags = bpf_ntohs(gre.flags);
	if (flags & 7) /* version 1 is PPTP's */
		return 0;
	tunnel->type = TUNNEL_GRE;
	packet->offset += sizeof(gre) + (flags & GRE_CHECKSUM ? 4 : 0);
	if (flags & GRE_KEY) {
		if (!read_at(packet, &key, sizeof(key)))
			return 0;
		tunnel->id = bpf_ntohl(key);
		tunnel->has_id = 1;
		packet->offset += 4;
	}
	if (flags & GRE_SEQUENCE)
		packet->offset += 4;
	if (bpf_ntohs(gre.protocol) != ETH_P_ERSPAN2)
		return bpf_ntohs(gre.protocol);
	tunnel->type = TUNNEL_ERSPAN; /* type I has neither sequence nor header of its own */
	if (flags & GRE_SEQUENCE) {
		if (!read_at(packet, &key, sizeof(key)))
			return 0;
		tunnel->id = bpf_ntohl(key) & 1023; /* session */
		tunnel->has_id = 1;
		packet->offset += 8;
	}
	return ETH_P_TEB;
}

/* Moves to the packet inside, if there is one; the ends up to now are the tunnel's. */
static __always_inline bool enter_tunnel(struct packet *packet, const struct endpoints *ends, struct tunnel *tunnel)
{
	__u32 offset = packet->offset, is_broken = packet->is_broken;
	__u16 protocol = 0;

	if (ends->protocol == IPPROTO_UDP)
		protocol = enter_udp_tunnel(packet, tunnel);
	else if (ends->protocol == PROTOCOL_GRE)
		protocol = enter_gre(packet, tunnel);
	else if (ends->protocol == PROTOCOL_IPIP || ends->protocol == PROTOCOL_IPV6) {
		tunnel->type = TUNNEL_IPIP;
		protocol = ETH_P_IP;
	}
	if (protocol == ETH_P_TEB)
		protocol = enter_ethernet(packet);
	if (protocol != ETH_P_IP && protocol != ETH_P_IPV6) {
		packet->offset = offset;
		packet->is_broken = is_broken;
		tunnel->type = 0;
		return false;
	}
	tunnel->family = ends->family;
	__builtin_memcpy(tunnel->local, ends->local, 16);
	__builtin_memcpy(tunnel->remote, ends->remote, 16);
	return true;
}

/* From the IP header at the packet's offset on; `length` is the packet's. False: nothing that is told. */
static __always_inline bool parse_from(struct packet *packet, struct tunnel_packet_record *out, __u32 length)
{
	struct packet_record *record = &out->packet;

	__builtin_memset(&out->tunnel, 0, sizeof(out->tunnel));
	if (!parse_network(packet, &record->ends, length))
		return false;
	if (enter_tunnel(packet, &record->ends, &out->tunnel) && !parse_network(packet, &record->ends, packet->end))
		return false;
	return parse_transport(packet, record);
}

#endif
