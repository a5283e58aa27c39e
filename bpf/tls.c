// SPDX-License-Identifier: Apache-2.0
/*
 * Every file is looked at once, by device, inode and time of change, and attached to for all processes that have it mapped, now
 * and later. A library is found in the maps of a process, through its root directory: containers have their own.
 */
#include "tls.h"
#include "probe.h"
#include "probe.skel.h"
#include <bpf/libbpf.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 64       /* attached to */
#define MAX_SEEN 8192      /* looked at: a hash set, three quarters of it are used */
#define MAX_WAITING 1024   /* processes that are to be looked at again */
#define FUNCTIONS 4
#define MILLISECOND_NS 1000000ull
#define EVERYTHING_EVERY_NS (60 * 1000 * MILLISECOND_NS)

static const char *const functions[FUNCTIONS] = { "SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex" };

/* A process loads its libraries some time after it began: when it is looked at, counted from there. */
static const uint64_t delays_ns[] = { 0, 30 * MILLISECOND_NS, 300 * MILLISECOND_NS, 2000 * MILLISECOND_NS };
#define DELAYS (sizeof(delays_ns) / sizeof(delays_ns[0]))

struct file_id {
	uint64_t device;
	uint64_t inode;
	uint64_t changed;
};

struct waiting {
	uint32_t pid;
	uint32_t looks; /* so far */
	uint64_t began_ns;
};

static struct {
	struct probe_bpf *skeleton;
	struct bpf_link *links[MAX_FILES * FUNCTIONS * 2];
	uint32_t link_count;
	uint32_t file_count;
	struct file_id seen[MAX_SEEN];
	uint32_t seen_count;
	struct waiting waiting[MAX_WAITING];
	uint32_t waiting_count;
	uint64_t all_at_ns;
	bool is_full;
} tls;

/* True the first time. */
static bool is_new(const struct stat *status)
{
	struct file_id id = { status->st_dev, status->st_ino,
			      status->st_ctim.tv_sec * 1000000000ull + status->st_ctim.tv_nsec };
	uint64_t hash = (id.inode * 0x9e3779b97f4a7c15ull) ^ (id.device * 0xff51afd7ed558ccdull) ^ id.changed;
	uint32_t slot = (hash ^ hash >> 32) % MAX_SEEN;

	while (tls.seen[slot].inode) {
		if (memcmp(&tls.seen[slot], &id, sizeof(id)) == 0)
			return false;
		slot = (slot + 1) % MAX_SEEN;
	}
	if (tls.seen_count >= MAX_SEEN / 4 * 3)
		return false;
	tls.seen[slot] = id;
	tls.seen_count++;
	return true;
}

/* A symbol's value is an address; a probe is set at an offset in the file. */
static uint64_t offset_of_address(Elf *elf, uint64_t address)
{
	size_t count, i;
	GElf_Phdr header;

	if (elf_getphdrnum(elf, &count) != 0)
		return 0;
	for (i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, i, &header) || header.p_type != PT_LOAD)
			continue;
		if (address >= header.p_vaddr && address < header.p_vaddr + header.p_filesz)
			return address - header.p_vaddr + header.p_offset;
	}
	return 0;
}

static void find_in_section(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, uint64_t offsets[FUNCTIONS])
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count, i;
	GElf_Sym symbol;
	const char *name;
	int which;

	if (!data || !header->sh_entsize)
		return;
	count = header->sh_size / header->sh_entsize;
	for (i = 0; i < count; i++) {
		if (!gelf_getsym(data, i, &symbol) || GELF_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_value)
			continue;
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (!name || strncmp(name, "SSL_", 4) != 0)
			continue;
		for (which = 0; which < FUNCTIONS; which++)
			if (strcmp(name, functions[which]) == 0)
				offsets[which] = offset_of_address(elf, symbol.st_value);
	}
}

/* What is exported, else what the full table still names. False: not both reading and writing. */
static bool find_functions(int fd, uint64_t offsets[FUNCTIONS])
{
	static const uint32_t tables[] = { SHT_DYNSYM, SHT_SYMTAB };
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	Elf_Scn *section;
	GElf_Shdr header;
	GElf_Ehdr file;
	size_t i;

	if (!elf)
		return false;
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &file) || file.e_machine != EM_X86_64) {
		elf_end(elf);
		return false;
	}
	for (i = 0; i < 2 && !offsets[0]; i++) {
		for (section = NULL; (section = elf_nextscn(elf, section));)
			if (gelf_getshdr(section, &header) && header.sh_type == tables[i])
				find_in_section(elf, section, &header, offsets);
	}
	elf_end(elf);
	return offsets[0] && offsets[1];
}

static bool attach_one(struct bpf_program *program, const char *path, uint64_t offset, bool at_return)
{
	LIBBPF_OPTS(bpf_uprobe_opts, options, .retprobe = at_return);
	struct bpf_link *link = bpf_program__attach_uprobe_opts(program, -1, path, offset, &options);

	if (!link)
		return false;
	tls.links[tls.link_count++] = link;
	return true;
}

