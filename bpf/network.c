// SPDX-License-Identifier: Apache-2.0
#include "network.h"
#include <stdio.h>
#include <string.h>

#define MAX_REASONS 256
#define PREFIX "SKB_DROP_REASON_"

static char reasons[MAX_REASONS][MAX_NAME];

bool network_read_reasons(const struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);
	const struct btf_enum *member;
	const struct btf_type *type;
	const char *name;
	int i;

	if (id < 0)
		return false;
	type = btf__type_by_id(btf, id);
	member = btf_enum(type);
	for (i = 0; i < btf_vlen(type); i++, member++) {
		if (member->val < 0 || member->val >= MAX_REASONS)
			continue;
		name = btf__name_by_offset(btf, member->name_off);
		if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
			name += strlen(PREFIX);
		snprintf(reasons[member->val], MAX_NAME, "%s", name);
	}
	return true;
}

/* Reasons of a subsystem (include/net/dropreason.h: from bit 16 on its number) are not in the enumeration. */
static void name_reason(uint32_t reason, char *to)
{
	if (reason < MAX_REASONS && reasons[reason][0])
		snprintf(to, MAX_NAME, "%s", reasons[reason]);
	else if (reason >> 16)
		snprintf(to, MAX_NAME, "SUBSYSTEM_%u_%u", reason >> 16, reason & 0xffff);
	else
		snprintf(to, MAX_NAME, "%u", reason);
}

bool network_send_drop(struct output *output, const struct drop_seen_record *seen)
{
	struct {
		struct network_event_record event;
		char texts[2 * MAX_NAME];
	} record = { .event = seen->event };
	char reason[MAX_NAME];

	name_reason(seen->reason, reason);
	record.event.reason_length = strlen(reason);
	record.event.place_length = strnlen(seen->place, MAX_NAME);
	memcpy(record.texts, reason, record.event.reason_length);
	memcpy(record.texts + record.event.reason_length, seen->place, record.event.place_length);
	record.event.head.type = RECORD_NETWORK_EVENT;
	record.event.head.length = sizeof(record.event) + record.event.reason_length + record.event.place_length;
	return output_event(output, &record, record.event.head.length);
}
