// Which link address a neighbour has (rtnetlink(7), RTM_GETNEIGH).

import CMnl
import Glibc
public import Wire

/// An entry of the neighbour tables: ARP's (arp(7)), or that of neighbour discovery (RFC 4861).
public struct Neighbour: Hashable, Sendable {
  /// The device that it is reached by.
  public let interfaceIndex: Int32
  /// Its IP address.
  public let address: IPAddress
  /// Its Ethernet address, nil where it is not known or none.
  public let linkAddress: LinkAddress?
  /// `NUD_*`; 0 for an entry that was removed.
  public let state: UInt16

  /// Whether packets may be sent to `linkAddress`. A stale address counts: it is used until the
  /// kernel, whose own packets ask for it again, knows better.
  public var isUsable: Bool {
    let usable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP
    return Int32(state) & usable != 0
  }
}

/// Questions about neighbours.
public enum Neighbours {
  /// All neighbours.
  public static func all(_ socket: borrowing NetlinkSocket) throws(SystemError) -> [Neighbour] {
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETNEIGH), NLM_F_DUMP, ndmsg())
    return try socket.query("list neighbours", request) { Neighbour($0) }
  }

  /// The neighbour `address` on a device, nil where the kernel has not heard of it.
  package static func find(
    _ address: IPAddress, interface: Int32, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> Neighbour? {
    var header = ndmsg()
    header.ndm_family = UInt8(address.family.domain)
    header.ndm_ifindex = interface
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETNEIGH), 0, header)
    request.put(Int(NDA_DST), address)
    do {
      return try socket.query("find neighbour \(address)", request) { Neighbour($0) }.first
    } catch {
      if error.code == ENOENT || error.code == ENODEV { return nil }
      throw error
    }
  }
}

extension Neighbour {
  /// The neighbour that a message is about.
  init?(_ message: borrowing NetlinkMessage) {
    let attributes = message.attributes(behind: ndmsg.self)
    let isGone = Int(message.header.nlmsg_type) == RTM_DELNEIGH
    guard isGone || Int(message.header.nlmsg_type) == RTM_NEWNEIGH,
      let header = message.prefix(ndmsg.self),
      let address = attributes.address(Int(NDA_DST))
    else { return nil }
    interfaceIndex = header.ndm_ifindex
    self.address = address
    linkAddress = attributes.linkAddress(Int(NDA_LLADDR))
    state = isGone ? 0 : header.ndm_state
  }
}
