/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The two ends of a socket, and what tells one connection from another. */
#ifndef FULLSPAN_ENDPOINTS_BPF_H
#define FULLSPAN_ENDPOINTS_BPF_H

#include "maps.bpf.h"
#include "mapped.h"

static __always_inline bool endpoints_of(struct sock *sk, struct endpoints *ends)
{
	__u32 *local = (__u32 *)ends->local, *remote = (__u32 *)ends->remote;
	__u16 family = FIELD(sk, __sk_common.skc_family);

	__builtin_memset(ends, 0, sizeof(*ends));
	if (family == AF_UNIX) {
		ends->family = 1;
		return true;
	}
	ends->local_port = FIELD(sk, __sk_common.skc_num);
	/* a socket that is closed while a call on it is under way has given its port back (inet_put_port), but still knows it */
	if (!ends->local_port)
		ends->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	ends->remote_port = bpf_ntohs(FIELD(sk, __sk_common.skc_dport));
	ends->protocol = FIELD(sk, sk_protocol);
	if (family == AF_INET) {
		ends->family = 4;
		local[0] = FIELD(sk, __sk_common.skc_rcv_saddr);
		remote[0] = FIELD(sk, __sk_common.skc_daddr);
		return true;
	}
	if (family != AF_INET6)
		return false;
	ends->family = 6;
	for (int i = 0; i < 4; i++) {
		local[i] = FIELD(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
		remote[i] = FIELD(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
	}
	fold_mapped(ends);
	return true;
}

static __always_inline __u32 netns_of(struct sock *sk)
{
	if (is_syscall_tier)
		return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	return sk->__sk_common.skc_net.net->ns.inum;
}

static __always_inline bool is_unset(const __u8 *address)
{
	const __u32 *words = (const __u32 *)address;

	return !words[0] && !words[1] && !words[2] && !words[3];
}

static __always_inline bool is_loopback(const struct endpoints *ends)
{
	const __u32 *words = (const __u32 *)ends->local;

	if (ends->family == 4)
		return ends->local[0] == 127;
	return !words[0] && !words[1] && !words[2] && words[3] == bpf_htonl(1);
}

#endif