static bool attach_file(const char *path, const uint64_t offsets[FUNCTIONS])
{
	struct bpf_program *entries[FUNCTIONS] = {
		tls.skeleton->progs.tls_read_entered,
		tls.skeleton->progs.tls_write_entered,
		tls.skeleton->progs.tls_read_ex_entered,
		tls.skeleton->progs.tls_write_ex_entered,
	};
	uint32_t before = tls.link_count;
	int i;

	for (i = 0; i < FUNCTIONS; i++) {
		if (!offsets[i])
			continue;
		if (attach_one(tls.skeleton->progs.tls_call_returned, path, offsets[i], true) &&
		    attach_one(entries[i], path, offsets[i], false))
			continue;
		while (tls.link_count > before)
			bpf_link__destroy(tls.links[--tls.link_count]);
		return false;
	}
	return true;
}

/* `name` is what is said of it; `path` is where it is reached from here. */
static void look_at_file(const char *path, const char *name)
{
	uint64_t offsets[FUNCTIONS] = { 0 };
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_found;

	if (fd < 0)
		return;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || !is_new(&status)) {
		close(fd);
		return;
	}
	is_found = find_functions(fd, offsets);
	close(fd);
	if (!is_found)
		return;
	if (tls.file_count >= MAX_FILES) {
		if (!tls.is_full)
			fprintf(stderr, "fullspan-probe: TLS is read in %u files already; in %s and others it is not\n", MAX_FILES,
				name);
		tls.is_full = true;
		return;
	}
	if (!attach_file(path, offsets)) {
		fprintf(stderr, "fullspan-probe: TLS cannot be read in %s: %s\n", name, strerror(errno));
		return;
	}
	tls.file_count++;
	fprintf(stderr, "fullspan-probe: reads TLS in %s (%u of at most %u files)\n", name, tls.file_count, MAX_FILES);
}

static bool is_library(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (strncmp(name, "/libssl.so", 10) == 0 || strncmp(name, "/libssl-", 8) == 0);
}

static void look_at_libraries(uint32_t pid)
{
	char path[64], line[4200], target[4300], last[4200] = "";
	char *name;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return;
	while (fgets(line, sizeof(line), maps)) {
		name = strchr(line, '/');
		if (!name)
			continue;
		name[strcspn(name, "\n")] = 0;
		if (!is_library(name) || strcmp(name, last) == 0)
			continue;
		snprintf(last, sizeof(last), "%s", name);
		snprintf(target, sizeof(target), "/proc/%u/root%s", pid, name);
		look_at_file(target, name);
	}
	fclose(maps);
}

static void look_at_executable(uint32_t pid)
{
	char path[64], name[4096];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	length = readlink(path, name, sizeof(name) - 1);
	if (length <= 0)
		return;
	name[length] = 0;
	look_at_file(path, name);
}

static void look_at_all(uint64_t now_ns)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	uint32_t pid;

	tls.all_at_ns = now_ns;
	if (tls.seen_count >= MAX_SEEN / 4 * 3 && !tls.is_full) {
		/* What is attached stays so and must not be a second time. */
		fprintf(stderr, "fullspan-probe: %u files were looked at for TLS; no more will be\n", tls.seen_count);
		tls.is_full = true;
	}
	if (!processes)
		return;
	while ((entry = readdir(processes))) {
		if (!isdigit(entry->d_name[0]))
			continue;
		pid = strtoul(entry->d_name, NULL, 10);
		look_at_executable(pid);
		look_at_libraries(pid);
	}
	closedir(processes);
}

void tls_start(struct probe_bpf *skeleton)
{
	static const char *const places[] = {
		"/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/x86_64-linux-gnu/libssl.so.1.1",
		"/usr/lib64/libssl.so.3",                "/usr/lib64/libssl.so.1.1",
		"/usr/lib/libssl.so.3",                  "/usr/lib/libssl.so.1.1",
		"/lib/libssl.so.3",                      "/lib/libssl.so.1.1",
	};
	size_t i;

	tls.skeleton = skeleton;
	elf_version(EV_CURRENT);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		look_at_file(places[i], places[i]);
	look_at_all(0);
}

void tls_executed(uint32_t pid)
{
	uint32_t i;

	for (i = 0; i < tls.waiting_count && tls.waiting[i].pid != pid; i++)
		;
	if (i == MAX_WAITING)
		return; /* what it has loaded by then is found when all are looked at */
	if (i == tls.waiting_count)
		tls.waiting_count++;
	tls.waiting[i] = (struct waiting){ .pid = pid };
}

void tls_advance(uint64_t now_ns)
{
	struct waiting *waiting;
	uint32_t i;

	if (!tls.skeleton)
		return;
	for (i = 0; i < tls.waiting_count;) {
		waiting = &tls.waiting[i];
		if (!waiting->began_ns)
			waiting->began_ns = now_ns;
		if (now_ns - waiting->began_ns < delays_ns[waiting->looks]) {
			i++;
			continue;
		}
		if (!waiting->looks)
			look_at_executable(waiting->pid);
		look_at_libraries(waiting->pid);
		if (++waiting->looks == DELAYS)
			*waiting = tls.waiting[--tls.waiting_count];
		else
			i++;
	}
	if (!tls.all_at_ns)
		tls.all_at_ns = now_ns;
	if (now_ns - tls.all_at_ns > EVERYTHING_EVERY_NS)
		look_at_all(now_ns);
}

void tls_end(void)
{
	while (tls.link_count)
		bpf_link__destroy(tls.links[--tls.link_count]);
	tls.skeleton = NULL;
}
