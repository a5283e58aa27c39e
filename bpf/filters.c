// SPDX-License-Identifier: Apache-2.0
#include "filters.h"
#include "ports.h"
#include "probe.h"
#include "probe.skel.h"
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define CGROUP_ROOT "/sys/fs/cgroup"

/* Hierarchies of cgroup v1 in which every container has a group of its own; v2 first. */
static const struct {
	const char *folder;
	const char *subsystem; /* NULL: v2 */
} hierarchies[] = {
	{ CGROUP_ROOT, NULL },
	{ CGROUP_ROOT "/unified", NULL },
	{ CGROUP_ROOT "/memory", "memory_cgrp_id" },
	{ CGROUP_ROOT "/pids", "pids_cgrp_id" },
	{ CGROUP_ROOT "/cpu", "cpu_cgrp_id" },
	{ CGROUP_ROOT "/cpu,cpuacct", "cpu_cgrp_id" },
};

#define HIERARCHIES (sizeof(hierarchies) / sizeof(hierarchies[0]))

bool filters_add_number(struct filter_numbers *numbers, uint32_t value, uint8_t list)
{
	if (numbers->count == MAX_FILTERED)
		return false;
	numbers->items[numbers->count++] = (struct filter_number){ value, list };
	return true;
}

bool filters_add_prefix(struct filters *filters, const char *text, uint8_t list)
{
	struct filter_prefix prefix = { .list = list };
	char address[64], *slash, *end;
	uint32_t width = 128, bits;

	if (filters->prefix_count == MAX_FILTERED || strlen(text) >= sizeof(address))
		return false;
	strcpy(address, text);
	slash = strchr(address, '/');
	if (slash)
		*slash = 0;
	if (inet_pton(AF_INET, address, prefix.address + 12) == 1) {
		prefix.address[10] = prefix.address[11] = 0xff;
		width = 32;
	} else if (inet_pton(AF_INET6, address, prefix.address) != 1) {
		return false;
	}
	bits = width;
	if (slash) {
		bits = strtoul(slash + 1, &end, 10);
		if (!slash[1] || *end || bits > width)
			return false;
	}
	prefix.bits = 128 - width + bits;
	filters->prefixes[filters->prefix_count++] = prefix;
	return true;
}

bool filters_add_cgroup(struct filters *filters, const char *path, uint8_t list)
{
	if (filters->cgroup_count == MAX_CGROUP_PATHS || path[0] != '/')
		return false;
	filters->cgroups[filters->cgroup_count++] = (struct filter_path){ path, list };
	return true;
}

/* The id of a control group is its inode number (kernfs, 64 bits). 0: there is none. */
static uint64_t cgroup_id(const char *folder, const char *path)
{
	char full[4096];
	struct stat status;

	snprintf(full, sizeof(full), "%s%s", folder, path);
	return stat(full, &status) == 0 && S_ISDIR(status.st_mode) ? status.st_ino : 0;
}

static bool is_usable(size_t hierarchy)
{
	struct statfs system;

	if (statfs(hierarchies[hierarchy].folder, &system) < 0)
		return false;
	return system.f_type == (hierarchies[hierarchy].subsystem ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC);
}

/* The first hierarchy that has all of them, or -1. */
static int find_hierarchy(const struct filters *filters)
{
	uint32_t i;
	size_t each;

	for (each = 0; each < HIERARCHIES; each++) {
		if (!is_usable(each))
			continue;
		for (i = 0; i < filters->cgroup_count; i++)
			if (!cgroup_id(hierarchies[each].folder, filters->cgroups[i].path))
				break;
		if (i == filters->cgroup_count)
			return each;
	}
	return -1;
}

/* Its index differs from kernel to kernel. */
static int subsystem_index(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	const struct btf_enum *values;
	int id, i, index = -1;

	if (!btf)
		return -1;
	id = btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM);
	type = id > 0 ? btf__type_by_id(btf, id) : NULL;
	values = type ? btf_enum(type) : NULL;
	for (i = 0; type && i < btf_vlen(type); i++)
		if (strcmp(btf__name_by_offset(btf, values[i].name_off), name) == 0)
			index = values[i].val;
	btf__free(btf);
	return index;
}

static uint8_t lists_in(const struct filter_numbers *numbers)
{
	uint8_t lists = 0;
	uint32_t i;

	for (i = 0; i < numbers->count; i++)
		lists |= numbers->items[i].list;
	return lists;
}

bool filters_set_constants(const struct filters *filters, struct probe_bpf *skeleton)
{
	const struct filter_number *port;
	int hierarchy;
	uint32_t i;

	for (i = 0; i < filters->ports.count; i++) {
		port = &filters->ports.items[i];
		skeleton->rodata->port_flags[port->value & 0xffff] |= port->list == LIST_INCLUDE ? PORT_INCLUDED : PORT_EXCLUDED;
	}
	skeleton->rodata->port_lists = lists_in(&filters->ports);
	skeleton->rodata->netns_lists = lists_in(&filters->namespaces);
	skeleton->rodata->pid_lists = lists_in(&filters->pids);
	for (i = 0; i < filters->prefix_count; i++)
		skeleton->rodata->address_lists |= filters->prefixes[i].list;
	for (i = 0; i < filters->cgroup_count; i++)
		skeleton->rodata->cgroup_lists |= filters->cgroups[i].list;
	if (!filters->cgroup_count)
		return true;
	hierarchy = find_hierarchy(filters);
	if (hierarchy < 0) {
		fprintf(stderr, "fullspan-probe: cannot capture: no cgroup hierarchy under " CGROUP_ROOT " has %s%s\n",
			filters->cgroups[0].path, filters->cgroup_count > 1 ? " and the other groups that were named" : "");
		return false;
	}
	if (hierarchies[hierarchy].subsystem)
		skeleton->rodata->cgroup_subsystem = subsystem_index(hierarchies[hierarchy].subsystem);
	return true;
}

/* Lists of what is there already are joined. */
static bool put(struct bpf_map *map, const void *key, uint8_t list)
{
	uint8_t lists = 0;

	bpf_map_lookup_elem(bpf_map__fd(map), key, &lists);
	lists |= list;
	return bpf_map_update_elem(bpf_map__fd(map), key, &lists, BPF_ANY) == 0;
}

bool filters_fill_maps(const struct filters *filters, struct probe_bpf *skeleton)
{
	struct {
		uint32_t bits;
		uint8_t address[16];
	} key;
	int hierarchy = filters->cgroup_count ? find_hierarchy(filters) : -1;
	bool is_whole = true;
	uint64_t id;
	uint32_t i;

	for (i = 0; i < filters->namespaces.count; i++)
		is_whole &= put(skeleton->maps.netns_filter, &filters->namespaces.items[i].value, filters->namespaces.items[i].list);
	for (i = 0; i < filters->pids.count; i++)
		is_whole &= put(skeleton->maps.pid_filter, &filters->pids.items[i].value, filters->pids.items[i].list);
	for (i = 0; i < filters->prefix_count; i++) {
		key.bits = filters->prefixes[i].bits;
		memcpy(key.address, filters->prefixes[i].address, sizeof(key.address));
		is_whole &= bpf_map_update_elem(bpf_map__fd(skeleton->maps.address_filter), &key, &filters->prefixes[i].list,
						BPF_ANY) == 0;
	}
	for (i = 0; i < filters->cgroup_count; i++) {
		id = hierarchy < 0 ? 0 : cgroup_id(hierarchies[hierarchy].folder, filters->cgroups[i].path);
		is_whole &= id && put(skeleton->maps.cgroup_filter, &id, filters->cgroups[i].list);
	}
	return is_whole;
}
