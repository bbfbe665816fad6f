// Socket calls that take a sockaddr, with the address as numbers in host byte order: glibc's
// transparent unions do not import into Swift.
#ifndef CSOCKETS_H
#define CSOCKETS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline struct sockaddr_in cs_inet(uint32_t address, uint16_t port) {
  struct sockaddr_in name;
  memset(&name, 0, sizeof name);
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(address);
  name.sin_port = htons(port);
  return name;
}

static inline int cs_bind(int fd, uint32_t address, uint16_t port) {
  struct sockaddr_in name = cs_inet(address, port);
  return bind(fd, (const struct sockaddr *)&name, sizeof name);
}

static inline int cs_connect(int fd, uint32_t address, uint16_t port) {
  struct sockaddr_in name = cs_inet(address, port);
  return connect(fd, (const struct sockaddr *)&name, sizeof name);
}

static inline int cs_accept(int fd) { return accept4(fd, NULL, NULL, SOCK_CLOEXEC); }

// An address of either family as the two halves of its 16 bytes, IPv4 mapped.
struct cs_ip {
  uint64_t high;
  uint64_t low;
  uint16_t port;
};

static inline socklen_t cs_name(struct cs_ip ip, struct sockaddr_storage *name) {
  memset(name, 0, sizeof *name);
  if (ip.high == 0 && ip.low >> 32 == 0xFFFF) {
    struct sockaddr_in inet = cs_inet((uint32_t)ip.low, ip.port);
    memcpy(name, &inet, sizeof inet);
    return sizeof inet;
  }
  struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)name;
  inet6->sin6_family = AF_INET6;
  inet6->sin6_port = htons(ip.port);
  for (int i = 0; i < 8; i++) {
    inet6->sin6_addr.s6_addr[i] = (uint8_t)(ip.high >> (56 - 8 * i));
    inet6->sin6_addr.s6_addr[8 + i] = (uint8_t)(ip.low >> (56 - 8 * i));
  }
  return sizeof *inet6;
}

static inline int cs_bind_ip(int fd, struct cs_ip ip) {
  struct sockaddr_storage name;
  socklen_t size = cs_name(ip, &name);
  return bind(fd, (const struct sockaddr *)&name, size);
}

static inline int cs_connect_ip(int fd, struct cs_ip ip) {
  struct sockaddr_storage name;
  socklen_t size = cs_name(ip, &name);
  return connect(fd, (const struct sockaddr *)&name, size);
}

static inline ssize_t cs_sendto(int fd, const void *bytes, size_t count, struct cs_ip ip) {
  struct sockaddr_storage name;
  socklen_t size = cs_name(ip, &name);
  return sendto(fd, bytes, count, 0, (const struct sockaddr *)&name, size);
}

static inline ssize_t cs_recvfrom(int fd, void *bytes, size_t count, struct cs_ip *ip) {
  struct sockaddr_storage name;
  socklen_t size = sizeof name;
  ssize_t received = recvfrom(fd, bytes, count, 0, (struct sockaddr *)&name, &size);
  if (received < 0) return received;
  if (name.ss_family == AF_INET) {
    const struct sockaddr_in *inet = (const struct sockaddr_in *)&name;
    *ip = (struct cs_ip){0, 0xFFFF00000000u | ntohl(inet->sin_addr.s_addr), ntohs(inet->sin_port)};
    return received;
  }
  const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)&name;
  *ip = (struct cs_ip){0, 0, ntohs(inet6->sin6_port)};
  for (int i = 0; i < 8; i++) {
    ip->high = ip->high << 8 | inet6->sin6_addr.s6_addr[i];
    ip->low = ip->low << 8 | inet6->sin6_addr.s6_addr[8 + i];
  }
  return received;
}

static inline int cs_connect_unix(int fd, const char *path) {
  struct sockaddr_un name;
  memset(&name, 0, sizeof name);
  name.sun_family = AF_UNIX;
  strncpy(name.sun_path, path, sizeof name.sun_path - 1);
  return connect(fd, (const struct sockaddr *)&name, sizeof name);
}

static inline int cs_bind_packet(int fd, uint16_t protocol, int interface) {
  struct sockaddr_ll name;
  memset(&name, 0, sizeof name);
  name.sll_family = AF_PACKET;
  name.sll_protocol = htons(protocol);
  name.sll_ifindex = interface;
  return bind(fd, (const struct sockaddr *)&name, sizeof name);
}

#endif
