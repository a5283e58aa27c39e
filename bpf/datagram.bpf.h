/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * An unconnected UDP socket does not say from whom a datagram came (the kernel copies the name out after the event). The
 * datagrams that arrived at an interface are remembered by their length and first bytes, and found again at the receive.
 */
#ifndef FULLSPAN_DATAGRAM_BPF_H
#define FULLSPAN_DATAGRAM_BPF_H

#include "endpoints.bpf.h"

#define DATAGRAM_PREFIX 32 /* zero-filled when the payload is shorter */

struct datagram_key {
	__u32 netns;
	__u32 length;
	__u64 digest;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct datagram_key);
	__type(value, struct endpoints);
} datagrams SEC(".maps");

static __always_inline __u64 datagram_digest(const __u8 *prefix)
{
	const __u64 *words = (const __u64 *)prefix;
	__u64 digest = 0;

	for (int i = 0; i < DATAGRAM_PREFIX / 8; i++) {
		digest = (digest ^ words[i]) * 0x9e3779b97f4a7c15;
		digest ^= digest >> 32;
	}
	return digest;
}

static __always_inline void datagram_key(struct datagram_key *key, __u32 netns, __u32 length, const __u8 *prefix)
{
	key->netns = netns;
	key->length = length;
	key->digest = datagram_digest(prefix);
}

/* `ends` as the packet had them: local is its source. */
static __always_inline void remember_datagram(__u32 netns, __u32 length, const __u8 *prefix, const struct endpoints *ends)
{
	struct datagram_key key;

	datagram_key(&key, netns, length, prefix);
	bpf_map_update_elem(&datagrams, &key, ends, BPF_ANY);
}

static __always_inline void find_datagram(__u32 netns, __u32 length, const __u8 *prefix, struct endpoints *ends)
{
	const struct endpoints *packet;
	struct datagram_key key;

	if (ends->remote_port && !is_unset(ends->local))
		return;
	datagram_key(&key, netns, length, prefix);
	packet = bpf_map_lookup_elem(&datagrams, &key);
	if (!packet || (packet->family != ends->family && !is_unset(ends->local)))
		return;
	ends->family = packet->family;
	if (is_unset(ends->local))
		__builtin_memcpy(ends->local, packet->remote, sizeof(ends->local));
	if (!ends->remote_port) {
		__builtin_memcpy(ends->remote, packet->local, sizeof(ends->remote));
		ends->remote_port = packet->local_port;
	}
}

/* The user's sockaddr of a send. */
static __always_inline void read_destination(__u64 name, struct endpoints *ends)
{
	struct {
		__u16 family;
		__be16 port;
		__u32 words[5];
	} address = {};
	__u32 *remote = (__u32 *)ends->remote;

	if (bpf_probe_read_user(&address, 8, (void *)name))
		return;
	if (address.family == AF_INET) {
		ends->family = 4;
		remote[0] = address.words[0];
	} else if (address.family == AF_INET6) {
		if (bpf_probe_read_user(&address, sizeof(address), (void *)name))
			return;
		ends->family = 6;
		for (int i = 0; i < 4; i++)
			remote[i] = address.words[i + 1];
		fold_mapped(ends);
	} else {
		return;
	}
	ends->remote_port = bpf_ntohs(address.port);
}

#endif
