// SPDX-License-Identifier: Apache-2.0
/* The capturing process: loads the programs and carries what they see to the reader. */
#include "capture.h"
#include "budget.h"
#include "commands.h"
#include "confine.h"
#include "interfaces.h"
#include "network.h"
#include "output.h"
#include "packet-socket.h"
#include "ports.h"
#include "privileges.h"
#include "probe.h"
#include "process.h"
#include "tls.h"
#include "probe.skel.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 10
#define DRAIN_MS 1000 /* at the end, without the reader taking anything */
#define SECOND_NS 1000000000ull
#define RESCAN_NS (20 * 1000000ull) /* at most that often because of an unknown interface */
#define TICK_NS (100 * 1000000ull)
#define MAX_UNKNOWN 64
#define MAX_CPUS 1024
#define STEP_NS (50 * 1000000ll) /* the wall clock moved that much against the monotonic one within a second: a step */

struct capture {
	const struct settings *settings;
	struct progress *progress;
	struct tiers tiers;
	struct probe_bpf *skeleton;
	struct ring_buffer *ring;
	struct output output;
	uint64_t lost_told[LOSS_REASONS];
	uint64_t socket_full;
	uint64_t packets_shed;
	uint64_t seen_told;
	uint64_t second_at_ns;
	uint64_t ticked_at_ns;
	uint64_t scanned_at_ns;
	int64_t clock_offset_ns;
	struct budget budget;
	struct commands commands;
	int stats_fd; /* the kernel counts the time of programs as long as it is open; -1: it does not */
	uint64_t unknown[MAX_UNKNOWN]; /* interfaces that this second's scans did not find */
	uint32_t unknown_count;
};

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (getenv("FULLSPAN_PROBE_DEBUG") && level != LIBBPF_DEBUG)
		return vfprintf(stderr, format, arguments);
	return 0;
}

static bool has_tracepoint(const struct btf *btf, const char *name)
{
	char type[64];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	return btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
}

/* The best that the kernel has, but for what was chosen by hand. */
static bool choose_tier(struct tiers *tiers, enum sys_tier wanted, enum send_start start)
{
	static const char *const names[] = {
		[START_LOCKED] = "tp_btf/sock_send_length tp_btf/tcp_sendmsg_locked",
		[START_ENTER] = "tp_btf/sock_send_length tp_btf/sys_enter",
		[START_PACKET] = "tp_btf/sock_send_length tp_btf/net_dev_queue",
	};

	if ((wanted == SYS_SOCK && !tiers->has_sock) || (start == START_LOCKED && !tiers->has_send_start))
		return false;
	tiers->sys_tier = wanted != SYS_AUTO ? wanted : tiers->has_sock ? SYS_SOCK : SYS_SYSCALL;
	tiers->send_start = start != START_AUTO ? start : tiers->has_send_start ? START_LOCKED : START_ENTER;
	if (tiers->sys_tier == SYS_SYSCALL)
		tiers->send_start = START_ENTER;
	tiers->sys = tiers->sys_tier == SYS_SYSCALL ? "tp_btf/sys_enter tp_btf/sys_exit" : names[tiers->send_start];
	return true;
}

static bool is_kernel_before(int major, int minor)
{
	struct utsname names;
	int found[2] = { 0 };

	uname(&names);
	sscanf(names.release, "%d.%d", &found[0], &found[1]);
	return found[0] < major || (found[0] == major && found[1] < minor);
}

/* Reading packets is a function since 6.4, but one that tracing programs may call only since 6.12. */
static void choose_net_tier(struct tiers *tiers, const struct settings *settings)
{
	enum net_tier wanted = settings ? settings->net_tier : NET_AUTO;

	if (settings && !settings->has_net) {
		tiers->has_net = false;
		tiers->net = "off";
		return;
	}
	if (is_kernel_before(6, 12) && wanted == NET_AUTO)
		tiers->has_net = false;
	tiers->has_packet_sockets = wanted == NET_PACKET_SOCKET || (wanted == NET_AUTO && !tiers->has_net);
	if (tiers->has_packet_sockets)
		tiers->has_net = false;
	tiers->net = tiers->has_net ? "tp_btf/net_dev_queue tp_btf/netif_receive_skb" : "packet socket";
}

