// Linux headers, and static inline functions for what Swift cannot import of them.
#ifndef RSOCK_CLINUX_H
#define RSOCK_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/virtio_net.h>

// With _GNU_SOURCE glibc's socket calls take a transparent union that Swift cannot build
// (__CONST_SOCKADDR_ARG, sys/socket.h).

// A sockaddr_in6, without the union that keeps Swift from copying it; all in network byte order but the
// family and the scope. A sockaddr_in is its first 8 bytes, with the address in place of the flow
// label, and 8 of zero.
struct rs_address {
  uint16_t family;
  uint16_t port;
  uint32_t flow_or_ipv4;
  uint64_t high;
  uint64_t low;
  uint32_t scope;
};

_Static_assert(offsetof(struct rs_address, port) == offsetof(struct sockaddr_in6, sin6_port) &&
                   offsetof(struct rs_address, port) == offsetof(struct sockaddr_in, sin_port) &&
                   offsetof(struct rs_address, flow_or_ipv4) ==
                       offsetof(struct sockaddr_in, sin_addr) &&
                   offsetof(struct rs_address, high) == offsetof(struct sockaddr_in6, sin6_addr) &&
                   offsetof(struct rs_address, scope) ==
                       offsetof(struct sockaddr_in6, sin6_scope_id) &&
                   sizeof(struct rs_address) >= sizeof(struct sockaddr_in6),
               "rs_address is a sockaddr_in6");

static inline int rs_bind(int fd, const void *address, socklen_t length) {
  return bind(fd, (const struct sockaddr *)address, length);
}

static inline int rs_connect(int fd, const void *address, socklen_t length) {
  return connect(fd, (const struct sockaddr *)address, length);
}

static inline int rs_accept(int fd, int flags) { return accept4(fd, NULL, NULL, flags); }

static inline int rs_getsockname(int fd, void *address, socklen_t *length) {
  return getsockname(fd, (struct sockaddr *)address, length);
}

// prctl(2) is variadic; the options used here take one argument, and want zeros behind it.
static inline int rs_prctl(int option, unsigned long argument) {
  return prctl(option, argument, 0UL, 0UL, 0UL);
}

// The data of the first control message of that kind, or NULL where there is none with at least
// `size` bytes (cmsg(3)). The macros do not compare the length of the last one with the buffer's.
static inline const void *rs_control_data(struct msghdr *message, int level, int type,
                                          size_t size) {
  const unsigned char *end = (unsigned char *)message->msg_control + message->msg_controllen;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
    if (c->cmsg_level == level && c->cmsg_type == type && c->cmsg_len >= CMSG_LEN(size))
      return (size_t)(end - CMSG_DATA(c)) >= size ? CMSG_DATA(c) : NULL;
  return NULL;
}

enum {
  RS_SEGMENT_CONTROL_SIZE = CMSG_SPACE(sizeof(uint16_t)),
  RS_CONTROL_SIZE = RS_SEGMENT_CONTROL_SIZE + CMSG_SPACE(sizeof(struct in6_pktinfo)),
};

// Adds a control message to those in `control`, which has RS_CONTROL_SIZE bytes (cmsg(3)).
static inline void rs_add_control(struct msghdr *message, void *control, int level, int type,
                                  const void *data, size_t size) {
  struct cmsghdr *c = (struct cmsghdr *)((char *)control + message->msg_controllen);
  message->msg_control = control;
  message->msg_controllen += CMSG_SPACE(size);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(c), data, size);
}

// TCGETS2 of <asm/termbits.h>, which cannot be included beside glibc's <termios.h>.
static const uint32_t rs_tcgets2 = _IOR('T', 0x2A, char[44]);

// glibc has no functions for seccomp(2) and landlock(7).

// The architecture that this program's system calls belong to, as seccomp(2) tells it.
#if defined(__x86_64__)
static const uint32_t rs_audit_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
static const uint32_t rs_audit_architecture = AUDIT_ARCH_AARCH64;
#else
#error "SystemCallFilter.swift does not know this architecture's system calls"
#endif

static inline int rs_seccomp(unsigned int operation, unsigned int flags, const void *argument) {
  return (int)syscall(SYS_seccomp, operation, flags, argument);
}

// landlock_ruleset_attr and landlock_net_port_attr of Linux 6.12: Debian 12's header is older. An
// older kernel takes the members that it does not know where they are 0.
struct rs_landlock_ruleset {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

struct rs_landlock_port {
  uint64_t allowed_access;
  uint64_t port;
};

enum { RS_LANDLOCK_RULE_NET_PORT = 2 };

static inline int rs_landlock_create_ruleset(const void *ruleset, size_t size, uint32_t flags) {
  return (int)syscall(SYS_landlock_create_ruleset, ruleset, size, flags);
}

static inline int rs_landlock_add_rule(int ruleset, unsigned int type, const void *rule) {
  return (int)syscall(SYS_landlock_add_rule, ruleset, type, rule, 0);
}

static inline int rs_landlock_restrict_self(int ruleset) {
  return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

#endif
