// IPv4 packets and TCP segments as a judge sees them. Written apart from Sources/Wire on purpose:
// what is judged must not be read by its own parser.

public import Wire

/// The TCP header of a captured segment (RFC 9293, section 3.1).
public struct CapturedSegment: Hashable, Sendable {
  /// Control bits.
  public struct Flags: OptionSet, Hashable, Sendable {
    /// The header's byte 13.
    public let rawValue: UInt8
    /// Flags from the header's byte 13.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// No more data from the sender.
    public static let fin = Flags(rawValue: 1)
    /// Synchronise sequence numbers.
    public static let syn = Flags(rawValue: 2)
    /// Reset the connection.
    public static let rst = Flags(rawValue: 4)
    /// The acknowledgement field is meant.
    public static let ack = Flags(rawValue: 16)
  }

  /// Where it comes from.
  public var source: Endpoint
  /// Where it goes.
  public var destination: Endpoint
  /// The sequence number of its first byte.
  public var sequence: UInt32
  /// The next sequence number that its sender expects.
  public var acknowledgement: UInt32
  /// Its control bits.
  public var flags: Flags
  /// The window as it stands in the header, unscaled.
  public var window: UInt16
  /// The payload's size in bytes.
  public var payloadCount: Int
  /// The option of a SYN or SYN-ACK (RFC 7323).
  public var windowScale: UInt8?
  /// Whether a SYN or SYN-ACK permits SACK (RFC 2018).
  public var permitsSACK = false
  /// The right edge of the highest SACK block.
  public var highestSACK: UInt32?

  /// The sequence number behind it, with SYN and FIN counted.
  public var end: UInt32 {
    sequence &+ UInt32(truncatingIfNeeded: payloadCount) &+ (flags.contains(.syn) ? 1 : 0)
      &+ (flags.contains(.fin) ? 1 : 0)
  }

  /// Whether it is nothing but an acknowledgement.
  public var isPureAcknowledgement: Bool {
    payloadCount == 0 && flags.isDisjoint(with: [.syn, .fin, .rst])
  }

  /// A segment from its fields.
  public init(
    from source: Endpoint, to destination: Endpoint, sequence: UInt32, acknowledgement: UInt32,
    flags: Flags, window: UInt16, payloadCount: Int = 0, windowScale: UInt8? = nil
  ) {
    self.source = source
    self.destination = destination
    self.sequence = sequence
    self.acknowledgement = acknowledgement
    self.flags = flags
    self.window = window
    self.payloadCount = payloadCount
    self.windowScale = windowScale
  }
}

extension CapturedSegment: CustomStringConvertible {
  /// As tcpdump(8) would print it, more or less.
  public var description: String {
    let names: [(Flags, String)] = [(.syn, "S"), (.fin, "F"), (.rst, "R"), (.ack, ".")]
    let letters = names.filter { flags.contains($0.0) }.map(\.1).joined()
    return "\(source) > \(destination): [\(letters)] seq \(sequence):\(end)"
      + " ack \(acknowledgement) win \(window) length \(payloadCount)"
  }
}

/// What a judge may ask of an IP packet.
public struct CapturedPacket: Sendable {
  /// The size of the IP packet in bytes; of the largest that it will be cut into, where the sender
  /// leaves segmentation to the device.
  public var largestPacket: Int
  /// How many segments it is on the wire.
  public var segmentCount: Int
  /// Whether it is a part of a packet.
  public var isFragment: Bool
  /// Whether the IP header's checksum is right; IPv6 has none.
  public var hasValidHeaderChecksum: Bool
  /// Whether the TCP checksum is right; nil where the sender leaves it to the device.
  public var hasValidChecksum: Bool?
  /// The TCP segment, if it is one and whole.
  public var segment: CapturedSegment?
}

extension CapturedPacket {
  /// The payload of its TCP segment, in the bytes that it was parsed from.
  @_lifetime(copy bytes)
  public func payload(of bytes: RawSpan) -> RawSpan {
    let end = bytes.byte(at: 0) >> 4 == 4 ? Int(bytes.be16(at: 2)) : 40 + Int(bytes.be16(at: 4))
    return bytes.extracting(end - (segment?.payloadCount ?? 0)..<end)
  }

