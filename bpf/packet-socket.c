// SPDX-License-Identifier: Apache-2.0
#include "packet-socket.h"
#include "ports.h"
#include "probe.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What parse.h wants to be told. */
struct captured {
	const uint8_t *bytes;
	uint32_t size;
};

#define PACKET_BYTES struct captured
#define bpf_ntohs ntohs
#define bpf_ntohl ntohl
#define bpf_htons htons
#define bpf_htonl htonl
static const volatile uint8_t *port_flags;

static uint8_t flags_of_port(uint16_t port)
{
	return port_flags[port];
}
#include "parse.h"

#define ALL_PROTOCOLS 3     /* ETH_P_ALL */
#define MAX_SOCKETS 1024
#define HEADER_ROOM 256     /* of a packet inside another one */
#define BATCH 64
#define MAX_ROUND 4096      /* packets in one go; the rest waits in the sockets */
#define QUEUE_BYTES (16 << 20)
#define OWN_MARKS 16384
#define SECOND_NS 1000000000ull

struct packet_socket {
	uint32_t netns;
	int fd;
	uint32_t generation; /* of the scan that found its namespace */
};

static struct packet_options options;
static struct packet_socket sockets[MAX_SOCKETS];
static uint32_t socket_count, generation = 1;
static struct packet_counts counts;
static uint64_t own_marks[OWN_MARKS]; /* (seq, ack) of own packets, which no translation of addresses changes */

/* One packet of a round: its record, with the payload behind it. */
struct slot {
	uint64_t time_ns;
	uint64_t mark;
	bool has_no_room;
	bool has_payload;
	struct tunnel_packet_record record;
	const uint8_t *payload;
	uint32_t payload_length;
};

static struct slot *slots;
static struct slot **order;
static uint8_t *buffers; /* of each slot: the packet as it came */
static uint32_t slot_bytes;

static bool read_at(struct packet *packet, void *to, __u32 size)
{
	if (packet->offset > packet->bytes.size || size > packet->bytes.size - packet->offset) {
		packet->is_broken = 1;
		return false;
	}
	memcpy(to, packet->bytes.bytes + packet->offset, size);
	return true;
}

bool packet_sockets_open(const struct packet_options *given)
{
	options = *given;
	port_flags = options.port_flags;
	slot_bytes = HEADER_ROOM + options.max_payload;
	slots = calloc(MAX_ROUND, sizeof(*slots));
	order = calloc(MAX_ROUND, sizeof(struct slot *));
	buffers = malloc((size_t)MAX_ROUND * slot_bytes);
	return slots && order && buffers;
}

/*
 * Only IP, with or without a VLAN tag; of IPv4's TCP without tunnels nothing that has neither bytes nor a window of zero.
 * Offsets are from the network header on (SOCK_DGRAM). linux/filter.h, packet(7).
 */
static struct sock_filter program[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 4, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 18, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 17, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021AD, 16, 0),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9), /* protocol */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 13),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6), /* fragment offset */
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 12, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* X: bytes of the IP header */
	BPF_STMT(BPF_LD | BPF_H | BPF_IND, 14), /* window */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 8, 0),
	BPF_STMT(BPF_LD | BPF_B | BPF_IND, 12), /* TCP's data offset, in words, in the upper half */
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x3c),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2), /* total length; 0 of a super-packet over 64 KiB */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

static int open_socket(void)
{
	struct sock_fprog filter = { .len = sizeof(program) / sizeof(program[0]), .filter = program };
	struct sockaddr_ll everything = { .sll_family = AF_PACKET, .sll_protocol = htons(ALL_PROTOCOLS) };
	/* of no protocol until the filter is there: nothing comes before it */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), yes = 1, bytes = QUEUE_BYTES;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) == 0 &&
	    bind(fd, (struct sockaddr *)&everything, sizeof(everything)) == 0)
		return fd;
	close(fd);
	return -1;
}

void packet_sockets_visit(uint32_t netns)
{
	uint32_t i;
	int fd;

	for (i = 0; i < socket_count; i++) {
		if (sockets[i].netns != netns)
			continue;
		sockets[i].generation = generation;
		return;
	}
	if (!options.port_flags || socket_count == MAX_SOCKETS || (fd = open_socket()) < 0)
		return;
	sockets[socket_count++] = (struct packet_socket){ netns, fd, generation };
}

