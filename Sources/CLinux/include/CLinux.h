// Linux headers, and static inline functions for what Swift cannot import of them.
#ifndef RSOCK_CLINUX_H
#define RSOCK_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <string.h>
#include <sys/types.h>

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

// With _GNU_SOURCE glibc's socket calls take a transparent union that Swift cannot build
// (__CONST_SOCKADDR_ARG, sys/socket.h).

static inline int rs_bind(int fd, const void *address, socklen_t length) {
  return bind(fd, (const struct sockaddr *)address, length);
}

static inline int rs_connect(int fd, const void *address, socklen_t length) {
  return connect(fd, (const struct sockaddr *)address, length);
}

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

enum { RS_SEGMENT_CONTROL_SIZE = CMSG_SPACE(sizeof(uint16_t)) };

// Makes `control`, of RS_SEGMENT_CONTROL_SIZE bytes, the message's UDP_SEGMENT (udp(7)).
static inline void rs_set_segment_size(struct msghdr *message, void *control, uint16_t size) {
  message->msg_control = control;
  message->msg_controllen = RS_SEGMENT_CONTROL_SIZE;
  struct cmsghdr *c = CMSG_FIRSTHDR(message);
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof size);
  memcpy(CMSG_DATA(c), &size, sizeof size);
}

#endif
