/* SPDX-License-Identifier: Apache-2.0 */
/* Drops on their way to the reader: the kernel side knows reasons by number. */
#ifndef FULLSPAN_NETWORK_H
#define FULLSPAN_NETWORK_H

#include "output.h"
#include "probe.h"
#include <bpf/btf.h>

/* Takes the names of this kernel's reasons (enum skb_drop_reason, 5.17). False: it has none, and tells of no drops. */
bool network_read_reasons(const struct btf *btf);

/* False: the reader is too far behind. */
bool network_send_drop(struct output *output, const struct drop_seen_record *seen);

#endif
