// Which way a packet goes (rtnetlink(7), RTM_GETROUTE): the kernel decides, by all of its tables,
// rules and multiple paths.

import CLinux
import CMnl
import Glibc
public import Wire

/// How packets to one address leave this host.
public struct Route: Hashable, Sendable {
  /// The device.
  public let interfaceIndex: Int32
  /// The next hop, nil where the destination itself is on the link. Of IPv4 packets it may be an IPv6
  /// router (RFC 8950).
  public let gateway: IPAddress?
  /// The address to send from.
  public let source: IPAddress
  /// Whether the destination is this host.
  public let isLocal: Bool
  /// The path's own MTU in bytes, where the route has one or a smaller one was learnt.
  public let mtu: Int?
}

/// Questions about routes.
public enum Routes {
  /// The way from `source` (nil: the kernel chooses) to `destination`, by `interface` where that is given,
  /// of packets with `mark`. Protocol (`IPPROTO_*`) and ports are for rules and multiple paths that look at
  /// them.
  /// Throws ENETUNREACH or EHOSTUNREACH where no way is known, EACCES where a rule prohibits it, EINVAL
  /// where it ends in a black hole.
  public static func lookup(
    _ socket: borrowing NetlinkSocket, to destination: IPAddress, from source: IPAddress? = nil,
    interface: Int32? = nil, mark: UInt32? = nil, protocolNumber: UInt8 = 6,
    destinationPort: UInt16? = nil, sourcePort: UInt16? = nil
  ) throws(SystemError) -> Route {
    var header = rtmsg()
    let length: UInt8 = destination.isIPv4 ? 32 : 128
    header.rtm_family = UInt8(destination.family.domain)
    header.rtm_dst_len = length
    header.rtm_src_len = source == nil ? 0 : length
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETROUTE), 0, header)
    request.put(Int(RTA_DST.rawValue), destination)
    if let source { request.put(Int(RTA_SRC.rawValue), source) }
    if let interface { request.put(Int(RTA_OIF.rawValue), UInt32(bitPattern: interface)) }
    if let mark { request.put(Int(RTA_MARK.rawValue), mark) }
    // A socket is its opener's by the effective user (`sock_alloc`), the kernel's default here is
    // the real one.
    request.put(Int(RTA_UID.rawValue), geteuid())
    request.put(Int(RTA_IP_PROTO.rawValue), protocolNumber)
    if let sourcePort { request.put(Int(RTA_SPORT.rawValue), sourcePort.bigEndian) }
    if let destinationPort { request.put(Int(RTA_DPORT.rawValue), destinationPort.bigEndian) }
    let verb = "find a route to \(destination)"
    // IPv6 answers with a route of a kind that leads nowhere, where IPv4 has an error.
    var refusal = ENETUNREACH
    let routes = try socket.query(verb, request) { message in
      refusal = Route.refusal(message) ?? refusal
      return Route(message, from: source)
    }
    guard let route = routes.first else { throw SystemError(call: verb, code: refusal) }
    return route
  }
}

extension Route {
  /// The error that the route's kind stands for, nil where it leads somewhere.
  fileprivate static func refusal(_ message: borrowing NetlinkMessage) -> Int32? {
    switch message.prefix(rtmsg.self).map({ Int32($0.rtm_type) }) {
    case Int32(RTN_UNREACHABLE): EHOSTUNREACH
    case Int32(RTN_PROHIBIT): EACCES
    case Int32(RTN_BLACKHOLE): EINVAL
    default: nil
    }
  }

  /// The route that a message describes; nil for one that leads nowhere. The kernel names a source
  /// that it chose, not one that was asked for, or beside it (IPv6).
  init?(_ message: borrowing NetlinkMessage, from asked: IPAddress?) {
    let attributes = message.attributes(behind: rtmsg.self)
    guard Int(message.header.nlmsg_type) == RTM_NEWROUTE,
      let header = message.prefix(rtmsg.self), Self.refusal(message) == nil,
      let index = attributes.value(Int(RTA_OIF.rawValue), as: Int32.self),
      let source = asked ?? attributes.address(Int(RTA_PREFSRC.rawValue))
    else { return nil }
    interfaceIndex = index
    gateway = attributes.address(Int(RTA_GATEWAY.rawValue)) ?? Self.via(attributes)
    self.source = source
    isLocal = header.rtm_type == UInt8(RTN_LOCAL)
    let metrics = attributes.nested(Int(RTA_METRICS.rawValue))
    mtu = metrics.value(Int(RTAX_MTU), as: UInt32.self).map { Int($0) }
  }

  /// The next hop of another family than the packets': behind its number, 2 bytes.
  private static func via(_ attributes: borrowing NetlinkAttributes) -> IPAddress? {
    guard let via = attributes.find(Int(RTA_VIA.rawValue)), via.byteCount > 2 else { return nil }
    return IPAddress(bytes: via.extracting(droppingFirst: 2))
  }
}
