/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Packet headers as they are on the wire. */
#ifndef FULLSPAN_HEADERS_H
#define FULLSPAN_HEADERS_H

#include <linux/types.h>

#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_8021AD 0x88a8
#define ETH_P_IPV6 0x86dd
#define NO_OFFSET 0xffff
#define ETH_P_TEB 0x6558    /* an Ethernet frame inside */
#define ETH_P_ERSPAN2 0x88be
#define PROTOCOL_IPIP 4
#define PROTOCOL_IPV6 41
#define PROTOCOL_GRE 47
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

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

struct ethernet_header {
	__u8 addresses[12];
	__be16 protocol;
};

/* RFC 7348; Geneve (RFC 8926) has its own first word. */
struct vxlan_header {
	__u8 flags;
	__u8 reserved[3];
	__be32 id; /* in the upper 24 bits */
};

struct geneve_header {
	__u8 version_and_length; /* of options, in words */
	__u8 flags;
	__be16 protocol;
	__be32 id;
};

/* RFC 2784, 2890 */
struct gre_header {
	__be16 flags;
	__be16 protocol;
};

#endif
