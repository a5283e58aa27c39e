/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Facts of the current process, taken while it still runs: a short-lived one is gone when the user side looks. */
#ifndef FULLSPAN_PROCESS_BPF_H
#define FULLSPAN_PROCESS_BPF_H

#include "maps.bpf.h"

static __always_inline __u32 namespace_pid(struct task_struct *leader)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	struct upid number = {};
	const void *innermost;

	if (!pid)
		return 0;
	innermost = (const void *)&pid->numbers[0] + BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
	bpf_probe_read_kernel(&number.nr, sizeof(number.nr), innermost + bpf_core_field_offset(number.nr));
	return number.nr;
}

static __noinline int tell_new_process(__u32 scratch_index)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct process_seen_record *record;
	__u32 pid = task->tgid;
	__u64 start, length;
	__u8 yes = 1;

	record = bpf_map_lookup_elem(&process_scratches, &scratch_index);
	if (!record)
		return 0;
	record->head.length = sizeof(*record);
	record->head.type = RECORD_PROCESS_SEEN;
	record->head.version = PROBE_PROTOCOL_VERSION;
	record->pid = pid;
	record->namespace_pid = namespace_pid(task->group_leader);
	record->start_time_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->netns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	BPF_CORE_READ_STR_INTO(&record->name, task, group_leader, comm);
	record->executable[0] = 0;
	bpf_probe_read_kernel_str(record->executable, sizeof(record->executable),
				  BPF_CORE_READ(task, mm, exe_file, f_path.dentry, d_name.name));
	start = BPF_CORE_READ(task, mm, arg_start);
	length = clamp(BPF_CORE_READ(task, mm, arg_end) - start, MAX_COMMAND_LINE);
	if (length > MAX_COMMAND_LINE)
		length = MAX_COMMAND_LINE;
	record->command_line_length = length;
	if (!start || bpf_probe_read_user(record->command_line, length, (void *)start))
		record->command_line_length = 0;
	/* Woken at once: the sooner the user side looks, the more of a short-lived process is left. */
	if (bpf_ringbuf_output(&events, record, sizeof(*record), BPF_RB_FORCE_WAKEUP) == 0)
		bpf_map_update_elem(&known_processes, &pid, &yes, BPF_ANY);
	return 0;
}

static __always_inline void tell_process(__u32 scratch_index)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;

	if (!bpf_map_lookup_elem(&known_processes, &pid))
		tell_new_process(scratch_index);
}

/* The same, nearly always without a look into a map. */
static __always_inline void tell_process_on(struct socket_state *state, __u32 scratch_index)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32, generation = process_generation;

	if (state->told_pid == pid && state->told_generation == generation)
		return;
	tell_process(scratch_index);
	state->told_pid = pid;
	state->told_generation = generation;
}

#endif