bool capture_check(struct tiers *tiers, const struct settings *settings, char *reason, size_t reason_size)
{
	char missing[256];
	struct btf *btf;

	libbpf_set_print(quiet);
	privileges_missing(missing, sizeof(missing));
	if (missing[0]) {
		snprintf(reason, reason_size, "needs root, or these capabilities: %s", missing);
		return false;
	}
	btf = btf__load_vmlinux_btf();
	if (!btf) {
		snprintf(reason, reason_size, "the kernel has no BTF (/sys/kernel/btf/vmlinux: CONFIG_DEBUG_INFO_BTF)");
		return false;
	}
	tiers->has_sock = has_tracepoint(btf, "sock_send_length") && has_tracepoint(btf, "sock_recv_length") &&
			  has_tracepoint(btf, "sk_data_ready");
	tiers->has_send_start = has_tracepoint(btf, "tcp_sendmsg_locked");
	tiers->has_io_uring = has_tracepoint(btf, "io_uring_submit_req") &&
			      has_tracepoint(btf, "io_uring_poll_arm") && has_tracepoint(btf, "io_uring_queue_async_work");
	tiers->has_net = btf__find_by_name_kind(btf, "bpf_dynptr_from_skb", BTF_KIND_FUNC) > 0;
	tiers->has_drops = network_read_reasons(btf);
	tiers->has_network = has_tracepoint(btf, "tcp_retransmit_skb") && has_tracepoint(btf, "tcp_send_reset") &&
			     has_tracepoint(btf, "tcp_receive_reset");
	btf__free(btf);
	if (!choose_tier(tiers, settings ? settings->sys_tier : SYS_AUTO, settings ? settings->send_start : START_AUTO)) {
		snprintf(reason, reason_size, "the kernel has not the tracepoints of the chosen --sys-tier or --send-start");
		return false;
	}
	if (settings && settings->net_tier == NET_TRACEPOINT && !tiers->has_net) {
		snprintf(reason, reason_size, "the kernel has not what the chosen --net-tier needs");
		return false;
	}
	choose_net_tier(tiers, settings);
	return true;
}

static void set_port_flag(struct probe_bpf *skeleton, const struct number_list *ports, uint8_t flag)
{
	uint32_t i;

	for (i = 0; i < ports->count; i++)
		skeleton->rodata->port_flags[ports->values[i] & 0xffff] |= flag;
}

static void choose_programs(struct probe_bpf *skeleton, const struct tiers *tiers, bool has_unix)
{
	bool is_sock = tiers->sys_tier == SYS_SOCK;

	bpf_program__set_autoload(skeleton->progs.socket_sent, is_sock);
	bpf_program__set_autoload(skeleton->progs.socket_received, is_sock);
	bpf_program__set_autoload(skeleton->progs.socket_spliced, is_sock);
	bpf_program__set_autoload(skeleton->progs.socket_ready, is_sock && has_unix);
	bpf_program__set_autoload(skeleton->progs.request_submitted, is_sock && tiers->has_io_uring);
	bpf_program__set_autoload(skeleton->progs.request_waits, is_sock && tiers->has_io_uring);
	bpf_program__set_autoload(skeleton->progs.request_queued, is_sock && tiers->has_io_uring);
	bpf_program__set_autoload(skeleton->progs.tcp_send_started, is_sock && tiers->send_start == START_LOCKED);
	bpf_program__set_autoload(skeleton->progs.send_entered, is_sock && tiers->send_start == START_ENTER);
	bpf_program__set_autoload(skeleton->progs.call_entered, !is_sock);
	bpf_program__set_autoload(skeleton->progs.call_returned, !is_sock);
}

