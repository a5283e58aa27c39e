/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader asks for, on the socket that the records go out on. */
#ifndef FULLSPAN_COMMANDS_H
#define FULLSPAN_COMMANDS_H

#include "probe.h"
#include <stddef.h>

struct commands {
	char buffer[16384];
	size_t filled;
};

/* Reads what is there and hands on each whole command. Never blocks; ignores what it does not know. */
void commands_read(struct commands *commands, int fd,
		   void (*take)(void *context, const struct connection_command *command), void *context);

#endif
