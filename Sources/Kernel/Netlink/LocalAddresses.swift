// The host's own addresses (rtnetlink(7), RTM_GETADDR).

import CMnl
import Glibc
public import Wire

/// Questions about the host's own addresses.
public enum LocalAddresses {
  /// All addresses that packets may be sent from, with the devices that have them: no IPv6 addresses
  /// that are still tried for being nobody else's, or are somebody else's (RFC 4862, section 5.4), and
  /// none that mean something on one link only.
  public static func all(
    _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> [(address: IPAddress, interfaceIndex: Int32)] {
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETADDR), NLM_F_DUMP, ifaddrmsg())
    return try socket.query("list addresses", request) { address($0) }
  }

  /// The address that a message describes.
  static func address(
    _ message: borrowing NetlinkMessage
  ) -> (address: IPAddress, interfaceIndex: Int32)? {
    let attributes = message.attributes(behind: ifaddrmsg.self)
    guard Int(message.header.nlmsg_type) == RTM_NEWADDR,
      let header = message.prefix(ifaddrmsg.self),
      // IFA_ADDRESS is the peer's on a point-to-point link (if_addr.h); of IPv6 there is no IFA_LOCAL
      // on others (`inet6_fill_ifaddr`).
      let address = attributes.address(Int(IFA_LOCAL)) ?? attributes.address(Int(IFA_ADDRESS)),
      !address.isLinkLocal
    else { return nil }
    let flags = Int32(
      bitPattern: attributes.value(Int(IFA_FLAGS), as: UInt32.self) ?? UInt32(header.ifa_flags))
    let isTentative = flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC) == IFA_F_TENTATIVE
    guard !isTentative, flags & IFA_F_DADFAILED == 0 else { return nil }
    return (address, Int32(bitPattern: header.ifa_index))
  }
}
