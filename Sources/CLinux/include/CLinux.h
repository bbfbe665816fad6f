// Linux headers, and static inline functions for what Swift cannot import of them.
#ifndef RSOCK_CLINUX_H
#define RSOCK_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/types.h>

#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#endif
