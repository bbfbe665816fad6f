// The first message each way on a channel (docs/protocol.md): bare in a handshake record today,
// the payload of the key exchange when there is a key.
//
//    record: 16 03 01 | length 2
//    hello:  version 1 | scale 1 | MSS 2 | segment size 2 | flags 2 | channel 4 | session 16

/// Names a session: chosen at random by the client, the same on all of its channels.
public struct SessionID: Hashable, Sendable {
  /// The first 8 bytes as a big-endian number.
  public var high: UInt64
  /// The last 8 bytes as a big-endian number.
  public var low: UInt64

  /// An identifier from its two halves.
  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }
}

extension SessionID: CustomStringConvertible {
  /// The first half in hexadecimal: enough to tell sessions apart in a log.
  public var description: String {
    let digits = String(high, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// What each side tells the other when a channel opens.
public struct Hello: Hashable, Sendable {
  /// The version of the protocol that this code speaks.
  public static let currentVersion: UInt8 = 1
  /// The size of a Hello in its record, in bytes.
  public static let recordByteCount = recordHeaderByteCount + byteCount
  /// The first byte of the record: a TLS handshake record. No frame type has this value.
  public static let recordType: UInt8 = 0x16
  static let recordHeaderByteCount = 5
  static let byteCount = 28
  private static let noScale: UInt8 = 0xFF

  /// The protocol version of the sender.
  public var version: UInt8 = currentVersion
  /// The options of the other side's SYN or SYN-ACK as they arrived here, so that both ends know
  /// what a middlebox made of them.
  public var observed: TCPOptions
  /// The largest TCP payload, in bytes, that the sender's own interface can carry.
  public var segmentSize: UInt16
  /// The channel's name within its session, chosen by the client and repeated by the server.
  public var channel: UInt32
  /// The session that the channel belongs to.
  public var session: SessionID

  /// A Hello of the current version.
  public init(observed: TCPOptions, segmentSize: UInt16, channel: UInt32, session: SessionID) {
    self.observed = observed
    self.segmentSize = segmentSize
    self.channel = channel
    self.session = session
  }

  /// Reads the record that a channel's first payload is. Bytes behind the fields known here are
  /// ignored, so that a later version can add some. Nil where it is no Hello at all.
  public init?(parsingRecord bytes: RawSpan) {
    guard bytes.byteCount >= Self.recordByteCount, bytes.byte(at: 0) == Self.recordType,
      bytes.be16(at: 1) == 0x0301,
      Int(bytes.be16(at: 3)) == bytes.byteCount &- Self.recordHeaderByteCount
    else { return nil }
    let start = Self.recordHeaderByteCount
    let scale = bytes.byte(at: start &+ 1)
    let mss = bytes.be16(at: start &+ 2)
    guard scale <= 14 || scale == Self.noScale else { return nil }
    version = bytes.byte(at: start)
    observed = TCPOptions(
      maximumSegmentSize: mss == 0 ? nil : mss, windowScale: scale == Self.noScale ? nil : scale)
    segmentSize = bytes.be16(at: start &+ 4)
    channel = bytes.be32(at: start &+ 8)
    session = SessionID(high: bytes.be64(at: start &+ 12), low: bytes.be64(at: start &+ 20))
  }

  /// Writes the record, `recordByteCount` bytes.
  public func emitRecord(into bytes: inout MutableRawSpan) {
    let start = Self.recordHeaderByteCount
    bytes.set(Self.recordType, at: 0)
    bytes.set(0x0301 as UInt16, at: 1)
    bytes.set(UInt16(Self.byteCount), at: 3)
    bytes.set(version, at: start)
    bytes.set(observed.windowScale ?? Self.noScale, at: start &+ 1)
    bytes.set(observed.maximumSegmentSize ?? 0, at: start &+ 2)
    bytes.set(segmentSize, at: start &+ 4)
    bytes.set(0 as UInt16, at: start &+ 6)
    bytes.set(channel, at: start &+ 8)
    bytes.set(session.high, at: start &+ 12)
    bytes.set(session.low, at: start &+ 20)
  }
}