static void choose_network_programs(struct probe_bpf *skeleton, const struct tiers *tiers)
{
	bpf_program__set_autoload(skeleton->progs.packet_transmitted, tiers->has_net);
	bpf_program__set_autoload(skeleton->progs.packet_received, tiers->has_net);
	bpf_program__set_autoload(skeleton->progs.packet_retransmitted, tiers->has_network);
	bpf_program__set_autoload(skeleton->progs.reset_sent, tiers->has_network);
	bpf_program__set_autoload(skeleton->progs.reset_received, tiers->has_network);
	bpf_program__set_autoload(skeleton->progs.packet_dropped, tiers->has_network && tiers->has_drops);
}

static void choose_tls_programs(struct probe_bpf *skeleton, bool has_tls)
{
	struct bpf_program *programs[] = {
		skeleton->progs.tls_read_entered,     skeleton->progs.tls_write_entered,  skeleton->progs.tls_read_ex_entered,
		skeleton->progs.tls_write_ex_entered, skeleton->progs.tls_call_returned,
	};
	size_t i;

	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		bpf_program__set_autoload(programs[i], has_tls);
		bpf_program__set_autoattach(programs[i], false); /* by tls.c */
	}
}

static bool load(struct capture *capture)
{
	const struct settings *settings = capture->settings;
	struct probe_bpf *skeleton = probe_bpf__open();

	if (!skeleton)
		return false;
	skeleton->rodata->max_payload = settings->max_payload;
	skeleton->rodata->max_packet_payload = settings->max_packet_payload;
	skeleton->rodata->is_syscall_tier = capture->tiers.sys_tier == SYS_SYSCALL;
	skeleton->rodata->has_send_start = capture->tiers.send_start == START_LOCKED;
	skeleton->rodata->has_send_enter = capture->tiers.send_start == START_ENTER;
	skeleton->rodata->has_unix = settings->has_unix;
	skeleton->rodata->has_tls = settings->has_tls;
	skeleton->rodata->ring_bytes = settings->ring_bytes;
	set_port_flag(skeleton, &settings->own_ports, PORT_OWN);
	set_port_flag(skeleton, &settings->udp_ports, PORT_UDP);
	if (!filters_set_constants(&settings->filters, skeleton)) {
		probe_bpf__destroy(skeleton);
		exit(EXIT_CANNOT_RUN);
	}
	bpf_map__set_max_entries(skeleton->maps.events, settings->ring_bytes);
	choose_programs(skeleton, &capture->tiers, settings->has_unix);
	choose_tls_programs(skeleton, settings->has_tls);
	choose_network_programs(skeleton, &capture->tiers);
	if (probe_bpf__load(skeleton) < 0 || !filters_fill_maps(&settings->filters, skeleton)) {
		probe_bpf__destroy(skeleton);
		return false;
	}
	capture->skeleton = skeleton;
	return true;
}

/* The reader's wishes for a connection: seen by the kernel side with the connection's next event. */
static void take_command(void *context, const struct connection_command *command)
{
	struct {
		uint32_t mode;
		uint32_t allowance;
	} verdict = { command->mode, command->allowance };
	struct capture *capture = context;

	bpf_map_update_elem(bpf_map__fd(capture->skeleton->maps.verdicts), &command->cookie, &verdict, BPF_ANY);
	capture->skeleton->bss->verdict_generation++;
}

/* The kernel says only at loading whether tracing programs may read packets (6.12): without, NET is left out. */
static bool load_best(struct capture *capture)
{
	if (load(capture))
		return true;
	if (!capture->tiers.has_net)
		return false;
	capture->tiers.has_net = false;
	capture->tiers.net = "none";
	if (!load(capture)) {
		capture->tiers.has_network = false;
		return load(capture);
	}
	fprintf(stderr, "fullspan-probe: no packets are captured: that takes kernel 6.12\n");
	return true;
}

static void tell_own_pid(struct capture *capture, uint32_t pid)
{
	uint8_t yes = 1;

	bpf_map_update_elem(bpf_map__fd(capture->skeleton->maps.own_processes), &pid, &yes, BPF_ANY);
}

