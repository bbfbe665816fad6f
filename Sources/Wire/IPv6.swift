// The IPv6 header (RFC 8200): how a received one is read, and the one that we send.

extension IPAddress {
  /// The address in the 16 bytes at `offset`; traps outside of them.
  @inlinable
  public init(ipv6 bytes: RawSpan, at offset: Int) {
    self.init(high: bytes.be64(at: offset), low: bytes.be64(at: offset &+ 8))
  }
}

extension IPPacket {
  /// The most extension headers that are passed over: a sender has hardly more than one of each.
  private static let extensionLimit = 8

  /// Checks lengths, and passes over hop-by-hop options, routing headers that have done their work,
  /// and destination options. A fragment is none of ours, nor is a jumbogram. An address that is
  /// mapped IPv4 is no address on the wire (RFC 4291, section 2.5.5.2), and would pass for one of
  /// the other family here.
  @_lifetime(copy bytes)
  init?(ipv6 bytes: RawSpan) {
    guard bytes.byteCount >= IPv6Header.byteCount else { return nil }
    let end = IPv6Header.byteCount &+ Int(bytes.be16(at: 4))
    let source = IPAddress(ipv6: bytes, at: 8)
    let destination = IPAddress(ipv6: bytes, at: 24)
    guard end <= bytes.byteCount, !source.isIPv4, !destination.isIPv4 else { return nil }
    var next = bytes.byte(at: 6)
    var start = IPv6Header.byteCount
    var count = 0
    while let kind = IPv6Extension(rawValue: next) {
      guard count < Self.extensionLimit, end &- start >= 8,
        kind.isPassable(at: start, in: bytes)
      else { return nil }
      next = bytes.byte(at: start)
      start &+= (Int(bytes.byte(at: start &+ 1)) &+ 1) &* 8
      guard start <= end else { return nil }
      count &+= 1
    }
    self.init(
      source: source, destination: destination, protocolNumber: next, headerLength: start,
      payload: bytes.extracting(start..<end))
  }
}

/// The headers that may stand between the IPv6 header and what it carries.
private enum IPv6Extension: UInt8 {
  case hopByHopOptions = 0
  case routing = 43
  case fragment = 44
  case destinationOptions = 60

  /// Whether the header at `start`, of 8 bytes or more, may be passed over.
  func isPassable(at start: Int, in bytes: RawSpan) -> Bool {
    switch self {
    // They come first or not at all (RFC 8200, section 4.1).
    case .hopByHopOptions: start == IPv6Header.byteCount
    // With segments left the packet is on its way to somebody else.
    case .routing: bytes.byte(at: start &+ 3) == 0
    case .fragment: false
    case .destinationOptions: true
    }
  }
}

/// The header that we send: no extensions, traffic class 0, hop limit 64. Nobody fragments it on the
/// way.
public struct IPv6Header: Sendable {
  /// Its size in bytes.
  public static let byteCount = 40

  /// Where it comes from.
  public var source: IPAddress
  /// Where it goes.
  public var destination: IPAddress
  /// The flow label (RFC 6437): 20 bits, the same for all packets of a connection.
  public var flowLabel: UInt32
  /// The protocol number of the payload.
  public var nextHeader: UInt8
  /// The payload's size in bytes, at most 65,535.
  public var payloadLength: Int

  /// A header from its fields.
  @inlinable
  public init(
    source: IPAddress, destination: IPAddress, flowLabel: UInt32, nextHeader: UInt8,
    payloadLength: Int
  ) {
    self.source = source
    self.destination = destination
    self.flowLabel = flowLabel
    self.nextHeader = nextHeader
    self.payloadLength = payloadLength
  }

  /// Writes the header into the first 40 bytes.
  @inlinable
  public func emit(into bytes: inout MutableRawSpan) {
    bytes.set(0x6000_0000 | flowLabel & 0xF_FFFF, at: 0)
    bytes.set(UInt16(truncatingIfNeeded: payloadLength), at: 4)
    bytes.set(UInt16(nextHeader) << 8 | 64, at: 6)
    bytes.set(source.high, at: 8)
    bytes.set(source.low, at: 16)
    bytes.set(destination.high, at: 24)
    bytes.set(destination.low, at: 32)
  }
}
