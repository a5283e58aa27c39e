// SPDX-License-Identifier: Apache-2.0
/*
 * One HTTP exchange between two sockets of this process, its bytes moved in the way that is asked for:
 *
 *   exchange FAMILY METHOD     FAMILY: 4, 6, mapped, unix, pair
 *
 * Prints the server's port, or its path, first, and `done` at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define BODY 5000 /* of the methods that move a body by pages */

static char request[200], head[200], body[BODY + 1];

static int must(long result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

/* client and server, connected */
static void connect_unix(int *client, int *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/fullspan-exchange-%d", getpid());
	must(bind(listener, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(listen(listener, 1), "listen");
	*client = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
	must(connect(*client, (struct sockaddr *)&address, sizeof(address)), "connect");
	*server = must(accept(listener, NULL, NULL), "accept");
	unlink(address.sun_path);
	printf("%s\n", address.sun_path);
}

static void connect_inet(const char *family, int *client, int *server)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int is_four = strcmp(family, "4") == 0, listener;
	socklen_t size = is_four ? sizeof(four) : sizeof(six);
	void *address = is_four ? (void *)&four : (void *)&six;

	listener = must(socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM, 0), "socket");
	must(bind(listener, address, size), "bind");
	must(listen(listener, 1), "listen");
	must(getsockname(listener, address, &size), "getsockname");
	printf("%d\n", ntohs(is_four ? four.sin_port : six.sin6_port));
	if (strcmp(family, "mapped") == 0)
		inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
	else if (!is_four)
		six.sin6_addr = in6addr_loopback;
	*client = must(socket(is_four ? AF_INET : AF_INET6, SOCK_STREAM, 0), "socket");
	must(connect(*client, address, size), "connect");
	*server = must(accept(listener, NULL, NULL), "accept");
}

/* io_uring, one request at a time, without its library. */
static struct {
	int fd;
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *entries;
} ring;

static void open_ring(void)
{
	ring.fd = must(syscall(SYS_io_uring_setup, 4, &ring.params), "io_uring_setup");
	ring.sq = mmap(NULL, ring.params.sq_off.array + 4 * ring.params.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		       IORING_OFF_SQ_RING);
	ring.cq = mmap(NULL, ring.params.cq_off.cqes + ring.params.cq_entries * sizeof(struct io_uring_cqe),
		       PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_CQ_RING);
	ring.entries = mmap(NULL, ring.params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
			    ring.fd, IORING_OFF_SQES);
}

static void submit(int op, int fd, void *address, unsigned length)
{
	unsigned *tail = (unsigned *)(ring.sq + ring.params.sq_off.tail);
	unsigned index = *tail & *(unsigned *)(ring.sq + ring.params.sq_off.ring_mask);

	memset(&ring.entries[index], 0, sizeof(ring.entries[index]));
	ring.entries[index].opcode = op;
	ring.entries[index].fd = fd;
	ring.entries[index].addr = (unsigned long)address;
	ring.entries[index].len = length;
	((unsigned *)(ring.sq + ring.params.sq_off.array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0), "io_uring_enter");
}

static int complete(void)
{
	unsigned *now = (unsigned *)(ring.cq + ring.params.cq_off.head);
	unsigned *tail = (unsigned *)(ring.cq + ring.params.cq_off.tail);
	struct io_uring_cqe *done = (struct io_uring_cqe *)(ring.cq + ring.params.cq_off.cqes);
	int result;

	while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *now)
		must(syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0), "io_uring_enter");
	result = done[*now & *(unsigned *)(ring.cq + ring.params.cq_off.ring_mask)].res;
	__atomic_store_n(now, *now + 1, __ATOMIC_RELEASE);
	if (result < 0)
		errx(1, "io_uring: %s", strerror(-result));
	return result;
}

static int is(const char *method, const char *name)
{
	return strcmp(method, name) == 0;
}

