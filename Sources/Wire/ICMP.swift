// What a router says of a packet that was too large for its next link (RFC 1191, section 4; RFC 4443,
// section 3.2).
//
//   IPv4 | type 3 | code 4 | checksum 2 | unused 2 | MTU 2 | IPv4 header of the packet | ports 4 | sequence 4 …
//   IPv6 | type 2 | code 0 | checksum 2 |    MTU 4         | IPv6 header of the packet | ports 4 | sequence 4 …

/// An ICMP message that a TCP segment was too large. It is believed by what it quotes, since anybody may
/// send one.
public struct TooBigMessage: Sendable {
  private static let headerByteCount = 8

  /// The connection of the packet, as its sender sees it.
  public let tuple: FourTuple
  /// The sequence number of the packet.
  public let sequence: UInt32
  /// What the next link carries, in bytes: less than the packet has.
  public let limit: Int

  /// Reads a packet; nil where it is no such message, its checksum is wrong, or it makes no sense.
  public init?(_ packet: borrowing IPPacket) {
    let message = packet.payload
    // The sum is the last thing to look at: of other messages there may be many.
    guard message.byteCount >= Self.headerByteCount,
      let limit = Self.limit(of: message, isIPv4: packet.destination.isIPv4),
      let quoted = Quoted(
        message.extracting(Self.headerByteCount...), isIPv4: packet.destination.isIPv4),
      limit > 0, limit < quoted.byteCount, Self.isChecksumValid(of: packet)
    else { return nil }
    tuple = quoted.tuple
    sequence = quoted.sequence
    self.limit = limit
  }

  /// Of routers that do not name the MTU (RFC 1191, section 5) there are hardly any; probes find it.
  private static func limit(of message: RawSpan, isIPv4: Bool) -> Int? {
    switch (isIPv4, message.be16(at: 0)) {
    case (true, 0x0304): Int(message.be16(at: 6))
    case (false, 0x0200): Int(message.be32(at: 4))
    default: nil
    }
  }

  private static func isChecksumValid(of packet: borrowing IPPacket) -> Bool {
    var checksum = Checksum()
    switch (packet.protocolNumber, packet.destination.isIPv4) {
    case (1, true): break
    case (58, false):
      checksum.addPseudoHeader(
        source: packet.source, destination: packet.destination, protocolNumber: 58,
        length: packet.payload.byteCount)
    default: return false
    }
    checksum.add(packet.payload)
    return checksum.value == 0
  }
}

/// The start of a segment as a router quotes it; ours has no extension headers.
private struct Quoted {
  let tuple: FourTuple
  let sequence: UInt32
  /// The size of the whole packet.
  let byteCount: Int

  init?(_ bytes: RawSpan, isIPv4: Bool) {
    guard bytes.byteCount >= (isIPv4 ? IPv4Header.byteCount : IPv6Header.byteCount),
      bytes.byte(at: 0) >> 4 == (isIPv4 ? 4 : 6)
    else { return nil }
    let headerLength = isIPv4 ? Int(bytes.byte(at: 0) & 15) &* 4 : IPv6Header.byteCount
    guard headerLength >= IPv4Header.byteCount, bytes.byteCount >= headerLength &+ 8,
      bytes.byte(at: isIPv4 ? 9 : 6) == 6, !isIPv4 || bytes.be16(at: 6) & 0x1FFF == 0
    else { return nil }
    byteCount =
      isIPv4 ? Int(bytes.be16(at: 2)) : IPv6Header.byteCount &+ Int(bytes.be16(at: 4))
    let (source, destination) = bytes.addresses
    tuple = FourTuple(
      local: Endpoint(source, bytes.be16(at: headerLength)),
      remote: Endpoint(destination, bytes.be16(at: headerLength &+ 2)))
    sequence = bytes.be32(at: headerLength &+ 4)
  }
}
