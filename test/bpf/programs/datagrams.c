// SPDX-License-Identifier: Apache-2.0
/*
 * Six datagrams to a port of this machine: three by one sendmmsg, taken by one recvmmsg with room for three; three more,
 * taken by one with room for eight that does not wait for it to be filled.
 *
 *   datagrams PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int must(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static void send_three(int fd, char *const texts[3])
{
	struct mmsghdr messages[3] = { 0 };
	struct iovec parts[3];
	int i;

	for (i = 0; i < 3; i++) {
		parts[i] = (struct iovec){ texts[i], strlen(texts[i]) };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	if (must(sendmmsg(fd, messages, 3, 0), "sendmmsg") != 3)
		errx(1, "sendmmsg sent fewer");
}

static void take_three(int fd, int room, int flags)
{
	static struct mmsghdr messages[8];
	static struct iovec parts[8];
	static char buffers[8][100];
	int i;

	memset(messages, 0, sizeof(messages));
	for (i = 0; i < 8; i++) {
		parts[i] = (struct iovec){ buffers[i], sizeof(buffers[i]) };
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	if (must(recvmmsg(fd, messages, room, flags, NULL), "recvmmsg") != 3)
		errx(1, "recvmmsg took another number");
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int client = must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), server = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	if (argc != 2)
		errx(2, "datagrams PORT");
	address.sin_port = htons(atoi(argv[1]));
	must(bind(server, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
	send_three(client, (char *[]){ "one", "number two", "three" });
	take_three(server, 3, 0);
	send_three(client, (char *[]){ "four is longer", "fi", "last of all" });
	take_three(server, 8, MSG_WAITFORONE);
	return 0;
}