static bool attach(struct capture *capture)
{
	struct probe_bpf *skeleton = capture->skeleton;
	char buffer[256];
	uint32_t i;
	int fd;

	for (i = 0; i < capture->settings->own_pids.count; i++)
		tell_own_pid(capture, capture->settings->own_pids.values[i]);
	tell_own_pid(capture, getpid());
	tell_own_pid(capture, getppid());
	if (probe_bpf__attach(skeleton) < 0)
		return false;
	/* Running the iterator is reading it to its end. */
	fd = bpf_iter_create(bpf_link__fd(skeleton->links.seed_sockets));
	if (fd < 0)
		return false;
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	close(fd);
	bpf_link__destroy(skeleton->links.seed_sockets);
	skeleton->links.seed_sockets = NULL;
	return true;
}

static size_t read_line(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, to, size - 1);

	if (fd >= 0)
		close(fd);
	to[length > 0 ? length : 0] = 0;
	to[strcspn(to, "\n")] = 0;
	return strlen(to);
}

static void send_host(struct capture *capture)
{
	struct host_record record = { 0 };
	char boot_id[64], host_id[64], digits[33];
	struct utsname names;
	struct stat status;
	size_t i, n = 0;

	read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof(boot_id));
	for (i = 0; boot_id[i] && n < 32; i++)
		if (boot_id[i] != '-')
			digits[n++] = boot_id[i];
	digits[n] = 0;
	for (i = 0; i < n / 2; i++)
		sscanf(digits + 2 * i, "%2hhx", &record.boot_id[i]);
	if (!read_line("/etc/machine-id", host_id, sizeof(host_id)))
		memcpy(host_id, digits, sizeof(digits));
	uname(&names);
	record.netns = stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
	record.host_id_length = strlen(host_id);
	record.host_name_length = strlen(names.nodename);
	record.kernel_release_length = strlen(names.release);
	record.sys_tier_length = strlen(capture->tiers.sys);
	record.net_tier_length = strlen(capture->tiers.net);
	record.head.type = RECORD_HOST;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.head.length = sizeof(record) + record.host_id_length + record.host_name_length + record.kernel_release_length +
			     record.sys_tier_length + record.net_tier_length;
	output_fact(&capture->output,
		    (struct part[]){ { &record, sizeof(record) },
				     { host_id, record.host_id_length },
				     { names.nodename, record.host_name_length },
				     { names.release, record.kernel_release_length },
				     { capture->tiers.sys, record.sys_tier_length },
				     { capture->tiers.net, record.net_tier_length } },
		    6);
}

static void send_clock(struct capture *capture)
{
	struct clock_record record = { .head = { sizeof(record), RECORD_CLOCK, PROBE_PROTOCOL_VERSION } };
	uint64_t before = now(CLOCK_MONOTONIC);
	int64_t offset, moved;

	record.realtime_ns = now(CLOCK_REALTIME);
	record.monotonic_ns = before + (now(CLOCK_MONOTONIC) - before) / 2;
	offset = record.realtime_ns - record.monotonic_ns;
	moved = offset - capture->clock_offset_ns;
	record.stepped = capture->clock_offset_ns && (moved > STEP_NS || moved < -STEP_NS);
	capture->clock_offset_ns = offset;
	output_fact(&capture->output, &(struct part){ &record, sizeof(record) }, 1);
}

static void send_gap(struct capture *capture)
{
	struct gap_record record = { .head = { sizeof(record), RECORD_GAP, PROBE_PROTOCOL_VERSION } };

	record.from_ns = capture->progress->gap_from_ns;
	record.to_ns = now(CLOCK_MONOTONIC);
	if (record.from_ns)
		output_fact(&capture->output, &(struct part){ &record, sizeof(record) }, 1);
}

/* Times that a program was skipped because it was running on that processor already; and how long all have run. */
static uint64_t count_missed(struct capture *capture, uint64_t *run_ns)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	*run_ns = 0;

	bpf_object__for_each_program(program, capture->skeleton->obj) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (bpf_program__fd(program) >= 0 && bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) == 0) {
			missed += info.recursion_misses;
			*run_ns += info.run_time_ns;
		}
	}
	return missed;
}

