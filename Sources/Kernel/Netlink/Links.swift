// The host's network devices (rtnetlink(7), RTM_GETLINK).

import CLinux
import CMnl
import Glibc

/// A network device.
public struct Link: Hashable, Sendable {
  /// Its number.
  public let index: Int32
  /// Its name.
  public let name: String
  /// The largest packet without the link header, in bytes.
  public let mtu: Int
  /// What its link header is: `ARPHRD_*`.
  public let hardwareType: UInt16
  /// Its address, on Ethernet only.
  public let address: LinkAddress?
  /// Whether somebody switched it on.
  public let isUp: Bool
  /// Whether it can carry packets: it has a carrier.
  public let isRunning: Bool
  /// The device that it is a port of, such as a bridge.
  public let master: Int32?
  /// Whether it is a port of a bridge, so that packets for this host arrive at the bridge.
  public let isBridgePort: Bool
}

/// Questions about network devices.
public enum Links {
  /// All devices.
  public static func all(_ socket: borrowing NetlinkSocket) throws(SystemError) -> [Link] {
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETLINK), NLM_F_DUMP, ifinfomsg())
    return try socket.query("list network devices", request) { Link($0) }
  }

  /// The device of this name, nil where there is none.
  package static func named(
    _ name: String, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> Link? {
    // The kernel takes no longer names (IF_NAMESIZE) and says so as ERANGE or EINVAL.
    guard !name.isEmpty, name.utf8.count < IF_NAMESIZE else { return nil }
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETLINK), 0, ifinfomsg())
    request.put(Int(IFLA_IFNAME), name)
    return try one(socket, request, "find network device \(name)")
  }

  /// The device of this number, nil where there is none.
  package static func index(
    _ index: Int32, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> Link? {
    var header = ifinfomsg()
    header.ifi_index = index
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(UInt16(RTM_GETLINK), 0, header)
    return try one(socket, request, "find network device \(index)")
  }

  private static func one(
    _ socket: borrowing NetlinkSocket, _ request: borrowing NetlinkRequest, _ verb: String
  ) throws(SystemError) -> Link? {
    do { return try socket.query(verb, request) { Link($0) }.first } catch {
      if error.code == ENODEV { return nil }
      throw error
    }
  }
}

extension Link {
  /// The device that a message describes. Nil for messages that describe it in part: a bridge's
  /// about its port, wireless events.
  init?(_ message: borrowing NetlinkMessage) {
    let attributes = message.attributes(behind: ifinfomsg.self)
    let isGone = Int(message.header.nlmsg_type) == RTM_DELLINK
    guard isGone || Int(message.header.nlmsg_type) == RTM_NEWLINK,
      let header = message.prefix(ifinfomsg.self), Int32(header.ifi_family) == AF_UNSPEC,
      let name = attributes.text(Int(IFLA_IFNAME)),
      let mtu = attributes.value(Int(IFLA_MTU), as: UInt32.self)
    else { return nil }
    index = header.ifi_index
    self.name = name
    self.mtu = Int(mtu)
    hardwareType = header.ifi_type
    address =
      header.ifi_type == UInt16(ARPHRD_ETHER) ? attributes.linkAddress(Int(IFLA_ADDRESS)) : nil
    isUp = !isGone && header.ifi_flags & UInt32(IFF_UP.rawValue) != 0
    isRunning = !isGone && header.ifi_flags & UInt32(IFF_RUNNING.rawValue) != 0
    master = attributes.value(Int(IFLA_MASTER), as: Int32.self)
    let info = attributes.nested(Int(IFLA_LINKINFO))
    isBridgePort = info.text(Int(IFLA_INFO_SLAVE_KIND)) == "bridge"
  }
}
