// What a receiver tells the sender of a channel: which of its frames arrived (docs/protocol.md).
//
//    frames 8 | bytes 8 | largest 8 | highest 4 | flags 4

internal import Wire

/// A count of the frames of one channel and direction, since it opened.
struct FrameTally: Hashable, Sendable {
  /// All frames whose numbers were used, or taken.
  var frames: UInt64 = 0
  /// Their bytes, headers and tags included.
  var bytes: UInt64 = 0
  /// The bytes of the largest one. A receiver's is of those since its last report.
  var largest: UInt64 = 0

  @inline(__always)
  mutating func add(_ size: Int) {
    frames &+= 1
    let size = UInt64(truncatingIfNeeded: size)
    bytes &+= size
    largest = max(largest, size)
  }

  /// Whether each sum is at most that of `other`.
  func isWithin(_ other: FrameTally) -> Bool {
    frames <= other.frames && bytes <= other.bytes
  }
}

/// The payload of a report frame.
struct ReceiverReport: Hashable, Sendable {
  /// Its size in bytes.
  static let byteCount = 32
  /// The flag of a receiver that finds the path proxied.
  private static let proxiedFlag: UInt32 = 1

  /// What has arrived.
  var tally: FrameTally
  /// The low 32 bits of the highest number that arrived; a plain frame's has 24.
  var highest: UInt32
  /// Whether something on the path ends TCP connections, as far as the receiver sees.
  var isProxied = false

  init(tally: FrameTally, highest: UInt32, isProxied: Bool) {
    self.tally = tally
    self.highest = highest
    self.isProxied = isProxied
  }

  /// Reads a report; bytes behind it are a later version's. Nil where it is too short.
  init?(parsing bytes: RawSpan) {
    guard bytes.byteCount >= Self.byteCount else { return nil }
    tally = FrameTally(
      frames: bytes.be64(at: 0), bytes: bytes.be64(at: 8), largest: bytes.be64(at: 16))
    highest = bytes.be32(at: 24)
    isProxied = bytes.be32(at: 28) & Self.proxiedFlag != 0
  }

  /// Its bytes on the wire, as four big-endian numbers.
  var words: InlineArray<4, UInt64> {
    let tail = UInt64(highest) << 32 | UInt64(isProxied ? Self.proxiedFlag : 0)
    return [
      tally.frames.bigEndian, tally.bytes.bigEndian, tally.largest.bigEndian, tail.bigEndian,
    ]
  }
}