struct totals {
	uint64_t seen;
	uint64_t lost[LOSS_REASONS];
	uint64_t run_ns; /* of the programs, where the kernel counts it */
};

static bool read_totals(struct capture *capture, struct totals *totals)
{
	static struct {
		uint64_t seen;
		uint64_t lost[LOSS_REASONS];
	} counts[MAX_CPUS];
	int cpus = libbpf_num_possible_cpus(), cpu, reason;
	struct packet_counts packets;
	uint32_t zero = 0;

	memset(totals, 0, sizeof(*totals));
	if (cpus < 1 || cpus > MAX_CPUS ||
	    bpf_map_lookup_elem(bpf_map__fd(capture->skeleton->maps.counts), &zero, counts) < 0)
		return false;
	for (cpu = 0; cpu < cpus; cpu++) {
		totals->seen += counts[cpu].seen;
		for (reason = 0; reason < LOSS_REASONS; reason++)
			totals->lost[reason] += counts[cpu].lost[reason];
	}
	totals->lost[LOSS_SOCKET_FULL] = capture->socket_full;
	totals->lost[LOSS_PACKET_SHED] += capture->packets_shed;
	totals->lost[LOSS_MISSED] = count_missed(capture, &totals->run_ns);
	totals->seen += totals->lost[LOSS_MISSED];
	packet_sockets_count(&packets);
	totals->seen += packets.seen;
	totals->lost[LOSS_PACKET_QUEUE] += packets.queue_full;
	totals->lost[LOSS_PACKET_BROKEN] += packets.broken;
	totals->lost[LOSS_BUDGET] += packets.budget;
	return true;
}

static void send_loss(struct capture *capture)
{
	struct loss_record record = { .head = { sizeof(record), RECORD_LOSS, PROBE_PROTOCOL_VERSION } };
	struct totals totals;
	int reason;

	if (!read_totals(capture, &totals) || totals.seen == capture->seen_told)
		return;
	record.seen = totals.seen;
	for (reason = 0; reason < LOSS_REASONS; reason++)
		record.lost[reason] = totals.lost[reason] - capture->lost_told[reason];
	record.time_ns = now(CLOCK_MONOTONIC);
	if (!output_fact(&capture->output, &(struct part){ &record, sizeof(record) }, 1))
		return;
	capture->seen_told = record.seen;
	memcpy(capture->lost_told, totals.lost, sizeof(totals.lost));
}

/* Of the probe, of Fullspan's processes, and of the programs where the kernel counts them. */
static uint64_t cpu_time(const struct capture *capture, uint64_t run_ns)
{
	uint64_t sum = now(CLOCK_PROCESS_CPUTIME_ID) + run_ns;
	clockid_t clock;
	uint32_t i;

	for (i = 0; i < capture->settings->own_pids.count; i++)
		if (clock_getcpuclockid(capture->settings->own_pids.values[i], &clock) == 0)
			sum += now(clock);
	return sum;
}

static void send_level(struct capture *capture)
{
	const struct budget *budget = &capture->budget;
	struct level_record record = { .head = { sizeof(record), RECORD_LEVEL, PROBE_PROTOCOL_VERSION } };

	record.time_ns = budget->looked_at_ns;
	record.level = budget->level;
	record.payload = capture->skeleton->data->level_payload;
	record.share = capture->skeleton->data->level_share;
	record.events_per_second = budget->events_per_second;
	record.cpu_permille = budget->cpu_permille;
	output_fact(&capture->output, &(struct part){ &record, sizeof(record) }, 1);
}

