// SPDX-License-Identifier: Apache-2.0
#include "capture.h"
#include "confine.h"
#include "privileges.h"
#include "probe.h"
#include "supervisor.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIN_PAYLOAD 32 /* datagrams are recognised by that many bytes */

static const char help[] =
	"fullspan-probe: streams what sockets and network interfaces of this machine carry, as records, to a socket.\n"
	"\n"
	"  --fd N                     inherited stream socket that the records go to (this or --activated is required)\n"
	"  --activated                take one connection from the listening socket that systemd hands over (LISTEN_FDS)\n"
	"  --own-pid PID              process of Fullspan itself: its traffic is left out (repeatable, or comma-separated)\n"
	"  --own-port PORT            port that Fullspan listens on: likewise\n"
	"  --udp-port PORT            datagrams from and to this port are captured (default 53)\n"
	"  --max-payload BYTES        captured head of each send and receive (32 to 8192, default 1024)\n"
	"  --max-packet-payload BYTES captured head of each packet (default: as --max-payload)\n"
	"  --ring-bytes BYTES         buffer between kernel and probe (a power of two, default 16777216)\n"
	"  --no-net                   system calls only, no packets\n"
	"  --no-unix                  no Unix sockets\n"
	"  --no-tls                   nothing from within TLS libraries: encrypted connections stay so\n"
	"  --sys-tier TIER            sock (kernel 6.3), syscall, or auto: the best that the kernel has (default)\n"
	"  --net-tier TIER            tracepoint (kernel 6.12), packet_socket, or auto: the best that the kernel has (default)\n"
	"  --send-start SOURCE        what tells when a send began: locked (kernel 6.16), enter, packet, or auto (default)\n"
	"  --include-port PORT        only connections with one of these ports (repeatable, or comma-separated, as all below)\n"
	"  --exclude-port PORT        no connection with it\n"
	"  --include-netns INODE, --exclude-netns INODE    network namespaces\n"
	"  --include-cidr CIDR, --exclude-cidr CIDR        addresses of either end\n"
	"  --include-pid PID, --exclude-pid PID            processes: system calls only\n"
	"  --include-cgroup PATH, --exclude-cgroup PATH    control groups and those below: system calls only\n"
	"  --max-cpu-percent N        budget: of one processor; over it capture steps down\n"
	"  --max-events N             budget: per second; likewise\n"
	"  --check                    says what this machine allows; exits with 0 or 3\n"
	"\n"
	"Exit codes: 0 the reader is gone or a signal came, 2 wrong arguments, 3 cannot capture here.\n";

static void complain(const char *option, const char *value)
{
	fprintf(stderr, "fullspan-probe: %s takes no \"%s\"; see --help\n", option, value);
	exit(EXIT_USAGE);
}

static uint32_t parse_number(const char *option, const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (!*text || *end || number < least || number > most)
		complain(option, text);
	return number;
}

static void parse_list(struct number_list *list, const char *option, char *text, uint32_t most)
{
	char *next, *item;

	for (item = strtok_r(text, ",", &next); item; item = strtok_r(NULL, ",", &next)) {
		if (list->count == MAX_LISTED)
			complain(option, "more than 32 values");
		list->values[list->count++] = parse_number(option, item, 1, most);
	}
}

static int check(void)
{
	struct tiers tiers = { 0 };
	char reason[512];

	if (!capture_check(&tiers, NULL, reason, sizeof(reason))) {
		printf("cannot capture: %s\n", reason);
		return EXIT_CANNOT_RUN;
	}
	printf("SYS: %s\nNET: %s\n", tiers.sys, tiers.net);
	return 0;
}

static enum sys_tier parse_tier(const char *text)
{
	if (strcmp(text, "auto") != 0 && strcmp(text, "sock") != 0 && strcmp(text, "syscall") != 0)
		complain("--sys-tier", text);
	return text[0] == 'a' ? SYS_AUTO : text[1] == 'o' ? SYS_SOCK : SYS_SYSCALL;
}

static enum net_tier parse_net_tier(const char *text)
{
	static const char *const names[] = { "auto", "tracepoint", "packet_socket" };
	size_t i;

