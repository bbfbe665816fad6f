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

static inline ssize_t cs_sendto(int fd, const void *bytes, size_t count, uint32_t address,
                                uint16_t port) {
  struct sockaddr_in name = cs_inet(address, port);
  return sendto(fd, bytes, count, 0, (const struct sockaddr *)&name, sizeof name);
}

static inline ssize_t cs_recvfrom(int fd, void *bytes, size_t count, uint32_t *address,
                                  uint16_t *port) {
  struct sockaddr_in name;
  socklen_t size = sizeof name;
  ssize_t received = recvfrom(fd, bytes, count, 0, (struct sockaddr *)&name, &size);
  if (received >= 0) {
    *address = ntohl(name.sin_addr.s_addr);
    *port = ntohs(name.sin_port);
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
