// The ports at which programs of this host wait for TCP connections (sock_diag(7)).

import CLinux
import CMnl
import Glibc
import Wire

/// Questions about the TCP sockets of this host.
public enum ListeningPorts {
  /// The ports at which some program listens, at whatever address. Throws where the kernel does not tell
  /// (tcp_diag, a module).
  public static func all() throws(SystemError) -> Set<UInt16> {
    let socket = try NetlinkSocket(bus: NETLINK_SOCK_DIAG)
    var ports: Set<UInt16> = []
    for family in AddressFamily.allCases {
      var wanted = inet_diag_req_v2()
      wanted.sdiag_family = UInt8(family.domain)
      wanted.sdiag_protocol = UInt8(IPPROTO_TCP)
      wanted.idiag_states = 1 << 10  // TCP_LISTEN (net/tcp_states.h)
      var request = NetlinkRequest(sequence: socket.nextSequence())
      request.begin(UInt16(SOCK_DIAG_BY_FAMILY), NLM_F_DUMP, wanted)
      ports.formUnion(
        try socket.query("list listening sockets", request) {
          $0.prefix(inet_diag_msg.self).map { UInt16(bigEndian: $0.id.idiag_sport) }
        })
    }
    return ports
  }
}