	for (i = 0; i < 3; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	complain("--net-tier", text);
	return NET_AUTO;
}

static enum send_start parse_start(const char *text)
{
	static const char *const names[] = { "auto", "locked", "enter", "packet" };
	size_t i;

	for (i = 0; i < 4; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	complain("--send-start", text);
	return START_AUTO;
}

enum filter_kind { FILTER_PORT, FILTER_NETNS, FILTER_PID, FILTER_CIDR, FILTER_CGROUP };

static bool add_filter(struct filters *filters, enum filter_kind kind, const char *item, uint8_t list)
{
	switch (kind) {
	case FILTER_PORT:
		return filters_add_number(&filters->ports, parse_number("--*-port", item, 1, 65535), list);
	case FILTER_NETNS:
		return filters_add_number(&filters->namespaces, parse_number("--*-netns", item, 1, UINT32_MAX), list);
	case FILTER_PID:
		return filters_add_number(&filters->pids, parse_number("--*-pid", item, 1, 1 << 22), list);
	case FILTER_CIDR:
		return filters_add_prefix(filters, item, list);
	default:
		return filters_add_cgroup(filters, item, list);
	}
}

/* Options of filters are numbered in pairs from FILTERS on: include, exclude. */
static void take_filter(struct filters *filters, int option, char *text)
{
	uint8_t list = option % 2 ? LIST_EXCLUDE : LIST_INCLUDE;
	char *next, *item;

	for (item = strtok_r(text, ",", &next); item; item = strtok_r(NULL, ",", &next))
		if (!add_filter(filters, option / 2, item, list))
			complain(list == LIST_INCLUDE ? "--include-*" : "--exclude-*", item);
}

enum option_id {
	FD = 1, OWN_PID, OWN_PORT, UDP_PORT, PAYLOAD, PACKET_PAYLOAD, RING, NO_NET, NO_UNIX, NO_TLS, SYS_TIER, NET_TIER, SEND_START, MAX_CPU,
	MAX_EVENTS, CHECK, HELP, ACTIVATED, FILTERS = 100,
};

static const struct option options[] = {
	{ "fd", required_argument, NULL, FD },
	{ "own-pid", required_argument, NULL, OWN_PID },
	{ "own-port", required_argument, NULL, OWN_PORT },
	{ "udp-port", required_argument, NULL, UDP_PORT },
	{ "max-payload", required_argument, NULL, PAYLOAD },
	{ "max-packet-payload", required_argument, NULL, PACKET_PAYLOAD },
	{ "ring-bytes", required_argument, NULL, RING },
	{ "no-net", no_argument, NULL, NO_NET },
	{ "no-unix", no_argument, NULL, NO_UNIX },
	{ "no-tls", no_argument, NULL, NO_TLS },
	{ "sys-tier", required_argument, NULL, SYS_TIER },
	{ "net-tier", required_argument, NULL, NET_TIER },
	{ "send-start", required_argument, NULL, SEND_START },
	{ "max-cpu-percent", required_argument, NULL, MAX_CPU },
	{ "max-events", required_argument, NULL, MAX_EVENTS },
	{ "include-port", required_argument, NULL, FILTERS },
	{ "exclude-port", required_argument, NULL, FILTERS + 1 },
	{ "include-netns", required_argument, NULL, FILTERS + 2 },
	{ "exclude-netns", required_argument, NULL, FILTERS + 3 },
	{ "include-pid", required_argument, NULL, FILTERS + 4 },
	{ "exclude-pid", required_argument, NULL, FILTERS + 5 },
	{ "include-cidr", required_argument, NULL, FILTERS + 6 },
	{ "exclude-cidr", required_argument, NULL, FILTERS + 7 },
	{ "include-cgroup", required_argument, NULL, FILTERS + 8 },
	{ "exclude-cgroup", required_argument, NULL, FILTERS + 9 },
	{ "activated", no_argument, NULL, ACTIVATED },
	{ "check", no_argument, NULL, CHECK },
	{ "help", no_argument, NULL, HELP },
	{ 0 },
};

#define LISTEN_FD 3 /* sd_listen_fds(3): SD_LISTEN_FDS_START */

/* The reader that woke us; its process is one of Fullspan's. Connections that wait behind it get the next probe. */
static int accept_reader(struct settings *settings)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd;

