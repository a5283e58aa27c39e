// SPDX-License-Identifier: Apache-2.0
/*
 * Namespaces are found where a process is in them or a name stands for them, and are entered only for the time of a dump:
 * a socket kept open in one would keep it alive after its owner is gone.
 */
#include "interfaces.h"
#include "netlink.h"
#include "probe.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMESPACES 1024
#define MAX_INTERFACES 8192
#define MAX_ADDRESSES 16
#define KIND_BYTES 16

struct network_namespace {
	uint32_t inode;
	int fd;
};

struct interface {
	uint32_t netns;
	uint32_t index;
	uint32_t peer_index;
	uint32_t peer_netns;
	uint32_t master_index;
	int32_t peer_namespace_id;
	char name[IFNAMSIZ];
	char kind[KIND_BYTES];
	struct interface_address addresses[MAX_ADDRESSES];
	uint32_t address_count;
};

struct listing {
	struct interface *interfaces;
	uint32_t count;
	uint32_t netns; /* that is being dumped */
	uint32_t first; /* its first interface */
};

static struct network_namespace namespaces[MAX_NAMESPACES];
static uint32_t namespace_count;
static struct listing known;

#define LATELY_FOUND 256

static struct found {
	uint32_t netns;
	uint32_t index;
} lately_found[LATELY_FOUND];

static void add_namespace(const char *path)
{
	struct stat status;
	uint32_t i;

	if (stat(path, &status) < 0 || namespace_count == MAX_NAMESPACES)
		return;
	for (i = 0; i < namespace_count; i++)
		if (namespaces[i].inode == status.st_ino)
			return;
	namespaces[i].fd = open(path, O_RDONLY | O_CLOEXEC);
	if (namespaces[i].fd < 0)
		return;
	namespaces[i].inode = status.st_ino;
	namespace_count++;
}

static void find_namespaces(const char *directory, const char *suffix, bool is_proc)
{
	char path[512];
	struct dirent *entry;
	DIR *open_directory = opendir(directory);

	if (!open_directory)
		return;
	while ((entry = readdir(open_directory))) {
		if (is_proc ? !isdigit(entry->d_name[0]) : entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", directory, entry->d_name, suffix);
		add_namespace(path);
	}
	closedir(open_directory);
}

static void copy_text(char *to, size_t size, const struct rtattr *attribute)
{
	size_t length = attribute ? RTA_PAYLOAD(attribute) : 0;

	memset(to, 0, size);
	if (length)
		memcpy(to, RTA_DATA(attribute), length < size ? length : size - 1);
}

static void take_link(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const struct rtattr *namespace_id;
	struct listing *listing = context;
	struct interface *interface;

	if (message->nlmsg_type != RTM_NEWLINK || listing->count == MAX_INTERFACES)
		return;
	interface = &listing->interfaces[listing->count++];
	memset(interface, 0, sizeof(*interface));
	interface->netns = listing->netns;
	interface->index = info->ifi_index;
	copy_text(interface->name, sizeof(interface->name), netlink_attribute(message, sizeof(*info), IFLA_IFNAME));
	copy_text(interface->kind, sizeof(interface->kind),
		  netlink_nested(netlink_attribute(message, sizeof(*info), IFLA_LINKINFO), IFLA_INFO_KIND));
	if (info->ifi_flags & IFF_LOOPBACK)
		snprintf(interface->kind, sizeof(interface->kind), "loopback");
	interface->master_index = netlink_number(netlink_attribute(message, sizeof(*info), IFLA_MASTER));
	interface->peer_index = netlink_number(netlink_attribute(message, sizeof(*info), IFLA_LINK));
	namespace_id = netlink_attribute(message, sizeof(*info), IFLA_LINK_NETNSID);
	interface->peer_namespace_id = namespace_id ? (int32_t)netlink_number(namespace_id) : -1;
}

static void take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *info = NLMSG_DATA(message);
	struct interface_address *address;
	const struct rtattr *attribute;
	struct listing *listing = context;
	uint32_t i;

	/* IFA_ADDRESS is the peer's on a point-to-point link */
	attribute = netlink_attribute(message, sizeof(*info), IFA_LOCAL);
	if (!attribute)
		attribute = netlink_attribute(message, sizeof(*info), IFA_ADDRESS);
	if (message->nlmsg_type != RTM_NEWADDR || !attribute || RTA_PAYLOAD(attribute) > 16)
		return;
	for (i = listing->first; i < listing->count; i++) {
		if (listing->interfaces[i].index != info->ifa_index)
			continue;
		if (listing->interfaces[i].address_count == MAX_ADDRESSES)
			return;
		address = &listing->interfaces[i].addresses[listing->interfaces[i].address_count++];
		address->family = info->ifa_family == AF_INET ? 4 : 6;
		memcpy(address->address, RTA_DATA(attribute), RTA_PAYLOAD(attribute));
		return;
	}
}

