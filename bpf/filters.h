/* SPDX-License-Identifier: Apache-2.0 */
/* What the user wants captured and what not: read from the command line, handed to the kernel side before it is loaded. */
#ifndef FULLSPAN_FILTERS_H
#define FULLSPAN_FILTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_FILTERED 256
#define MAX_CGROUP_PATHS 32

/* As in filter.bpf.h. */
enum { LIST_INCLUDE = 1, LIST_EXCLUDE = 2 };

struct filter_number {
	uint32_t value;
	uint8_t list;
};

struct filter_numbers {
	struct filter_number items[MAX_FILTERED];
	uint32_t count;
};

struct filter_prefix {
	uint32_t bits; /* of 128 */
	uint8_t address[16];
	uint8_t list;
};

struct filter_path {
	const char *path;
	uint8_t list;
};

struct filters {
	struct filter_numbers ports;
	struct filter_numbers namespaces; /* inode numbers */
	struct filter_numbers pids;
	struct filter_prefix prefixes[MAX_FILTERED];
	uint32_t prefix_count;
	struct filter_path cgroups[MAX_CGROUP_PATHS];
	uint32_t cgroup_count;
};

/* All return false when there are too many or the text says nothing. `list` is LIST_INCLUDE or LIST_EXCLUDE. */
bool filters_add_number(struct filter_numbers *numbers, uint32_t value, uint8_t list);
bool filters_add_prefix(struct filters *filters, const char *text, uint8_t list);
bool filters_add_cgroup(struct filters *filters, const char *path, uint8_t list);

struct probe_bpf;

/* Before loading. */
bool filters_set_constants(const struct filters *filters, struct probe_bpf *skeleton);
/* After loading, before attaching. False with a line on standard error. */
bool filters_fill_maps(const struct filters *filters, struct probe_bpf *skeleton);

#endif
