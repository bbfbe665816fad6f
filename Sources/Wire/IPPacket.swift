// A received IP packet of either family, as everything behind it sees it.

/// A received IP packet whose headers were checked. Byte counts are the packet's own, so link padding
/// behind it is gone.
public struct IPPacket: ~Escapable {
  /// The bytes behind the header.
  public let payload: RawSpan
  /// Where it comes from.
  public let source: IPAddress
  /// Where it goes.
  public let destination: IPAddress
  /// The protocol number of the payload (6 is TCP; 1 and 58 are ICMP).
  public let protocolNumber: UInt8
  /// The header's size in bytes: with IPv4's options, or IPv6's extension headers.
  public let headerLength: Int

  /// Reads a packet of the version that its first bits say.
  @_lifetime(copy bytes)
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return nil }
    switch bytes.byte(at: 0) >> 4 {
    case 4: self.init(ipv4: bytes)
    case 6: self.init(ipv6: bytes)
    default: return nil
    }
  }

  @_lifetime(copy payload)
  init(
    source: IPAddress, destination: IPAddress, protocolNumber: UInt8, headerLength: Int,
    payload: RawSpan
  ) {
    self.source = source
    self.destination = destination
    self.protocolNumber = protocolNumber
    self.headerLength = headerLength
    self.payload = payload
  }
}

extension RawSpan {
  /// The addresses in the IP header, of either version, that the bytes start with; traps where they
  /// are fewer.
  @inlinable
  public var addresses: (source: IPAddress, destination: IPAddress) {
    byte(at: 0) >> 4 == 4
      ? (IPAddress(ipv4: be32(at: 12)), IPAddress(ipv4: be32(at: 16)))
      : (IPAddress(ipv6: self, at: 8), IPAddress(ipv6: self, at: 24))
  }
}
