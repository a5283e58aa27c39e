// SPDX-License-Identifier: Apache-2.0
/*
 * A client that asks a known number of times at a known rate: so many of its requests must be found as spans.
 *
 *   requests PORT CONNECTIONS PER_SECOND SECONDS      prints how many were answered, and the seconds that it took
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 256

static const char request[] = "GET /counted HTTP/1.1\r\nHost: bench\r\n\r\n";

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int open_one(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "connect");
	return fd;
}

int main(int argc, char **argv)
{
	int fds[MAX_CONNECTIONS], connections, i;
	long asked = 0, answered = 0, total, due;
	double begin, rate, seconds;
	char answer[4096];

	if (argc != 5)
		errx(2, "requests PORT CONNECTIONS PER_SECOND SECONDS");
	connections = atoi(argv[2]);
	rate = atof(argv[3]);
	seconds = atof(argv[4]);
	total = rate * seconds;
	if (connections < 1 || connections > MAX_CONNECTIONS)
		errx(2, "between 1 and %d connections", MAX_CONNECTIONS);
	for (i = 0; i < connections; i++)
		fds[i] = open_one(atoi(argv[1]));
	begin = now();
	/* Rounds over all connections: each is asked, then each is heard. */
	while (asked < total) {
		due = (now() - begin) * rate + 1;
		if (due <= asked) {
			usleep(200);
			continue;
		}
		for (i = 0; i < connections && asked + i < due && asked + i < total; i++)
			if (write(fds[i], request, sizeof(request) - 1) != sizeof(request) - 1)
				err(1, "write");
		asked += i;
		while (i-- > 0)
			if (read(fds[i], answer, sizeof(answer)) <= 0)
				err(1, "read");
			else
				answered++;
	}
	printf("%ld %f\n", answered, now() - begin);
	return 0;
}
