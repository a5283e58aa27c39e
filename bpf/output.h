/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their way to the reader: buffered, written in chunks, never waiting for it. */
#ifndef FULLSPAN_OUTPUT_H
#define FULLSPAN_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
	int fd;
	bool is_closed;
	char *buffer;
	size_t start;
	size_t end;
	size_t batch_left; /* bytes of a begun write that are still to go */
};

struct part {
	const void *bytes;
	size_t size;
};

bool output_open(struct output *output, int fd);

/*
 * Refused (false) when the reader is too far behind: packets first, then the other events; facts have room of their own, so
 * that they come through.
 */
bool output_packet(struct output *output, const void *record, size_t size);
bool output_event(struct output *output, const void *record, size_t size);
bool output_fact(struct output *output, const struct part *parts, size_t count);

/* Writes what the reader takes now. */
void output_flush(struct output *output);
/* Writes everything, waiting for the reader up to that long. */
void output_drain(struct output *output, int patience_ms);
bool output_is_waiting(const struct output *output);

#endif
