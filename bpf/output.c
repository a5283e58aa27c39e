// SPDX-License-Identifier: Apache-2.0
#include "output.h"
#include "probe.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CAPACITY (16u << 20)
#define PACKET_LIMIT (6u << 20)
#define EVENT_LIMIT (12u << 20)
#define FLUSH_AT (1u << 18)
#define SEND_BUFFER (4 << 20)

/*
 * One write of whole records that fits one buffer of a Unix stream socket is taken as a whole or not at all (unix_stream_sendmsg
 * splits at 36 KiB): a capturing process killed at any moment leaves the stream at the end of a record.
 */
#define BATCH 32768u

bool output_open(struct output *output, int fd)
{
	int size = SEND_BUFFER, flags = fcntl(fd, F_GETFL);

	memset(output, 0, sizeof(*output));
	output->fd = fd;
	output->buffer = malloc(CAPACITY);
	if (!output->buffer || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return true;
}

static void compact(struct output *output)
{
	if (!output->start)
		return;
	memmove(output->buffer, output->buffer + output->start, output->end - output->start);
	output->end -= output->start;
	output->start = 0;
}

static char *make_room(struct output *output, size_t size, size_t limit)
{
	char *room;

	if (output->end - output->start + size > limit)
		return NULL;
	if (output->end + size > CAPACITY)
		compact(output);
	room = output->buffer + output->end;
	output->end += size;
	return room;
}

static bool append(struct output *output, const void *record, size_t size, size_t limit)
{
	char *room = make_room(output, size, limit);

	if (!room)
		return false;
	memcpy(room, record, size);
	if (output->end - output->start >= FLUSH_AT)
		output_flush(output);
	return true;
}

bool output_packet(struct output *output, const void *record, size_t size)
{
	return append(output, record, size, PACKET_LIMIT);
}

bool output_event(struct output *output, const void *record, size_t size)
{
	return append(output, record, size, EVENT_LIMIT);
}

bool output_fact(struct output *output, const struct part *parts, size_t count)
{
	size_t size = 0, i;
	char *room;

	for (i = 0; i < count; i++)
		size += parts[i].size;
	room = make_room(output, size, CAPACITY);
	if (!room)
		return false;
	for (i = 0; i < count; room += parts[i++].size)
		if (parts[i].size)
			memcpy(room, parts[i].bytes, parts[i].size);
	return true;
}

static size_t next_batch(const struct output *output)
{
	size_t size = 0;
	struct record head;

	while (output->start + size < output->end) {
		memcpy(&head, output->buffer + output->start + size, sizeof(head));
		if (size && size + head.length > BATCH)
			break;
		size += head.length;
	}
	return size;
}

void output_flush(struct output *output)
{
	ssize_t written;

	while (output->start < output->end && !output->is_closed) {
		if (!output->batch_left)
			output->batch_left = next_batch(output);
		written = send(output->fd, output->buffer + output->start, output->batch_left, MSG_NOSIGNAL);
		if (written < 0 && errno == ENOTSOCK)
			written = write(output->fd, output->buffer + output->start, output->batch_left);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			output->is_closed = errno != EAGAIN;
			return;
		}
		output->start += written;
		output->batch_left -= written;
	}
	if (output->start == output->end)
		output->start = output->end = 0;
}

void output_drain(struct output *output, int patience_ms)
{
	struct pollfd watched = { .fd = output->fd, .events = POLLOUT };

	output_flush(output);
	while (output_is_waiting(output) && !output->is_closed && poll(&watched, 1, patience_ms) > 0)
		output_flush(output);
}

bool output_is_waiting(const struct output *output)
{
	return output->start < output->end;
}
