// The host's own IPv4 addresses (rtnetlink(7), RTM_GETADDR).

import CMnl
import Glibc
public import Wire

/// Questions about the host's own addresses.
public enum LocalAddresses {
  /// All IPv4 addresses with the devices that have them.
  public static func all(
    _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> [(address: IPAddress, interfaceIndex: Int32)] {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET)
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETADDR), NLM_F_DUMP, header)
    return try socket.query("list addresses", request) { address($0) }
  }

  /// The address that a message describes.
  static func address(
    _ message: borrowing NetlinkMessage
  ) -> (address: IPAddress, interfaceIndex: Int32)? {
    let attributes = message.attributes(behind: ifaddrmsg.self)
    guard Int(message.header.nlmsg_type) == RTM_NEWADDR,
      let header = message.prefix(ifaddrmsg.self), Int32(header.ifa_family) == AF_INET,
      // IFA_ADDRESS is the peer's on a point-to-point link (if_addr.h).
      let address = attributes.address(Int(IFA_LOCAL))
    else { return nil }
    return (address, Int32(bitPattern: header.ifa_index))
  }
}