	if (!pid || atoi(pid) != getpid() || !count || atoi(count) != 1)
		complain("--activated", "no socket in LISTEN_FDS");
	fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	close(LISTEN_FD);
	if (fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 &&
	    settings->own_pids.count < MAX_LISTED)
		settings->own_pids.values[settings->own_pids.count++] = peer.pid;
	return fd;
}

static void take_option(struct settings *settings, int option)
{
	if (option >= FILTERS) {
		take_filter(&settings->filters, option - FILTERS, optarg);
		return;
	}
	switch (option) {
	case FD:
		settings->fd = parse_number("--fd", optarg, 0, 1 << 20);
		break;
	case OWN_PID:
		parse_list(&settings->own_pids, "--own-pid", optarg, 1 << 22);
		break;
	case OWN_PORT:
		parse_list(&settings->own_ports, "--own-port", optarg, 65535);
		break;
	case UDP_PORT:
		parse_list(&settings->udp_ports, "--udp-port", optarg, 65535);
		break;
	case PAYLOAD:
		settings->max_payload = parse_number("--max-payload", optarg, MIN_PAYLOAD, MAX_PAYLOAD);
		break;
	case PACKET_PAYLOAD:
		settings->max_packet_payload = parse_number("--max-packet-payload", optarg, MIN_PAYLOAD, MAX_PAYLOAD);
		break;
	case RING:
		settings->ring_bytes = parse_number("--ring-bytes", optarg, 4096, 1u << 30);
		if (settings->ring_bytes & (settings->ring_bytes - 1))
			complain("--ring-bytes", optarg);
		break;
	case NO_NET:
		settings->has_net = false;
		break;
	case NO_UNIX:
		settings->has_unix = false;
		break;
	case NO_TLS:
		settings->has_tls = false;
		break;
	case SYS_TIER:
		settings->sys_tier = parse_tier(optarg);
		break;
	case NET_TIER:
		settings->net_tier = parse_net_tier(optarg);
		break;
	case SEND_START:
		settings->send_start = parse_start(optarg);
		break;
	case MAX_CPU:
		settings->budget.cpu_percent = parse_number("--max-cpu-percent", optarg, 1, 100000);
		break;
	case MAX_EVENTS:
		settings->budget.events_per_second = parse_number("--max-events", optarg, 1, UINT32_MAX);
		break;
	case ACTIVATED:
		settings->fd = accept_reader(settings);
		break;
	case CHECK:
		exit(check());
	case HELP:
		fputs(help, stdout);
		exit(0);
	default:
		exit(EXIT_USAGE);
	}
}

int main(int argc, char **argv)
{
	static struct settings settings = { .fd = -1, .max_payload = 1024, .ring_bytes = 16 << 20, .has_net = true, .has_unix = true, .has_tls = true };
	struct tiers tiers = { 0 };
	char reason[512];
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(&settings, option);
	if (settings.fd < 0 || optind < argc) {
		fprintf(stderr, "fullspan-probe: --fd or --activated is required, and nothing but options is taken; see --help\n");
		return EXIT_USAGE;
	}
	if (!settings.udp_ports.count)
		settings.udp_ports.values[settings.udp_ports.count++] = 53;
	if (!settings.max_packet_payload)
		settings.max_packet_payload = settings.max_payload;
	if (!capture_check(&tiers, &settings, reason, sizeof(reason))) {
		fprintf(stderr, "fullspan-probe: cannot capture: %s\n", reason);
		return EXIT_CANNOT_RUN;
	}
	if (!privileges_reduce(tiers.has_packet_sockets)) {
		fprintf(stderr, "fullspan-probe: cannot capture: capabilities could not be reduced\n");
		return EXIT_CANNOT_RUN;
	}
	if (!confine_supervisor()) {
		fprintf(stderr, "fullspan-probe: cannot capture: the kernel takes no seccomp filter (CONFIG_SECCOMP_FILTER)\n");
		return EXIT_CANNOT_RUN;
	}
	return supervise(&settings);
}
