// What stands in a frame in front of a datagram's bytes (docs/protocol.md). Datagrams that are cut, and
// those that are sent twice, are counted together: a number is one datagram, however it comes.
//
//   datagram 1 | bytes …
//   fragment 2 | datagram 3 | index 1 | size 2 | total 2 | bytes of a piece …
//   copy     9 | datagram 3 | 0       | bytes …

/// Which datagram a copy is of.
public struct CopyHeader: Hashable, Sendable {
  /// Its size in bytes.
  public static let byteCount = 4

  /// Counts the datagrams of a session and direction that were cut or sent twice, 24 bits.
  public let datagram: UInt32

  /// A header from its field.
  @inlinable
  public init(datagram: UInt32) { self.datagram = datagram & FragmentHeader.datagramMask }

  /// Reads the header of a copy frame's payload; nil where it is too short.
  @inlinable
  public init?(parsing payload: RawSpan) {
    guard payload.byteCount >= Self.byteCount else { return nil }
    self.init(datagram: payload.be32(at: 0) >> 8)
  }

  /// The header's bytes as one number whose big-endian form goes on the wire.
  @inlinable public var encoded: UInt32 { datagram << 8 }
}

/// What a frame has in front of a datagram's bytes, as it goes on the wire.
public struct FramePrefix: Hashable, Sendable {
  /// The type of such a frame.
  public let type: FrameType
  /// Its size in bytes: 0, 4 or 8.
  public let byteCount: Int
  /// Its bytes as a big-endian number, from the highest on.
  @usableFromInline let word: UInt64

  @inlinable
  init(_ type: FrameType, byteCount: Int, word: UInt64) {
    self.type = type
    self.byteCount = byteCount
    self.word = word
  }

  /// Nothing: it is the whole datagram, and sent once.
  @inlinable public static var whole: FramePrefix {
    FramePrefix(.datagram, byteCount: 0, word: 0)
  }

  /// It is the whole datagram, and may be sent on another channel as well.
  @inlinable
  public static func copy(_ header: CopyHeader) -> FramePrefix {
    FramePrefix(.copy, byteCount: CopyHeader.byteCount, word: UInt64(header.encoded) << 32)
  }

  /// It is a piece of the datagram.
  @inlinable
  public static func fragment(_ header: FragmentHeader) -> FramePrefix {
    FramePrefix(.fragment, byteCount: FragmentHeader.byteCount, word: header.encoded)
  }
}
