// SPDX-License-Identifier: Apache-2.0
#include "privileges.h"
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From newer headers than Debian 12's libc has. */
#define PERFMON 38
#define BPF 39

static const struct {
	const char *name;
	int number;
} needed[] = {
	{ "CAP_BPF", BPF }, /* maps, programs */
	{ "CAP_PERFMON", PERFMON },                      /* tracing programs, reading kernel memory */
	{ "CAP_SYS_PTRACE", CAP_SYS_PTRACE },            /* /proc/PID/{exe,environ,ns} of others */
	{ "CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH },  /* the same, of other users */
	{ "CAP_SYS_ADMIN", CAP_SYS_ADMIN },              /* setns into network namespaces */
};

#define NEEDED (sizeof(needed) / sizeof(needed[0]))

static bool get_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &header, data) == 0;
}

void privileges_missing(char *to, size_t size)
{
	struct __user_cap_data_struct data[2] = { 0 };
	size_t i, length = 0;

	get_capabilities(data);
	to[0] = 0;
	for (i = 0; i < NEEDED; i++) {
		if (data[needed[i].number / 32].effective & 1u << needed[i].number % 32)
			continue;
		length += snprintf(to + length, size - length, "%s%s", length ? " " : "", needed[i].name);
		if (length >= size)
			return;
	}
}

/* A packet socket in any namespace, with a queue longer than net.core.rmem_max. */
static const int for_packet_sockets[] = { CAP_NET_RAW, CAP_NET_ADMIN };

static bool is_needed(int capability, bool has_packet_sockets)
{
	size_t i;

	if (has_packet_sockets && (capability == for_packet_sockets[0] || capability == for_packet_sockets[1]))
		return true;

	for (i = 0; i < NEEDED; i++)
		if (needed[i].number == capability)
			return true;
	return false;
}

bool privileges_reduce(bool has_packet_sockets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };
	int capability;

	/* The bounding set needs CAP_SETPCAP: where that is missing there is less to drop anyway. */
	for (capability = 0; capability < 64; capability++)
		if (!is_needed(capability, has_packet_sockets))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (capability = 0; capability < 64; capability++) {
		if (!is_needed(capability, has_packet_sockets))
			continue;
		data[capability / 32].effective |= 1u << capability % 32;
		data[capability / 32].permitted |= 1u << capability % 32;
	}
	return syscall(SYS_capset, &header, data) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
