/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_PRIVILEGES_H
#define FULLSPAN_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* Names of the capabilities that are needed and missing, joined by spaces; empty when all are there. */
void privileges_missing(char *to, size_t size);

/* Gives up every capability but those, in all sets, for good; packet sockets take two more. */
bool privileges_reduce(bool has_packet_sockets);

#endif
