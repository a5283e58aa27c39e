/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the TLS libraries that processes use, and attaches to them: shared ones, and those within executables. */
#ifndef FULLSPAN_TLS_H
#define FULLSPAN_TLS_H

#include <stdint.h>

struct probe_bpf;

/* Looks at every process that runs, and where distributions put libraries: whoever starts later is seen from its first call. */
void tls_start(struct probe_bpf *skeleton);

/* A process has executed a program: its executable is looked at now, its libraries as it loads them. */
void tls_executed(uint32_t pid);

/* What is due. Cheap when nothing is. */
void tls_advance(uint64_t now_ns);

void tls_end(void);

#endif
