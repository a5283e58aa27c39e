/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FULLSPAN_INTERFACES_H
#define FULLSPAN_INTERFACES_H

#include "output.h"
#include <stdbool.h>
#include <stdint.h>

/*
 * Lists the interfaces of all network namespaces and sends what is new, changed or gone since the last call. `visit`, if any,
 * is called in each of them.
 */
void interfaces_scan(struct output *output, void (*visit)(uint32_t netns));

bool interfaces_know(uint32_t netns, uint32_t index);

#endif
