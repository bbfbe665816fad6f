// What changes in the host's network, as it happens (rtnetlink(7), multicast groups).

import CMnl
import Glibc

/// A change in the host's network.
public enum NetworkEvent: Hashable, Sendable {
  /// A neighbour appeared, changed, or went (`state` 0).
  case neighbour(Neighbour)
  /// A device appeared, changed, or went (neither up nor running).
  case link(Link)
  /// Addresses came or went: read them anew.
  case addresses
  /// Routes or rules came or went: look routes up anew.
  case routes
  /// Events were lost: read everything anew.
  case overrun
}

/// A subscription to the changes of links, addresses, routes, rules and neighbours.
public struct NetworkEvents: ~Copyable {
  private let socket: NetlinkSocket
  private var pending: [NetworkEvent] = []

  /// Subscribes. What happens from now on is told; what is, must be asked for after this.
  public init() throws(SystemError) {
    let groups = [
      RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,
      RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV6_RULE,
    ]
    socket = try NetlinkSocket(bus: NETLINK_ROUTE, groups: groups.map { Int32($0.rawValue) })
  }

  /// Readable when there may be an event. It stays the subscription's.
  public var descriptor: Int32 { socket.descriptor }

  /// The next event, nil where there is none yet. Call it until it gives nil.
  public mutating func next() throws(SystemError) -> NetworkEvent? {
    while pending.isEmpty {
      do throws(SystemError) {
        guard let events = try received() else { return nil }
        pending = events
      } catch {
        if error.code == ENOBUFS { return .overrun }
        throw error
      }
    }
    return pending.removeFirst()
  }

  /// The events in the next packet of messages, nil where there is no packet.
  private func received() throws(SystemError) -> [NetworkEvent]? {
    guard let bytes = try socket.receive("read network events") else { return nil }
    var events: [NetworkEvent] = []
    var rest = bytes
    while let message = NetlinkMessage(rest) {
      rest = message.rest
      if let event = NetworkEvent(message) { events.append(event) }
    }
    return events
  }
}

extension NetworkEvent {
  /// The change that a message tells of.
  init?(_ message: borrowing NetlinkMessage) {
    switch Int(message.header.nlmsg_type) {
    case RTM_NEWLINK, RTM_DELLINK:
      guard let link = Link(message) else { return nil }
      self = .link(link)
    case RTM_NEWNEIGH, RTM_DELNEIGH:
      guard let neighbour = Neighbour(message) else { return nil }
      self = .neighbour(neighbour)
    case RTM_NEWADDR, RTM_DELADDR: self = .addresses
    case RTM_NEWROUTE, RTM_DELROUTE, RTM_NEWRULE, RTM_DELRULE: self = .routes
    default: return nil
    }
  }
}
