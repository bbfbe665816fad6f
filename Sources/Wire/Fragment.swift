// A datagram that does not fit a segment travels in pieces: what a fragment frame has in front of its
// bytes (docs/protocol.md).
//
//    0        1        2        3        4        5        6        7
//   +--------+--------+--------+--------+--------+--------+--------+--------+
//   | datagram                 | index  | size            | total           | bytes …
//   +--------+--------+--------+--------+--------+--------+--------+--------+

/// How a datagram is cut: into pieces of one size, of which the last may be shorter, so that they are
/// a run. Its values fit each other: there are 2 to 256 pieces, and none is empty.
public struct Cut: Hashable, Sendable {
  /// The most pieces of one datagram.
  public static let countLimit = 256
  /// The largest datagram, in bytes: what UDP over IPv4 can have.
  public static let totalLimit = 65_507

  /// The size of each piece but the last, in bytes.
  public let size: Int
  /// The size of the datagram, in bytes.
  public let total: Int
  /// How many pieces there are.
  public let count: Int

  /// Cuts `total` bytes into the fewest pieces of at most `limit` bytes, as equal as can be. Nil where
  /// it need not be cut, or there would be too many.
  @inlinable
  public init?(_ total: Int, intoAtMost limit: Int) {
    guard limit > 0, total > limit, total <= Self.totalLimit else { return nil }
    let count = (total &+ limit &- 1) / limit
    self.init(size: (total &+ count &- 1) / count, total: total)
  }

  /// A cut as a fragment names it; nil where no sender cuts so.
  @inlinable
  public init?(size: Int, total: Int) {
    guard size > 0, total > size, total <= Self.totalLimit else { return nil }
    let count = (total &+ size &- 1) / size
    guard count <= Self.countLimit else { return nil }
    self.size = size
    self.total = total
    self.count = count
  }

  /// Where in the datagram piece `index` lies.
  @inlinable
  public func range(of index: Int) -> Range<Int> {
    let start = index &* size
    return start..<min(start &+ size, total)
  }
}

/// Which piece of which datagram a fragment is.
public struct FragmentHeader: Hashable, Sendable {
  /// Its size in bytes.
  public static let byteCount = 8
  /// The numbers of datagrams are 24 bits wide and wrap.
  public static let datagramMask: UInt32 = 0xFF_FFFF

  /// Counts the datagrams of a session and direction that were cut or sent twice, 24 bits.
  public let datagram: UInt32
  /// Which of the pieces this is, from 0.
  public let index: Int
  /// How the datagram was cut.
  public let cut: Cut

  /// A header from its fields; `index` is one of the cut's pieces.
  @inlinable
  public init(datagram: UInt32, index: Int, cut: Cut) {
    precondition(index >= 0 && index < cut.count)
    self.datagram = datagram & Self.datagramMask
    self.index = index
    self.cut = cut
  }

  /// Reads the header of a fragment frame's payload; nil where no sender makes such a fragment: the
  /// bytes behind the header are not exactly the piece that it names.
  @inlinable
  public init?(parsing payload: RawSpan) {
    guard payload.byteCount > Self.byteCount else { return nil }
    let word = payload.be64(at: 0)
    let index = Int(word >> 32 & 0xFF)
    guard let cut = Cut(size: Int(word >> 16 & 0xFFFF), total: Int(word & 0xFFFF)),
      index < cut.count,
      cut.range(of: index).count == payload.byteCount &- Self.byteCount
    else { return nil }
    self.init(datagram: UInt32(truncatingIfNeeded: word >> 40), index: index, cut: cut)
  }

  /// The header's bytes as one number whose big-endian form goes on the wire.
  @inlinable public var encoded: UInt64 {
    UInt64(datagram) << 40 | UInt64(index) << 32 | UInt64(cut.size) << 16 | UInt64(cut.total)
  }
}
