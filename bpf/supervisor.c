// SPDX-License-Identifier: Apache-2.0
#include "supervisor.h"
#include "capture.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_DELAY_MS 100
#define LONGEST_DELAY_MS 1000
#define END_PATIENCE_MS 3000

static pid_t start(const struct settings *settings, struct progress *progress, const sigset_t *signals)
{
	pid_t supervisor = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor)
		_exit(0);
	sigprocmask(SIG_UNBLOCK, signals, NULL);
	_exit(capture_run(settings, progress));
}

static int open_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, signals, NULL);
	return signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Waits for a signal or the end of the reader. True: time to end. */
static bool must_end(int signals, int fd, int timeout_ms)
{
	struct pollfd watched[] = { { .fd = signals, .events = POLLIN }, { .fd = fd, .events = POLLRDHUP } };
	struct signalfd_siginfo info;
	bool ends = false;

	poll(watched, 2, timeout_ms);
	if (watched[1].revents & (POLLHUP | POLLERR | POLLRDHUP | POLLNVAL))
		return true;
	while (read(signals, &info, sizeof(info)) == sizeof(info))
		ends |= info.ssi_signo != SIGCHLD;
	return ends;
}

/* Asks the child to end; what does not end in time is ended. */
static void end(pid_t pid)
{
	int waited;

	kill(pid, SIGTERM);
	for (waited = 0; waited < END_PATIENCE_MS; waited += 10) {
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void tell_death(int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "fullspan-probe: the capturing process was killed by signal %d (%s); starting it again\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "fullspan-probe: the capturing process ended with code %d; starting it again\n",
			WEXITSTATUS(status));
}

int supervise(const struct settings *settings)
{
	struct progress *progress;
	int signals, status, delay_ms = FIRST_DELAY_MS;
	sigset_t set;
	pid_t pid;

	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signals = open_signals(&set);
	if (progress == MAP_FAILED || signals < 0)
		return EXIT_CANNOT_RUN;
	for (;;) {
		progress->was_capturing = false;
		pid = start(settings, progress, &set);
		if (pid < 0)
			return EXIT_CANNOT_RUN;
		while (waitpid(pid, &status, WNOHANG) == 0) {
			if (!must_end(signals, settings->fd, -1))
				continue;
			end(pid);
			return 0;
		}
		if (must_end(signals, settings->fd, 0))
			return 0;
		/* One that never captured will not do so the next time either, unless it did before. */
		if (!progress->was_capturing && !progress->complete_until_ns)
			return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_CANNOT_RUN;
		tell_death(status);
		delay_ms = progress->was_capturing ? FIRST_DELAY_MS : delay_ms * 2;
		if (delay_ms > LONGEST_DELAY_MS)
			delay_ms = LONGEST_DELAY_MS;
		progress->gap_from_ns = progress->complete_until_ns;
		if (must_end(signals, settings->fd, delay_ms))
			return 0;
	}
}
