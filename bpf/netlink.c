// SPDX-License-Identifier: Apache-2.0
#include "netlink.h"
#include <linux/net_namespace.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

int netlink_open(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

/* Reads answers until the last one; false on an error message or a broken read. */
static bool read_answers(int fd, bool is_dump, netlink_message callback, void *context)
{
	static char buffer[BUFFER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	const struct nlmsghdr *message;
	ssize_t length;

	for (;;) {
		length = recv(fd, buffer, sizeof(buffer), 0);
		if (length <= 0)
			return false;
		for (message = (void *)buffer; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
			if (message->nlmsg_type == NLMSG_DONE)
				return true;
			if (message->nlmsg_type == NLMSG_ERROR)
				return false;
			callback(message, context);
			if (!is_dump)
				return true;
		}
	}
}

bool netlink_dump(int fd, uint16_t type, netlink_message callback, void *context)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
		uint8_t padding[3];
	} request = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(request.body)),
			  .nlmsg_type = type,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .rtgen_family = AF_UNSPEC },
	};

	return send(fd, &request, sizeof(request), 0) == sizeof(request) && read_answers(fd, true, callback, context);
}

static void take_namespace_id(const struct nlmsghdr *message, void *context)
{
	const struct rtattr *attribute = netlink_attribute(message, NLMSG_ALIGN(sizeof(struct rtgenmsg)), NETNSA_NSID);

	if (attribute)
		*(int32_t *)context = netlink_number(attribute);
}

int32_t netlink_namespace_id(int fd, int namespace_fd)
{
	struct {
		struct nlmsghdr head;
		struct rtgenmsg body;
		uint8_t padding[3];
		struct rtattr attribute;
		int32_t namespace_fd;
	} request = {
		.head = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETNSID, .nlmsg_flags = NLM_F_REQUEST },
		.attribute = { .rta_len = RTA_LENGTH(sizeof(int32_t)), .rta_type = NETNSA_FD },
		.namespace_fd = namespace_fd,
	};
	int32_t id = -1;

	if (send(fd, &request, sizeof(request), 0) != sizeof(request))
		return -1;
	return read_answers(fd, false, take_namespace_id, &id) ? id : -1;
}

static const struct rtattr *find(const struct rtattr *attribute, int length, uint16_t type)
{
	for (; RTA_OK(attribute, length); attribute = RTA_NEXT(attribute, length))
		if ((attribute->rta_type & NLA_TYPE_MASK) == type)
			return attribute;
	return NULL;
}

const struct rtattr *netlink_attribute(const struct nlmsghdr *message, size_t header_size, uint16_t type)
{
	const char *body = NLMSG_DATA(message);

	return find((const void *)(body + NLMSG_ALIGN(header_size)), NLMSG_PAYLOAD(message, header_size), type);
}

const struct rtattr *netlink_nested(const struct rtattr *attribute, uint16_t type)
{
	return attribute ? find(RTA_DATA(attribute), RTA_PAYLOAD(attribute), type) : NULL;
}

uint32_t netlink_number(const struct rtattr *attribute)
{
	uint32_t number = 0;

	if (attribute && RTA_PAYLOAD(attribute) >= sizeof(number))
		memcpy(&number, RTA_DATA(attribute), sizeof(number));
	return number;
}
