// The TCP header (RFC 9293): a view of a received segment, and the fields of a header.

/// The control bits of a TCP header.
public struct TCPFlags: OptionSet, Hashable, Sendable {
  /// The bits as in the header's 14th byte.
  public let rawValue: UInt8

  /// Flags from the header's byte.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// No more data from the sender.
  public static let fin = TCPFlags(rawValue: 0x01)
  /// Synchronize sequence numbers.
  public static let syn = TCPFlags(rawValue: 0x02)
  /// Reset the connection.
  public static let rst = TCPFlags(rawValue: 0x04)
  /// Push.
  public static let psh = TCPFlags(rawValue: 0x08)
  /// The acknowledgment field counts.
  public static let ack = TCPFlags(rawValue: 0x10)
}

/// A received TCP segment whose lengths were checked.
public struct TCPSegment: ~Escapable {
  /// The data behind the header. Where the kernel merged segments (GRO), all of theirs.
  public let payload: RawSpan
  /// The option bytes, unparsed; see `TCPOptions`.
  public let options: RawSpan
  /// The sender's port.
  public let sourcePort: UInt16
  /// The receiver's port.
  public let destinationPort: UInt16
  /// Sequence number of the first payload byte (of the SYN where that bit is set).
  public let sequence: UInt32
  /// The next sequence number that the sender of this segment expects.
  public let acknowledgment: UInt32
  /// The control bits.
  public let flags: TCPFlags
  /// The window field, unscaled.
  public let window: UInt16
  /// The header's size in bytes, options included.
  public let headerLength: Int

  /// Checks the lengths; the checksum is `isChecksumValid(of:)`.
  @_lifetime(copy bytes)
  public init?(_ bytes: RawSpan) {
    guard bytes.byteCount >= TCPHeader.byteCount else { return nil }
    headerLength = Int(bytes.byte(at: 12) >> 4) &* 4
    guard headerLength >= TCPHeader.byteCount, headerLength <= bytes.byteCount else { return nil }
    sourcePort = bytes.be16(at: 0)
    destinationPort = bytes.be16(at: 2)
    sequence = bytes.be32(at: 4)
    acknowledgment = bytes.be32(at: 8)
    flags = TCPFlags(rawValue: bytes.byte(at: 13))
    window = bytes.be16(at: 14)
    options = bytes.extracting(TCPHeader.byteCount..<headerLength)
    payload = bytes.extracting(headerLength..<bytes.byteCount)
  }

  /// The header's fields as values of their own.
  public var header: TCPHeader {
    TCPHeader(
      sourcePort: sourcePort, destinationPort: destinationPort, sequence: sequence,
      acknowledgment: acknowledgment, flags: flags, window: window)
  }

  /// Whether the checksum of the TCP segment that is `packet`'s payload is right.
  public static func isChecksumValid(of packet: borrowing IPPacket) -> Bool {
    var checksum = Checksum()
    checksum.addPseudoHeader(
      source: packet.source, destination: packet.destination, protocolNumber: 6,
      length: packet.payload.byteCount)
    checksum.add(packet.payload)
    return checksum.value == 0
  }
}

/// The options that matter to us: a SYN's or SYN-ACK's, and one of the segments behind them.
public struct TCPOptions: Hashable, Sendable {
  /// Maximum segment size (RFC 9293, section 3.7.1): the largest payload, without options, that
  /// the sender of the option can receive, in bytes; nil where absent.
  public var maximumSegmentSize: UInt16?
  /// Window scale (RFC 7323, section 2.2) as a shift count, at most 14; nil where absent.
  public var windowScale: UInt8?
  /// Whether the sender of the option understands selective acknowledgments (RFC 2018, section 2).
  public var permitsSelectiveAcknowledgment: Bool
  /// Whether there are selective acknowledgments (RFC 2018, section 3): blocks received behind a hole.
  public var acknowledgesSelectively = false

  /// Options from their values.
  public init(
    maximumSegmentSize: UInt16?, windowScale: UInt8?, permitsSelectiveAcknowledgment: Bool = false
  ) {
    self.maximumSegmentSize = maximumSegmentSize
    self.windowScale = windowScale
    self.permitsSelectiveAcknowledgment = permitsSelectiveAcknowledgment
  }

  /// Parses the options of a received segment; stops without fail at the first malformed one, as
  /// kernels do (`tcp_parse_options`).
  public init(parsing bytes: RawSpan) {
    self.init(maximumSegmentSize: nil, windowScale: nil)
    var offset = 0
    while offset < bytes.byteCount {
      let kind = bytes.byte(at: offset)
      if kind == 0 { return }
      if kind == 1 {
        offset &+= 1
        continue
      }
      guard offset &+ 2 <= bytes.byteCount else { return }
      let length = Int(bytes.byte(at: offset &+ 1))
      guard length >= 2, offset &+ length <= bytes.byteCount else { return }
      switch (kind, length) {
      case (2, 4):
        let size = bytes.be16(at: offset &+ 2)
        if size != 0 { maximumSegmentSize = size }
      case (3, 3): windowScale = min(bytes.byte(at: offset &+ 2), 14)
      case (4, 2): permitsSelectiveAcknowledgment = true
      case (5, 10...): acknowledgesSelectively = true
      default: break
      }
      offset &+= length
    }
  }
}

/// The fields of a header.
public struct TCPHeader: Sendable {
  /// Its size in bytes without options.
  public static let byteCount = 20
  /// Where the checksum stands, bytes from the header's start.
  public static let checksumOffset = 16

  /// The sender's port.
  public var sourcePort: UInt16
  /// The receiver's port.
  public var destinationPort: UInt16
  /// Sequence number of the first payload byte.
  public var sequence: UInt32
  /// The next sequence number expected from the other side.
  public var acknowledgment: UInt32
  /// The control bits.
  public var flags: TCPFlags
  /// The window field, already scaled down.
  public var window: UInt16

  /// A header from its fields.
  @inlinable
  public init(
    sourcePort: UInt16, destinationPort: UInt16, sequence: UInt32, acknowledgment: UInt32,
    flags: TCPFlags, window: UInt16
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.sequence = sequence
    self.acknowledgment = acknowledgment
    self.flags = flags
    self.window = window
  }

  /// Writes the header into the 20 bytes at `offset`, for `optionLength` bytes of options (a
  /// multiple of 4) behind it. `checksum` is what stands in the checksum field.
  @inlinable
  public func emit(
    into bytes: inout MutableRawSpan, at offset: Int, optionLength: Int = 0, checksum: UInt16
  ) {
    let dataOffset = UInt16(truncatingIfNeeded: (Self.byteCount &+ optionLength) / 4)
    bytes.set(sourcePort, at: offset)
    bytes.set(destinationPort, at: offset &+ 2)
    bytes.set(sequence, at: offset &+ 4)
    bytes.set(acknowledgment, at: offset &+ 8)
    bytes.set(dataOffset << 12 | UInt16(flags.rawValue), at: offset &+ 12)
    bytes.set(window, at: offset &+ 14)
    bytes.set(checksum, at: offset &+ Self.checksumOffset)
    bytes.set(0 as UInt16, at: offset &+ 18)
  }
}