static void keep_budget(struct capture *capture)
{
	struct budget *budget = &capture->budget;
	uint64_t time = now(CLOCK_MONOTONIC);
	struct totals totals;

	if (!budget->limits.cpu_percent && !budget->limits.events_per_second)
		return;
	if (time - budget->looked_at_ns < BUDGET_WINDOW_NS || !read_totals(capture, &totals))
		return;
	if (!budget_look(budget, time, cpu_time(capture, totals.run_ns), totals.seen - totals.lost[LOSS_BUDGET]))
		return;
	capture->skeleton->data->level_payload = budget_payload(budget->level, capture->settings->max_payload);
	capture->skeleton->data->level_share = budget_share(budget->level);
	send_level(capture);
}

static void scan_interfaces(struct capture *capture)
{
	capture->scanned_at_ns = now(CLOCK_MONOTONIC);
	interfaces_scan(&capture->output, capture->tiers.has_packet_sockets ? packet_sockets_visit : NULL);
	if (capture->tiers.has_packet_sockets)
		packet_sockets_sweep();
}

/* Before the first packet of a new interface is handed on. What a scan does not find is not looked for again until the next. */
static void look_for_interface(struct capture *capture, uint32_t netns, uint32_t index)
{
	uint64_t key = (uint64_t)netns << 32 | index;
	uint32_t i;

	for (i = 0; i < capture->unknown_count; i++)
		if (capture->unknown[i] == key)
			return;
	if (now(CLOCK_MONOTONIC) - capture->scanned_at_ns < RESCAN_NS)
		return;
	scan_interfaces(capture);
	if (!interfaces_know(netns, index) && capture->unknown_count < MAX_UNKNOWN)
		capture->unknown[capture->unknown_count++] = key;
}

static int take_record(void *context, void *data, size_t size)
{
	const struct packet_record *packet = data;
	const struct record *head = data;
	struct capture *capture = context;
	bool is_packet;

	if (head->type == RECORD_PROCESS_SEEN) {
		process_send(&capture->output, data);
		return 0;
	}
	if (head->type == RECORD_PROCESS_EXECUTED) {
		tls_executed(((const struct process_executed_record *)data)->pid);
		return 0;
	}
	if (head->type == RECORD_DROP_SEEN) {
		capture->socket_full += !network_send_drop(&capture->output, data);
		return 0;
	}
	is_packet = head->type == RECORD_PACKET || head->type == RECORD_TUNNEL_PACKET;
	if (is_packet && !interfaces_know(packet->netns, packet->interface_index))
		look_for_interface(capture, packet->netns, packet->interface_index);
	size = head->length < size ? head->length : size;
	if (is_packet)
		capture->packets_shed += !output_packet(&capture->output, data, size);
	else
		capture->socket_full += !output_event(&capture->output, data, size);
	return 0;
}

static void send_tick(struct capture *capture, uint64_t until)
{
	struct tick_record record = { .head = { sizeof(record), RECORD_TICK, PROBE_PROTOCOL_VERSION }, .time_ns = until };

	if (until - capture->ticked_at_ns < TICK_NS)
		return;
	if (output_fact(&capture->output, &(struct part){ &record, sizeof(record) }, 1))
		capture->ticked_at_ns = until;
}

static bool take_packet(void *context, const struct record *record)
{
	return take_record(context, (void *)record, record->length) == 0;
}

static void read_packets(struct capture *capture)
{
	struct packet_round round = {
		.level_payload = capture->skeleton->data->level_payload,
		.level_share = capture->skeleton->data->level_share,
		.take = take_packet,
		.context = capture,
	};

	packet_sockets_read(&round);
}

/* What the ring held up to now has been handed over: a gap, should this process die, begins here. */
static void carry(struct capture *capture)
{
	uint64_t until = now(CLOCK_MONOTONIC);

	ring_buffer__consume(capture->ring);
	if (capture->tiers.has_packet_sockets)
		read_packets(capture);
	send_tick(capture, until);
	output_flush(&capture->output);
	if (!output_is_waiting(&capture->output))
		capture->progress->complete_until_ns = until;
}

static void do_every_second(struct capture *capture)
{
	uint64_t time = now(CLOCK_MONOTONIC);

	if (time - capture->second_at_ns < SECOND_NS)
		return;
	capture->second_at_ns = time;
	capture->unknown_count = 0;
	send_clock(capture);
	send_loss(capture);
	scan_interfaces(capture);
}