/* Reading these sets them to 0. */
static void count_drops(const struct packet_socket *socket)
{
	struct tpacket_stats stats = { 0 };
	socklen_t size = sizeof(stats);

	if (getsockopt(socket->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
		return;
	counts.queue_full += stats.tp_drops;
	counts.seen += stats.tp_drops;
}

void packet_sockets_sweep(void)
{
	uint32_t i = 0;

	while (i < socket_count) {
		if (sockets[i].generation == generation) {
			i++;
			continue;
		}
		count_drops(&sockets[i]);
		close(sockets[i].fd);
		sockets[i] = sockets[--socket_count];
	}
	generation++;
}

void packet_sockets_count(struct packet_counts *to)
{
	uint32_t i;

	for (i = 0; i < socket_count; i++)
		count_drops(&sockets[i]);
	*to = counts;
}

static bool is_own(const struct packet_record *record, uint64_t mark)
{
	const __u32 *source = (const __u32 *)record->ends.local;
	bool is_local = record->ends.family == 4 ? record->ends.local[0] == 127 :
						   !source[0] && !source[1] && !source[2] && source[3] == htonl(1);
	struct {
		struct endpoints ends;
		__u32 netns;
	} tuple = { record->ends, is_local ? record->netns : 0 }; /* as in own.bpf.h */
	uint64_t *known = &own_marks[(mark * 0x9e3779b97f4a7c15ull) >> 50], until;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (((port_flags[record->ends.local_port] | port_flags[record->ends.remote_port]) & PORT_OWN) ||
	    (bpf_map_lookup_elem(options.own_tuples, &tuple, &until) == 0 && until > now.tv_sec * SECOND_NS + now.tv_nsec)) {
		*known = mark;
		return true;
	}
	return mark && *known == mark;
}

static bool has_prefix(const struct filter_prefix *prefix, const uint8_t *address, uint8_t family)
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	uint32_t bytes = prefix->bits / 8, rest = prefix->bits % 8;

	if (family == 4) {
		memcpy(mapped + 12, address, 4);
		address = mapped;
	}
	return memcmp(prefix->address, address, bytes) == 0 &&
	       (!rest || (prefix->address[bytes] ^ address[bytes]) >> (8 - rest) == 0);
}

/* The most specific prefix counts. */
static uint8_t lists_of(const uint8_t *address, uint8_t family)
{
	const struct filter_prefix *best = NULL, *prefix;
	uint8_t lists = 0;

	for (prefix = options.filters->prefixes; prefix < options.filters->prefixes + options.filters->prefix_count; prefix++) {
		if (!has_prefix(prefix, address, family) || (best && prefix->bits < best->bits))
			continue;
		lists = best && prefix->bits == best->bits ? lists | prefix->list : prefix->list;
		best = prefix;
	}
	return lists;
}

/* `found` is what the lists say of a connection, `all` which lists there are. */
static bool is_refused(uint8_t found, uint8_t all)
{
	return (found & LIST_EXCLUDE) || ((all & LIST_INCLUDE) && !(found & LIST_INCLUDE));
}

/* As is_left_out() of filter.bpf.h. */
static bool is_left_out(const struct packet_record *record)
{
	const struct filters *filters = options.filters;
	const struct endpoints *ends = &record->ends;
	uint8_t found, all;
	uint32_t i;

	for (i = 0, found = all = 0; i < filters->ports.count; i++) {
		all |= filters->ports.items[i].list;
		if (filters->ports.items[i].value == ends->local_port || filters->ports.items[i].value == ends->remote_port)
			found |= filters->ports.items[i].list;
	}
	if (is_refused(found, all))
		return true;
	for (i = 0, found = all = 0; i < filters->namespaces.count; i++) {
		all |= filters->namespaces.items[i].list;
		if (filters->namespaces.items[i].value == record->netns)
			found |= filters->namespaces.items[i].list;
	}
	if (is_refused(found, all))
		return true;
	for (i = 0, all = 0; i < filters->prefix_count; i++)
		all |= filters->prefixes[i].list;
	return all && is_refused(lists_of(ends->local, ends->family) | lists_of(ends->remote, ends->family), all);
}

/* As is_over_budget() of filter.bpf.h. */
static bool is_over_budget(const struct packet_round *round, const struct endpoints *ends)
{
	uint32_t mixed = ends->local_port ^ ends->remote_port;

	return round->level_share < 65536 && (mixed * 0x9e3779b1u) >> 16 >= round->level_share;
}

static uint64_t time_of(const struct msghdr *message, int64_t offset_ns)
{
	struct cmsghdr *control;
	struct timespec time;

	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR((struct msghdr *)message, control)) {
		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&time, CMSG_DATA(control), sizeof(time));
		return time.tv_sec * SECOND_NS + time.tv_nsec - offset_ns;
	}
	return 0;
}

/* True: there is something to tell. */
static bool parse_slot(struct slot *slot, const uint8_t *bytes, uint32_t captured, uint32_t length)
{
	struct packet packet = { .bytes = { bytes, captured } };
	struct packet_record *record = &slot->record.packet;
	uint8_t version = captured ? bytes[0] >> 4 : 0;

	/* a VLAN tag that the card did not take: its last two bytes and the protocol stand in front */
	if (version != 4 && version != 6)
		packet.offset = 4;
	slot->has_payload = parse_from(&packet, &slot->record, length);
	slot->has_no_room = packet.has_no_room;
	if (!slot->has_payload) {
		if (packet.is_broken) {
			counts.seen++;
			counts.broken++;
		}
		return packet.has_no_room;
	}
	slot->mark = packet.mark;
	slot->payload = bytes + packet.offset;
	slot->payload_length = packet.offset < captured ? captured - packet.offset : 0;
	if (slot->payload_length > record->moved)
		slot->payload_length = record->moved;
	if (slot->payload_length > options.max_payload)
		slot->payload_length = options.max_payload;
	return true;
}