  /// Reads an IP packet, of IPv6 without extension headers; nil where it is none. The rest is what its
  /// virtio_net_hdr says: whether its TCP checksum is still to be made, and the payload bytes of each
  /// segment that it is to be cut into.
  public init?(parsing bytes: RawSpan, needsChecksum: Bool = false, segmentSize: Int? = nil) {
    guard bytes.byteCount >= 20 else { return nil }
    let version = bytes.byte(at: 0) >> 4
    guard version == 4 || version == 6 && bytes.byteCount >= 40 else { return nil }
    let headerCount = version == 4 ? Int(bytes.byte(at: 0) & 15) * 4 : 40
    let total = version == 4 ? Int(bytes.be16(at: 2)) : 40 + Int(bytes.be16(at: 4))
    guard headerCount >= 20, total >= headerCount, total <= bytes.byteCount else { return nil }
    let number = bytes.byte(at: version == 4 ? 9 : 6)
    let isTCP = number == 6
    isFragment = version == 4 ? bytes.be16(at: 6) & 0x3FFF != 0 : number == 44
    hasValidHeaderChecksum =
      version == 6 || folded(sum(bytes.extracting(0..<headerCount))) == 0xFFFF
    largestPacket = total
    segmentCount = 1
    let udpHeader = headerCount + 8
    if number == 17, let size = segmentSize, size > 0, total > udpHeader + size {
      largestPacket = udpHeader + size
    }
    guard isTCP, !isFragment else { return }
    let content = bytes.extracting(headerCount..<total)
    let (source, destination) = bytes.addresses
    segment = CapturedSegment(parsing: content, source, destination)
    guard let segment else { return }
    if let size = segmentSize, size > 0, segment.payloadCount > size {
      largestPacket = total - segment.payloadCount + size
      segmentCount = (segment.payloadCount + size - 1) / size
    }
    guard !needsChecksum else { return }
    let addresses = version == 4 ? 12..<20 : 8..<40
    let pseudoHeader = sum(bytes.extracting(addresses)) + 6 + UInt64(content.byteCount)
    hasValidChecksum = folded(pseudoHeader + sum(content)) == 0xFFFF
  }
}

extension CapturedSegment {
  fileprivate init?(parsing bytes: RawSpan, _ source: IPAddress, _ destination: IPAddress) {
    guard bytes.byteCount >= 20 else { return nil }
    let headerCount = Int(bytes.byte(at: 12) >> 4) * 4
    guard headerCount >= 20, headerCount <= bytes.byteCount else { return nil }
    self.init(
      from: Endpoint(source, bytes.be16(at: 0)), to: Endpoint(destination, bytes.be16(at: 2)),
      sequence: bytes.be32(at: 4), acknowledgement: bytes.be32(at: 8),
      flags: Flags(rawValue: bytes.byte(at: 13)), window: bytes.be16(at: 14),
      payloadCount: bytes.byteCount - headerCount)
    readOptions(bytes.extracting(20..<headerCount))
  }

  private mutating func readOptions(_ options: RawSpan) {
    var offset = 0
    while offset < options.byteCount, options.byte(at: offset) != 0 {
      guard options.byte(at: offset) != 1 else {
        offset += 1
        continue
      }
      guard offset + 1 < options.byteCount else { return }
      let size = Int(options.byte(at: offset + 1))
      guard size >= 2, offset + size <= options.byteCount else { return }
      readOption(options.extracting(offset..<offset + size))
      offset += size
    }
  }

  private mutating func readOption(_ option: RawSpan) {
    switch (option.byte(at: 0), option.byteCount) {
    case (3, 3): windowScale = min(option.byte(at: 2), 14)
    case (4, 2): permitsSACK = true
    case (5, 10...):
      for edge in stride(from: 6, to: option.byteCount - 3, by: 8) {
        let right = option.be32(at: edge)
        if highestSACK.map({ isAfter(right, $0) }) ?? true { highestSACK = right }
      }
    default: break
    }
  }
}

/// Whether sequence number `one` comes after `other`, across the wrap too (RFC 9293, section 3.4).
func isAfter(_ one: UInt32, _ other: UInt32) -> Bool { Int32(bitPattern: one &- other) > 0 }

/// The sum of the big-endian 16-bit words (RFC 1071), four bytes at a time.
func sum(_ bytes: RawSpan) -> UInt64 {
  var sum: UInt64 = 0
  var offset = 0
  while offset + 4 <= bytes.byteCount {
    sum &+= UInt64(bytes.be32(at: offset))
    offset &+= 4
  }
  while offset < bytes.byteCount {
    sum &+= UInt64(bytes.byte(at: offset)) << (offset & 1 == 0 ? 8 : 0)
    offset &+= 1
  }
  return sum
}

func folded(_ sum: UInt64) -> UInt16 {
  var rest = sum
  while rest > 0xFFFF { rest = (rest >> 16) + (rest & 0xFFFF) }
  return UInt16(rest)
}