static void give(int fd, const char *method, char *text)
{
	size_t length = strlen(text), half = length / 2;
	struct iovec parts[2] = { { text, half }, { text + half, length - half } };
	struct mmsghdr messages[2] = { { .msg_hdr = { .msg_iov = parts, .msg_iovlen = 1 } },
				       { .msg_hdr = { .msg_iov = parts + 1, .msg_iovlen = 1 } } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	if (is(method, "writev"))
		must(writev(fd, parts, 2), method);
	else if (is(method, "send"))
		must(send(fd, text, length, MSG_NOSIGNAL), method);
	else if (is(method, "sendmsg"))
		must(sendmsg(fd, &message, 0), method);
	else if (is(method, "sendmmsg"))
		must(sendmmsg(fd, messages, 2, 0), method);
	else if (is(method, "uring"))
		submit(IORING_OP_SEND, fd, text, length), complete();
	else if (is(method, "uring-rw"))
		submit(IORING_OP_WRITE, fd, text, length), complete();
	else if (is(method, "uring-msg")) {
		message.msg_iov = &(struct iovec){ text, length };
		message.msg_iovlen = 1;
		submit(IORING_OP_SENDMSG, fd, &message, 1), complete();
	} else
		must(write(fd, text, length), method);
}

static void take(int fd, const char *method, size_t length)
{
	static char buffer[20000];
	struct iovec parts[2] = { { buffer, 10 }, { buffer + 10, sizeof(buffer) - 10 } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	struct mmsghdr messages[1] = { { .msg_hdr = message } };
	size_t got = 0;

	while (got < length) {
		if (is(method, "writev"))
			got += must(readv(fd, parts, 2), method);
		else if (is(method, "send"))
			got += must(recv(fd, buffer, sizeof(buffer), 0), method);
		else if (is(method, "sendmsg"))
			got += must(recvmsg(fd, &message, 0), method);
		else if (is(method, "sendmmsg")) {
			must(recvmmsg(fd, messages, 1, 0, NULL), method);
			got += messages[0].msg_len;
		} else if (is(method, "peek")) {
			must(recv(fd, buffer, sizeof(buffer), MSG_PEEK), method);
			got += must(recv(fd, buffer, sizeof(buffer), 0), method);
		} else if (is(method, "uring-rw")) {
			submit(IORING_OP_READ, fd, buffer, sizeof(buffer));
			got += complete();
		} else if (is(method, "uring-msg")) {
			message.msg_iov = &(struct iovec){ buffer, sizeof(buffer) };
			message.msg_iovlen = 1;
			submit(IORING_OP_RECVMSG, fd, &message, 1);
			got += complete();
		} else
			got += must(read(fd, buffer, sizeof(buffer)), method);
	}
}

/* The receive waits first, and completes while its thread is in another system call on another descriptor. */
static void exchange_by_waiting_ring(int client, int server)
{
	static char buffer[20000];

	submit(IORING_OP_RECV, server, buffer, sizeof(buffer));
	must(write(client, request, strlen(request)), "write");
	complete();
	submit(IORING_OP_RECV, client, buffer, sizeof(buffer));
	must(write(server, head, strlen(head)), "write");
	complete();
}

static void move_pages(int from, int to, int is_splice)
{
	size_t moved = 0;

	while (moved < BODY)
		moved += is_splice ? must(splice(from, NULL, to, NULL, BODY - moved, 0), "splice") :
				     must(sendfile(to, from, NULL, BODY - moved), "sendfile");
}

/* The head goes by read and write, the body by pages. */
static void exchange_by_pages(int client, int server, int is_splice)
{
	char path[] = "/tmp/fullspan-exchange-XXXXXX";
	int file = must(mkstemp(path), "mkstemp"), ends[2], to_client[2];

	unlink(path);
	must(write(file, body, BODY), "write");
	must(lseek(file, 0, SEEK_SET), "lseek");
	must(pipe(ends) + pipe(to_client), "pipe");
	give(client, "write", request);
	take(server, "write", strlen(request));
	give(server, "write", head);
	must(read(client, path, 0), "read");
	if (is_splice) {
		must(write(ends[1], body, BODY), "write");
		move_pages(ends[0], server, 1);
	} else {
		move_pages(file, server, 0);
	}
	must(recv(client, body, strlen(head), MSG_WAITALL), "recv");
	if (is_splice)
		move_pages(client, to_client[1], 1);
	else
		must(recv(client, body, BODY, MSG_WAITALL), "recv");
}

int main(int argc, char **argv)
{
	const char *family, *method;
	int client, server, ends[2], by_pages;

	if (argc != 3)
		errx(2, "exchange FAMILY METHOD");
	family = argv[1];
	method = argv[2];
	setvbuf(stdout, NULL, _IOLBF, 0);
	by_pages = is(method, "sendfile") || is(method, "splice");
	snprintf(request, sizeof(request), "GET /%s/%s HTTP/1.1\r\nHost: test\r\n\r\n", family, method);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", by_pages ? BODY : 2, by_pages ? "" : "ok");
	memset(body, 'x', BODY);
	if (is(family, "pair")) {
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
		client = ends[0];
		server = ends[1];
		printf("pair\n");
	} else if (is(family, "unix")) {
		connect_unix(&client, &server);
	} else {
		connect_inet(family, &client, &server);
	}
	if (strncmp(method, "uring", 5) == 0)
		open_ring();
	if (is(method, "uring-waiting")) {
		exchange_by_waiting_ring(client, server);
	} else if (by_pages) {
		exchange_by_pages(client, server, is(method, "splice"));
	} else {
		give(client, method, request);
		take(server, method, strlen(request));
		give(server, method, head);
		take(client, method, strlen(head));
	}
	close(client);
	close(server);
	printf("done\n");
	return 0;
}
