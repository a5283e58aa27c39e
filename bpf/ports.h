/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What port_flags says of a port. */
#ifndef FULLSPAN_PORTS_H
#define FULLSPAN_PORTS_H

#define PORT_OWN 1      /* Fullspan listens here */
#define PORT_UDP 2      /* datagrams from or to this port are captured */
#define PORT_INCLUDED 4 /* only connections with such a port, if there is any */
#define PORT_EXCLUDED 8 /* no connection with it */

#endif
