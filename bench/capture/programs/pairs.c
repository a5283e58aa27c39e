// SPDX-License-Identifier: Apache-2.0
/*
 * What a system call costs. Prints its port; then for each line that it reads runs so many pairs of write and read of 1 KiB on a
 * TCP connection of its own, and as many calls that touch no socket, and prints the nanoseconds of one call of each kind:
 * the median of its blocks, so that what else runs meanwhile counts little.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 200
#define MAX_BLOCKS 4096

static int ends[2];
static double blocks[MAX_BLOCKS];

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static void open_pair(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &size))
		err(1, "listen");
	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(ends[0], (struct sockaddr *)&address, size))
		err(1, "connect");
	ends[1] = accept(listener, NULL, NULL);
	printf("%d\n", ntohs(address.sin_port));
}

static void move_one(void)
{
	static char bytes[1024];

	if (write(ends[0], bytes, sizeof(bytes)) != sizeof(bytes) || read(ends[1], bytes, sizeof(bytes)) != sizeof(bytes))
		err(1, "write and read");
}

static void call_unrelated(void)
{
	syscall(SYS_getppid);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_of(void (*run)(void), int count, int calls)
{
	int block, i, total = count / BLOCK;
	double begin;

	for (block = 0; block < total; block++) {
		begin = now();
		for (i = 0; i < BLOCK; i++)
			run();
		blocks[block] = (now() - begin) / BLOCK / calls;
	}
	qsort(blocks, total, sizeof(double), compare);
	return blocks[total / 2];
}

int main(void)
{
	char line[64];
	int count;

	setvbuf(stdout, NULL, _IOLBF, 0);
	open_pair();
	while (fgets(line, sizeof(line), stdin)) {
		count = atoi(line);
		if (count < BLOCK || count / BLOCK > MAX_BLOCKS)
			errx(2, "between %d and %d pairs", BLOCK, BLOCK * MAX_BLOCKS);
		printf("%f ", median_of(move_one, count, 2));
		printf("%f\n", median_of(call_unrelated, count, 1));
	}
	return 0;
}
