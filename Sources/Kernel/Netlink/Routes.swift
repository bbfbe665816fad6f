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
  /// The next hop, nil where the destination itself is on the link.
  public let gateway: IPAddress?
  /// Whether the next hop is an IPv6 router (RFC 5549), which the IPv4 neighbour table does not
  /// know; `gateway` is nil then.
  public let hasIPv6Gateway: Bool
  /// The address to send from.
  public let source: IPAddress
  /// Whether the destination is this host.
  public let isLocal: Bool
  /// The path's own MTU in bytes, where the route has one or a smaller one was learnt.
  public let mtu: Int?
}

/// Questions about routes.
public enum Routes {
  /// The way of TCP from `source` (nil: the kernel chooses) to `destination`, by `interface` where
  /// that is given, of packets with `mark`. Ports are for rules and multiple paths that look at them. Throws ENETUNREACH
  /// or EHOSTUNREACH where no way is known, EACCES where a rule prohibits it, EINVAL where it ends
  /// in a black hole.
  public static func lookup(
    _ socket: borrowing NetlinkSocket, to destination: IPAddress, from source: IPAddress? = nil,
    interface: Int32? = nil, mark: UInt32? = nil, destinationPort: UInt16? = nil,
    sourcePort: UInt16? = nil
  ) throws(SystemError) -> Route {
    var header = rtmsg()
    header.rtm_family = UInt8(AF_INET)
    header.rtm_dst_len = 32
    header.rtm_src_len = source == nil ? 0 : 32
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETROUTE), 0, header)
    request.put(Int(RTA_DST.rawValue), destination.ipv4.bigEndian)
    if let source { request.put(Int(RTA_SRC.rawValue), source.ipv4.bigEndian) }
    if let interface { request.put(Int(RTA_OIF.rawValue), UInt32(bitPattern: interface)) }
    if let mark { request.put(Int(RTA_MARK.rawValue), mark) }
    // A socket is its opener's by the effective user (`sock_alloc`), the kernel's default here is
    // the real one.
    request.put(Int(RTA_UID.rawValue), geteuid())
    request.put(Int(RTA_IP_PROTO.rawValue), UInt8(IPPROTO_TCP))
    if let sourcePort { request.put(Int(RTA_SPORT.rawValue), sourcePort.bigEndian) }
    if let destinationPort { request.put(Int(RTA_DPORT.rawValue), destinationPort.bigEndian) }
    let verb = "find a route to \(destination)"
    let routes = try socket.query(verb, request) { Route($0, from: source) }
    guard let route = routes.first else { throw SystemError(call: verb, code: ENETUNREACH) }
    return route
  }
}

extension Route {
  /// The route that a message describes. The kernel names a source that it chose, not one that
  /// was asked for.
  init?(_ message: borrowing NetlinkMessage, from asked: IPAddress?) {
    let attributes = message.attributes(behind: rtmsg.self)
    guard Int(message.header.nlmsg_type) == RTM_NEWROUTE,
      let header = message.prefix(rtmsg.self), Int32(header.rtm_family) == AF_INET,
      let index = attributes.value(Int(RTA_OIF.rawValue), as: Int32.self),
      let source = attributes.address(Int(RTA_PREFSRC.rawValue)) ?? asked
    else { return nil }
    interfaceIndex = index
    gateway = attributes.address(Int(RTA_GATEWAY.rawValue))
    hasIPv6Gateway = attributes.find(Int(RTA_VIA.rawValue)) != nil
    self.source = source
    isLocal = header.rtm_type == UInt8(RTN_LOCAL)
    let metrics = attributes.nested(Int(RTA_METRICS.rawValue))
    mtu = metrics.value(Int(RTAX_MTU), as: UInt32.self).map { Int($0) }
  }
}
