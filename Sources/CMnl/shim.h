// glibc's headers first: then those of Linux do not define struct in_addr again (libc-compat.h).
#include <netinet/in.h>

#include <libmnl/libmnl.h>

#include <linux/inet_diag.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
