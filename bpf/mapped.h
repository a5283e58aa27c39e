/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef FULLSPAN_MAPPED_H
#define FULLSPAN_MAPPED_H

/* An IPv4-mapped address becomes IPv4: two hops of one packet would never match otherwise. */
static __always_inline bool is_mapped(const __u32 *words)
{
	return !words[0] && !words[1] && words[2] == bpf_htonl(0xffff);
}

static __always_inline void fold_mapped(struct endpoints *ends)
{
	__u32 *local = (__u32 *)ends->local, *remote = (__u32 *)ends->remote;
	bool no_remote = !remote[0] && !remote[1] && !remote[2] && !remote[3];

	if (!is_mapped(local) && !is_mapped(remote))
		return;
	if (!is_mapped(remote) && !no_remote)
		return;
	ends->family = 4;
	local[0] = local[3];
	remote[0] = remote[3];
	local[1] = local[2] = local[3] = 0;
	remote[1] = remote[2] = remote[3] = 0;
}

#endif