static int open_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void watch(int epoll, int fd, uint32_t what)
{
	struct epoll_event event = { .events = what, .data.fd = fd };

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Until the reader is gone or a signal asks for the end. */
static void loop(struct capture *capture)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals = open_signals(), count, i;
	struct epoll_event found[4];
	bool is_ending = false;

	watch(epoll, ring_buffer__epoll_fd(capture->ring), EPOLLIN);
	watch(epoll, capture->output.fd, EPOLLIN | EPOLLRDHUP);
	watch(epoll, signals, EPOLLIN);
	while (!is_ending && !capture->output.is_closed) {
		carry(capture);
		do_every_second(capture);
		keep_budget(capture);
		if (capture->settings->has_tls)
			tls_advance(now(CLOCK_MONOTONIC));
		count = epoll_wait(epoll, found, 4, POLL_MS);
		for (i = 0; i < count; i++) {
			if (found[i].data.fd == signals)
				is_ending = true;
			if (found[i].data.fd != capture->output.fd)
				continue;
			commands_read(&capture->commands, capture->output.fd, take_command, capture);
			if (!(found[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
				continue;
			/* A reader that shut down only its own direction still takes what is left. */
			is_ending = true;
			capture->output.is_closed = found[i].events & (EPOLLHUP | EPOLLERR);
		}
	}
}

static int fail(const char *what)
{
	fprintf(stderr, "fullspan-probe: %s: %s\n", what, strerror(errno));
	return EXIT_CANNOT_RUN;
}

static bool open_packet_sockets(const struct capture *capture)
{
	const struct probe_bpf *skeleton = capture->skeleton;

	return packet_sockets_open(&(struct packet_options){
		.port_flags = skeleton->rodata->port_flags,
		.filters = &capture->settings->filters,
		.own_tuples = bpf_map__fd(skeleton->maps.own_tuples),
		.max_payload = capture->settings->max_packet_payload,
	});
}

int capture_run(const struct settings *settings, struct progress *progress)
{
	static struct capture capture;
	char reason[512];

	capture.settings = settings;
	capture.progress = progress;
	capture.budget.limits = settings->budget;
	capture.stats_fd = settings->budget.cpu_percent ? bpf_enable_stats(BPF_STATS_RUN_TIME) : -1;
	if (!capture_check(&capture.tiers, settings, reason, sizeof(reason))) {
		fprintf(stderr, "fullspan-probe: cannot capture: %s\n", reason);
		return EXIT_CANNOT_RUN;
	}
	if (!output_open(&capture.output, settings->fd))
		return fail("cannot use the descriptor given by --fd");
	if (!load_best(&capture))
		return fail("the kernel refused the programs (FULLSPAN_PROBE_DEBUG=1 says why)");
	if (!attach(&capture))
		return fail("cannot attach");
	capture.ring = ring_buffer__new(bpf_map__fd(capture.skeleton->maps.events), take_record, &capture, NULL);
	if (!capture.ring)
		return fail("cannot read the ring");

	if (capture.tiers.has_packet_sockets && !open_packet_sockets(&capture))
		return fail("no memory for packets");
	if (!confine_capture())
		return fail("cannot confine itself");

	send_host(&capture);
	send_clock(&capture);
	send_gap(&capture);
	scan_interfaces(&capture);
	if (settings->has_tls)
		tls_start(capture.skeleton);
	progress->was_capturing = true;
	capture.second_at_ns = now(CLOCK_MONOTONIC);
	loop(&capture);

	/* Nothing new is seen from here; what was is handed over as far as the reader takes it. */
	probe_bpf__detach(capture.skeleton);
	tls_end();
	carry(&capture);
	send_loss(&capture);
	output_drain(&capture.output, DRAIN_MS);
	ring_buffer__free(capture.ring);
	probe_bpf__destroy(capture.skeleton);
	if (capture.stats_fd >= 0)
		close(capture.stats_fd);
	return 0;
}
