// What the tunnel's own IP packets carry: the rows of the tables of filter (`TunnelFilter`) and ruleset
// (`Ruleset.Role.chains`).

import CLinux
public import Wire

/// What carries the tunnel's segments in IP packets of its own.
public enum TunnelProtocol: CaseIterable, Hashable, Sendable {
  /// TCP between the server's ports and the client's.
  case tcp
  /// ICMP echo with a badge: requests to the server, replies to the client.
  case icmp

  /// Its number in the IP header of a family.
  public func number(_ family: AddressFamily) -> UInt8 {
    switch self {
    case .tcp: UInt8(IPPROTO_TCP)
    case .icmp: ICMP.protocolNumber(family)
    }
  }
}
