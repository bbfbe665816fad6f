// Which ports a client's latest connections had, so that others are drawn where there are such.

internal import Wire

/// The ports of a client's latest channels, its own and the server's. A network may remember what it carried of
/// a connection, or that it ended, and hold it against the next one with the same ports; TCP itself lets them
/// rest for a while (TIME-WAIT, RFC 9293, section 3.3.2).
struct LatestPorts: Sendable {
  /// So many pairs of ports rest, in 8 kB: those of the last 100 s where 20 channels a second are opened.
  static let limit = 2048

  private var pairs: [UInt32] = []
  /// Where the oldest one lies, once there are as many as can be.
  private var oldest = 0

  /// Whether one of the latest channels had these ports.
  func contains(_ tuple: FourTuple) -> Bool { pairs.contains(Self.pair(tuple)) }

  /// Takes in those of a channel that is dialled; the oldest one is forgotten for it.
  mutating func insert(_ tuple: FourTuple) {
    guard pairs.count == Self.limit else { return pairs.append(Self.pair(tuple)) }
    pairs[oldest] = Self.pair(tuple)
    oldest = (oldest + 1) % Self.limit
  }

  private static func pair(_ tuple: FourTuple) -> UInt32 {
    UInt32(tuple.local.port) << 16 | UInt32(tuple.remote.port)
  }
}
