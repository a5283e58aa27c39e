// SPDX-License-Identifier: Apache-2.0
#include "confine.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define MAX_INSTRUCTIONS 256
#define X32 0x40000000u
#define LOW_HALF_OF(argument) (offsetof(struct seccomp_data, args) + (argument) * 8) /* little endian */

/* Both run with these; what each is for stands beside what is not plain. */
static const int calls_of_both[] = {
	SYS_read, SYS_write, SYS_close, SYS_pread64, SYS_readv, SYS_writev, SYS_lseek, SYS_fcntl,
	SYS_fstat, SYS_stat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_access, SYS_faccessat, SYS_faccessat2,
	SYS_getdents64, SYS_readlink, SYS_readlinkat, SYS_name_to_handle_at, /* ids of control groups */
	SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_brk,
	SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_signalfd4, SYS_sigaltstack, SYS_restart_syscall,
	SYS_poll, SYS_ppoll, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait,
	SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday, SYS_time,
	SYS_getpid, SYS_getppid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo,
	SYS_sched_getaffinity, SYS_sched_yield, SYS_futex, SYS_getrandom, SYS_rseq, SYS_set_robust_list,
	SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_recvmmsg, SYS_bind, SYS_getsockname, SYS_getsockopt, SYS_setsockopt,
	SYS_perf_event_open, SYS_ioctl, /* uprobes of processes that start later */
	SYS_exit, SYS_exit_group, SYS_tgkill, /* abort() */
};

static const int calls_of_supervisor[] = {
	SYS_clone, SYS_clone3, SYS_wait4, SYS_waitid, SYS_kill, SYS_prctl, SYS_seccomp, SYS_capget, SYS_capset,
	SYS_prlimit64, SYS_getrlimit, SYS_setrlimit, SYS_dup, SYS_dup2, SYS_dup3, SYS_memfd_create, SYS_bpf,
};

/* Maps are read and written, programs counted and attached to more; none is loaded. */
static const int bpf_commands_of_capture[] = {
	BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_AND_DELETE_ELEM,
	BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH, BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH,
	BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_CREATE, BPF_LINK_DETACH,
};

static const int socket_families[] = { AF_UNIX, AF_NETLINK, AF_PACKET };

struct filter {
	struct sock_filter code[MAX_INSTRUCTIONS];
	unsigned short length;
};

static void add(struct filter *filter, struct sock_filter instruction)
{
	/* Too many is a mistake of this file: the length then is refused by the kernel. */
	if (filter->length < MAX_INSTRUCTIONS)
		filter->code[filter->length] = instruction;
	filter->length++;
}

static void answer(struct filter *filter, uint32_t verdict)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void load(struct filter *filter, uint32_t offset)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer_if_equal(struct filter *filter, uint32_t value, uint32_t verdict)
{
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
	answer(filter, verdict);
}

static void allow_any_of(struct filter *filter, const int *values, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		answer_if_equal(filter, values[i], SECCOMP_RET_ALLOW);
}

/* Of one system call only those whose argument, masked, is one of the values. What follows sees the number of the call again. */
static void allow_by_argument(struct filter *filter, int call, int argument, uint32_t mask, const int *values, size_t count)
{
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 2 * count + 3));
	load(filter, LOW_HALF_OF(argument));
	add(filter, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
	allow_any_of(filter, values, count);
	answer(filter, SECCOMP_RET_ERRNO | 1 /* EPERM */);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void begin(struct filter *filter)
{
	filter->length = 0;
	load(filter, offsetof(struct seccomp_data, arch));
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0));
	answer(filter, SECCOMP_RET_KILL_PROCESS);
	load(filter, offsetof(struct seccomp_data, nr));
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1));
	answer(filter, SECCOMP_RET_KILL_PROCESS);
	allow_by_argument(filter, SYS_openat, 2, O_ACCMODE, (const int[]){ O_RDONLY }, 1);
	allow_by_argument(filter, SYS_setns, 1, UINT32_MAX, (const int[]){ CLONE_NEWNET }, 1);
	allow_by_argument(filter, SYS_socket, 0, UINT32_MAX, socket_families, COUNT(socket_families));
	allow_any_of(filter, calls_of_both, COUNT(calls_of_both));
}

static bool install(struct filter *filter)
{
	struct sock_fprog program = { .len = filter->length, .filter = filter->code };

	answer(filter, SECCOMP_RET_ERRNO | 1 /* EPERM */);
	program.len = filter->length;
	return filter->length <= MAX_INSTRUCTIONS && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool confine_supervisor(void)
{
	static struct filter filter;

	begin(&filter);
	allow_any_of(&filter, calls_of_supervisor, COUNT(calls_of_supervisor));
	return install(&filter);
}

bool confine_capture(void)
{
	static struct filter filter;

	begin(&filter);
	allow_by_argument(&filter, SYS_bpf, 0, UINT32_MAX, bpf_commands_of_capture, COUNT(bpf_commands_of_capture));
	return install(&filter);
}
