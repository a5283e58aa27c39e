// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

static size_t take_one(const char *bytes, size_t size, void (*take)(void *, const struct connection_command *), void *context)
{
	struct connection_command command;
	struct record head;

	if (size < sizeof(head))
		return 0;
	memcpy(&head, bytes, sizeof(head));
	/* Nonsense has no next command: all that is there is skipped. */
	if (head.length < sizeof(head) || head.length > sizeof(((struct commands *)0)->buffer))
		return size;
	if (head.length > size)
		return 0;
	if (head.type == COMMAND_CONNECTION && head.length >= sizeof(command)) {
		memcpy(&command, bytes, sizeof(command));
		take(context, &command);
	}
	return head.length;
}

void commands_read(struct commands *commands, int fd,
		   void (*take)(void *context, const struct connection_command *command), void *context)
{
	size_t at, used;
	ssize_t length;

	while ((length = recv(fd, commands->buffer + commands->filled, sizeof(commands->buffer) - commands->filled,
			      MSG_DONTWAIT)) > 0) {
		commands->filled += length;
		for (at = 0; (used = take_one(commands->buffer + at, commands->filled - at, take, context)); at += used)
			;
		memmove(commands->buffer, commands->buffer + at, commands->filled - at);
		commands->filled -= at;
	}
}
