// A frame under a key, in the shape of a TLS record (docs/protocol.md).
//
//    17 | 03 03 | length 2 | number 4 | type 1 | flow 2 | payload … | tag 16
//                                     └────────── sealed ─────────┘

/// Where a sealed frame's parts are, and what stands outside of the seal.
public struct SealedFrame: Sendable {
  /// The bytes in front of the payload.
  public static let headerByteCount = 12
  /// How many of them are not sealed.
  public static let clearByteCount = 9
  /// The size of the tag behind the payload, in bytes.
  public static let tagByteCount = 16
  /// What a frame has beside its payload, in bytes.
  public static let overhead = headerByteCount + tagByteCount
  /// No segment is larger than the largest TLS record (RFC 8446, section 5.1), in bytes.
  public static let segmentLimit = 16_384
  /// The first byte.
  public static let type: UInt8 = 0x17
  @usableFromInline static let version: UInt16 = 0x0303
  @usableFromInline static let lengthEnd = 5

  /// The low 32 bits of the frame's number.
  public let number: UInt32
  /// The payload's size in bytes.
  public let payloadLength: Int

  /// The size of the whole frame in bytes.
  public var byteCount: Int { Self.overhead &+ payloadLength }

  /// Reads what is not sealed of the frame at `offset`; nil where there is no whole frame.
  @inlinable @inline(__always)
  public init?(parsing bytes: RawSpan, at offset: Int) {
    guard offset >= 0, offset <= bytes.byteCount &- Self.overhead,
      bytes.byte(at: offset) == Self.type, bytes.be16(at: offset &+ 1) == Self.version
    else { return nil }
    let length = Int(bytes.be16(at: offset &+ 3)) &+ Self.lengthEnd
    guard length >= Self.overhead, length <= bytes.byteCount &- offset else { return nil }
    number = bytes.be32(at: offset &+ Self.lengthEnd)
    payloadLength = length &- Self.overhead
  }

  /// Writes the header of a frame that is to be sealed, `headerByteCount` bytes.
  @inlinable @inline(__always)
  static func emitHeader(
    type: FrameType, flow: UInt16, number: UInt32, payloadLength: Int,
    into bytes: inout MutableRawSpan
  ) {
    let length = Self.overhead &+ payloadLength &- Self.lengthEnd
    bytes.set(Self.type, at: 0)
    bytes.set(Self.version, at: 1)
    bytes.set(UInt16(truncatingIfNeeded: length), at: 3)
    bytes.set(number, at: Self.lengthEnd)
    bytes.set(type.rawValue, at: Self.clearByteCount)
    bytes.set(flow, at: Self.clearByteCount &+ 1)
  }
}

/// Where the parts of a frame lie that is to be sealed.
public struct SealedPlace: Sendable {
  /// Type and flow, in the arena of the segment batch, and what lies there behind them: a prefix, and a
  /// payload that was copied.
  public let head: Range<Int>
  /// The payload in the packet batch; empty where it was copied.
  public let body: Range<Int>
  /// The tag, in the arena.
  public let tag: Range<Int>

  /// The size of the whole frame in bytes.
  public var byteCount: Int {
    SealedFrame.clearByteCount &+ head.count &+ body.count &+ tag.count
  }
}
