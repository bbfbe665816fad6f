// The IPv4 header (RFC 791): how a received one is read, and the one that we send.

extension IPPacket {
  /// Checks lengths, and that it is no fragment. The header checksum is not checked: the kernel did
  /// so before the tap (`ip_rcv_core`), or the transport checksum covers the addresses.
  @_lifetime(copy bytes)
  init?(ipv4 bytes: RawSpan) {
    guard bytes.byteCount >= IPv4Header.byteCount else { return nil }
    let headerLength = Int(bytes.byte(at: 0) & 0x0F) &* 4
    let totalLength = Int(bytes.be16(at: 2))
    let fragment = bytes.be16(at: 6) & 0x3FFF  // MF and the offset, not DF
    guard headerLength >= IPv4Header.byteCount, totalLength >= headerLength,
      totalLength <= bytes.byteCount, fragment == 0
    else { return nil }
    self.init(
      source: IPAddress(ipv4: bytes.be32(at: 12)), destination: IPAddress(ipv4: bytes.be32(at: 16)),
      protocolNumber: bytes.byte(at: 9), headerLength: headerLength,
      payload: bytes.extracting(headerLength..<totalLength))
  }
}

/// The header that we send: no options, DSCP and ECN 0, don't fragment, TTL 64.
public struct IPv4Header: Sendable {
  /// Its size in bytes.
  public static let byteCount = 20

  /// Where it comes from.
  public var source: IPAddress
  /// Where it goes.
  public var destination: IPAddress
  /// The identification field; counts up per connection as a kernel's does.
  public var identification: UInt16
  /// The protocol number of the payload.
  public var protocolNumber: UInt8
  /// The payload's size in bytes, at most 65,515.
  public var payloadLength: Int

  /// A header from its fields.
  @inlinable
  public init(
    source: IPAddress, destination: IPAddress, identification: UInt16, protocolNumber: UInt8,
    payloadLength: Int
  ) {
    self.source = source
    self.destination = destination
    self.identification = identification
    self.protocolNumber = protocolNumber
    self.payloadLength = payloadLength
  }

  /// Writes the header with its checksum into the first 20 bytes.
  @inlinable
  public func emit(into bytes: inout MutableRawSpan) {
    let totalLength = UInt16(truncatingIfNeeded: Self.byteCount &+ payloadLength)
    let timeToLiveAndProtocol = UInt16(64) << 8 | UInt16(protocolNumber)
    var checksum = Checksum()
    checksum.add(0x4500 as UInt16)
    checksum.add(totalLength)
    checksum.add(identification)
    checksum.add(0x4000 as UInt16)
    checksum.add(timeToLiveAndProtocol)
    checksum.add(source.ipv4)
    checksum.add(destination.ipv4)
    bytes.set(0x4500 as UInt16, at: 0)
    bytes.set(totalLength, at: 2)
    bytes.set(identification, at: 4)
    bytes.set(0x4000 as UInt16, at: 6)
    bytes.set(timeToLiveAndProtocol, at: 8)
    bytes.set(checksum.value, at: 10)
    bytes.set(source.ipv4, at: 12)
    bytes.set(destination.ipv4, at: 16)
  }
}
