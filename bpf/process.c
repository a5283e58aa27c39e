// SPDX-License-Identifier: Apache-2.0
#include "process.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENVIRONMENT (256 << 10)
#define MAX_FACT 4096
#define MAX_SERVICE_NAME 256

static ssize_t read_proc(uint32_t pid, const char *file, char *to, size_t size)
{
	char path[64];
	ssize_t length = 0, n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while ((size_t)length < size && (n = read(fd, to + length, size - length)) > 0)
		length += n;
	close(fd);
	return length;
}

static void read_executable(const struct process_seen_record *seen, char *to)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%u/exe", seen->pid);
	length = readlink(path, to, MAX_FACT - 1);
	if (length > 0)
		to[length] = 0;
	else
		snprintf(to, MAX_FACT, "%.*s", MAX_NAME, seen->executable);
}

/* cgroup v2's line is `0::PATH`; of v1's the first that is not the root says most. */
static void read_cgroup(uint32_t pid, char *to)
{
	char text[MAX_FACT], *line, *next, *path;
	ssize_t length = read_proc(pid, "cgroup", text, sizeof(text) - 1);

	to[0] = 0;
	text[length] = 0;
	for (line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		path = strchr(line, ':');
		path = path ? strchr(path + 1, ':') : NULL;
		if (!path)
			continue;
		if (!to[0] || strcmp(to, "/") == 0)
			snprintf(to, MAX_FACT, "%s", path + 1);
		if (strncmp(line, "0::", 3) == 0 && strcmp(path + 1, "/") != 0)
			snprintf(to, MAX_FACT, "%s", path + 1);
	}
}

static void copy_until(char *to, const char *from, const char *ends)
{
	size_t length = strcspn(from, ends);

	snprintf(to, MAX_SERVICE_NAME, "%.*s", (int)(length < MAX_SERVICE_NAME ? length : MAX_SERVICE_NAME - 1), from);
}

/* OTEL_SERVICE_NAME wins over service.name in OTEL_RESOURCE_ATTRIBUTES (OpenTelemetry: SDK environment variables). */
static void read_service_name(uint32_t pid, char *to)
{
	static const char name[] = "OTEL_SERVICE_NAME=", attributes[] = "OTEL_RESOURCE_ATTRIBUTES=", key[] = "service.name=";
	static char text[MAX_ENVIRONMENT + 1];
	ssize_t length = read_proc(pid, "environ", text, MAX_ENVIRONMENT);
	const char *entry, *found;

	to[0] = 0;
	text[length] = 0;
	for (entry = text; entry < text + length; entry += strlen(entry) + 1) {
		if (strncmp(entry, name, sizeof(name) - 1) == 0 && entry[sizeof(name) - 1]) {
			copy_until(to, entry + sizeof(name) - 1, "");
			return;
		}
		if (strncmp(entry, attributes, sizeof(attributes) - 1) != 0)
			continue;
		for (found = entry + sizeof(attributes) - 1; (found = strstr(found, key)); found++) {
			if (found[-1] != '=' && found[-1] != ',')
				continue;
			copy_until(to, found + sizeof(key) - 1, ",");
			break;
		}
	}
}

static void join_arguments(const struct process_seen_record *seen, char *to)
{
	size_t length = seen->command_line_length, i;

	if (length > MAX_COMMAND_LINE)
		length = MAX_COMMAND_LINE;
	for (i = 0; i < length; i++)
		to[i] = seen->command_line[i] ? seen->command_line[i] : ' ';
	while (length && to[length - 1] == ' ')
		length--;
	to[length] = 0;
}

void process_send(struct output *output, const struct process_seen_record *seen)
{
	struct process_record record = { 0 };
	char name[sizeof(seen->name) + 1], executable[MAX_FACT], command_line[MAX_COMMAND_LINE + 1], cgroup[MAX_FACT];
	char service_name[MAX_SERVICE_NAME];

	snprintf(name, sizeof(name), "%.*s", (int)sizeof(seen->name), seen->name);
	read_executable(seen, executable);
	join_arguments(seen, command_line);
	read_cgroup(seen->pid, cgroup);
	read_service_name(seen->pid, service_name);

	record.start_time_ns = seen->start_time_ns;
	record.pid = seen->pid;
	record.namespace_pid = seen->namespace_pid;
	record.netns = seen->netns;
	record.name_length = strlen(name);
	record.executable_length = strlen(executable);
	record.command_line_length = strlen(command_line);
	record.cgroup_length = strlen(cgroup);
	record.service_name_length = strlen(service_name);
	record.head.type = RECORD_PROCESS;
	record.head.version = PROBE_PROTOCOL_VERSION;
	record.head.length = sizeof(record) + record.name_length + record.executable_length + record.command_line_length +
			     record.cgroup_length + record.service_name_length;
	output_fact(output,
		    (struct part[]){ { &record, sizeof(record) },
				     { name, record.name_length },
				     { executable, record.executable_length },
				     { command_line, record.command_line_length },
				     { cgroup, record.cgroup_length },
				     { service_name, record.service_name_length } },
		    6);
}
