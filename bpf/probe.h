/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the probe says to its reader, record by record. The kernel side writes the records of its own events straight into
 * the ring in this shape; the user side copies them out untouched and adds its own.
 *
 * Every record starts with struct record. Integers are little endian. Times are CLOCK_MONOTONIC nanoseconds. Ports are in
 * host order. An address is 16 bytes: IPv4 in the first four (IPv4-mapped IPv6 is folded to it), `family` says which.
 * Variable parts follow the fixed struct without padding. docs/reference/probe-protocol.md is the prose.
 */
#ifndef FULLSPAN_PROBE_H
#define FULLSPAN_PROBE_H

#include <linux/types.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded"

#define PROBE_PROTOCOL_VERSION 1

/* Hard limit of captured bytes per event; the setting may be less. A power of two: see gather() in payload.bpf.h. */
#define MAX_PAYLOAD 8192
#define MAX_COMMAND_LINE 512
#define MAX_NAME 64

enum record_type {
	RECORD_HOST = 1,
	RECORD_CLOCK = 2,
	RECORD_PROCESS = 3,
	RECORD_PROCESS_EXIT = 4,
	RECORD_INTERFACE = 5,
	RECORD_INTERFACE_GONE = 6,
	RECORD_SOCKET_DATA = 7,
	RECORD_SOCKET_CLOSE = 8,
	RECORD_PACKET = 9,
	RECORD_OWN_CONNECTION = 10,
	RECORD_LOSS = 11,
	RECORD_GAP = 12,

	/* Only between the kernel side and the user side, never sent. */
	RECORD_PROCESS_SEEN = 0x100,
};

enum role { ROLE_UNKNOWN = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };
enum direction { DIRECTION_SEND = 0, DIRECTION_RECEIVE = 1 };

enum loss_reason {
	LOSS_RING_FULL = 0,     /* the ring had no room */
	LOSS_PACKET_SHED = 1,   /* packets give way to system calls when the ring or the reader is behind */
	LOSS_NO_STATE = 2,      /* no memory for the state of a socket or thread */
	LOSS_PACKET_BROKEN = 3, /* headers of a packet could not be read */
	LOSS_MISSED = 4,        /* the kernel skipped a program because it was running already on that processor */
	LOSS_SOCKET_FULL = 5,   /* the reader did not keep up */
	LOSS_PAYLOAD_FAULT = 6, /* not lost: delivered without its payload, whose memory could not be read */
	LOSS_REASONS = 7,
};

struct record {
	__u32 length; /* of the whole record, this header included */
	__u16 type;   /* enum record_type */
	__u16 version;
};

/* Followed by host id, host name, kernel release, SYS tier, NET tier. */
struct host_record {
	struct record head;
	__u8 boot_id[16];
	__u32 netns;
	__u16 host_id_length;
	__u16 host_name_length;
	__u16 kernel_release_length;
	__u16 sys_tier_length;
	__u16 net_tier_length;
	__u16 padding;
};

struct clock_record {
	struct record head;
	__u64 monotonic_ns;
	__u64 realtime_ns;
	__u32 stepped;
	__u32 padding;
};

/* Followed by name, executable, command line, cgroup, service name. */
struct process_record {
	struct record head;
	__u64 start_time_ns; /* since boot */
	__u32 pid;
	__u32 namespace_pid;
	__u32 netns;
	__u16 name_length;
	__u16 executable_length;
	__u16 command_line_length;
	__u16 cgroup_length;
	__u16 service_name_length;
	__u16 padding;
};

struct process_exit_record {
	struct record head;
	__u64 time_ns;
	__u32 pid;
	__u32 padding;
};

struct interface_address {
	__u8 family; /* 4 or 6 */
	__u8 padding[3];
	__u8 address[16];
};

/* Followed by address_count struct interface_address, then name and kind. */
struct interface_record {
	struct record head;
	__u32 netns;
	__u32 index;
	__u32 peer_index;
	__u32 peer_netns;
	__u32 master_index;
	__u16 address_count;
	__u8 name_length;
	__u8 kind_length;
};

struct interface_gone_record {
	struct record head;
	__u32 netns;
	__u32 index;
};

/* The two ends of a connection, as a socket or a packet has them. */
struct endpoints {
	__u8 local[16];  /* source, of a packet */
	__u8 remote[16]; /* destination, of a packet */
	__u16 local_port;
	__u16 remote_port;
	__u8 family;   /* 4 or 6 */
	__u8 protocol; /* 6 TCP, 17 UDP */
	__u16 padding;
};

/* Followed by payload_length bytes. */
struct socket_data_record {
	struct record head;
	__u64 time_ns;
	__u64 cookie;
	struct endpoints ends;
	__u32 netns;
	__u32 pid;
	__u32 tid;
	__u32 ordinal;
	__u32 seq;
	__u32 moved; /* bytes; 0 on a receive is the end of the stream */
	__u8 role;
	__u8 role_inferred;
	__u8 direction;
	__u8 padding;
	__u32 payload_length;
};

struct socket_close_record {
	struct record head;
	__u64 time_ns;
	__u64 cookie;
	__u32 ordinal;
	__u32 padding;
};

/* Followed by payload_length bytes. */
struct packet_record {
	struct record head;
	__u64 time_ns;
	struct endpoints ends;
	__u32 netns;
	__u32 interface_index;
	__u32 seq;
	__u32 moved;
	__u8 direction; /* DIRECTION_SEND: transmitted */
	__u8 padding[3];
	__u32 payload_length;
};

struct own_connection_record {
	struct record head;
	__u64 time_ns;
	struct endpoints ends;
	__u32 pid;
	__u32 netns;
};

struct loss_record {
	struct record head;
	__u64 time_ns;
	__u64 seen;
	__u64 lost[LOSS_REASONS]; /* since the last record */
};

struct gap_record {
	struct record head;
	__u64 from_ns;
	__u64 to_ns;
};

/* Facts that only the kernel still has when a process was short-lived; the user side completes them from /proc. */
struct process_seen_record {
	struct record head;
	__u64 start_time_ns;
	__u32 pid;
	__u32 namespace_pid;
	__u32 netns;
	__u32 command_line_length; /* arguments, each ended by a zero byte */
	char name[16];
	char executable[MAX_NAME];
	char command_line[MAX_COMMAND_LINE];
};

#pragma GCC diagnostic pop

#endif
