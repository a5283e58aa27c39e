/* SPDX-License-Identifier: Apache-2.0 */
/* The little of rtnetlink that listing interfaces takes. */
#ifndef FULLSPAN_NETLINK_H
#define FULLSPAN_NETLINK_H

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*netlink_message)(const struct nlmsghdr *message, void *context);

/* A socket in the network namespace that the calling thread is in; -1 on failure. */
int netlink_open(void);

/* Asks for everything of one kind (RTM_GETLINK, RTM_GETADDR); calls back once per message. */
bool netlink_dump(int fd, uint16_t type, netlink_message callback, void *context);

/* Which number the socket's namespace has for the namespace that `namespace_fd` is open on; -1 for none. */
int32_t netlink_namespace_id(int fd, int namespace_fd);

/* Attribute of that type, or NULL. `header_size` is that of the fixed struct after the message header. */
const struct rtattr *netlink_attribute(const struct nlmsghdr *message, size_t header_size, uint16_t type);
const struct rtattr *netlink_nested(const struct rtattr *attribute, uint16_t type);
uint32_t netlink_number(const struct rtattr *attribute);

#endif
