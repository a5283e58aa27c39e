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
#define MAX_SOCKET_NAME 108

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
	RECORD_SOCKET_NAME = 13,
	RECORD_SOCKET_COUNTS = 14,
	RECORD_LEVEL = 15,
	RECORD_TUNNEL_PACKET = 20,
	RECORD_NETWORK_EVENT = 21,
	RECORD_TLS_DATA = 24,
	RECORD_TICK = 30,

	/* Only between the kernel side and the user side, never sent. */
	RECORD_PROCESS_SEEN = 0x100,
	RECORD_DROP_SEEN = 0x101,
	RECORD_PROCESS_EXECUTED = 0x102,
};

/* What the reader wants of a connection from now on. */
enum mode {
	MODE_WHOLE = 0,  /* the head of every message */
	MODE_HEADS = 1,  /* of each turn the first `allowance` bytes, then messages without payload */
	MODE_COUNTS = 2, /* no messages, only how much moved */
};

/* The other way, from the reader to the probe. */
enum command_type { COMMAND_CONNECTION = 1 };

enum role { ROLE_UNKNOWN = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };
enum direction { DIRECTION_SEND = 0, DIRECTION_RECEIVE = 1 };

/* What carries another packet. */
enum tunnel_type { TUNNEL_VXLAN = 1, TUNNEL_GENEVE = 2, TUNNEL_GRE = 3, TUNNEL_IPIP = 4, TUNNEL_ERSPAN = 5 };

/* What happened to a TCP connection besides its bytes. */
enum network_kind {
	NETWORK_CONNECTED = 1,      /* value: ns since the connect */
	NETWORK_RTT = 2,            /* value: smoothed round-trip time, us */
	NETWORK_RETRANSMIT = 3,     /* seq, length */
	NETWORK_RETRANSMIT_SYN = 4, /* the connect's own */
	NETWORK_RESET_SENT = 5,
	NETWORK_RESET_RECEIVED = 6,
	NETWORK_ZERO_WINDOW = 7,    /* a packet said so; `ends.local` has no room */
	NETWORK_DROP = 8,           /* the kernel dropped a packet; seq, length, reason, place */
};

enum loss_reason {
	LOSS_RING_FULL = 0,     /* the ring had no room */
	LOSS_PACKET_SHED = 1,   /* packets give way to system calls when the ring or the reader is behind */
	LOSS_NO_STATE = 2,      /* no memory for the state of a socket or thread */
	LOSS_PACKET_BROKEN = 3, /* headers of a packet could not be read */
	LOSS_MISSED = 4,        /* the kernel skipped a program because it was running already on that processor */
	LOSS_SOCKET_FULL = 5,   /* the reader did not keep up */
	LOSS_PAYLOAD_FAULT = 6, /* not lost: delivered without its payload, whose memory could not be read */
	LOSS_BUDGET = 7,        /* capture has stepped down (RECORD_LEVEL) */
	LOSS_PACKET_QUEUE = 8,  /* a packet socket's queue had no room */
	LOSS_REASONS = 9,
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
	__u8 family;   /* 4 or 6; 1: a Unix socket, whose names a socket_name_record tells */
	__u8 protocol; /* 6 TCP, 17 UDP, 0 Unix */
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

/*
 * What a program gave to its TLS library or got from it, in the clear; `seq` and `cookie` are those of the first bytes that the
 * call moved on a socket. Followed by payload_length bytes.
 */
struct tls_data_record {
	struct record head;
	__u64 time_ns; /* when a write began, when a read was over */
	__u64 cookie;  /* 0: the call used no socket */
	__u64 session; /* stands for the library's connection, within the process */
	__u32 pid;
	__u32 tid;
	__u32 seq;
	__u32 moved; /* bytes in the clear */
	__u8 direction;
	__u8 padding[3];
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

/* Of the packet around: its ends and what tells the tunnel from others of the same ends. */
struct tunnel {
	__u8 local[16];
	__u8 remote[16];
	__u32 id;    /* VNI, key; 0 for none */
	__u8 type;   /* enum tunnel_type */
	__u8 family; /* 4 or 6 */
	__u8 has_id;
	__u8 padding;
};

/* A packet inside another one: `packet` is the inner one. Followed by payload_length bytes. */
struct tunnel_packet_record {
	struct packet_record packet;
	struct tunnel tunnel;
};

/* Followed by reason and place, of a drop. */
struct network_event_record {
	struct record head;
	__u64 time_ns;
	__u64 value;
	struct endpoints ends; /* a socket's own end first, or a packet's source */
	__u32 netns;
	__u32 interface_index; /* 0: none, or unknown */
	__u32 seq;
	__u32 length;
	__u16 kind; /* enum network_kind */
	__u8 reason_length;
	__u8 place_length;
	__u32 padding;
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

/* Paths of a Unix socket, before its first data. An abstract name begins with a zero byte. */
struct socket_name_record {
	struct record head;
	__u64 cookie;
	__u8 local_length;
	__u8 remote_length;
	__u8 padding[6];
	char local[MAX_SOCKET_NAME];
	char remote[MAX_SOCKET_NAME];
};

/* What moved on a socket in mode MODE_COUNTS since the last one: at most once a second, and before its close. */
struct socket_counts_record {
	struct record head;
	__u64 time_ns;
	__u64 cookie;
	__u64 sent;     /* bytes */
	__u64 received; /* bytes */
	__u32 events;
	__u32 padding;
};

/* Capture steps down or up to keep within its budget. */
struct level_record {
	struct record head;
	__u64 time_ns;
	__u32 level;             /* 0: in full */
	__u32 payload;           /* bytes of each event at most */
	__u32 share;             /* of connections, in parts of 65536 */
	__u32 events_per_second; /* seen in the time before */
	__u32 cpu_permille;      /* of one processor: BPF programs, probe, the processes of --own-pid */
	__u32 padding;
};

/* Ten times a second: what the kernel side saw until then stands before it. The reader's time moves by the stream alone. */
struct tick_record {
	struct record head;
	__u64 time_ns;
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

/* The user side gives the reason its name. */
struct drop_seen_record {
	struct network_event_record event;
	__u32 reason;
	__u32 padding;
	char place[MAX_NAME]; /* the kernel function */
};

struct process_executed_record {
	struct record head;
	__u32 pid;
	__u32 padding;
};

/* head.type is COMMAND_CONNECTION. */
struct connection_command {
	struct record head;
	__u64 cookie;
	__u32 mode;
	__u32 allowance;
};

#pragma GCC diagnostic pop

#endif
