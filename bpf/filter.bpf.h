/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is left out before it costs anything: by port, address, namespace, process and control group, and by the budget. */
#ifndef FULLSPAN_FILTER_BPF_H
#define FULLSPAN_FILTER_BPF_H

#include "endpoints.bpf.h"

#define MAX_CGROUP_DEPTH 12

enum filter { FILTER_UNDECIDED = 0, FILTER_KEEPS = 1, FILTER_DROPS = 2 };

/* In the value of each map below: what the user listed it for. */
#define LIST_INCLUDE 1
#define LIST_EXCLUDE 2

/* Which lists have members; set by the user side before loading. */
const volatile __u8 port_lists = 0;
const volatile __u8 netns_lists = 0;
const volatile __u8 pid_lists = 0;
const volatile __u8 cgroup_lists = 0;
const volatile __u8 address_lists = 0;
const volatile int cgroup_subsystem = -1; /* cgroup v1: index in css_set.subsys; -1: v2 */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u8);
} netns_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u8);
} pid_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u8);
} cgroup_filter SEC(".maps");

/* IPv4 as ::ffff:a.b.c.d. */
struct address_prefix {
	__u32 bits;
	__u8 address[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address_prefix);
	__type(value, __u8);
} address_filter SEC(".maps");

static __always_inline __u8 lists_of_address(const __u8 *address, __u8 family)
{
	struct address_prefix prefix = { .bits = 128 };
	__u32 *words = (__u32 *)prefix.address;
	__u8 *lists;

	if (family == 4) {
		words[2] = bpf_htonl(0xffff);
		words[3] = *(const __u32 *)address;
	} else {
		__builtin_memcpy(prefix.address, address, 16);
	}
	lists = bpf_map_lookup_elem(&address_filter, &prefix);
	return lists ? *lists : 0;
}

/* By what a connection is, wherever it is seen. Unix sockets have neither ports nor addresses. */
static __always_inline bool is_left_out(const struct endpoints *ends, __u32 netns)
{
	__u8 found, *lists;

	if (port_lists && ends->protocol) {
		found = flags_of_port(ends->local_port) | flags_of_port(ends->remote_port);
		if ((found & PORT_EXCLUDED) || ((port_lists & LIST_INCLUDE) && !(found & PORT_INCLUDED)))
			return true;
	}
	if (netns_lists) {
		lists = bpf_map_lookup_elem(&netns_filter, &netns);
		found = lists ? *lists : 0;
		if ((found & LIST_EXCLUDE) || ((netns_lists & LIST_INCLUDE) && !(found & LIST_INCLUDE)))
			return true;
	}
	if (address_lists && ends->protocol) {
		found = lists_of_address(ends->local, ends->family) | lists_of_address(ends->remote, ends->family);
		if ((found & LIST_EXCLUDE) || ((address_lists & LIST_INCLUDE) && !(found & LIST_INCLUDE)))
			return true;
	}
	return false;
}

/* The lists that name the control group of the current task, or one above it. */
static __always_inline __u8 lists_of_cgroup(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *state = NULL;
	__u8 found = 0, *lists;
	__u64 id;

	if (cgroup_subsystem >= 0)
		bpf_probe_read_kernel(&state, sizeof(state),
				      (void *)set + bpf_core_field_offset(struct css_set, subsys) +
					      cgroup_subsystem * sizeof(state));
	else /* a cgroup begins with its own state */
		state = (struct cgroup_subsys_state *)BPF_CORE_READ(set, dfl_cgrp);
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_CGROUP_DEPTH && state; i++) {
		id = BPF_CORE_READ(state, cgroup, kn, id);
		lists = bpf_map_lookup_elem(&cgroup_filter, &id);
		if (lists)
			found |= *lists;
		state = BPF_CORE_READ(state, parent);
	}
	return found;
}

/* By who uses a socket: the current task. */
static __always_inline bool is_process_left_out(void)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u8 found, *lists;

	if (pid_lists) {
		lists = bpf_map_lookup_elem(&pid_filter, &pid);
		found = lists ? *lists : 0;
		if ((found & LIST_EXCLUDE) || ((pid_lists & LIST_INCLUDE) && !(found & LIST_INCLUDE)))
			return true;
	}
	if (cgroup_lists) {
		found = lists_of_cgroup();
		if ((found & LIST_EXCLUDE) || ((cgroup_lists & LIST_INCLUDE) && !(found & LIST_INCLUDE)))
			return true;
	}
	return false;
}

/*
 * Over the budget only a share of the connections is captured, the same at every point: chosen by both ports, which most
 * translations leave alone, or by the cookie where there are none.
 */
static __always_inline bool is_over_budget(const struct endpoints *ends, __u64 cookie)
{
	__u32 mixed = ends->protocol ? ends->local_port ^ ends->remote_port : (__u32)cookie;

	return level_share < 65536 && (mixed * 0x9e3779b1u) >> 16 >= level_share;
}

#endif