/* A peer's namespace is given as a number that only this namespace uses: ask which of those we know it is. */
static void resolve_peers(struct listing *listing, int socket)
{
	int32_t ids[MAX_NAMESPACES];
	bool is_asked = false;
	uint32_t i, n;

	for (i = listing->first; i < listing->count; i++) {
		struct interface *interface = &listing->interfaces[i];

		if (!interface->peer_index)
			continue;
		if (interface->peer_namespace_id < 0) {
			interface->peer_netns = interface->netns;
			continue;
		}
		for (n = 0; n < namespace_count && !is_asked; n++)
			ids[n] = netlink_namespace_id(socket, namespaces[n].fd);
		is_asked = true;
		for (n = 0; n < namespace_count; n++)
			if (ids[n] == interface->peer_namespace_id)
				interface->peer_netns = namespaces[n].inode;
	}
}

static void list_namespace(struct listing *listing, const struct network_namespace *namespace, void (*visit)(uint32_t netns))
{
	int socket;

	if (setns(namespace->fd, CLONE_NEWNET) < 0)
		return;
	if (visit)
		visit(namespace->inode);
	socket = netlink_open();
	listing->netns = namespace->inode;
	listing->first = listing->count;
	if (socket >= 0 && netlink_dump(socket, RTM_GETLINK, take_link, listing)) {
		netlink_dump(socket, RTM_GETADDR, take_address, listing);
		resolve_peers(listing, socket);
	}
	if (socket >= 0)
		close(socket);
}

static void send_interface(struct output *output, const struct interface *interface)
{
	struct interface_record record = {
		.netns = interface->netns,
		.index = interface->index,
		.peer_index = interface->peer_index,
		.peer_netns = interface->peer_netns,
		.master_index = interface->master_index,
		.address_count = interface->address_count,
		.name_length = strlen(interface->name),
		.kind_length = strlen(interface->kind),
	};
	size_t addresses = interface->address_count * sizeof(struct interface_address);

	record.head.type = RECORD_INTERFACE;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.head.length = sizeof(record) + addresses + record.name_length + record.kind_length;
	output_fact(output,
		    (struct part[]){ { &record, sizeof(record) },
				     { interface->addresses, addresses },
				     { interface->name, record.name_length },
				     { interface->kind, record.kind_length } },
		    4);
}

static void send_gone(struct output *output, const struct interface *interface)
{
	struct interface_gone_record record = { .netns = interface->netns, .index = interface->index };

	record.head.type = RECORD_INTERFACE_GONE;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.head.length = sizeof(record);
	output_fact(output, &(struct part){ &record, sizeof(record) }, 1);
}

static const struct interface *find_interface(const struct listing *listing, uint32_t netns, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < listing->count; i++)
		if (listing->interfaces[i].netns == netns && listing->interfaces[i].index == index)
			return &listing->interfaces[i];
	return NULL;
}

/* Asked for every packet: the answers are kept. */
bool interfaces_know(uint32_t netns, uint32_t index)
{
	struct found *found = &lately_found[(netns * 31 + index) % LATELY_FOUND];

	if (found->netns == netns && found->index == index)
		return true;
	if (!find_interface(&known, netns, index))
		return false;
	*found = (struct found){ netns, index };
	return true;
}

void interfaces_scan(struct output *output, void (*visit)(uint32_t netns))
{
	static struct listing current;
	struct listing previous;
	const struct interface *old;
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	uint32_t i;

	if (!current.interfaces)
		current.interfaces = calloc(MAX_INTERFACES, sizeof(struct interface));
	if (home < 0 || !current.interfaces)
		return;
	find_namespaces("/proc", "/ns/net", true);
	find_namespaces("/run/netns", "", false);
	current.count = 0;
	for (i = 0; i < namespace_count; i++)
		list_namespace(&current, &namespaces[i], visit);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* the supervisor starts anew, in the right namespace */
	close(home);
	while (namespace_count)
		close(namespaces[--namespace_count].fd);

	for (i = 0; i < current.count; i++) {
		old = find_interface(&known, current.interfaces[i].netns, current.interfaces[i].index);
		if (!old || memcmp(old, &current.interfaces[i], sizeof(*old)) != 0)
			send_interface(output, &current.interfaces[i]);
	}
	for (i = 0; i < known.count; i++)
		if (!find_interface(&current, known.interfaces[i].netns, known.interfaces[i].index))
			send_gone(output, &known.interfaces[i]);
	memset(lately_found, 0, sizeof(lately_found));
	previous = known;
	known = current;
	current = previous;
}