static uint32_t read_socket(const struct packet_socket *socket, uint32_t count, int64_t offset_ns)
{
	static struct sockaddr_ll addresses[BATCH];
	static char controls[BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct mmsghdr messages[BATCH];
	struct iovec vectors[BATCH];
	uint32_t room, i, first = count;
	int got;

	do {
		room = MAX_ROUND - first < BATCH ? MAX_ROUND - first : BATCH;
		for (i = 0; i < room; i++) {
			vectors[i] = (struct iovec){ buffers + (size_t)(first + i) * slot_bytes, slot_bytes };
			messages[i].msg_hdr = (struct msghdr){ .msg_name = &addresses[i], .msg_namelen = sizeof(addresses[i]),
							       .msg_iov = &vectors[i], .msg_iovlen = 1,
							       .msg_control = controls[i], .msg_controllen = sizeof(controls[i]) };
		}
		got = room ? recvmmsg(socket->fd, messages, room, MSG_DONTWAIT | MSG_TRUNC, NULL) : 0;
		for (i = 0; (int)i < got; i++) {
			struct slot *slot = &slots[first];
			uint8_t *bytes = vectors[i].iov_base, *place = buffers + (size_t)first * slot_bytes;
			uint32_t length = messages[i].msg_len, captured = length < slot_bytes ? length : slot_bytes;

			if (bytes != place) /* one before it was nothing to tell */
				memmove(place, bytes, captured);
			memset(slot, 0, sizeof(*slot));
			slot->time_ns = time_of(&messages[i].msg_hdr, offset_ns);
			slot->record.packet.netns = socket->netns;
			slot->record.packet.interface_index = addresses[i].sll_ifindex;
			slot->record.packet.direction = addresses[i].sll_pkttype == PACKET_OUTGOING ? DIRECTION_SEND : DIRECTION_RECEIVE;
			if (parse_slot(slot, place, captured, length))
				order[first] = slot, first++;
		}
	} while (got == BATCH);
	return first;
}

static void tell_no_room(const struct packet_round *round, const struct slot *slot)
{
	struct network_event_record event = { .head = { sizeof(event), RECORD_NETWORK_EVENT, PROBE_PROTOCOL_VERSION } };

	event.time_ns = slot->time_ns;
	event.ends = slot->record.packet.ends;
	event.netns = slot->record.packet.netns;
	event.interface_index = slot->record.packet.interface_index;
	event.kind = NETWORK_ZERO_WINDOW;
	counts.seen++;
	round->take(round->context, &event.head);
}

static void tell_packet(const struct packet_round *round, struct slot *slot)
{
	static uint8_t bytes[sizeof(struct tunnel_packet_record) + MAX_PAYLOAD];
	bool is_tunnelled = slot->record.tunnel.type;
	uint32_t size = is_tunnelled ? sizeof(struct tunnel_packet_record) : sizeof(struct packet_record);
	struct packet_record *record = &slot->record.packet;

	record->payload_length = slot->payload_length < round->level_payload ? slot->payload_length : round->level_payload;
	record->time_ns = slot->time_ns;
	record->head.version = PROBE_PROTOCOL_VERSION;
	record->head.type = is_tunnelled ? RECORD_TUNNEL_PACKET : RECORD_PACKET;
	record->head.length = size + record->payload_length;
	memcpy(bytes, &slot->record, size);
	memcpy(bytes + size, slot->payload, record->payload_length);
	counts.seen++;
	round->take(round->context, (const struct record *)bytes);
}

static void tell(const struct packet_round *round, struct slot *slot)
{
	const struct packet_record *record = &slot->record.packet;

	if (is_own(record, slot->mark) || is_left_out(record))
		return;
	if (is_over_budget(round, &record->ends)) {
		counts.seen++;
		counts.budget++;
		return;
	}
	/* on loopback a packet goes out and comes in */
	if (slot->has_no_room && (record->direction == DIRECTION_SEND || record->ends.local[0] != 127))
		tell_no_room(round, slot);
	if (slot->has_payload)
		tell_packet(round, slot);
}

static int compare(const void *one, const void *other)
{
	const struct slot *a = *(struct slot *const *)one, *b = *(struct slot *const *)other;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* All sockets first, then by time: a packet that is Fullspan's own is known where it was not translated yet. */
void packet_sockets_read(const struct packet_round *round)
{
	struct timespec monotonic, real;
	uint32_t count = 0, i;
	int64_t offset_ns;

	if (!socket_count)
		return;
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	clock_gettime(CLOCK_REALTIME, &real);
	offset_ns = (real.tv_sec - monotonic.tv_sec) * (int64_t)SECOND_NS + (real.tv_nsec - monotonic.tv_nsec);
	for (i = 0; i < socket_count; i++)
		count = read_socket(&sockets[i], count, offset_ns);
	qsort(order, count, sizeof(struct slot *), compare);
	for (i = 0; i < count; i++)
		tell(round, order[i]);
}
