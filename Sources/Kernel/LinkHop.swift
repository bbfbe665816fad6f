// How to reach a next hop on the link.

import CLinux
import Glibc
public import Wire

/// The interface, and the link header that leads to a next hop there.
public struct LinkHop: Hashable, Sendable {
  /// The interface's index.
  public let interfaceIndex: Int32
  /// The size of the link header in bytes: 14 (Ethernet) or 0.
  public let headerLength: Int
  private let etherType: UInt16
  // The header in wire order: bytes 0-7 and 8-13.
  private let head: UInt64
  private let tail: UInt64

  /// A hop for packets of `family` on a device without a link header (tun, ppp, wwan).
  public init(interfaceIndex: Int32, family: AddressFamily = .ipv4) {
    self.interfaceIndex = interfaceIndex
    etherType = family.etherType
    headerLength = 0
    head = 0
    tail = 0
  }

  /// A hop for packets of `family` on an Ethernet device. Addresses are numbers: 02:00:00:00:00:01
  /// is 0x0200_0000_0001.
  public init(
    interfaceIndex: Int32, destination: UInt64, source: UInt64, family: AddressFamily = .ipv4
  ) {
    self.interfaceIndex = interfaceIndex
    etherType = family.etherType
    headerLength = Int(ETH_HLEN)
    head = destination << 16 | source >> 32 & 0xFFFF
    tail = (source & 0xFFFF_FFFF) << 16 | UInt64(etherType)
  }

  /// The hop that the AF_PACKET socket sends a run to; nil where the raw socket sends it.
  static func hop(of run: SegmentRun, in hops: borrowing [LinkHop?]) -> LinkHop? {
    guard run.datagramPath == nil, let channel = run.channel, channel >= 0, channel < hops.count
    else { return nil }
    return hops[channel]
  }

  /// Where sendmsg(2) on an AF_PACKET socket sends (packet(7)).
  var socketAddress: sockaddr_ll {
    var address = sockaddr_ll()
    address.sll_family = UInt16(AF_PACKET)
    address.sll_protocol = etherType.bigEndian
    address.sll_ifindex = interfaceIndex
    return address
  }

  /// Writes the link header into the bytes of `span` that end at `end`.
  func emit(into span: inout MutableRawSpan, endingAt end: Int) {
    guard headerLength > 0 else { return }
    let start = end - headerLength
    span.set(head, at: start)
    span.set(UInt32(truncatingIfNeeded: tail >> 16), at: start + 8)
    span.set(UInt16(truncatingIfNeeded: tail), at: start + 12)
  }
}
