// What the link must know of a frame: whose it is, how large, and where its TCP stands.
//
//   | destination 6 | source 6 | type 2 | IPv4 or IPv6 … | TCP, UDP, ICMP …

import Wire

/// What a packet carries, as far as the link tells apart.
public enum Transport: String, CaseIterable, Sendable {
  /// TCP.
  case tcp
  /// UDP.
  case udp
  /// ICMP and ICMPv6.
  case icmp
  /// Anything else.
  case other
}

/// An address of either family; IPv4 as IPv4-mapped (RFC 4291, section 2.5.5.2).
struct Address: Hashable, Sendable {
  var high: UInt64
  var low: UInt64

  init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }
  init(v4: UInt32) { self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(v4)) }

  var isV4: Bool { high == 0 && low >> 32 == 0xFFFF }
  var v4: UInt32 { UInt32(truncatingIfNeeded: low) }
}

/// The latest of one end of a TCP connection, as the link has carried it.
struct SegmentMark: Equatable, Sendable {
  /// The sequence number behind it, SYN and FIN counted.
  var end: UInt32
  var acknowledgment: UInt32
  var window: UInt16
}

/// A packet, by the headers of its frame.
struct Packet: Equatable, Sendable {
  var transport = Transport.other
  var source = Address(high: 0, low: 0)
  var destination = Address(high: 0, low: 0)
  /// 0 where there are none: ICMP, and all but the first fragment.
  var sourcePort: UInt16 = 0
  var destinationPort: UInt16 = 0
  /// The IP packet's bytes, without padding of the frame.
  var byteCount: Int
  var mark: SegmentMark?
  var isSYN = false

  static let etherHeaderCount = 14

  /// Nil for what is no IP packet, or is not whole, or belongs to the wire itself: neighbour
  /// discovery and group membership (ARP, ICMPv6 types 130 to 137 and 143).
  init?(frame: RawSpan) {
    guard frame.byteCount >= Self.etherHeaderCount else { return nil }
    let bytes = frame.extracting(Self.etherHeaderCount..<frame.byteCount)
    switch frame.be16(at: 12) {
    case 0x0800: self.init(v4: bytes)
    case 0x86DD: self.init(v6: bytes)
    default: return nil
    }
  }

  private init?(v4 bytes: RawSpan) {
    guard bytes.byteCount >= 20 else { return nil }
    let headerCount = Int(bytes.byte(at: 0) & 15) * 4
    byteCount = Int(bytes.be16(at: 2))
    guard headerCount >= 20, byteCount >= headerCount, byteCount <= bytes.byteCount else {
      return nil
    }
    source = Address(v4: bytes.be32(at: 12))
    destination = Address(v4: bytes.be32(at: 16))
    readTransport(
      bytes.byte(at: 9), bytes.extracting(headerCount..<byteCount),
      isFirst: bytes.be16(at: 6) & 0x1FFF == 0)
  }

  private init?(v6 bytes: RawSpan) {
    guard bytes.byteCount >= 40 else { return nil }
    byteCount = 40 + Int(bytes.be16(at: 4))
    guard byteCount <= bytes.byteCount else { return nil }
    source = Address(high: bytes.be64(at: 8), low: bytes.be64(at: 16))
    destination = Address(high: bytes.be64(at: 24), low: bytes.be64(at: 32))
    guard
      let content = ExtensionHeaders(from: bytes.byte(at: 6), bytes.extracting(40..<byteCount))
    else { return }
    if content.next == 58, content.isFirst, content.rest.byteCount > 0 {
      let type = content.rest.byte(at: 0)
      if (130...137).contains(type) || type == 143 { return nil }
    }
    readTransport(content.next, content.rest, isFirst: content.isFirst)
  }

  private mutating func readTransport(_ number: UInt8, _ bytes: RawSpan, isFirst: Bool) {
    switch number {
    case 6: transport = .tcp
    case 17: transport = .udp
    case 1, 58: transport = .icmp
    default: return
    }
    guard isFirst, transport != .icmp, bytes.byteCount >= 8 else { return }
    sourcePort = bytes.be16(at: 0)
    destinationPort = bytes.be16(at: 2)
    guard transport == .tcp, let segment = TCPSegment(bytes) else { return }
    isSYN = segment.flags.contains(.syn)
    mark = SegmentMark(
      end: segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload.byteCount)
        &+ (isSYN ? 1 : 0) &+ (segment.flags.contains(.fin) ? 1 : 0),
      acknowledgment: segment.acknowledgment, window: segment.window)
  }
}

/// The way over the extension headers of IPv6 (RFC 8200, section 4).
private struct ExtensionHeaders: ~Escapable {
  var next: UInt8
  var rest: RawSpan
  var isFirst = true

  @_lifetime(copy bytes)
  init?(from first: UInt8, _ bytes: RawSpan) {
    next = first
    rest = bytes
    // Hop-by-hop, routing, fragment, destination options.
    while [0, 43, 44, 60].contains(next) {
      guard rest.byteCount >= 8 else { return nil }
      let count = next == 44 ? 8 : (Int(rest.byte(at: 1)) + 1) * 8
      guard count <= rest.byteCount else { return nil }
      if next == 44, rest.be16(at: 2) & 0xFFF8 != 0 { isFirst = false }
      next = rest.byte(at: 0)
      rest = rest.extracting(count..<rest.byteCount)
    }
  }
}
